//! Where a text can be parted without parting a value.
//!
//! A break is a place that no value spans, and that changes nothing of what is found on either side of it: the text
//! behind it can be searched without the text before it. Whether a place is one follows from the text around it alone.

use crate::scanner::folds;
use crate::words::{decode, decode_before};
use crate::{Detector, Scanner};

/// More characters in a row than this, none of which is printed, part everything.
pub(super) const RUN_LIMIT: usize = 256;
/// Lines of a terminal whose width is not known may be wrapped from this column on.
const NARROW: usize = 32;
/// A line is looked back along so far for its column.
const LINE_LIMIT: usize = 4096;

/// What parts values, for one scanner and one kind of stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parting {
    /// A terminal: only some control characters part anything.
    pub(super) terminal: bool,
    /// Its width, if known.
    pub(super) columns: Option<usize>,
    /// The column that the text starts in.
    pub(super) column: usize,
    /// Single spaces stand between the digits of some values,
    numbers: bool,
    /// and between the letters and digits of others.
    accounts: bool,
    /// Blanks stand between a secret key of AWS and its name.
    aws: bool,
    /// Expressions of the user's may match anything within a line.
    customs: bool,
}

/// Whether a place is a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Yes,
    No,
    /// More text will tell.
    Open,
}

/// What a character does to the values on both sides of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// It may be part of one.
    Value,
    Space,
    /// A reader sees nothing of it: both sides may be one value.
    Join,
    /// It parts them.
    Hard,
    /// More text will tell.
    Open,
}

impl Parting {
    pub(super) fn new(scanner: &Scanner, terminal: bool) -> Self {
        let any = |detectors: &[Detector]| detectors.iter().any(|detector| scanner.looks_for(*detector));
        Self {
            terminal,
            columns: None,
            column: 0,
            numbers: any(&[Detector::CreditCard, Detector::Ssn, Detector::Phone]),
            accounts: any(&[Detector::Iban]),
            aws: any(&[Detector::AwsSecretKey]),
            customs: scanner.has_custom(),
        }
    }

    /// The last break in `text` behind `from` and not behind `to`; or from where on more text may bring one.
    pub(super) fn last(&self, text: &[u8], from: usize, to: usize) -> Result<usize, usize> {
        let mut undecided = to;
        let mut at = to;
        while at > from {
            at = match text.get(from..at).and_then(last_blank) {
                Some(blank) => from + blank + 1,
                None => break,
            };
            let (verdict, start) = self.verdict(text, at);
            match verdict {
                Verdict::Yes => return Ok(at),
                Verdict::Open => undecided = at - 1,
                Verdict::No => {}
            }
            at = start.min(at - 1);
        }
        Err(undecided)
    }

    /// The first break in `text` behind `from`.
    pub(super) fn next(&self, text: &[u8], from: usize) -> Option<usize> {
        let rest = text.get(from..)?.iter().enumerate();
        let mut blanks = rest.filter(|(_, byte)| is_blank(**byte)).map(|(at, _)| from + at + 1);
        // Characters that are not seen are judged together, where they end.
        let goes_on = |at: usize| self.terminal && text.get(at).is_some_and(|byte| is_unseen(*byte));
        blanks.find(|at| !goes_on(*at) && self.verdict(text, *at).0 == Verdict::Yes)
    }

    /// No line with fewer columns is wrapped.
    pub(super) fn narrow(&self) -> usize {
        self.columns.map_or(NARROW, |columns| columns.saturating_sub(1)).max(1)
    }

    /// Whether `at` is a break; and if not, from where on no place up to it is one.
    fn verdict(&self, text: &[u8], at: usize) -> (Verdict, usize) {
        if self.customs {
            let line_end = text.get(..at).is_some_and(|text| text.ends_with(b"\n"));
            let is_break = line_end && !self.wrapped(text, at - 1);
            return (if is_break { Verdict::Yes } else { Verdict::No }, at - 1);
        }
        let (mut start, mut spaces) = (at, 0);
        let limit = at.saturating_sub(RUN_LIMIT);
        let mut hard = false;
        while !hard && start > 0 {
            match self.class(text, start - 1) {
                Class::Value => break,
                Class::Space => spaces += 1,
                Class::Join => {}
                Class::Hard => hard = true,
                Class::Open => return (Verdict::Open, at - 1),
            }
            start -= 1;
            hard |= spaces > 1 || start == limit || start == 0;
        }
        let verdict = if hard {
            Verdict::Yes
        } else {
            self.between(text, start, at, spaces)
        };
        if verdict != Verdict::No && self.aws && follows_name(text.get(..at).unwrap_or_default()) {
            return (Verdict::No, at - 1);
        }
        (verdict, start)
    }

