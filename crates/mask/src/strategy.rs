//! How a value is replaced.

use std::fmt;
use std::str::FromStr;

use fearless_simd::{Level, Select, Simd, SimdBase, SimdFrom, SimdMask, dispatch, u8x16};
use serde::{Deserialize, Serialize};

use crate::{MaskKey, fpe, words};

/// How a value is replaced. The text form is what rules use: `redact`, `keep-last(4)`, `hash` …
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Strategy {
    /// `***`.
    Redact,
    /// A star for every letter and digit but the last n; punctuation stays.
    KeepLast(u8),
    /// Sixteen hexadecimal digits, stable under the key.
    Hash,
    /// NULL where there is such a thing, nothing elsewhere.
    Null,
    /// Zero: of numbers, of digits in text.
    Zero,
    /// Only the year of a date.
    Year,
    /// Another e-mail address of the same shape, under `.example`, stable under the key.
    Email,
    /// Another card number of the same length and issuer with a right check digit, stable under the key.
    Card,
    /// The detector's own form, `redact` where no detector is meant.
    Partial,
}

/// The text is not a strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a way to mask: use redact, keep-last(n), hash, null, zero, year, email, card or partial")]
pub struct UnknownStrategy(pub String);

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownStrategy(text.to_owned());
        Ok(match text.trim() {
            "redact" => Self::Redact,
            "hash" => Self::Hash,
            "null" => Self::Null,
            "zero" => Self::Zero,
            "year" => Self::Year,
            "email" => Self::Email,
            "card" => Self::Card,
            "partial" => Self::Partial,
            other => {
                let count = other
                    .strip_prefix("keep-last(")
                    .and_then(|rest| rest.strip_suffix(')'))
                    .ok_or_else(unknown)?;
                Self::KeepLast(count.trim().parse().map_err(|_| unknown())?)
            }
        })
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redact => f.write_str("redact"),
            Self::KeepLast(count) => write!(f, "keep-last({count})"),
            Self::Hash => f.write_str("hash"),
            Self::Null => f.write_str("null"),
            Self::Zero => f.write_str("zero"),
            Self::Year => f.write_str("year"),
            Self::Email => f.write_str("email"),
            Self::Card => f.write_str("card"),
            Self::Partial => f.write_str("partial"),
        }
    }
}

