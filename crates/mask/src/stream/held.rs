//! What came and is not shown yet: text, and the control sequences that stand in it.

use super::sequence::Effect;

/// A control sequence, in the text before the byte at `at`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) at: usize,
    /// Where in the bytes of all sequences its own end; those of the mark before it end where they start.
    pub(super) end: usize,
    /// So many bytes of the text from `at` on stand for what the sequence does. They did not come, and are not shown.
    pub(super) standing: usize,
}

/// The byte that stands for a movement within the line. Where it came as itself it is read the same way: a control
/// character within a line.
const GAP: u8 = 0x1C;
/// The byte that stands for a movement to elsewhere: a vertical tabulator.
const ELSEWHERE: u8 = 0x0B;
const BACKSPACE: u8 = 0x08;

#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) text: Vec<u8>,
    /// The text before this was shown, and says only what stands before the rest.
    pub(super) shown: usize,
    pub(super) marks: Vec<Mark>,
    pub(super) sequences: Vec<u8>,
    /// Where the first NUL of the stream is, or was; all behind it is binary.
    pub(super) nul: Option<usize>,
}

impl Held {
    /// Text that is not shown.
    pub(super) fn pending(&self) -> &[u8] {
        self.text.get(self.shown..).unwrap_or_default()
    }

    /// Whether a value at `at` is in binary data.
    pub(super) fn is_binary(&self, at: usize) -> bool {
        self.nul.is_some_and(|nul| nul <= at)
    }

    /// Adds text.
    pub(super) fn add(&mut self, bytes: &[u8], look_for_nul: bool) {
        if look_for_nul && self.nul.is_none() {
            self.nul = memchr::memchr(0, bytes).map(|at| self.text.len() + at);
        }
        self.text.extend_from_slice(bytes);
    }

    /// Adds a sequence.
    pub(super) fn add_sequence(&mut self, sequence: &[u8], effect: Effect) {
        let at = self.text.len();
        let (byte, standing) = match effect {
            Effect::None => (GAP, 0),
            Effect::Gap => (GAP, 1),
            Effect::Back(count) => (BACKSPACE, count),
            Effect::Repeat(count) => match self.text.last() {
                Some(last) if last.is_ascii_graphic() || *last == b' ' => (*last, count),
                Some(_) | None => (GAP, 0),
            },
            Effect::Elsewhere => (ELSEWHERE, 1),
        };
        self.text.resize(at + standing, byte);
        self.sequences.extend_from_slice(sequence);
        self.marks.push(Mark {
            at,
            end: self.sequences.len(),
            standing,
        });
    }

    /// The text up to `end` was shown, and its sequences; `context` bytes before it stay.
    pub(super) fn let_go(&mut self, end: usize, context: usize) {
        let gone = self
            .marks
            .iter()
            .take_while(|mark| mark.at + mark.standing <= end)
            .count();
        let cut = self.marks.get(gone).is_some_and(|mark| mark.at < end);
        let last = (gone + usize::from(cut)).checked_sub(1);
        let bytes = last.and_then(|last| self.marks.get(last)).map_or(0, |mark| mark.end);
        self.marks.drain(..gone);
        // One whose bytes were shown, of which something that stands for it is behind the end, stays without bytes.
        if let Some(mark) = self.marks.first_mut().filter(|_| cut) {
            mark.standing -= end - mark.at;
            mark.at = end;
        }
        self.sequences.drain(..bytes);
        let drop = end.saturating_sub(context);
        self.text.drain(..drop);
        for mark in &mut self.marks {
            mark.end = mark.end.saturating_sub(bytes);
            mark.at -= drop;
        }
        self.shown = end - drop;
        self.nul = self.nul.map(|nul| nul.saturating_sub(drop));
    }
}
