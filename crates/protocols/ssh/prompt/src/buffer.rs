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

/// A text that is put aside, with what was done to it.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    text: String,
    undo: Undo,
}

impl Saved {
    /// A text to which nothing was done.
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            undo: Undo::default(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.undo.bytes()
    }
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

    /// Another text takes the place of this one, with what was done to it; the cursor goes to its end.
    pub(crate) fn swap(&mut self, other: Saved) -> Saved {
        let text = std::mem::replace(&mut self.text, other.text);
        let undo = std::mem::replace(&mut self.undo, other.undo);
        self.cursor = self.text.len();
        Saved { text, undo }
    }

    pub(crate) fn clear(&mut self) {
        self.swap(Saved::default());
    }

    /// Goes to a position, or to the end of the character around it.
    pub(crate) fn go(&mut self, to: usize) {
        let mut to = to.min(self.text.len());
        while !self.text.is_char_boundary(to) {
            to += 1;
        }
        self.cursor = to;
    }

    /// Inserts at the cursor, and goes behind it. Single bytes in a row are undone as one.
    pub(crate) fn insert(&mut self, text: &str) {
        let at = self.cursor;
        self.text.insert_str(at, text);
        self.cursor = at + text.len();
        self.undo.inserted(at..self.cursor);
    }

    /// Removes a range and gives what stood there. The cursor stays where it was in the text, or goes to where the
    /// range was.
    pub(crate) fn remove(&mut self, range: Range<usize>) -> String {
        let Some(removed) = self.text.get(range.clone()).map(str::to_owned) else {
            return String::new();
        };
        if removed.is_empty() {
            return removed;
        }
        self.undo.push(Change::Removed(range.start, removed.clone()));
        self.text.replace_range(range.clone(), "");
        if self.cursor >= range.end {
            self.cursor -= removed.len();
        } else {
            self.cursor = self.cursor.min(range.start);
        }
        removed
    }

    /// Another text in the place of a range. The cursor goes to its end.
    pub(crate) fn replace(&mut self, range: Range<usize>, text: &str) {
        let start = range.start;
        self.remove(range);
        self.go(start);
        self.insert(text);
    }

    /// What follows is undone as one, up to the next call.
    pub(crate) fn next_command(&mut self) {
        self.undo.close();
    }

    /// What is typed next is not undone with what was inserted last.
    pub(crate) fn seal(&mut self) {
        self.undo.seal();
    }

    /// Undoes the last command that changed something. Gives whether there was one.
    pub(crate) fn undo(&mut self) -> bool {
        let Some(changes) = self.undo.pop() else {
            return false;
        };
        for change in changes.into_iter().rev() {
            match change {
                Change::Inserted(range) => {
                    self.cursor = range.start;
                    self.text.drain(range);
                }
                Change::Removed(at, text) => {
                    self.text.insert_str(at, &text);
                    self.cursor = at + text.len();
                }
            }
        }
        true
    }
}
