//! A line as the keys alone make it.

use crate::MAX_LINE;
use crate::keys::Key;

/// The line as long as every key was one whose effect is known.
#[derive(Debug)]
pub(crate) struct Model {
    text: Option<Vec<char>>,
    cursor: usize,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            text: Some(Vec::new()),
            cursor: 0,
        }
    }
}

impl Model {
    /// The line, if it is known.
    pub(crate) fn line(&self) -> Option<String> {
        self.text.as_ref().map(|text| text.iter().collect())
    }

    /// Whether nothing is known to be in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether the cursor is known to be within the line, not behind it.
    pub(crate) fn is_within(&self) -> bool {
        self.text.as_ref().is_some_and(|text| self.cursor < text.len())
    }

    /// Something was done to the line of which nobody here knows what it did.
    pub(crate) fn lose(&mut self) {
        self.text = None;
    }

    pub(crate) fn press(&mut self, key: Key) {
        let Some(text) = &mut self.text else { return };
        let cursor = self.cursor.min(text.len());
        self.cursor = match key {
            Key::Char(c) => {
                text.insert(cursor, c);
                cursor + 1
            }
            Key::Backspace => {
                let to = cursor.saturating_sub(1);
                text.drain(to..cursor);
                to
            }
            Key::Delete => {
                let end = (cursor + 1).min(text.len());
                text.drain(cursor..end);
                cursor
            }
            Key::KillLine => {
                text.drain(..cursor);
                0
            }
            Key::KillToEnd => {
                text.truncate(cursor);
                cursor
            }
            Key::KillWord => {
                let to = word_before(text, cursor);
                text.drain(to..cursor);
                to
            }
            Key::Left => cursor.saturating_sub(1),
            Key::Right => (cursor + 1).min(text.len()),
            Key::Start => 0,
            Key::End => text.len(),
            Key::Interrupt | Key::Report | Key::Paste(_) => cursor,
            Key::Unknown => return self.lose(),
        };
        if self.text.as_ref().is_some_and(|text| text.len() > MAX_LINE) {
            self.lose();
        }
    }
}

/// Where the word before the cursor begins: blanks are what parts words.
fn word_before(text: &[char], cursor: usize) -> usize {
    let before = text.get(..cursor).unwrap_or_default();
    let word = before.iter().rposition(|c| !c.is_whitespace());
    let blank = word.and_then(|end| before.get(..end)?.iter().rposition(|c| c.is_whitespace()));
    match (word, blank) {
        (None, _) | (Some(_), None) => 0,
        (Some(_), Some(blank)) => blank + 1,
    }
}
