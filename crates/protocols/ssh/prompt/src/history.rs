//! Lines that were entered before.

use std::collections::{BTreeMap, VecDeque};

use crate::buffer::Saved;

/// Lines kept, and their bytes; the oldest go first.
const MAX_ENTRIES: usize = 1000;
const MAX_BYTES: usize = 8 * crate::MAX_LINE;

/// Bytes of old lines that were changed while a new one is entered.
const MAX_EDITED: usize = 4 * crate::MAX_LINE;

#[derive(Debug, Default)]
pub(crate) struct History {
    lines: VecDeque<String>,
    bytes: usize,
    /// Where one is: `lines.len()` is the new line.
    at: usize,
    /// Lines as they were changed since the prompt was shown, the new one among them.
    edited: BTreeMap<usize, Saved>,
}

impl History {
    pub(crate) fn add(&mut self, line: &str) {
        if line.is_empty() || line.len() > crate::MAX_LINE {
            return;
        }
        self.bytes += line.len();
        self.lines.push_back(line.to_owned());
        while self.lines.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len();
        }
        self.begin();
    }

    /// Back to the new line; what was changed in old ones is forgotten.
    pub(crate) fn begin(&mut self) {
        self.at = self.lines.len();
        self.edited.clear();
    }

    pub(crate) fn lines(&self) -> impl ExactSizeIterator<Item = &str> + DoubleEndedIterator {
        self.lines.iter().map(String::as_str)
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// A line as it is now, changes included.
    pub(crate) fn line(&self, at: usize) -> Option<&str> {
        let edited = self.edited.get(&at).map(Saved::text);
        edited.or_else(|| self.original(at))
    }

    /// A line as it was entered.
    pub(crate) fn original(&self, at: usize) -> Option<&str> {
        self.lines.get(at).map(String::as_str)
    }

    /// Goes to another line, and gives it.
    pub(crate) fn go(&mut self, to: usize) -> Saved {
        self.at = to;
        let edited = self.edited.remove(&to);
        edited.unwrap_or_else(|| Saved::new(self.original(to).unwrap_or_default()))
    }

    /// What a line looks like now that is left.
    pub(crate) fn keep(&mut self, at: usize, line: Saved) {
        self.edited.insert(at, line);
        // The new line is the last to be forgotten.
        while self.edited.values().map(Saved::bytes).sum::<usize>() > MAX_EDITED {
            self.edited.pop_first();
        }
    }
}
