//! Where a line left off: said by the host behind the line's output, in a control sequence that only this line's wrapper
//! knows the name of, and taken out of what is shown.
//!
//! A program can forge it, for it can read its parent's command line. That gains nothing: the next line is judged for
//! the directory and the variables that it says, and runs in exactly these.

use super::left::Left;

/// The most bytes of what a line leaves.
const MAX_LEFT: usize = 512 * 1024;
/// Looks for the end of one line's output.
#[derive(Debug)]
pub(super) struct Marker {
    nonce: String,
    opening: Vec<u8>,
    /// What may be the beginning of the sequence, or is in it.
    held: Vec<u8>,
    inside: bool,
    over: bool,
    left: Option<Vec<u8>>,
    shown: Vec<u8>,
}

impl Marker {
    pub(super) fn new() -> Self {
        let nonce = format!("{:032x}", rand::random::<u128>());
        Self {
            opening: format!("\x1b]7777;{nonce};").into_bytes(),
            nonce,
            held: Vec::new(),
            inside: false,
            over: false,
            left: None,
            shown: Vec::new(),
        }
    }

    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// What of `data`, and of what was held back, is the line's own output.
    pub(super) fn pass<'p>(&'p mut self, data: &'p [u8]) -> &'p [u8] {
        if self.over || (self.held.is_empty() && !self.inside && memchr::memchr(0x1b, data).is_none()) {
            return data;
        }
        self.shown.clear();
        self.held.extend_from_slice(data);
        if !self.inside {
            match find(&self.held, &self.opening) {
                Some(at) => {
                    self.shown.extend(self.held.drain(..at));
                    self.held.drain(..self.opening.len());
                    self.inside = true;
                }
                None => {
                    let keep = begun(&self.held, &self.opening);
                    let ready = self.held.len() - keep;
                    self.shown.extend(self.held.drain(..ready));
                }
            }
        }
        if self.inside {
            self.close();
        }
        &self.shown
    }

    /// What was held back when the output ended.
    pub(super) fn rest(&mut self) -> &[u8] {
        if self.inside {
            return &[];
        }
        self.shown = std::mem::take(&mut self.held);
        &self.shown
    }

    /// Whether the line has begun to say that it came to its end.
    pub(super) fn has_begun(&self) -> bool {
        self.inside || self.over
    }

    /// Whether the line said that it came to its end.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// What the line left, if that is understood.
    pub(super) fn left(&self) -> Option<Left> {
        Left::read(self.left.as_deref()?)
    }

    fn close(&mut self) {
        if let Some(end) = find(&self.held, b"\x1b\\") {
            self.left = Some(self.held.drain(..end).collect());
            self.held.drain(..2);
            self.shown.append(&mut self.held);
            (self.inside, self.over) = (false, true);
        } else if self.held.len() > MAX_LEFT {
            // Longer than anything the wrapper says: it is not kept, nor shown.
            self.held.clear();
        }
    }
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, needle)
}

/// How many bytes at the end of `text` may be the beginning of `needle`.
fn begun(text: &[u8], needle: &[u8]) -> usize {
    let most = text.len().min(needle.len().saturating_sub(1));
    let tail = |len: usize| text.get(text.len() - len..).unwrap_or_default();
    (1..=most).rev().find(|len| needle.starts_with(tail(*len))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{Left, Marker};

    #[test]
    fn it_is_found_wherever_the_output_is_cut_and_never_shown() {
        let nonce = Marker::new().nonce().to_owned();
        let said = format!(
            "out\x1b[0m\x1b]7777;other;x\x1b\\\x1b]7777;{nonce};/srv/a b\r\n0022\r\n-\r\ndeclare -x A=\"1 \\\"\\$x\"\r\n\
             declare -x PATH=\"/tmp\"\r\ndeclare -x LD_PRELOAD=\"/tmp/x\"\r\n\x1b\\end"
        );
        let left = Left::read(b"/srv/a b\n0022\n-\ndeclare -x A=\"1 \\\"\\$x\"\n");
        for cut in 0..=said.len() {
            let mut marker = Marker::new();
            marker.opening = format!("\x1b]7777;{nonce};").into_bytes();
            let (first, second) = said.as_bytes().split_at(cut);
            let mut shown = marker.pass(first).to_vec();
            shown.extend_from_slice(marker.pass(second));
            shown.extend_from_slice(marker.rest());
            assert_eq!(
                String::from_utf8(shown).unwrap(),
                "out\x1b[0m\x1b]7777;other;x\x1b\\end",
                "cut at {cut}"
            );
            assert_eq!(marker.left(), left, "cut at {cut}");
        }
    }
}
