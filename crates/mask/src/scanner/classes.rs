//! Which bytes of a stretch of text belong to the classes that detectors start from, as bit sets.
//!
//! Bit n of a set is byte n of the stretch. The sets come from vector comparisons, sixteen bytes at a time.

use wide::u8x16;

/// One bit set per class over up to 64 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Classes {
    pub(super) digit: u64,
    pub(super) upper: u64,
    pub(super) space: u64,
    pub(super) dash: u64,
    pub(super) dot: u64,
    pub(super) colon: u64,
    pub(super) slash: u64,
    pub(super) at: u64,
    pub(super) underscore: u64,
    pub(super) small_x: u64,
    pub(super) small_y: u64,
    pub(super) small_z: u64,
    /// `+` and `(`.
    pub(super) plus: u64,
    /// Bytes of 0x80 and above.
    pub(super) high: u64,
}

/// How many bytes a window holds.
pub(super) const WINDOW: usize = 64;
/// How far a window moves: what starts in its first [`STRIDE`] bytes shows at least 16 bytes of itself.
pub(super) const STRIDE: usize = 48;
const LANE: usize = 16;

impl Classes {
    /// The classes of the first window of a text.
    pub(super) fn first(text: &[u8]) -> Self {
        let mut classes = Self::default();
        match text.first_chunk::<WINDOW>() {
            Some(window) => classes.add_lanes(window, 0),
            None => {
                let mut padded = [0; WINDOW];
                for (to, from) in padded.iter_mut().zip(text) {
                    *to = *from;
                }
                classes.add_lanes(&padded, 0);
            }
        }
        classes
    }

    /// The window [`STRIDE`] bytes on; `rest` is the text after this window's end.
    pub(super) fn next(&self, rest: &[u8]) -> Self {
        let mut classes = self.shifted();
        match rest.first_chunk::<STRIDE>() {
            Some(bytes) => classes.add_lanes(bytes, LANE as u32),
            None => {
                let mut padded = [0; STRIDE];
                for (to, from) in padded.iter_mut().zip(rest) {
                    *to = *from;
                }
                classes.add_lanes(&padded, LANE as u32);
            }
        }
        classes
    }

    fn shifted(&self) -> Self {
        let by = STRIDE as u32;
        Self {
            digit: self.digit >> by,
            upper: self.upper >> by,
            space: self.space >> by,
            dash: self.dash >> by,
            dot: self.dot >> by,
            colon: self.colon >> by,
            slash: self.slash >> by,
            at: self.at >> by,
            underscore: self.underscore >> by,
            small_x: self.small_x >> by,
            small_y: self.small_y >> by,
            small_z: self.small_z >> by,
            plus: self.plus >> by,
            high: self.high >> by,
        }
    }

    #[inline]
    fn add_lanes(&mut self, bytes: &[u8], first: u32) {
        let mut shift = first;
        let (lanes, _) = bytes.as_chunks::<LANE>();
        for lane in lanes {
            self.add_lane(lane, shift);
            shift += LANE as u32;
        }
    }

    #[inline]
    fn add_lane(&mut self, lane: &[u8; LANE], shift: u32) {
        let v = u8x16::new(*lane);
        let bits = |found: u8x16| u64::from(found.to_bitmask()) << shift;
        let is = |byte: u8| v.simd_eq(u8x16::splat(byte));
        let within = |from: u8, count: u8| {
            let above = v - u8x16::splat(from);
            above.min(u8x16::splat(count - 1)).simd_eq(above)
        };
        self.digit |= bits(within(b'0', 10));
        self.upper |= bits(within(b'A', 26));
        self.space |= bits(is(b' '));
        self.dash |= bits(is(b'-'));
        self.dot |= bits(is(b'.'));
        self.colon |= bits(is(b':'));
        self.slash |= bits(is(b'/'));
        self.at |= bits(is(b'@'));
        self.underscore |= bits(is(b'_'));
        self.small_x |= bits(is(b'x'));
        self.small_y |= bits(is(b'y'));
        self.small_z |= bits(is(b'z'));
        self.plus |= bits(is(b'+') | is(b'('));
        self.high |= bits(v);
    }

    #[cfg(test)]
    fn add_lane_by_table(&mut self, lane: &[u8; LANE], shift: u32) {
        for (at, byte) in lane.iter().enumerate() {
            let bit = 1_u64 << (shift + at as u32);
            match byte {
                b'0'..=b'9' => self.digit |= bit,
                b'A'..=b'Z' => self.upper |= bit,
                b' ' => self.space |= bit,
                b'-' => self.dash |= bit,
                b'.' => self.dot |= bit,
                b':' => self.colon |= bit,
                b'/' => self.slash |= bit,
                b'@' => self.at |= bit,
                b'_' => self.underscore |= bit,
                b'x' => self.small_x |= bit,
                b'y' => self.small_y |= bit,
                b'z' => self.small_z |= bit,
                b'+' | b'(' => self.plus |= bit,
                0x80.. => self.high |= bit,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Classes, LANE};

    #[test]
    fn vector_and_table_agree_on_every_byte() {
        for start in 0..16_u8 {
            let lane: [u8; LANE] = std::array::from_fn(|at| start * 16 + at as u8);
            let (mut vector, mut table) = (Classes::default(), Classes::default());
            vector.add_lane(&lane, 32);
            table.add_lane_by_table(&lane, 32);
            assert_eq!(vector, table, "bytes from {}", start * 16);
        }
    }
}
