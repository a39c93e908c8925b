//! Control sequences of terminals: ECMA-48, and what xterm adds to it.
//!
//! A sequence is told from the text around it, whole, and is neither changed nor cut. What begins like one and is none
//! (a byte that no sequence holds, or more bytes than one may have) is text.

/// A sequence of parameters longer than this is none. Longer than any with all of its parameters.
const PARAMETERS_LIMIT: usize = 256;

/// How far the part of a sequence that came is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// ESC.
    Escape,
    /// ESC and intermediate bytes: character sets.
    Intermediate,
    /// CSI and parameters.
    Parameters,
    /// OSC (which BEL ends too), DCS, APC, PM, SOS, or a title of `screen`.
    Text { bell: bool },
    /// ESC within a string: its end, if a backslash follows.
    TextEscape { bell: bool },
}

/// The sequence that is coming.
#[derive(Debug)]
pub(super) struct Sequence {
    /// What came of it.
    bytes: Vec<u8>,
    state: State,
    /// A string longer than this is none.
    limit: usize,
}

/// What a byte makes of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Open(State),
    Whole,
    None,
}

/// What became of the bytes that were offered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of them belong to the sequence, which goes on.
    Open,
    /// With so many of them the sequence is whole.
    Whole(usize),
    /// It is no sequence; so many of the bytes were looked at and belong to what came of it.
    None(usize),
    /// It is longer than a string may be; so many of the bytes were looked at and belong to what came of it.
    TooLong(usize),
}

impl Sequence {
    /// None has begun. Strings may have `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            state: State::Escape,
            limit,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// What came of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Moves what came of it into `out`, and none has begun.
    pub(super) fn take(&mut self, out: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, out);
        self.bytes.clear();
        self.state = State::Escape;
    }

    /// Begins with ESC.
    pub(super) fn begin(&mut self) {
        self.bytes.clear();
        self.bytes.push(ESC);
        self.state = State::Escape;
    }

    /// Takes the bytes that belong to it.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Outcome {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            if let State::Text { .. } = self.state {
                // So many bytes of a string need no look one by one.
                let plain = rest.iter().take_while(|byte| **byte >= b' ').count();
                let room = self.limit.saturating_sub(self.bytes.len());
                let plain = plain.min(room);
                self.bytes.extend_from_slice(rest.get(..plain).unwrap_or_default());
                used += plain;
                if plain == room {
                    return Outcome::TooLong(used);
                }
                if plain > 0 {
                    continue;
                }
            }
            let Some(byte) = rest.first() else { break };
            used += 1;
            self.bytes.push(*byte);
            match self.state.next(*byte, self.bytes.len()) {
                Next::Open(state) => self.state = state,
                Next::Whole => return Outcome::Whole(used),
                Next::None => return Outcome::None(used),
            }
        }
        Outcome::Open
    }
}

pub(super) const ESC: u8 = 0x1B;
const BEL: u8 = 0x07;

impl State {
    fn next(self, byte: u8, length: usize) -> Next {
        match (self, byte) {
            (Self::Escape, b'[') => Next::Open(Self::Parameters),
            (Self::Escape, b']') => Next::Open(Self::Text { bell: true }),
            (Self::Escape, b'P' | b'X' | b'^' | b'_' | b'k') => Next::Open(Self::Text { bell: false }),
            (Self::Escape, 0x20..=0x2F) => Next::Open(Self::Intermediate),
            (Self::Intermediate, 0x20..=0x2F) if length < 8 => Next::Open(self),
            (Self::Escape | Self::Intermediate, 0x30..=0x7E) | (Self::Parameters, 0x40..=0x7E) => Next::Whole,
            // Terminals do what a control character says in the midst of a sequence, and go on with it.
            (Self::Parameters, 0x01..=0x17 | 0x19 | 0x1C..=0x3F | 0x7F) if length < PARAMETERS_LIMIT => {
                Next::Open(self)
            }
            (Self::Text { bell: true }, BEL) | (Self::TextEscape { .. }, b'\\') => Next::Whole,
            (Self::Text { bell }, ESC) => Next::Open(Self::TextEscape { bell }),
            (Self::Text { .. }, 0x08..=0x0D | 0x20..) => Next::Open(self),
            (Self::Escape | Self::Intermediate | Self::Parameters | Self::Text { .. } | Self::TextEscape { .. }, _) => {
                Next::None
            }
        }
    }
}

/// How long the sequence is that `text` starts with, if it is one of a few parameters and whole; else 0.
pub(super) fn short(text: &[u8]) -> usize {
    const SHORT: usize = 32;
    let [ESC, b'[', rest @ ..] = text else {
        return 0;
    };
    let parameters = rest
        .iter()
        .take(SHORT)
        .take_while(|byte| matches!(byte, 0x20..=0x3F))
        .count();
    match rest.get(parameters) {
        Some(0x40..=0x7E) => parameters + 3,
        Some(_) | None => 0,
    }
}