    /// Whether the characters at `start - 1` and at `at` are parted by what stands between them: a space, or nothing
    /// that is seen.
    fn between(&self, text: &[u8], start: usize, at: usize, spaces: usize) -> Verdict {
        let joins_before = spaces == 0 || self.joins_after(text, start);
        if !joins_before {
            return Verdict::Yes;
        }
        match text.get(at) {
            None => Verdict::Open,
            Some(_) => match self.class(text, at) {
                Class::Open => Verdict::Open,
                Class::Value if spaces == 0 => Verdict::No,
                Class::Value => self.joins_before(text, at),
                Class::Space | Class::Join | Class::Hard => Verdict::No,
            },
        }
    }

    /// Whether the character before `at` may stand before a space within a value.
    fn joins_after(&self, text: &[u8], at: usize) -> bool {
        match at.checked_sub(1).and_then(|last| text.get(last)) {
            None => false,
            Some(b'0'..=b'9') => self.numbers || self.accounts,
            Some(b')') => self.numbers,
            Some(b'A'..=b'Z') => self.accounts,
            Some(0..=0x7F) => false,
            Some(_) => match decode_before(text, at) {
                Some((Some(c), _)) => folds(c),
                Some((None, _)) | None => false,
            },
        }
    }

    /// Whether the character at `at` parts what is before it from a space and what is before that.
    fn joins_before(&self, text: &[u8], at: usize) -> Verdict {
        let joins = match text.get(at) {
            None => return Verdict::Open,
            Some(b'0'..=b'9') => self.numbers || self.accounts,
            Some(b'(') => self.numbers,
            Some(b'A'..=b'Z') => self.accounts,
            Some(0..=0x7F) => false,
            Some(_) => match text.get(at..).and_then(decode) {
                Some((Some(c), _)) => folds(c),
                Some((None, _)) if text.len() < at + 4 => return Verdict::Open,
                Some((None, _)) | None => false,
            },
        };
        if joins { Verdict::No } else { Verdict::Yes }
    }

    fn class(&self, text: &[u8], at: usize) -> Class {
        let Some(byte) = text.get(at) else {
            return Class::Open;
        };
        match byte {
            b' ' if self.terminal && self.is_filler(text, at) => Class::Join,
            b' ' if self.terminal && at + 1 == text.len() && self.wraps(self.column_at(text, at + 1)) => Class::Open,
            b' ' => Class::Space,
            0x21..=0x7E | 0x80.. => Class::Value,
            b'\n' if self.terminal && self.wrapped(text, at) => Class::Join,
            b'\r' if self.terminal => match text.get(at + 1) {
                None => Class::Open,
                Some(b'\n') if !self.wrapped(text, at + 1) => Class::Hard,
                Some(_) => Class::Join,
            },
            byte if self.terminal && is_unseen(*byte) => Class::Join,
            _ => Class::Hard,
        }
    }

    /// Whether the space at `at` and a carriage return behind it make a terminal go to its next line.
    pub(super) fn is_filler(&self, text: &[u8], at: usize) -> bool {
        text.get(at + 1) == Some(&b'\r') && text.get(at + 2) != Some(&b'\n') && self.wraps(self.column_at(text, at + 1))
    }

    /// Whether the line feed at `at` may be there only because a line was as long as the terminal is wide.
    pub(super) fn wrapped(&self, text: &[u8], at: usize) -> bool {
        if !self.terminal {
            return false;
        }
        let end = text
            .get(..at)
            .map_or(0, |line| if line.ends_with(b"\r") { at - 1 } else { at });
        self.wraps(self.column_at(text, end))
    }

    fn wraps(&self, column: usize) -> bool {
        match self.columns {
            _ if column < self.narrow() => false,
            None => true,
            Some(columns) => matches!((column + 1) % columns.max(1), 0..=2),
        }
    }

    /// The column of what stands at `at`.
    pub(super) fn column_at(&self, text: &[u8], at: usize) -> usize {
        let line = text.get(at.saturating_sub(LINE_LIMIT)..at).unwrap_or_default();
        let start = line.iter().rposition(|byte| matches!(byte, b'\n' | b'\r' | 0x0B));
        let begun = if start.is_none() && line.len() == at {
            self.column
        } else {
            0
        };
        let line = line.get(start.map_or(0, |start| start + 1)..).unwrap_or_default();
        line.iter().fold(begun, |column, byte| match byte {
            b'\t' => (column / 8 + 1) * 8,
            0x08 => column.saturating_sub(1),
            b' '..=b'~' => column + 1,
            // The first byte of a character; most of three bytes or more are wide.
            0xC0..=0xE2 => column + 1,
            0xE3.. => column + 2,
            0x80..=0xBF | 0x00..=0x1F | 0x7F => column,
        })
    }
}

/// Whether a terminal shows nothing for the control character and goes nowhere with it, or does so within the line.
pub(super) fn is_unseen(byte: u8) -> bool {
    (byte < b' ' && !matches!(byte, b'\t' | b'\n' | 0x0B | 0x0C)) || byte == 0x7F
}

/// Whether a byte may stand in a token: what is written in one word.
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)) == Some(&true)
}

