//! What a terminal's text reads like without what cannot be seen of it.

use super::breaks::{Parting, is_unseen};

/// A text without control characters and without the line ends that wrap a line, and where each of its bytes came from.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) text: Vec<u8>,
    /// One for each byte of the text.
    pub(super) origin: Vec<usize>,
}

/// What a reading makes of a character that the cursor went back over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backspace {
    /// It is still there: the cursor only moved.
    Keeps,
    /// What comes next stands in its place.
    Overwrites,
}

/// More characters in a row than this, none of which is printed, part everything.
const RUN_LIMIT: usize = 256;

/// What else a text of a terminal can be read as than what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Readings {
    /// Something in it is not seen.
    pub(super) joins: bool,
    /// The cursor goes back in it.
    pub(super) goes_back: bool,
}

impl Readings {
    pub(super) fn of(text: &[u8], parting: &Parting) -> Self {
        let mut all = Self {
            joins: false,
            goes_back: false,
        };
        if !parting.terminal {
            return all;
        }
        let (blocks, rest) = text.as_chunks::<32>();
        for block in blocks.iter().map(<[u8; 32]>::as_slice).chain([rest]) {
            let plain = |byte: &u8| !is_unseen(*byte) || *byte == b'\r';
            all.joins |= !block.iter().fold(true, |all, byte| all & plain(byte));
        }
        all.goes_back = all.joins && memchr::memchr(0x08, text).is_some();
        all.joins = all.joins
            || memchr::memchr_iter(b'\r', text).any(|at| !matches!(text.get(at + 1), Some(b'\n')))
            || wraps(text, parting);
        all
    }
}

/// Whether any line of `text` may go on in the next.
fn wraps(text: &[u8], parting: &Parting) -> bool {
    let narrow = parting.columns.map_or(32, |columns| columns.saturating_sub(1)).max(1);
    let mut start = 0;
    memchr::memchr_iter(b'\n', text).any(|end| {
        let length = end - start + if start == 0 { parting.column } else { 0 };
        start = end + 1;
        // A line has at most so many columns more than bytes as it has tabulators.
        let long = length >= narrow
            || memchr::memchr(b'\t', text.get(end - length.min(end)..end).unwrap_or_default()).is_some();
        long && parting.wrapped(text, end)
    })
}

impl Reading {
    /// Reads `text`.
    pub(super) fn read(&mut self, text: &[u8], parting: &Parting, backspace: Backspace) {
        self.text.clear();
        self.origin.clear();
        let mut unseen = 0;
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let plain = rest
                .iter()
                .position(|byte| *byte < b' ' || *byte == 0x7F)
                .unwrap_or(rest.len());
            if plain > 0 {
                self.text.extend_from_slice(rest.get(..plain).unwrap_or_default());
                self.origin.extend(at..at + plain);
                at += plain;
                unseen = 0;
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
                    }
                    false
                }
                0x08 if backspace == Backspace::Overwrites => {
                    self.back();
                    false
                }
                byte => !is_unseen(*byte),
            };
            unseen += 1;
            if seen || unseen == RUN_LIMIT {
                self.text.push(if seen { *byte } else { 0x0B });
                self.origin.push(at);
                unseen = 0;
            }
            at += 1;
        }
    }

    /// Takes the last character of the line away.
    fn back(&mut self) {
        while let Some(last) = self.text.pop_if(|last| *last >= b' ') {
            self.origin.pop();
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

    use super::{Backspace, Reading, Readings};
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
            let all = Readings::of(text.as_bytes(), &parting);
            assert_eq!(all.joins, kept != text, "{text:?}");
            reading.read(text.as_bytes(), &parting, Backspace::Keeps);
            assert_eq!(from_utf8(&reading.text).unwrap(), kept);
            reading.read(text.as_bytes(), &parting, Backspace::Overwrites);
            assert_eq!(from_utf8(&reading.text).unwrap(), overwritten);
            assert_eq!(reading.text.len(), reading.origin.len());
        }
    }
}