impl TryFrom<String> for Strategy {
    type Error = UnknownStrategy;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Strategy> for String {
    fn from(strategy: Strategy) -> Self {
        strategy.to_string()
    }
}

/// Appends to `out` what replaces the whole text value `value`. An empty value stays empty.
///
/// What a strategy cannot make of this value (an e-mail address of `n/a`, the year of `soon`) is redacted.
/// [`Strategy::Null`] appends nothing: a caller that can say NULL does.
#[inline]
pub fn apply(strategy: Strategy, key: &MaskKey, value: &[u8], out: &mut Vec<u8>) {
    match strategy {
        _ if value.is_empty() => {}
        Strategy::Redact | Strategy::Partial => out.extend_from_slice(b"***"),
        Strategy::KeepLast(_)
        | Strategy::Hash
        | Strategy::Null
        | Strategy::Zero
        | Strategy::Year
        | Strategy::Email
        | Strategy::Card => apply_other(strategy, key, value, out),
    }
}

/// What takes longer.
fn apply_other(strategy: Strategy, key: &MaskKey, value: &[u8], out: &mut Vec<u8>) {
    match strategy {
        Strategy::Redact | Strategy::Partial => out.extend_from_slice(b"***"),
        Strategy::KeepLast(count) => keep_last(value, usize::from(count), out),
        Strategy::Hash => hash(key, value, out),
        Strategy::Null => {}
        Strategy::Zero => zero(value, out),
        Strategy::Year => year(value, out),
        Strategy::Email => {
            if !fpe::email(key, value, out) {
                out.extend_from_slice(b"***");
            }
        }
        Strategy::Card => {
            if !fpe::card(key, value, out) {
                out.extend_from_slice(b"***");
            }
        }
    }
}

/// Stars for letters and digits but the last `count`; a value with no more than `count` of them shows none.
fn keep_last(value: &[u8], count: usize, out: &mut Vec<u8>) {
    if value.is_ascii() {
        return keep_last_of_ascii(value, count, out);
    }
    let total = words::characters(value).filter(|c| hidden_by_star(c.char)).count();
    let shown_from = if total > count { total - count } else { total };
    let mut seen = 0;
    for c in words::characters(value) {
        if !hidden_by_star(c.char) {
            out.extend_from_slice(c.bytes);
            continue;
        }
        seen += 1;
        if seen > shown_from {
            out.extend_from_slice(c.bytes);
        } else {
            out.push(b'*');
        }
    }
}

fn keep_last_of_ascii(value: &[u8], count: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let mut total = 0;
    let (blocks, rest) = value.as_chunks::<BLOCK>();
    for block in blocks {
        let (starred, stars) = dispatch!(Level::baseline(), simd => star(simd, block));
        out.extend_from_slice(&starred);
        total += stars;
    }
    if !rest.is_empty() {
        let mut block = [0; BLOCK];
        for (slot, byte) in block.iter_mut().zip(rest) {
            *slot = *byte;
        }
        let (starred, stars) = dispatch!(Level::baseline(), simd => star(simd, &block));
        out.extend_from_slice(&starred);
        out.truncate(start + value.len());
        total += stars;
    }
    if total > count {
        let masked = out.get_mut(start..).unwrap_or_default().iter_mut().zip(value);
        let shown = masked.rev().filter(|(_, byte)| byte.is_ascii_alphanumeric());
        for (masked, byte) in shown.take(count) {
            *masked = *byte;
        }
    }
}

/// As many bytes as are starred at once.
const BLOCK: usize = 16;

/// Stars for ASCII letters and digits, and how many there are.
#[inline(always)]
fn star<S: Simd>(simd: S, block: &[u8; BLOCK]) -> ([u8; BLOCK], usize) {
    let v = u8x16::simd_from(simd, *block);
    let splat = |byte: u8| u8x16::splat(simd, byte);
    let letters = ((v | splat(0x20)) - splat(b'a')).simd_lt(splat(26));
    let digits = (v - splat(b'0')).simd_lt(splat(10));
    let hidden = letters | digits;
    let starred: [u8; BLOCK] = hidden.select(splat(b'*'), v).into();
    (starred, hidden.to_bitmask().count_ones() as usize)
}

/// Letters, digits, marks on letters and bytes that are no characters: all that carries a value.
fn hidden_by_star(c: Option<char>) -> bool {
    c.is_none_or(|c| c.is_alphanumeric() || words::is_mark(c))
}

fn hash(key: &MaskKey, value: &[u8], out: &mut Vec<u8>) {
    let number = key.number("hash", value);
    for nibble in (0..16).rev() {
        let digit = (number >> (nibble * 4) & 0xf) as u8;
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
}

/// Digits become zeros if there is nothing else but punctuation; any other text is redacted.
fn zero(value: &[u8], out: &mut Vec<u8>) {
    if value.iter().all(|b| b.is_ascii_digit() || b"+-., $/:".contains(b)) {
        out.extend(value.iter().map(|b| if b.is_ascii_digit() { b'0' } else { *b }));
    } else {
        out.extend_from_slice(b"***");
    }
}

/// `1980` of `1980-05-17 10:11`, with the first of January in the same shape.
fn year(value: &[u8], out: &mut Vec<u8>) {
    match value {
        [a, b, c, d, b'-', m1, m2, b'-', d1, d2, rest @ ..]
            if [a, b, c, d, m1, m2, d1, d2].iter().all(|x| x.is_ascii_digit())
                && rest.first().is_none_or(|x| matches!(x, b' ' | b'T')) =>
        {
            out.extend_from_slice(&[*a, *b, *c, *d]);
            out.extend_from_slice(b"-01-01");
        }
        [a, b, c, d] if value.iter().all(u8::is_ascii_digit) => {
            out.extend_from_slice(&[*a, *b, *c, *d]);
        }
        _ => out.extend_from_slice(b"***"),
    }
}

#[cfg(test)]
mod tests {
    use super::keep_last_of_ascii;

    #[test]
    fn so_many_letters_and_digits_are_left_at_any_length() {
        let alphabet = b"a-Z9/@[`{ 0:";
        for length in 0..50_usize {
            for count in [0, 1, 4, 20, 60] {
                let value: Vec<u8> = alphabet.iter().cycle().skip(length).take(length).copied().collect();
                let total = value.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
                let mut hidden = if total > count { total - count } else { total };
                let mut star = |byte: &u8| {
                    let hides = hidden > 0 && byte.is_ascii_alphanumeric();
                    hidden -= usize::from(hides);
                    if hides { b'*' } else { *byte }
                };
                let want: Vec<u8> = b"kept".iter().copied().chain(value.iter().map(&mut star)).collect();
                let mut out = b"kept".to_vec();
                keep_last_of_ascii(&value, count, &mut out);
                assert_eq!(out, want, "{count} of {value:?}");
            }
        }
    }
}
