//! Which bytes of a stretch of text belong to the classes that detectors start from, as bit sets.
//!
//! Bit n of a set is byte n of the stretch. The sets come from vector comparisons, with the widest vectors that the
//! processor has.

use fearless_simd::{Level, dispatch};

/// One bit set per class over up to 64 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Classes {
    /// `0` to `9`.
    pub(super) digit: u64,
    /// `A` to `Z`.
    pub(super) upper: u64,
    /// Space and hyphen.
    pub(super) gap: u64,
    /// Dot and hyphen.
    pub(super) point: u64,
    /// `:`.
    pub(super) colon: u64,
    /// Bytes with which a kind of value is known: `@`, `_`, `+`, `(` and `J`.
    pub(super) mark: u64,
}

/// How many bytes a set covers.
pub(super) const WINDOW: usize = 64;
/// How far a window moves: what starts in its first [`STRIDE`] bytes shows at least 16 bytes of itself.
pub(super) const STRIDE: usize = 48;

/// Appends the classes of `bytes`, 64 by 64, and says whether there are bytes of 0x80 and above.
pub(super) fn classify(level: Level, bytes: &[u8], out: &mut Vec<Classes>) -> bool {
    // Vectors of 32 bytes pay only where comparisons give bit sets; AVX2 code for them is worse than for 16.
    #[cfg(target_arch = "x86_64")]
    if matches!(level, Level::Avx512(_)) {
        return dispatch!(level, simd => by_32::classify(simd, bytes, out));
    }
    dispatch!(level, simd => by_16::classify(simd, bytes, out))
}

/// The classification with vectors of so many bytes.
macro_rules! classifier {
    ($name:ident, $vector:ident, $bytes:literal) => {
        mod $name {
            use fearless_simd::{Simd, SimdBase, SimdMask, $vector};

            use super::{Classes, WINDOW};

            #[inline(always)]
            pub(super) fn classify<S: Simd>(simd: S, bytes: &[u8], out: &mut Vec<Classes>) -> bool {
                let (windows, rest) = bytes.as_chunks::<WINDOW>();
                let mut seen = $vector::splat(simd, 0);
                for window in windows {
                    out.push(of(simd, window, &mut seen));
                }
                if !rest.is_empty() {
                    let mut padded = [0; WINDOW];
                    if let Some(front) = padded.get_mut(..rest.len()) {
                        front.copy_from_slice(rest);
                    }
                    out.push(of(simd, &padded, &mut seen));
                }
                seen.simd_ge($vector::splat(simd, 0x80)).any_true()
            }

            #[inline(always)]
            fn of<S: Simd>(simd: S, window: &[u8; WINDOW], seen: &mut $vector<S>) -> Classes {
                let mut classes = Classes::default();
                let (lanes, _) = window.as_chunks::<$bytes>();
                for (number, lane) in lanes.iter().enumerate() {
                    let v = $vector::from_slice(simd, lane.as_slice());
                    *seen |= v;
                    add(&mut classes, simd, v, number * $bytes);
                }
                classes
            }

            #[inline(always)]
            fn add<S: Simd>(classes: &mut Classes, simd: S, v: $vector<S>, shift: usize) {
                let is = |byte: u8| v.simd_eq($vector::splat(simd, byte));
                let within =
                    |from: u8, count: u8| (v - $vector::splat(simd, from)).simd_lt($vector::splat(simd, count));
                let dash = is(b'-');
                let mark = is(b'@') | is(b'_') | is(b'+') | is(b'(') | is(b'J');
                classes.digit |= within(b'0', 10).to_bitmask() << shift;
                classes.upper |= within(b'A', 26).to_bitmask() << shift;
                classes.gap |= (is(b' ') | dash).to_bitmask() << shift;
                classes.point |= (is(b'.') | dash).to_bitmask() << shift;
                classes.colon |= is(b':').to_bitmask() << shift;
                classes.mark |= mark.to_bitmask() << shift;
            }
        }
    };
}

classifier!(by_16, u8x16, 16);
#[cfg(target_arch = "x86_64")]
classifier!(by_32, u8x32, 32);

/// The window that starts `at` bytes into the blocks.
#[inline]
pub(super) fn window(blocks: &[Classes], at: usize) -> Classes {
    let (number, by) = (at / WINDOW, (at % WINDOW) as u32);
    let block = |number: usize| blocks.get(number).copied().unwrap_or_default();
    if by == 0 {
        block(number)
    } else {
        block(number).moved(&block(number + 1), by)
    }
}

impl Classes {
    /// The window that starts `by` bytes (1 to 63) into this one, `next` following it.
    #[inline]
    fn moved(&self, next: &Self, by: u32) -> Self {
        let join = |a: u64, b: u64| a >> by | b << (64 - by);
        Self {
            digit: join(self.digit, next.digit),
            upper: join(self.upper, next.upper),
            gap: join(self.gap, next.gap),
            point: join(self.point, next.point),
            colon: join(self.colon, next.colon),
            mark: join(self.mark, next.mark),
        }
    }

    /// Takes the bytes of `mask` out of every class: they separate texts.
    #[inline]
    pub(super) fn clear(&mut self, mask: u64) {
        for set in [
            &mut self.digit,
            &mut self.upper,
            &mut self.gap,
            &mut self.point,
            &mut self.colon,
            &mut self.mark,
        ] {
            *set &= !mask;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]

    use fearless_simd::Level;

    use super::{WINDOW, classify};

    #[test]
    fn the_sets_hold_the_bytes_of_their_class() {
        for start in (0..=255_u8).step_by(WINDOW) {
            let bytes: [u8; WINDOW] = std::array::from_fn(|at| start + at as u8);
            let mut out = Vec::new();
            assert_eq!(classify(Level::new(), &bytes, &mut out), start >= 0x80);
            assert_eq!(classify(Level::baseline(), &bytes, &mut out), start >= 0x80);
            assert_eq!(out[0], out[1], "the widths of vectors");
            let classes = out[0];
            for (at, byte) in bytes.iter().enumerate() {
                let set = |bits: u64| bits >> at & 1 == 1;
                assert_eq!(set(classes.digit), byte.is_ascii_digit(), "{byte:#x}");
                assert_eq!(set(classes.upper), byte.is_ascii_uppercase(), "{byte:#x}");
                assert_eq!(set(classes.gap), b" -".contains(byte), "{byte:#x}");
                assert_eq!(set(classes.point), b".-".contains(byte), "{byte:#x}");
                assert_eq!(set(classes.colon), *byte == b':', "{byte:#x}");
                assert_eq!(set(classes.mark), b"@_+(J".contains(byte), "{byte:#x}");
            }
        }
    }
}
