//! Tab: asking the owner how a word may go on, and showing what it answers.

use super::{Editor, Event, Last, Mode};
use crate::ink::Ink;
use crate::keys::Key;

/// Candidates that are shown; more are only counted.
const MAX_SHOWN: usize = 2000;

/// From so many on, it is asked whether all of them shall be shown.
const MANY: usize = 100;

/// How a word may go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completions {
    /// The byte of the line (as [`Event::Complete`] gave it) at which the word begins.
    pub from: usize,
    /// What may stand there.
    pub candidates: Vec<Candidate>,
}

/// One way how a word may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What stands in the line from `from` to the cursor then, quoted as the shell needs it. One with control
    /// characters is not taken.
    pub text: String,
    /// What the list shows.
    pub label: String,
    /// What follows if it is the only one: a blank, or nothing behind a directory.
    pub suffix: Option<char>,
}

impl Editor {
    /// The answer to [`Event::Complete`]. Without one, or after further keys, nothing happens.
    pub fn complete(&mut self, completions: Completions, out: &mut Vec<u8>) {
        let Some(list) = self.asked.take() else { return };
        let at = self.buffer.cursor();
        let from = completions.from.checked_sub(self.prior.len());
        let Some(from) = from.filter(|from| *from <= at && self.buffer.text().is_char_boundary(*from)) else {
            self.bell = true;
            return self.refresh(out);
        };
        let mut candidates = completions.candidates;
        candidates.retain(|candidate| !candidate.text.contains(char::is_control));
        self.buffer.next_command();
        let mut changed = false;
        match candidates.as_slice() {
            [] => self.bell = true,
            [only] if !list => {
                let suffix = only
                    .suffix
                    .filter(|suffix| !self.buffer.after(at).starts_with(*suffix) && !suffix.is_control());
                let text: String = only.text.chars().chain(suffix).collect();
                changed = self.become_text(from..at, &text);
            }
            several => {
                let prefix = common_prefix(several);
                changed = prefix.starts_with(self.buffer.between(from..at)) && self.become_text(from..at, prefix);
                self.bell = !list;
                if list {
                    self.show_list(several, out);
                }
            }
        }
        self.last = Last::Completed { changed };
        self.refresh(out);
    }

    pub(super) fn ask(&mut self, list: bool, out: &mut Vec<u8>) -> Option<Event> {
        self.argument = None;
        let again = std::mem::take(&mut self.last) == Last::Completed { changed: false };
        self.refresh(out);
        self.asked = Some(list || again);
        Some(Event::Complete {
            line: self.line(),
            cursor: self.prior.len() + self.buffer.cursor(),
        })
    }

    /// The answer to whether many candidates shall be shown.
    pub(super) fn confirm(&mut self, labels: Vec<String>, key: &Key, out: &mut Vec<u8>) -> Option<Event> {
        let is = |keys: &[Key]| keys.contains(key);
        if is(&[Key::Char('y'), Key::Char('Y'), Key::Char(' '), Key::Control('i')]) {
            out.extend_from_slice(b"\r\n");
            self.write_columns(&labels, out);
        } else if is(&[Key::Char('n'), Key::Char('N'), Key::Backspace, Key::Control('g')]) {
            out.extend_from_slice(b"\r\n");
        } else if is(&[Key::Control('c')]) {
            out.extend_from_slice(b"\r\n");
            return self.end(Event::Interrupt, out);
        } else {
            self.bell = true;
            self.mode = Mode::Confirm(labels);
        }
        None
    }

    fn show_list(&mut self, candidates: &[Candidate], out: &mut Vec<u8>) {
        let shown = candidates.iter().take(MAX_SHOWN);
        let mut labels: Vec<String> = shown.map(|candidate| candidate.label.clone()).collect();
        if candidates.len() > MAX_SHOWN {
            labels.push(format!("({} more)", candidates.len() - MAX_SHOWN));
        }
        self.refresh(out);
        self.screen.finish(out);
        if candidates.len() > MANY {
            let question = format!("Display all {} possibilities? (y or n)", candidates.len());
            out.extend_from_slice(question.as_bytes());
            self.mode = Mode::Confirm(labels);
        } else {
            self.write_columns(&labels, out);
        }
    }

    /// Columns, read downwards.
    fn write_columns(&self, labels: &[String], out: &mut Vec<u8>) {
        let width = self.screen.columns;
        let inks: Vec<Ink> = labels
            .iter()
            .map(|label| Ink::label(label, self.utf8).cut(width - 1))
            .collect();
        let column = inks.iter().map(Ink::width).max().unwrap_or(0) + 2;
        let across = (width / column).max(1);
        let rows = inks.len().div_ceil(across);
        for row in 0..rows {
            let mut gap = 0;
            for ink in inks.iter().skip(row).step_by(rows) {
                out.extend(std::iter::repeat_n(b' ', gap));
                out.extend_from_slice(ink.plain().as_bytes());
                gap = column - ink.width();
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    fn become_text(&mut self, range: std::ops::Range<usize>, text: &str) -> bool {
        if self.buffer.between(range.clone()) == text {
            return false;
        }
        if text.len() > self.room() + range.len() {
            self.bell = true;
            return false;
        }
        let end = range.start + text.len();
        self.buffer.replace(range, text);
        self.buffer.go(end);
        true
    }
}

fn common_prefix(candidates: &[Candidate]) -> &str {
    let mut rest = candidates.iter().map(|candidate| candidate.text.as_str());
    let first = rest.next().unwrap_or_default();
    rest.fold(first, |prefix, text| {
        let alike = prefix.chars().zip(text.chars()).take_while(|(one, other)| one == other);
        let length: usize = alike.map(|(c, _)| c.len_utf8()).sum();
        prefix.get(..length).unwrap_or_default()
    })
}
