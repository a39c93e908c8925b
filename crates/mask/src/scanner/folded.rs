//! Numbers and addresses written with digits, hyphens and spaces of other scripts.

use super::search::Search;
use super::{Scanner, Scratch};
use crate::words::{characters, is_word};

/// A text with look-alikes of ASCII characters folded to them, and where each of its bytes came from.
#[derive(Debug, Default)]
pub(super) struct Folded {
    text: Vec<u8>,
    origin: Vec<usize>,
}

/// Adds what is found in `text` only after folding.
pub(super) fn search(scanner: &Scanner, text: &[u8], scratch: &mut Scratch) {
    let mut folded = std::mem::take(&mut scratch.folded);
    if folded.fold(text) {
        let known = scratch.spans.len();
        let search = Search::new(scanner, &folded.text, &mut scratch.spans, &mut scratch.headers);
        let _still_foreign = search.run(&mut scratch.windows);
        for span in scratch.spans.iter_mut().skip(known) {
            span.start = folded.origin.get(span.start).copied().unwrap_or(text.len());
            span.end = folded.origin.get(span.end).copied().unwrap_or(text.len());
        }
        // A value that the first search found too would be there twice.
        let (first, second) = scratch.spans.split_at(known);
        let new: Vec<_> = second.iter().filter(|span| !first.contains(span)).copied().collect();
        scratch.spans.truncate(known);
        scratch.spans.extend(new);
    }
    scratch.folded = folded;
}

impl Folded {
    /// Folds `text` and says whether anything changed.
    fn fold(&mut self, text: &[u8]) -> bool {
        self.text.clear();
        self.origin.clear();
        let mut at = 0;
        let mut changed = false;
        for c in characters(text) {
            let start = at;
            at += c.bytes.len();
            match c.char.filter(|c| !c.is_ascii()).map(look_alike) {
                Some(Fold::To(byte)) => {
                    changed = true;
                    self.text.push(byte);
                    self.origin.push(start);
                }
                Some(Fold::Nothing) => changed = true,
                Some(Fold::Itself) | None => {
                    self.text.extend_from_slice(c.bytes);
                    self.origin.extend(c.bytes.iter().map(|_| start));
                }
            }
        }
        self.origin.push(at);
        changed
    }
}

/// Whether the character reads like an ASCII one, or like nothing.
pub(crate) fn folds(c: char) -> bool {
    !c.is_ascii() && !matches!(look_alike(c), Fold::Itself)
}

enum Fold {
    To(u8),
    Nothing,
    Itself,
}

/// What a reader takes the character for.
fn look_alike(c: char) -> Fold {
    match c {
        '\u{AD}' | '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}' => Fold::Nothing,
        '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => Fold::To(b' '),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' => Fold::To(b'-'),
        // The full-width forms are ASCII, moved.
        '\u{FF01}'..='\u{FF5E}' => u8::try_from(c as u32 - 0xFEE0).map_or(Fold::Itself, Fold::To),
        other => match digit(other) {
            Some(value) => Fold::To(b'0' + value),
            None => Fold::Itself,
        },
    }
}

/// The value of a decimal digit of the scripts in everyday use: each has its ten in a row from here.
fn digit(c: char) -> Option<u8> {
    const ZEROS: [u32; 24] = [
        0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0E50, 0x0ED0,
        0x0F20, 0x1040, 0x17E0, 0x1810, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1FBF0,
    ];
    if !is_word(c) {
        return None;
    }
    ZEROS.into_iter().find_map(|zero| {
        let value = (c as u32).checked_sub(zero)?;
        u8::try_from(value).ok().filter(|value| *value < 10)
    })
}
