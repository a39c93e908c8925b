//! A recording's bytes for people: what a command said, on which stream, and which lines were typed.

mod typed;

use std::collections::{HashMap, HashSet};

use crate::conversation::{CONTENT, STDERR};
use typed::TypedLines;

/// Reads the responses of one recording.
#[derive(Debug, Default)]
pub struct Transcript {
    /// The first bytes of a character whose rest is in the next piece, by command and stream.
    begun: HashMap<(u64, u8), Vec<u8>>,
    /// The commands whose responses are what files hold: a recording may cut one piece into several.
    files: HashSet<u64>,
    typed: TypedLines,
}

/// Characters have at most so many bytes.
const LONGEST_CHARACTER: usize = 4;

impl Transcript {
    /// Takes the text of a command.
    pub fn command(&mut self, seq: u64, text: &[u8]) {
        self.typed.command(seq, text);
    }

    /// Takes something that was noted of the session.
    pub fn notice(&mut self, detail: &[u8]) {
        self.typed.notice(detail);
    }

    /// Takes what was typed, and gives the lines of a shell that were submitted with it, as far as they can be
    /// reconstructed.
    pub fn input(&mut self, seq: u64, bytes: &[u8]) -> Vec<String> {
        self.typed.input(seq, bytes)
    }

    /// Takes the bytes of one response of command `seq` as they were recorded: a byte that names the stream, then what was
    /// said on it. Gives the stream's name and the text; a character that was cut comes with its rest. `None` for what a
    /// file holds.
    pub fn response(&mut self, seq: u64, bytes: &[u8]) -> Option<(&'static str, String)> {
        let (&stream, said) = bytes.split_first()?;
        if stream == CONTENT {
            self.files.insert(seq);
        }
        if self.files.contains(&seq) {
            return None;
        }
        self.typed.shown(seq, said);
        let mut whole = self.begun.remove(&(seq, stream)).unwrap_or_default();
        whole.extend_from_slice(said);
        let cut = whole.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
        let ends_within = std::str::from_utf8(&whole).is_err_and(|error| error.error_len().is_none());
        if ends_within && cut < LONGEST_CHARACTER {
            let begun = whole.split_off(whole.len() - cut);
            self.begun.insert((seq, stream), begun);
        }
        let name = if stream == STDERR { "stderr" } else { "stdout" };
        (!whole.is_empty()).then(|| (name, String::from_utf8_lossy(&whole).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Transcript;

    #[test]
    fn characters_that_were_cut_come_whole() {
        let mut transcript = Transcript::default();
        assert_eq!(transcript.response(1, b"\x01a\xc3"), Some(("stdout", "a".to_owned())));
        assert_eq!(
            transcript.response(1, b"\x02\xa9"),
            Some(("stderr", "\u{fffd}".to_owned()))
        );
        assert_eq!(transcript.response(2, b"\x01b"), Some(("stdout", "b".to_owned())));
        assert_eq!(
            transcript.response(1, b"\x01\xa9"),
            Some(("stdout", "\u{e9}".to_owned()))
        );
        assert_eq!(transcript.response(1, b""), None);
    }

    #[test]
    fn what_files_hold_is_no_text_however_it_was_cut() {
        let mut transcript = Transcript::default();
        assert_eq!(transcript.response(1, b"\x03\0\0\0\0\0\0\0\0\0\0\0\x04wo"), None);
        assert_eq!(transcript.response(1, b"\x01d"), None);
        assert_eq!(transcript.response(2, b"\x01d"), Some(("stdout", "d".to_owned())));
    }
}
