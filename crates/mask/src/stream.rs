//! Text that arrives in pieces: terminal output, logs, bodies.

use std::sync::Arc;

use crate::scanner::pem;
use crate::{Scanner, Scratch};

/// So much is held back at most while a line, or a private key, has no end.
const HELD_LIMIT: usize = 32 * 1024;
/// The longest end line of a private key, for one that is cut in two.
const END_LINE: usize = 160;

/// Masks text that arrives in pieces, wherever it is cut.
///
/// A line is held back until it ends, a private key until its end line; [`TextStream::flush`] lets go of what is
/// held when nothing more is expected soon (a prompt, a pause).
#[derive(Debug)]
pub struct TextStream {
    scanner: Arc<Scanner>,
    scratch: Scratch,
    held: Vec<u8>,
    /// A private key longer than what may be held: its mark is written, the rest goes nowhere.
    in_key: bool,
}

impl TextStream {
    /// A stream that has not begun.
    pub fn new(scanner: Arc<Scanner>) -> Self {
        Self {
            scanner,
            scratch: Scratch::default(),
            held: Vec::new(),
            in_key: false,
        }
    }

    /// Takes the next piece and appends what can be shown now to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(piece);
        if self.in_key && !self.leave_key() {
            return;
        }
        let line_end = memchr::memrchr(b'\n', &self.held).map_or(0, |at| at + 1);
        let key = pem::unfinished(&self.held, line_end);
        let mut ready = key.map_or(line_end, |(start, _)| start.min(line_end));
        if self.held.len() - ready > HELD_LIMIT {
            if let Some((_, false)) = key {
                // The mark of a key without an end line covers all that is held.
                ready = self.held.len();
                self.in_key = true;
            } else {
                ready = self.quiet_place();
            }
        }
        self.show(ready, out);
    }

    /// Appends all that is held, masked as if the text ended here.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if self.in_key {
            return;
        }
        self.show(self.held.len(), out);
    }

    /// What is held back.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Ends the stream.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.flush(out);
    }

    fn show(&mut self, length: usize, out: &mut Vec<u8>) {
        let rest = self.held.split_off(length.min(self.held.len()));
        let ready = std::mem::replace(&mut self.held, rest);
        if !self.scanner.scan_with(&ready, &mut self.scratch, out) {
            out.extend_from_slice(&ready);
        }
    }

    /// Drops what belongs to a key that was already replaced, and says whether it ended.
    fn leave_key(&mut self) -> bool {
        if let Some(end) = pem::end_after(&self.held, 0) {
            self.held.drain(..end);
            self.in_key = false;
        } else {
            let keep = self.held.len().saturating_sub(END_LINE);
            self.held.drain(..keep);
        }
        !self.in_key
    }

    /// A place about the middle of what is held where nothing that was found is cut.
    fn quiet_place(&mut self) -> usize {
        let middle = self.held.len() / 2;
        let half = self.held.get(..middle).unwrap_or_default();
        let blank = half
            .iter()
            .rposition(u8::is_ascii_whitespace)
            .map_or(middle, |at| at + 1);
        let mut place = blank;
        let mut from = 0;
        while let Some(hit) = self
            .scanner
            .first(self.held.get(from..).unwrap_or_default(), &mut self.scratch)
        {
            let (start, end) = (from + hit.start, from + hit.end);
            if start >= place {
                break;
            }
            if end > place {
                place = end;
                break;
            }
            from = end;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use secrecy::SecretSlice;

    use super::{HELD_LIMIT, TextStream};
    use crate::{Detector, MaskKey, Scanner, Strategy};

    fn stream() -> TextStream {
        let key = MaskKey::new(&SecretSlice::from(vec![7; 32]));
        let rules = Detector::ALL.map(|detector| (detector, Strategy::Partial));
        TextStream::new(Arc::new(Scanner::new(&rules, &key)))
    }

    fn through(pieces: &[&[u8]]) -> String {
        let mut stream = stream();
        let mut out = Vec::new();
        for piece in pieces {
            stream.push(piece, &mut out);
        }
        stream.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_cut_gives_the_same_text() {
        let text = b"$ cat k\r\n-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n\
            pay 4111 1111 1111 1111 by ada@example.com\n$ ";
        let whole = through(&[text]);
        assert_eq!(
            whole,
            "$ cat k\r\n[REDACTED:private_key]\npay **** **** **** 1111 by a***@example.com\n$ "
        );
        for cut in 0..text.len() {
            let (left, right) = text.split_at(cut);
            assert_eq!(through(&[left, right]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn an_endless_key_is_not_held_for_ever() {
        let mut stream = stream();
        let mut out = Vec::new();
        stream.push(b"-----BEGIN PRIVATE KEY-----\n", &mut out);
        for _ in 0..HELD_LIMIT / 16 {
            stream.push(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", &mut out);
        }
        assert_eq!(out, b"[REDACTED:private_key]");
        assert!(stream.held.len() <= HELD_LIMIT);
        stream.push(b"-----END PRIVATE KEY-----\nafter\n", &mut out);
        assert_eq!(out, b"[REDACTED:private_key]\nafter\n");
    }
}
