//! Which bytes of a stretch of text belong to the classes that detectors start from, as bit sets.
//!
//! Bit n of a set is byte n of the stretch. The sets come from vector comparisons, with the widest vectors that the
//! processor has.

use fearless_simd::{Level, Simd, SimdBase, SimdMask, dispatch, u8x64};

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
    dispatch!(level, simd => classify_with(simd, bytes, out))
}

#[inline(always)]
fn classify_with<S: Simd>(simd: S, bytes: &[u8], out: &mut Vec<Classes>) -> bool {
    let (windows, rest) = bytes.as_chunks::<WINDOW>();
    let mut seen = u8x64::splat(simd, 0);
    for window in windows {
        let v = u8x64::from_slice(simd, window.as_slice());
        seen |= v;
        out.push(Classes::of(simd, v));
    }
    if !rest.is_empty() {
        let mut padded = [0; WINDOW];
        if let Some(front) = padded.get_mut(..rest.len()) {
            front.copy_from_slice(rest);
        }
        let v = u8x64::from_slice(simd, padded.as_slice());
        seen |= v;
        out.push(Classes::of(simd, v));
    }
    seen.simd_ge(u8x64::splat(simd, 0x80)).any_true()
}

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
    #[inline(always)]
    fn of<S: Simd>(simd: S, v: u8x64<S>) -> Self {
        let is = |byte: u8| v.simd_eq(u8x64::splat(simd, byte));
        let within =
            |from: u8, count: u8| (v - u8x64::splat(simd, from)).simd_lt(u8x64::splat(simd, count));
        let dash = is(b'-');
        let mark = is(b'@') | is(b'_') | is(b'+') | is(b'(') | is(b'J');
        Self {
            digit: within(b'0', 10).to_bitmask(),
            upper: within(b'A', 26).to_bitmask(),
            gap: (is(b' ') | dash).to_bitmask(),
            point: (is(b'.') | dash).to_bitmask(),
            colon: is(b':').to_bitmask(),
            mark: mark.to_bitmask(),
        }
    }

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