static TOKEN: [bool; 256] = {
    let mut all = [false; 256];
    let mut rest = all.as_mut_slice();
    let mut byte = 0_u8;
    while let [slot, after @ ..] = rest {
        let sign = matches!(
            byte,
            b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=' | b'%' | b'@' | b':'
        );
        *slot = byte >= 0x80 || byte.is_ascii_alphanumeric() || sign;
        byte = byte.wrapping_add(1);
        rest = after;
    }
    all
};

/// How many bytes of a character are at the end of `text` of which more bytes are to come.
pub(super) fn unfinished_character(text: &[u8]) -> usize {
    let last = text.len().saturating_sub(3);
    let tail = text.get(last..).unwrap_or_default();
    let Some(lead) = tail.iter().rposition(|byte| *byte >= 0xC0) else {
        return 0;
    };
    let character = tail.get(lead..).unwrap_or_default();
    let length = match character.first() {
        Some(0xC2..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..=0xF4) => 4,
        Some(_) | None => 0,
    };
    let continued = character.iter().skip(1).all(|byte| (0x80..0xC0).contains(byte));
    if continued && character.len() < length {
        character.len()
    } else {
        0
    }
}

fn is_blank(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7F
}

/// Where the last space or control character of `text` is.
fn last_blank(text: &[u8]) -> Option<usize> {
    let blank = |byte: &u8| is_blank(*byte);
    let (rest, blocks) = text.as_rchunks::<32>();
    for (number, block) in blocks.iter().enumerate().rev() {
        if block.iter().fold(false, |any, byte| any | blank(byte)) {
            return block.iter().rposition(blank).map(|at| rest.len() + number * 32 + at);
        }
    }
    rest.iter().rposition(blank)
}

/// Whether `text` ends in the name of a secret key of AWS and blanks, perhaps with a sign between.
fn follows_name(text: &[u8]) -> bool {
    const NAME: &[u8] = b"aws_secret_access_key";
    const BLANKS: usize = 256;
    let trimmed = |text: &mut &[u8]| {
        let blanks = text
            .iter()
            .rev()
            .take(BLANKS)
            .take_while(|byte| byte.is_ascii_whitespace());
        *text = text.get(..text.len() - blanks.count()).unwrap_or_default();
    };
    let mut rest = text;
    trimmed(&mut rest);
    if let [before @ .., b'=' | b':'] = rest {
        rest = before;
        trimmed(&mut rest);
    }
    if let [before @ .., b'"' | b'\''] = rest {
        rest = before;
    }
    let start = rest.len().checked_sub(NAME.len());
    start
        .and_then(|start| rest.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(NAME))
}

#[cfg(test)]
mod tests {
    use super::Parting;
    use crate::{Detector, MaskKey, Scanner, Strategy};
    use secrecy::SecretSlice;

    fn parting(terminal: bool) -> Parting {
        let key = MaskKey::new(&SecretSlice::from(vec![7; 32]));
        let scanner = Scanner::new(&Detector::ALL.map(|detector| (detector, Strategy::Partial)), &key);
        Parting::new(&scanner, terminal)
    }

    fn shown(terminal: bool, text: &[u8]) -> usize {
        parting(terminal).last(text, 0, text.len()).unwrap_or(0)
    }

    #[test]
    fn prompts_and_words_part_what_is_behind_them() {
        for terminal in [false, true] {
            for text in [
                "ada@web:~$ ",
                "[y/N] ",
                "Password: ",
                "a.txt  b.txt\n",
                "\r[====>    ] ",
                "done\r\n",
                "drwxr-xr-x ",
            ] {
                assert_eq!(shown(terminal, text.as_bytes()), text.len(), "{text:?}");
            }
            assert_eq!(shown(terminal, b"to ada"), 3);
            assert_eq!(shown(terminal, b"4111 1111 1"), 0);
            assert_eq!(shown(terminal, b"pay 4111 "), 4);
            assert_eq!(shown(terminal, b"pay 4111 x"), 9);
            assert_eq!(shown(terminal, b"DE89 3704"), 0);
            assert_eq!(shown(terminal, b"AWS_SECRET_ACCESS_KEY = \n "), 0);
        }
    }

    #[test]
    fn what_a_terminal_shows_nothing_of_parts_nothing() {
        assert_eq!(shown(true, b"4111\x0f1111"), 0);
        assert_eq!(shown(false, b"4111\x0f1111"), 5);
        assert_eq!(shown(true, b"ada\r@"), 0);
        assert_eq!(shown(true, b"45%\r"), 0);
        assert_eq!(shown(true, b"45% \r46"), 5);
        let mut wide = parting(true);
        wide.columns = Some(8);
        assert_eq!(wide.last(b"mail ada\r\n@exam", 0, 15), Ok(5));
        assert_eq!(wide.last(b"mail ada \r@exam", 0, 15), Ok(5));
        assert_eq!(wide.last(b"mail a\r\n@exam", 0, 13), Ok(8));
    }
}
