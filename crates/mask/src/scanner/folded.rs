//! Numbers and addresses written with digits, hyphens and spaces of other scripts.

use std::ops::Range;

use super::search::Search;
use super::{Scanner, Scratch};
use crate::words::{characters, decode, is_word};

/// A text with look-alikes of ASCII characters folded to them, and where each of its bytes came from.
#[derive(Debug, Default)]
pub(super) struct Folded {
    text: Vec<u8>,
    origin: Vec<usize>,
}

/// Adds what is found in `text` only after folding.
pub(super) fn search(scanner: &Scanner, text: &[u8], scratch: &mut Scratch) {
    let mut folded = std::mem::take(&mut scratch.folded);
    let known = scratch.spans.len();
    let mut from = 0;
    while let Some(stretch) = stretch(text, from) {
        from = stretch.end;
        folded.fold(text.get(stretch.clone()).unwrap_or_default());
        let found = scratch.spans.len();
        let search = Search::new(scanner, &folded.text, &mut scratch.spans, &mut scratch.headers);
        let _still_foreign = search.run(&mut scratch.windows);
        let origin = |at: usize| folded.origin.get(at).map_or(text.len(), |at| stretch.start + at);
        for span in scratch.spans.iter_mut().skip(found) {
            (span.start, span.end) = (origin(span.start), origin(span.end));
        }
    }
    if scratch.spans.len() > known {
        // A value that the first search found too would be there twice.
        let (first, second) = scratch.spans.split_at(known);
        let new: Vec<_> = second.iter().filter(|span| !first.contains(span)).copied().collect();
        scratch.spans.truncate(known);
        scratch.spans.extend(new);
    }
    scratch.folded = folded;
}

/// The first stretch of text at or after `from` with look-alikes in it. Control characters end it, as they end every
/// value.
fn stretch(text: &[u8], from: usize) -> Option<Range<usize>> {
    let first = next_folding(text, from)?;
    let control = |byte: &u8| *byte < b' ' || *byte == 0x7F;
    let before = text.get(from..first)?.iter().rposition(control);
    let behind = text.get(first..)?.iter().position(control);
    Some(before.map_or(from, |at| from + at + 1)..behind.map_or(text.len(), |at| first + at))
}

/// Where the first look-alike at or after `from` is.
fn next_folding(text: &[u8], from: usize) -> Option<usize> {
    let (blocks, rest) = text.get(from..)?.as_chunks::<32>();
    let in_block = |block: &[u8], base: usize| {
        let high = block
            .iter()
            .enumerate()
            .filter(|(_, byte)| LEADS.get(usize::from(**byte)) == Some(&true));
        let mut places = high.map(|(at, _)| base + at);
        places.find(|at| matches!(text.get(*at..).and_then(decode), Some((Some(c), _)) if folds(c)))
    };
    for (number, block) in blocks.iter().enumerate() {
        let any = block.iter().fold(0, |any, byte| any | byte) >= 0x80;
        if any && let Some(at) = in_block(block, from + number * 32) {
            return Some(at);
        }
    }
    in_block(rest, from + blocks.len() * 32)
}

/// The first bytes of all look-alikes.
static LEADS: [bool; 256] = leads();

const fn leads() -> [bool; 256] {
    let mut leads = [false; 256];
    let firsts: [u8; 10] = [0xC2, 0xD9, 0xDB, 0xDF, 0xE0, 0xE1, 0xE2, 0xE3, 0xEF, 0xF0];
    let mut rest = firsts.as_slice();
    while let [first, after @ ..] = rest {
        if let Some(slot) = leads.as_mut_slice().split_at_mut(*first as usize).1.first_mut() {
            *slot = true;
        }
        rest = after;
    }
    leads
}

impl Folded {
    /// Folds `text`.
    fn fold(&mut self, text: &[u8]) {
        self.text.clear();
        self.origin.clear();
        let mut at = 0;
        for c in characters(text) {
            let start = at;
            at += c.bytes.len();
            match c.char.filter(|c| !c.is_ascii()).map(look_alike) {
                Some(Fold::To(byte)) => {
                    self.text.push(byte);
                    self.origin.push(start);
                }
                Some(Fold::Nothing) => {}
                Some(Fold::Itself) | None => {
                    self.text.extend_from_slice(c.bytes);
                    self.origin.extend(c.bytes.iter().map(|_| start));
                }
            }
        }
        self.origin.push(at);
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

#[cfg(test)]
mod tests {
    use super::{LEADS, folds, next_folding, stretch};

    #[test]
    fn every_look_alike_is_seen() {
        let mut bytes = [0; 4];
        for c in (0x80..=0x10FFFF_u32).filter_map(char::from_u32).filter(|c| folds(*c)) {
            let text = c.encode_utf8(&mut bytes).as_bytes();
            assert!(
                text.first().and_then(|lead| LEADS.get(usize::from(*lead))) == Some(&true),
                "{c:?}"
            );
            assert_eq!(next_folding(text, 0), Some(0));
        }
        let text = "x".repeat(70) + "\u{e4}\u{661}";
        assert_eq!(next_folding(text.as_bytes(), 0), Some(72));
        assert_eq!(next_folding(text.as_bytes(), 73), None);
    }

    #[test]
    fn control_characters_end_what_is_folded() {
        let text = [b"\xff\tab".as_slice(), "\u{661}2\u{e4}".as_bytes(), b"c\xfe\nex"].concat();
        assert_eq!(stretch(&text, 0), Some(2..text.len() - 3));
        assert_eq!(stretch(&text, text.len() - 3), None);
    }
}
