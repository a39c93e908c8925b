//! Which bytes of a stretch of text belong to the classes that detectors start from, as bit sets.
//!
//! Bit n of a set is byte n of the stretch. The sets come from vector comparisons, with the widest vectors that the
//! processor has.

#[cfg(target_arch = "x86_64")]
use fearless_simd::u8x64;
use fearless_simd::{Simd, SimdBase, SimdFrom, SimdMask, u8x16, u64x8};

/// How many bytes a set covers.
pub(super) const WINDOW: usize = 64;

/// How many bytes are looked at for it: what the last ones start goes on behind them.
pub(super) const SEEN: usize = WINDOW + 8;

/// With these bits alone, `K`, `I` and `S` are an `A`, as few others are.
const LIKE_KIS: u8 = !0x1A;

/// With this bit, `p` is an `x`, and no other letter.
const LIKE_PX: u8 = 0x08;

/// With these bits, `i`, `k` and `y` are a `{`, and no other letter.
const LIKE_IKY: u8 = 0x12;

/// With this bit, `-` is a `=`.
const LIKE_SIGN: u8 = 0x10;

/// So many windows are put together.
pub(super) const BATCH: usize = 8;

/// The classes, with a function that makes other classes of them and one that sets those of one window of several.
macro_rules! classes {
    ($($(#[$meta:meta])* $class:ident),+ $(,)?) => {
        /// One bit set per class over 64 bytes; or several, for as many windows.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub(super) struct Classes<T> {
            $($(#[$meta])* pub(super) $class: T,)+
        }

        impl Classes<u64> {
            /// Takes all other bytes out of every class: they are no text.
            #[inline(always)]
            pub(super) fn keep(&mut self, live: u64) {
                $(self.$class &= live;)+
            }
        }

        impl Classes<[u64; BATCH]> {
            /// Sets the classes of one window.
            #[inline(always)]
            #[expect(clippy::indexing_slicing, reason = "a number below the batch's, which the compiler sees")]
            pub(super) fn set(&mut self, number: usize, window: &Classes<u64>) {
                $(self.$class[number] = window.$class;)+
            }

            /// The windows' classes in vectors.
            #[inline(always)]
            pub(super) fn vectors<S: Simd>(&self, simd: S) -> Classes<u64x8<S>> {
                Classes {
                    $($class: u64x8::simd_from(simd, self.$class),)+
                }
            }
        }
    };
}

classes! {
    /// `0` to `9`.
    digit,
    /// `A` to `Z`.
    upper,
    /// Space.
    space,
    /// `-`.
    dash,
    /// `.`.
    dot,
    /// `:`.
    colon,
    /// `(` and `+`, with which phone numbers start.
    lead,
    /// `@`, `_`, and the first bytes of what looks like `yJ`, `x.x.-`, `g....-`, `A` and `I`, `K` or `S`, `://`,
    /// `k-` or `y=`, `g=` or `dap`.
    token,
    /// Bytes of 0x80 and above.
    high,
}

/// The classification with vectors of so many bytes.
macro_rules! classifier {
    ($name:ident, $vector:ident, $bytes:literal) => {
        /// The classes of 64 bytes.
        #[inline(always)]
        pub(super) fn $name<S: Simd>(simd: S, window: &[u8; SEEN]) -> Classes<u64> {
            let mut classes: Classes<u64> = Classes::default();
            for number in 0..WINDOW / $bytes {
                let shift = number * $bytes;
                let from = |at: usize| {
                    let bytes = window.get(shift + at..).and_then(<[u8]>::first_chunk::<$bytes>);
                    $vector::simd_from(simd, bytes.copied().unwrap_or([0; $bytes]))
                };
                let splat = |byte: u8| $vector::splat(simd, byte);
                let (v, v1, v2, v4, v5) = (from(0), from(1), from(2), from(4), from(5));
                // Zero where the bytes are those; the lesser of two is zero where either is.
                let secret_key = (v ^ splat(b'A')) | ((v1 & splat(LIKE_KIS)) ^ splat(b'A'));
                let jwt = (v ^ splat(b'y')) | (v1 ^ splat(b'J'));
                let slack =
                    ((v | splat(LIKE_PX)) ^ splat(b'x')) | ((v2 | splat(LIKE_PX)) ^ splat(b'x')) | (v4 ^ splat(b'-'));
                let gitlab = (v ^ splat(b'g')) | (v5 ^ splat(b'-'));
                let named = ((v | splat(LIKE_IKY)) ^ splat(b'{')) | ((v1 | splat(LIKE_SIGN)) ^ splat(b'='));
                let signature = (v ^ splat(b'g')) | (v1 ^ splat(b'='));
                let databricks = (v ^ splat(b'd')) | (v1 ^ splat(b'a')) | (v2 ^ splat(b'p'));
                let url = (v ^ splat(b':')) | (v1 ^ splat(b'/')) | (v2 ^ splat(b'/'));
                let mark = (v ^ splat(b'@')).min(v ^ splat(b'_'));
                let token = mark.min(secret_key).min(jwt).min(slack).min(gitlab).min(url);
                let token = token.min(named).min(signature).min(databricks);
                let lead = (v ^ splat(b'(')).min(v ^ splat(b'+'));
                let within = |from: u8, count: u8| (v - splat(from)).simd_lt(splat(count)).to_bitmask();
                classes.digit |= within(b'0', 10) << shift;
                classes.upper |= within(b'A', 26) << shift;
                classes.space |= v.simd_eq(splat(b' ')).to_bitmask() << shift;
                classes.dash |= v.simd_eq(splat(b'-')).to_bitmask() << shift;
                classes.dot |= v.simd_eq(splat(b'.')).to_bitmask() << shift;
                classes.colon |= v.simd_eq(splat(b':')).to_bitmask() << shift;
                classes.lead |= lead.simd_eq(splat(0)).to_bitmask() << shift;
                classes.token |= token.simd_eq(splat(0)).to_bitmask() << shift;
                classes.high |= v.simd_ge(splat(0x80)).to_bitmask() << shift;
            }
            classes
        }
    };
}

classifier!(by_16, u8x16, 16);
#[cfg(target_arch = "x86_64")]
classifier!(by_64, u8x64, 64);

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

    use fearless_simd::{Level, dispatch};
    use proptest::prelude::*;

    use super::{Classes, SEEN, WINDOW, by_16};

    /// What the vectors must say, byte by byte.
    fn plain(window: &[u8; SEEN]) -> Classes<u64> {
        let set = |class: &dyn Fn(usize, u8) -> bool| {
            let bits = window.iter().take(WINDOW).enumerate();
            bits.fold(0, |set, (at, byte)| set | u64::from(class(at, *byte)) << at)
        };
        let next = |at: usize, byte: u8| window[at] == byte;
        Classes {
            digit: set(&|_, byte| byte.is_ascii_digit()),
            upper: set(&|_, byte| byte.is_ascii_uppercase()),
            space: set(&|_, byte| byte == b' '),
            dash: set(&|_, byte| byte == b'-'),
            dot: set(&|_, byte| byte == b'.'),
            colon: set(&|_, byte| byte == b':'),
            lead: set(&|_, byte| b"(+".contains(&byte)),
            token: set(&|at, byte| match byte {
                b'@' | b'_' => true,
                b'y' => b"J-=".contains(&window[at + 1]),
                b'x' | b'p' => b"xp".contains(&window[at + 2]) && next(at + 4, b'-'),
                b'g' => next(at + 5, b'-') || next(at + 1, b'='),
                b'd' => next(at + 1, b'a') && next(at + 2, b'p'),
                b'i' | b'k' | b'{' => b"-=".contains(&window[at + 1]),
                b':' => next(at + 1, b'/') && next(at + 2, b'/'),
                b'A' => b"ACIKQSY[".contains(&window[at + 1]),
                _ => false,
            }),
            high: set(&|_, byte| !byte.is_ascii()),
        }
    }

    proptest! {
        #[test]
        fn the_sets_hold_the_bytes_of_their_class(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), proptest::sample::select(b"yJxpg--==://@_AKISC[kidap".to_vec())],
                SEEN,
            ),
        ) {
            let bytes: [u8; SEEN] = bytes.try_into().unwrap();
            let want = plain(&bytes);
            prop_assert_eq!(dispatch!(Level::new(), simd => by_16(simd, &bytes)), want);
            prop_assert_eq!(dispatch!(Level::baseline(), simd => by_16(simd, &bytes)), want);
            #[cfg(target_arch = "x86_64")]
            prop_assert_eq!(dispatch!(Level::new(), simd => super::by_64(simd, &bytes)), want);
        }
    }
}
