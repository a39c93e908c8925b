//! What was changed, so that it can be changed back.

use std::collections::VecDeque;
use std::ops::Range;

/// Commands that can be undone, and bytes that they removed. The oldest are forgotten first.
const MAX_COMMANDS: usize = 1000;
const MAX_BYTES: usize = 4 * crate::MAX_LINE;

/// So many characters typed in a row are undone at once.
const MAX_TYPED: usize = 20;

#[derive(Debug)]
pub(super) enum Change {
    Inserted(Range<usize>),
    Removed(usize, String),
}

#[derive(Debug, Default)]
pub(super) struct Undo {
    commands: VecDeque<Command>,
    bytes: usize,
    /// The next change begins a command.
    closed: bool,
}

#[derive(Debug)]
struct Command {
    changes: Vec<Change>,
    /// Nothing joins it.
    sealed: bool,
}

impl Undo {
    pub(super) fn seal(&mut self) {
        if let Some(command) = self.commands.back_mut() {
            command.sealed = true;
        }
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn push(&mut self, change: Change) {
        self.bytes += weight(&change);
        match self.commands.back_mut() {
            Some(command) if !self.closed => command.changes.push(change),
            _ => self.commands.push_back(Command {
                changes: vec![change],
                sealed: false,
            }),
        }
        self.closed = false;
        self.forget();
    }

    /// Something was inserted. One byte joins what was inserted right before it, unless it is a part of a command.
    pub(super) fn inserted(&mut self, place: Range<usize>) {
        if self.closed
            && place.len() == 1
            && let Some(command) = self.commands.back_mut()
            && !command.sealed
            && let [Change::Inserted(range)] = command.changes.as_mut_slice()
            && range.end == place.start
            && range.len() < MAX_TYPED
        {
            range.end = place.end;
        } else if !place.is_empty() {
            self.push(Change::Inserted(place));
        }
    }

    pub(super) fn pop(&mut self) -> Option<Vec<Change>> {
        let command = self.commands.pop_back()?;
        self.bytes -= command.weight().min(self.bytes);
        self.closed = true;
        Some(command.changes)
    }

    fn forget(&mut self) {
        while self.commands.len() > MAX_COMMANDS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.commands.pop_front() else {
                return;
            };
            self.bytes -= oldest.weight().min(self.bytes);
        }
    }
}

impl Command {
    fn weight(&self) -> usize {
        self.changes.iter().map(weight).sum()
    }
}

fn weight(change: &Change) -> usize {
    match change {
        Change::Inserted(_) => 0,
        Change::Removed(_, text) => text.len(),
    }
}
