//! What a terminal's text reads like without what cannot be seen of it.

use std::ops::Range;

use super::breaks::{Parting, RUN_LIMIT, is_unseen};
use super::show::Form;

/// A text without control characters and without the line ends that wrap a line, and where each of its bytes came from.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) text: Vec<u8>,
    /// One for each byte of the text: where it came,
    pub(super) origin: Vec<usize>,
    /// and where the first one came that was to be seen in its place.
    pub(super) first: Vec<usize>,
    /// Where that is for the places that the cursor went back over, the next one last.
    free: Vec<usize>,
}

/// What a reading makes of a character that the cursor went back over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backspace {
    /// It is still there: the cursor only moved.
    Keeps,
    /// What comes next stands in its place.
    Overwrites,
}

impl Backspace {
    /// How a value is shown that was found in such a reading.
    pub(super) fn form(self) -> Form {
        match self {
            Self::Keeps => Form::Seen,
            Self::Overwrites => Form::Stars,
        }
    }
}

/// Where the first place at or after `from` is that a reader sees nothing of, if `text` is a terminal's. `line` is
/// where the line begins that `from` is in.
pub(super) fn next_unseen(text: &[u8], from: usize, mut line: usize, parting: &Parting) -> Option<usize> {
    if !parting.terminal {
        return None;
    }
    let narrow = parting.narrow();
    let mut at = from;
    loop {
        at += next_control(text.get(at..)?)?;
        let unseen = match text.get(at) {
            Some(b'\r') => text.get(at + 1) != Some(&b'\n'),
            Some(b'\n') => {
                let length = at - line + if line == 0 { parting.column } else { 0 };
                let tabs =
                    || length * 8 >= narrow && memchr::memchr(b'\t', text.get(line..at).unwrap_or_default()).is_some();
                let wrapped = (length >= narrow || tabs()) && parting.wrapped(text, at);
                line = at + 1;
                wrapped
            }
            Some(byte) => is_unseen(*byte),
            None => return None,
        };
        if unseen {
            return Some(at);
        }
        at += 1;
    }
}

/// Where the control characters end that start at `from`, and whether they may join what is on both sides of them, or
/// take away of what is before them.
pub(super) fn joint(text: &[u8], from: usize) -> (usize, bool) {
    let rest = text.get(from..).unwrap_or_default();
    let seen = rest.iter().position(|byte| !is_unseen(*byte));
    // A line feed is one here because it wraps a line.
    let end = from + seen.unwrap_or(rest.len()).max(1);
    let goes_back = || memchr::memchr(0x08, text.get(from..end).unwrap_or_default()).is_some();
    (
        end,
        from > 0 && end - from < RUN_LIMIT && (end < text.len() || goes_back()),
    )
}

/// Where the first control character is that is no tabulator.
fn next_control(text: &[u8]) -> Option<usize> {
    let control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7F;
    let (blocks, rest) = text.as_chunks::<32>();
    for (number, block) in blocks.iter().enumerate() {
        if block.iter().fold(false, |any, byte| any | control(byte)) {
            return block.iter().position(control).map(|at| number * 32 + at);
        }
    }
    rest.iter().position(control).map(|at| blocks.len() * 32 + at)
}

impl Reading {
    /// Keeps memory for about so many bytes.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.text.shrink_to(bytes);
        self.origin.shrink_to(bytes);
        self.first.shrink_to(bytes);
        self.free.shrink_to(bytes);
    }

    /// Reads `text`.
    pub(super) fn read(&mut self, text: &[u8], parting: &Parting, backspace: Backspace) {
        self.text.clear();
        self.origin.clear();
        self.first.clear();
        self.free.clear();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let plain = rest
                .iter()
                .position(|byte| *byte < b' ' || *byte == 0x7F)
                .unwrap_or(rest.len());
            if plain > 0 {
                self.add(rest.get(..plain).unwrap_or_default(), at);
                at += plain;
            }
            let Some(byte) = text.get(at) else { return };
            let seen = match byte {
                b'\n' => !parting.wrapped(text, at),
                b'\r' if text.get(at + 1) == Some(&b'\n') => !parting.wrapped(text, at + 1),
                b'\r' => {
                    if at.checked_sub(1).is_some_and(|space| parting.is_filler(text, space))
                        && text.get(at - 1) == Some(&b' ')
                    {
                        self.text.pop();
                        self.origin.pop();
                        self.first.pop();
                    }
                    false
                }
                0x08 if backspace == Backspace::Overwrites => {
                    self.back();
                    false
                }
                byte => !is_unseen(*byte),
            };
            if seen {
                self.free.clear();
                self.add(&[*byte], at);
            }
            at += 1;
        }
    }

    /// Where a range of the reading came from.
    pub(super) fn place(&self, range: Range<usize>) -> Option<Range<usize>> {
        let start = self.first.get(range.start)?;
        let last = self.origin.get(range.end.checked_sub(1)?)?;
        Some(*start..*last + 1)
    }

    /// Adds bytes that came at `at`.
    fn add(&mut self, bytes: &[u8], at: usize) {
        self.text.extend_from_slice(bytes);
        self.origin.extend(at..at + bytes.len());
        if self.free.is_empty() {
            self.first.extend(at..at + bytes.len());
            return;
        }
        for (number, byte) in bytes.iter().enumerate() {
            let here = at + number;
            let free = if (0x80..0xC0).contains(byte) {
                None
            } else {
                self.free.pop()
            };
            self.first.push(free.unwrap_or(here));
        }
    }

    /// Takes the last character of the line away.
    fn back(&mut self) {
        while let Some(last) = self.text.pop_if(|last| *last >= b' ') {
            self.origin.pop();
            if let Some(first) = self.first.pop()
                && !(0x80..0xC0).contains(&last)
            {
                self.free.push(first);
            }
            if !(0x80..0xC0).contains(&last) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::str::from_utf8;

    use secrecy::SecretSlice;

    use super::{Backspace, Reading, next_unseen};
    use crate::stream::breaks::Parting;
    use crate::{MaskKey, Scanner};

    #[test]
    fn a_line_reads_as_it_is_seen() {
        let scanner = Scanner::new(&[], &MaskKey::new(&SecretSlice::from(vec![7; 32])));
        let mut parting = Parting::new(&scanner, true);
        parting.columns = Some(10);
        let mut reading = Reading::default();
        for (text, kept, overwritten) in [
            ("plain\r\ntext\r\n", "plain\r\ntext\r\n", "plain\r\ntext\r\n"),
            ("0123456789\r\nab", "0123456789ab", "0123456789ab"),
            ("0123456789 \rab", "0123456789ab", "0123456789ab"),
            ("a\x0fb\rc", "abc", "abc"),
            ("b\u{8}bo\u{8}o", "bboo", "bo"),
            ("\u{e4}\u{8}a", "\u{e4}a", "a"),
        ] {
            let unseen = next_unseen(text.as_bytes(), 0, 0, &parting);
            assert_eq!(unseen.is_some(), kept != text, "{text:?}");
            reading.read(text.as_bytes(), &parting, Backspace::Keeps);
            assert_eq!(from_utf8(&reading.text).unwrap(), kept);
            reading.read(text.as_bytes(), &parting, Backspace::Overwrites);
            assert_eq!(from_utf8(&reading.text).unwrap(), overwritten);
            assert_eq!(reading.text.len(), reading.origin.len());
        }
    }
}
