//! Where a few bytes stand in a text.

use fearless_simd::{Level, Simd, SimdBase, SimdFrom, SimdMask, dispatch, u8x64};

/// The places of some bytes in a text, in order.
pub(super) struct Marks {
    level: Level,
    places: Vec<u32>,
    /// So many were given.
    given: usize,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            level: Level::new(),
            places: Vec::new(),
            given: 0,
        }
    }
}

impl Marks {
    /// Begins with the places of three bytes in `text`.
    pub(super) fn of(&mut self, text: &[u8], bytes: [u8; 3]) {
        let places = &mut self.places;
        places.clear();
        dispatch!(self.level, simd => find(simd, text, bytes, places));
        self.given = 0;
    }

    /// Leaves out what is before `at`.
    #[inline]
    pub(super) fn skip_to(&mut self, at: usize) {
        while self.places.get(self.given).is_some_and(|place| (*place as usize) < at) {
            self.given += 1;
        }
    }

    /// The next place.
    #[inline]
    pub(super) fn next(&mut self) -> Option<usize> {
        let place = *self.places.get(self.given)?;
        self.given += 1;
        Some(place as usize)
    }
}

#[inline(always)]
fn find<S: Simd>(simd: S, text: &[u8], bytes: [u8; 3], out: &mut Vec<u32>) {
    let (blocks, rest) = text.as_chunks();
    let mut at = 0;
    // No closures: they would not be compiled for the processor's vectors.
    for block in blocks {
        add(at, places(simd, block, bytes), out);
        at += 64;
    }
    if !rest.is_empty() {
        let mut last = [0; 64];
        if let Some(front) = last.get_mut(..rest.len()) {
            front.copy_from_slice(rest);
        }
        add(at, places(simd, &last, bytes) & !(u64::MAX << rest.len()), out);
    }
}

/// Appends the places of the bits, eight at a time: how many there are is as good as chance, and what is chance should
/// not be asked for each.
#[inline(always)]
fn add(at: u32, mut bits: u64, out: &mut Vec<u32>) {
    while bits != 0 {
        let length = out.len() + bits.count_ones().min(8) as usize;
        let mut eight = [0; 8];
        for place in &mut eight {
            *place = at + bits.trailing_zeros();
            bits &= bits.wrapping_sub(1);
        }
        out.extend_from_slice(&eight);
        out.truncate(length);
    }
}

#[inline(always)]
fn places<S: Simd>(simd: S, block: &[u8; 64], [a, b, c]: [u8; 3]) -> u64 {
    let v = u8x64::simd_from(simd, *block);
    let a = v.simd_eq(u8x64::splat(simd, a)).to_bitmask();
    let b = v.simd_eq(u8x64::splat(simd, b)).to_bitmask();
    let c = v.simd_eq(u8x64::splat(simd, c)).to_bitmask();
    a | b | c
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
