//! Many short texts that lie in one buffer, as the cells of a row do: one look at the buffer, and only the
//! texts in which something could be are searched.

use std::ops::Range;

use super::candidates::{STRIDE, Window, look_at_live};
use super::search::Search;
use super::spans;
use super::{Scanner, Scratch, folded};

/// Where the texts of a buffer lie, and what could be in them.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Bit n of word m is set if byte 64 m + n belongs to a text.
    live: Vec<u64>,
    windows: Vec<Window>,
    /// Windows before this one lie before the text that was searched last.
    next: usize,
}

impl Scratch {
    /// Begins with a buffer of so many bytes without any text.
    pub fn begin_texts(&mut self, length: usize) {
        self.begin(length, 0);
    }

    /// Begins with a buffer of so many bytes that all belong to texts, but for what [`Scratch::leave_out`] names. Between
    /// two texts must be a byte that is no part of any value and touches none: see [`Scanner::parts_values`].
    pub fn begin_texts_everywhere(&mut self, length: usize) {
        self.begin(length, u64::MAX);
    }

    fn begin(&mut self, length: usize, live: u64) {
        self.texts.live.clear();
        self.texts.live.resize(length.div_ceil(64), live);
        self.texts.windows.clear();
        self.texts.next = 0;
    }

    /// Adds a text of the buffer. Two texts must not touch.
    #[inline]
    pub fn add_text(&mut self, text: &Range<usize>) {
        let (from, to) = ends(text);
        match self.texts.live.get_mut(text.start / 64..).unwrap_or_default() {
            [word, ..] if text.start / 64 == text.end / 64 => *word |= from & to,
            [first, last, ..] if text.start / 64 + 1 == text.end / 64 => {
                *first |= from;
                *last |= to;
            }
            [first, rest @ ..] => {
                *first |= from;
                let between = text.end / 64 - text.start / 64 - 1;
                for word in rest.iter_mut().take(between) {
                    *word = u64::MAX;
                }
                if let Some(last) = rest.get_mut(between) {
                    *last |= to;
                }
            }
            [] => {}
        }
    }

    /// Says that these bytes, no more than 64, belong to no text.
    #[inline]
    pub fn leave_out(&mut self, bytes: &Range<usize>) {
        let (from, to) = ends(bytes);
        match self.texts.live.get_mut(bytes.start / 64..).unwrap_or_default() {
            [word, ..] if bytes.start / 64 == bytes.end / 64 => *word &= !(from & to),
            [first, last, ..] => {
                *first &= !from;
                *last &= !to;
            }
            [first] => *first &= !from,
            [] => {}
        }
    }

    /// Whether something could be in this text; texts must come in order.
    #[inline]
    pub fn could_hold(&mut self, text: &Range<usize>) -> bool {
        let texts = &mut self.texts;
        while let Some(window) = texts.windows.get(texts.next) {
            if window.at + STRIDE > text.start {
                break;
            }
            texts.next += 1;
        }
        let windows = texts.windows.get(texts.next..).unwrap_or_default();
        let mut here = windows.iter().take_while(|window| window.at < text.end);
        here.any(|window| (window.any | window.high) & bits(window.at, text) != 0)
    }
}

/// The bits of a range in the word that it starts in, and in the one that it ends in.
#[inline]
fn ends(range: &Range<usize>) -> (u64, u64) {
    (u64::MAX << (range.start % 64), !(u64::MAX << (range.end % 64)))
}

impl Scanner {
    /// Whether a byte is part of no value, and what is right behind it is found as if nothing were before it.
    pub fn parts_values(byte: u8) -> bool {
        matches!(byte, b'\t' | b'\n' | b',' | b';' | b'|' | b'"' | b'\'')
    }

    /// Looks at all texts of a buffer that were added, and says whether something could be in any. Then
    /// [`Scratch::could_hold`] says of which, and [`Scanner::find_in_text`] searches it. Memory of about the buffer's
    /// length is used.
    pub fn look_at_texts(&self, buffer: &[u8], scratch: &mut Scratch) -> bool {
        let texts = &mut scratch.texts;
        if !self.wanted.is_empty() {
            look_at_live(self.level, buffer, &texts.live, &self.wanted, &mut texts.windows);
        }
        !texts.windows.is_empty()
    }

    /// Searches a text of the buffer that was looked at last, and says whether anything is in it. Texts must come in
    /// order. [`Scanner::rewrite`] replaces what was found.
    pub fn find_in_text(&self, buffer: &[u8], text: &Range<usize>, scratch: &mut Scratch) -> bool {
        scratch.spans.clear();
        let could_hold = scratch.could_hold(text);
        if !could_hold && self.customs.is_empty() {
            return false;
        }
        let bytes = buffer.get(text.clone()).unwrap_or_default();
        if could_hold {
            let texts = &scratch.texts;
            let mut search = Search::new(self, bytes, &mut scratch.spans, &mut scratch.headers);
            let mut high = 0;
            for window in texts.windows.iter().skip(texts.next) {
                if window.at >= text.end {
                    break;
                }
                let mask = bits(window.at, text);
                high |= window.high & mask;
                search.verify(window.at.wrapping_sub(text.start), window, mask);
            }
            if high != 0 {
                folded::search(self, bytes, scratch);
            }
        }
        self.search_custom(bytes, scratch);
        spans::settle(&mut scratch.spans);
        !scratch.spans.is_empty()
    }
}

/// The part of `range` that lies in the 64 bytes from `base` on.
#[inline]
fn bits(base: usize, range: &Range<usize>) -> u64 {
    let up_to = |at: usize| match at.saturating_sub(base) {
        count @ 0..64 => (1_u64 << count) - 1,
        _ => u64::MAX,
    };
    up_to(range.end) & !up_to(range.start)
}