/// What a sequence means for the text that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: colours, modes, character sets.
    None,
    /// The cursor moves to the right on its line, perhaps over blank cells.
    Gap,
    /// The cursor moves so many cells to the left.
    Back(usize),
    /// The character before it comes so many times again.
    Repeat(usize),
    /// The cursor goes elsewhere, or what it is on does.
    Elsewhere,
}

/// The most cells that the cursor moves back, or that a character is repeated for, within a value.
const CELLS_LIMIT: usize = 64;

impl Effect {
    /// Of a whole sequence.
    pub(super) fn of(sequence: &[u8]) -> Self {
        match sequence {
            [ESC, b'[', parameters @ .., last] => {
                let count = count(parameters);
                match last {
                    b'C' | b'a' | b'G' | b'`' | b'I' | b'Z' => Self::Gap,
                    b'D' if count <= CELLS_LIMIT => Self::Back(count),
                    b'b' if count <= CELLS_LIMIT => Self::Repeat(count),
                    b'A' | b'B' | b'D' | b'E' | b'F' | b'H' | b'J' | b'L' | b'M' | b'S' | b'T' | b'b' | b'd' | b'e'
                    | b'f' | b'r' | b'u' => Self::Elsewhere,
                    _ => Self::None,
                }
            }
            [ESC, b'7' | b'8' | b'D' | b'E' | b'M' | b'c'] => Self::Elsewhere,
            _ => Self::None,
        }
    }
}

/// The only parameter; one where there is none, or where there are others.
fn count(parameters: &[u8]) -> usize {
    let number = std::str::from_utf8(parameters).ok().and_then(|text| text.parse().ok());
    number.filter(|number| *number > 0).unwrap_or(1)
}

/// Whether the sequence, of which at least the beginning came, sets the clipboard (OSC 52), and where its data start.
pub(super) fn clipboard(sequence: &[u8]) -> Option<usize> {
    let rest = sequence.strip_prefix(b"\x1b]52;")?;
    let selection = rest.iter().position(|byte| *byte == b';');
    Some(selection.map_or(sequence.len(), |at| sequence.len() - rest.len() + at + 1))
}

/// What a string sequence says, without its frame; `None` for any other sequence.
pub(super) fn said(sequence: &[u8]) -> Option<std::ops::Range<usize>> {
    let [ESC, b']' | b'P' | b'X' | b'^' | b'_' | b'k', ..] = sequence else {
        return None;
    };
    let end = match sequence {
        [.., BEL] => 1,
        [.., ESC, b'\\'] => 2,
        _ => 0,
    };
    Some(2..sequence.len().saturating_sub(end).max(2))
}

#[cfg(test)]
mod tests {
    use super::{Effect, Outcome, Sequence, clipboard, said};

    fn fed(bytes: &[u8]) -> Outcome {
        let mut sequence = Sequence::new(64);
        sequence.begin();
        sequence.feed(bytes)
    }

    #[test]
    fn sequences_end_where_terminals_end_them() {
        for (bytes, length) in [
            (&b"[1;31mX"[..], 6),
            (b"[?25hX", 5),
            (b"(BX", 2),
            (b"7X", 1),
            (b"]0;title\x07X", 9),
            (b"]8;;http://x/\x1b\\X", 15),
            (b"Pq#0\x1b\\X", 6),
            (b"ktitle\x1b\\X", 8),
            // A control character in the midst is obeyed at once.
            (b"[1\r;31mX", 7),
        ] {
            assert_eq!(fed(bytes), Outcome::Whole(length), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_no_sequence_holds_ends_it() {
        assert_eq!(fed(b"\x1b"), Outcome::None(1));
        assert_eq!(fed(b"[1\x00"), Outcome::None(3));
        assert_eq!(fed(b"]0;a\x18"), Outcome::None(5));
        assert_eq!(fed(b"]0;a\x1b["), Outcome::None(6));
        assert_eq!(fed(&[b"]".as_slice(), &[b'a'; 80]].concat()), Outcome::TooLong(63));
        assert_eq!(fed(b"[12"), Outcome::Open);
    }

    #[test]
    fn what_they_mean() {
        assert_eq!(Effect::of(b"\x1b[31m"), Effect::None);
        assert_eq!(Effect::of(b"\x1b[C"), Effect::Gap);
        assert_eq!(Effect::of(b"\x1b[3D"), Effect::Back(3));
        assert_eq!(Effect::of(b"\x1b[11b"), Effect::Repeat(11));
        assert_eq!(Effect::of(b"\x1b[2;1H"), Effect::Elsewhere);
        assert_eq!(clipboard(b"\x1b]52;c;YWJj\x07"), Some(7));
        assert_eq!(clipboard(b"\x1b]0;52;\x07"), None);
        assert_eq!(said(b"\x1b]0;ab\x07"), Some(2..6));
        assert_eq!(said(b"\x1b[31m"), None);
    }
}
