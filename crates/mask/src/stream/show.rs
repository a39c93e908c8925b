//! Text with its values replaced and its control sequences where they were.

use super::breaks::is_unseen;
use super::held::Held;
use crate::scanner::{Span, append};
use crate::words::decode;
use crate::{Scanner, Strategy};

/// A value that was found, and how it is to be shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hidden {
    pub(super) span: Span,
    pub(super) form: Form,
}

/// What stands in a value's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Its mask.
    Mask,
    /// Its mask; the control characters in it are not part of it.
    Seen,
    /// A star for each character that is printed: the cursor goes to and fro in it, or its beginning was shown.
    Stars,
}

/// Brings values that were found in several readings of a text in order, so that no two overlap.
pub(super) fn merge(values: &mut Vec<Hidden>) {
    values.sort_by_key(|value| (value.span.start, usize::MAX - value.span.end));
    let mut kept: usize = 0;
    for number in 0..values.len() {
        let Some(value) = values.get(number).copied() else {
            break;
        };
        match kept.checked_sub(1).and_then(|last| values.get_mut(last)) {
            Some(last) if value.span.end <= last.span.end => {}
            Some(last) if value.span.start < last.span.end => {
                last.span.end = value.span.end;
                last.form = Form::Stars;
            }
            Some(_) | None => {
                if let Some(slot) = values.get_mut(kept) {
                    *slot = value;
                }
                kept += 1;
            }
        }
    }
    values.truncate(kept);
}

/// Writes what is held, from front to back.
pub(super) struct Writer<'a> {
    held: &'a Held,
    out: &'a mut Vec<u8>,
    at: usize,
    /// How many of the marks were written.
    marks: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(held: &'a Held, out: &'a mut Vec<u8>) -> Self {
        Self {
            at: held.shown,
            held,
            out,
            marks: 0,
        }
    }

    /// Writes the text up to `end`.
    pub(super) fn copy(&mut self, end: usize) {
        while let Some(mark) = self.held.marks.get(self.marks).filter(|mark| mark.at < end) {
            append(&self.held.text, self.at..mark.at, self.out);
            self.at = self.at.max(mark.at);
            self.sequence();
            self.at = (mark.at + mark.standing).min(end);
        }
        append(&self.held.text, self.at..end, self.out);
        self.at = end;
    }

    /// Writes a value in its form.
    pub(super) fn value(&mut self, scanner: &Scanner, value: &Hidden) {
        let (start, end) = (value.span.start, value.span.end);
        self.copy(start);
        let bytes = self.held.text.get(start..end).unwrap_or_default();
        let marked = self.held.marks.get(self.marks).is_some_and(|mark| mark.at < end);
        if !marked && value.form == Form::Mask && !self.held.is_binary(start) {
            scanner.replace(bytes, &value.span, self.out);
            self.at = end;
            return;
        }
        let mut mask = Vec::new();
        match value.form {
            Form::Stars => stars(bytes, &mut mask),
            Form::Mask => scanner.replace(bytes, &value.span, &mut mask),
            Form::Seen => {
                let seen: Vec<u8> = bytes.iter().filter(|byte| is_printed(**byte)).copied().collect();
                scanner.replace(&seen, &value.span, &mut mask);
            }
        }
        if self.held.is_binary(start) && mask.len() != bytes.len() {
            mask.clear();
            mask.resize(bytes.len(), b'*');
        }
        if marked || value.form != Form::Mask {
            self.woven(end, &mask, value.form);
        } else {
            self.out.extend_from_slice(&mask);
            self.at = end;
        }
    }

    /// Writes nothing of the text up to `end` but its sequences; in binary data a star for each byte.
    pub(super) fn nothing(&mut self, end: usize) {
        let mask = if self.held.is_binary(self.at) {
            end.saturating_sub(self.at)
        } else {
            0
        };
        self.woven(end, &vec![b'*'; mask], Form::Mask);
    }

    /// Writes the sequences that stand right before what comes next.
    pub(super) fn finish(mut self) {
        while let Some(mark) = self.held.marks.get(self.marks) {
            if mark.at > self.at || mark.standing > 0 {
                return;
            }
            self.sequence();
        }
    }

    /// Writes a mask in the place of the text up to `end`, with the sequences in it: character by character if it is
    /// as long, else all of it first.
    fn woven(&mut self, end: usize, mask: &[u8], form: Form) {
        let text = self.held.text.get(..end).unwrap_or_default();
        let replaced = |at: usize| match text.get(at) {
            Some(byte) => form == Form::Mask || is_printed(*byte),
            None => false,
        };
        let count = |bytes: &[u8]| {
            let mut at = 0;
            let mut count = 0;
            while let Some((_, length)) = bytes.get(at..).and_then(decode) {
                at += length;
                count += 1;
            }
            count
        };
        let hidden: Vec<u8> = (self.at..end)
            .filter(|at| replaced(*at))
            .filter_map(|at| text.get(at).copied())
            .collect();
        let as_long = count(&hidden) == count(mask);
        let mut mask = mask;
        while self.at < end {
            let standing = self.sequences_here();
            let length = text.get(self.at..).and_then(decode).map_or(1, |(_, length)| length);
            let shown = self.at >= standing;
            if !replaced(self.at) {
                if shown {
                    append(text, self.at..self.at + length, self.out);
                }
            } else {
                let next = mask.len().min(if as_long {
                    decode(mask).map_or(0, |(_, length)| length)
                } else {
                    mask.len()
                });
                let (now, later) = mask.split_at_checked(next).unwrap_or_default();
                if shown || !as_long {
                    self.out.extend_from_slice(now);
                }
                mask = later;
            }
            self.at += length;
        }
        self.at = end;
    }

    /// Writes the sequences at this place, and says up to where bytes only stand for one of them.
    fn sequences_here(&mut self) -> usize {
        let mut standing = 0;
        while let Some(mark) = self.held.marks.get(self.marks).filter(|mark| mark.at <= self.at) {
            standing = standing.max(mark.at + mark.standing);
            self.sequence();
        }
        // One that was written before may still stand here.
        let before = self.marks.checked_sub(1).and_then(|last| self.held.marks.get(last));
        before.map_or(standing, |mark| standing.max(mark.at + mark.standing))
    }

    fn sequence(&mut self) {
        let start = self
            .marks
            .checked_sub(1)
            .and_then(|last| self.held.marks.get(last))
            .map_or(0, |mark| mark.end);
        if let Some(mark) = self.held.marks.get(self.marks) {
            append(&self.held.sequences, start..mark.end, self.out);
        }
        self.marks += 1;
    }
}

/// Whether a byte is part of what is seen of a value.
fn is_printed(byte: u8) -> bool {
    !is_unseen(byte) && !matches!(byte, b'\n')
}

/// A star for each character that is printed and no blank.
fn stars(bytes: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some((_, length)) = bytes.get(at..).and_then(decode) {
        match bytes.get(at) {
            Some(b' ') => out.push(b' '),
            Some(byte) if is_printed(*byte) => out.push(b'*'),
            Some(_) | None => {}
        }
        at += length;
    }
}

/// The part of a value that is behind `from`, of which the rest was shown.
pub(super) fn rest(value: &Hidden, from: usize) -> Hidden {
    Hidden {
        span: Span {
            start: from,
            strategy: Strategy::Redact,
            ..value.span
        },
        form: Form::Stars,
    }
}
