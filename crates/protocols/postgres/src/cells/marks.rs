//! Where a few bytes stand in a text, as bit sets.

use fearless_simd::{Level, Simd, SimdBase, SimdFrom, SimdMask, dispatch, u8x64};

/// The places of some bytes in a text: bit n of word m is byte 64 m + n.
pub(super) struct Marks {
    level: Level,
    words: Vec<u64>,
    /// The word at hand, without the places that were given.
    number: usize,
    word: u64,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            level: Level::new(),
            words: Vec::new(),
            number: 0,
            word: 0,
        }
    }
}

impl Marks {
    /// Begins with the places of three bytes in `text`.
    pub(super) fn of(&mut self, text: &[u8], bytes: [u8; 3]) {
        let words = &mut self.words;
        words.clear();
        dispatch!(self.level, simd => find(simd, text, bytes, words));
        self.number = 0;
        self.word = self.words.first().copied().unwrap_or_default();
    }

    /// Leaves out what is before `at`.
    #[inline]
    pub(super) fn skip_to(&mut self, at: usize) {
        let number = at / 64;
        if number > self.number {
            self.number = number;
            self.word = self.words.get(number).copied().unwrap_or_default();
        }
        if number == self.number {
            self.word &= u64::MAX << (at % 64);
        }
    }

    /// The next place.
    #[inline]
    pub(super) fn next(&mut self) -> Option<usize> {
        while self.word == 0 {
            self.number += 1;
            self.word = *self.words.get(self.number)?;
        }
        let bit = self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        Some(self.number * 64 + bit)
    }
}

#[inline(always)]
fn find<S: Simd>(simd: S, text: &[u8], bytes: [u8; 3], out: &mut Vec<u64>) {
    let [a, b, c] = bytes.map(|byte| u8x64::splat(simd, byte));
    let places = |block: [u8; 64]| {
        let v = u8x64::simd_from(simd, block);
        (v.simd_eq(a) | v.simd_eq(b) | v.simd_eq(c)).to_bitmask()
    };
    let (blocks, rest) = text.as_chunks();
    out.extend(blocks.iter().map(|block| places(*block)));
    if !rest.is_empty() {
        let mut last = [0; 64];
        if let Some(front) = last.get_mut(..rest.len()) {
            front.copy_from_slice(rest);
        }
        out.push(places(last) & !(u64::MAX << rest.len()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Marks;

    proptest! {
        #[test]
        fn each_place_is_given_once_and_in_order(
            text in proptest::collection::vec(prop_oneof![Just(b'\t'), Just(b'\n'), Just(0), any::<u8>()], 0..300),
            from in 0..300_usize,
        ) {
            let mut marks = Marks::default();
            marks.of(&text, [b'\t', b'\n', 0]);
            marks.skip_to(from);
            let found: Vec<usize> = std::iter::from_fn(|| marks.next()).collect();
            let places = text.iter().enumerate().skip(from).filter(|(_, byte)| matches!(byte, b'\t' | b'\n' | 0));
            prop_assert_eq!(found, places.map(|(at, _)| at).collect::<Vec<_>>());
        }
    }
}
