//! The line that is edited: its text, the cursor, and what undoes each change.

mod motion;
mod undo;

use std::ops::Range;

use undo::{Change, Undo};

/// A text with a cursor. Positions are bytes, always between two characters.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    text: String,
    cursor: usize,
    undo: Undo,
}

impl Buffer {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn before(&self, at: usize) -> &str {
        self.text.get(..at).unwrap_or_default()
    }

    pub(crate) fn after(&self, at: usize) -> &str {
        self.text.get(at..).unwrap_or_default()
    }

    pub(crate) fn between(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    /// Another text altogether; nothing of it can be undone.
    pub(crate) fn set(&mut self, text: String, cursor: usize) {
        self.text = text;
        self.undo = Undo::default();
        self.cursor = 0;
        self.go(cursor);
    }

    /// Gives the text, and is empty.
    pub(crate) fn take(&mut self) -> String {
        self.undo = Undo::default();
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Goes to a position, or to the end of the character around it.
    pub(crate) fn go(&mut self, to: usize) {
        let mut to = to.min(self.text.len());
        while !self.text.is_char_boundary(to) {
            to += 1;
        }
        self.cursor = to;
    }

    /// Inserts at the cursor, and goes behind it.
    pub(crate) fn insert(&mut self, text: &str) {
        self.put(self.cursor, text);
        self.cursor += text.len();
    }

    /// Inserts one character that was typed: several in a row are undone as one.
    pub(crate) fn typed(&mut self, c: char) {
        let at = self.cursor;
        self.text.insert(at, c);
        self.cursor = at + c.len_utf8();
        self.undo.typed(at, c.len_utf8());
    }

    /// Removes a range and gives what stood there. The cursor stays where it was in the text, or goes to where the range was.
    pub(crate) fn remove(&mut self, range: Range<usize>) -> String {
        let Some(removed) = self.text.get(range.clone()).map(str::to_owned) else {
            return String::new();
        };
        if removed.is_empty() {
            return removed;
        }
        self.undo
            .push(Change::Removed(range.start, removed.clone()), self.cursor);
        self.text.replace_range(range.clone(), "");
        if self.cursor >= range.end {
            self.cursor -= removed.len();
        } else {
            self.cursor = self.cursor.min(range.start);
        }
        removed
    }

    pub(crate) fn replace(&mut self, range: Range<usize>, text: &str) {
        let start = range.start;
        self.remove(range);
        self.put(start, text);
    }

    /// What follows is undone as one, up to the next call.
    pub(crate) fn next_command(&mut self) {
        self.undo.close();
    }

    /// Undoes the last command that changed something. Gives whether there was one.
    pub(crate) fn undo(&mut self) -> bool {
        let Some((changes, cursor)) = self.undo.pop() else {
            return false;
        };
        for change in changes.into_iter().rev() {
            match change {
                Change::Inserted(range) => drop(self.text.drain(range)),
                Change::Removed(at, text) => self.text.insert_str(at, &text),
            }
        }
        self.go(cursor);
        true
    }

    fn put(&mut self, at: usize, text: &str) {
        if !text.is_empty() && self.text.is_char_boundary(at) {
            self.text.insert_str(at, text);
            self.undo.push(Change::Inserted(at..at + text.len()), self.cursor);
        }
    }
}
