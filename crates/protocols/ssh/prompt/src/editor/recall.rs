//! Taking from lines that were entered before.

use super::{Editor, Last};
use crate::MAX_LINE;
use crate::words::words;

/// An argument of an old line that was inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recalled {
    range: std::ops::Range<usize>,
    /// How many lines back.
    back: usize,
    on: bool,
    nth: Option<isize>,
}

impl Last {
    /// What is left of it when a search went to another line.
    pub(super) fn in_another_line(self) -> Self {
        match self {
            Self::Argument(recalled) => Self::Argument(Recalled {
                range: 0..0,
                ..recalled
            }),
            Self::Kill => Self::Kill,
            Self::Other | Self::Yank(_) | Self::Completed { .. } => Self::Other,
        }
    }
}

impl Editor {
    /// Goes so many lines on in the history, or back.
    pub(super) fn recall(&mut self, count: isize) {
        let newest = self.history.len();
        let to = self.history.at().saturating_add_signed(count).min(newest);
        self.go_to_line(to);
    }

    pub(super) fn go_to_line(&mut self, to: usize) {
        let at = self.history.at();
        let length = self.history.line(to).map_or(0, str::len);
        // It may be shown and dropped many times with few keys.
        if to == at || length + self.prior.len() > MAX_LINE || !self.spend(4 * length) {
            self.bell = true;
            return;
        }
        let line = self.history.go(to);
        let left = self.buffer.swap(line);
        self.history.keep(at, left);
    }

    /// Inserts the last argument of the line before, and, asked again, of the one before that. With a number it is that
    /// argument; a negative number turns round.
    pub(super) fn last_argument(&mut self, count: isize, explicit: bool, last: Last) {
        let recalled = match last {
            Last::Argument(mut recalled) => {
                // The command before has inserted it, and nothing has changed the line since.
                if !recalled.range.is_empty() {
                    self.buffer.undo();
                }
                recalled.on ^= count < 0;
                recalled.back = if recalled.on {
                    recalled.back + 1
                } else {
                    recalled.back.saturating_sub(1)
                };
                recalled.range = 0..0;
                recalled
            }
            Last::Other | Last::Kill | Last::Yank(_) | Last::Completed { .. } => Recalled {
                range: 0..0,
                back: 1,
                on: true,
                nth: explicit.then_some(count),
            },
        };
        self.insert_argument(recalled);
    }

    pub(super) fn nth_argument(&mut self, count: isize) {
        self.insert_argument(Recalled {
            range: 0..0,
            back: 1,
            on: true,
            nth: Some(count),
        });
        self.last = Last::Other;
    }

    fn insert_argument(&mut self, mut recalled: Recalled) {
        recalled.back = recalled.back.max(1);
        let line = self.history.at().checked_sub(recalled.back);
        let length = line.and_then(|line| self.history.line(line)).map_or(0, str::len);
        // Quotes are looked at character by character.
        let line = line
            .filter(|_| self.spend(8 * length))
            .and_then(|line| self.history.line(line));
        let argument = line
            .and_then(|line| argument(line, recalled.nth))
            .unwrap_or_default()
            .to_owned();
        let at = self.buffer.cursor();
        if !argument.is_empty() && self.insert(&argument) {
            self.buffer.seal();
            recalled.range = at..at + argument.len();
        } else {
            self.bell = true;
            recalled.range = at..at;
        }
        self.last = Last::Argument(recalled);
    }

    /// The lines of the command before this one, again.
    pub(super) fn show_prior(&mut self, out: &mut Vec<u8>) {
        let mut prompt = self.prompt.as_str();
        for line in self.prior.lines() {
            let ink = crate::ink::Ink::new(prompt, line, self.utf8);
            self.screen
                .show(crate::layout::Layout::new(ink, line.len(), self.screen.columns), out);
            self.screen.finish(out);
            prompt = crate::ink::CONTINUED;
        }
    }
}

/// A word of a line: its last, or the nth; negative numbers count from the end.
fn argument(line: &str, nth: Option<isize>) -> Option<&str> {
    let words = words(line);
    let place = match nth {
        None => words.len().checked_sub(1)?,
        Some(nth) if nth < 0 => words.len().checked_add_signed(nth)?.checked_sub(1)?,
        Some(nth) => nth.unsigned_abs(),
    };
    words.get(place).copied()
}
