//! Characters as the detectors see them: UTF-8 where it is UTF-8, single bytes where it is not.

use fearless_simd::{Level, Simd, SimdBase, SimdMask, dispatch, u8x16};

/// One character of a byte string.
pub(crate) struct Character<'a> {
    /// `None`: a byte that is part of no UTF-8 sequence.
    pub(crate) char: Option<char>,
    pub(crate) bytes: &'a [u8],
}

/// The characters of `bytes`, one by one, never failing.
pub(crate) fn characters(bytes: &[u8]) -> impl Iterator<Item = Character<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (char, length) = decode(rest)?;
        let (bytes, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(Character { char, bytes })
    })
}

/// The first character of `bytes` and its length; `None` inside for a byte that starts no sequence.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Option<char>, usize)> {
    let first = *bytes.first()?;
    if first < 0x80 {
        return Some((Some(char::from(first)), 1));
    }
    let length = match first {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        0x80..=0xC1 | 0xF5..=0xFF => return Some((None, 1)),
        0..=0x7F => 1,
    };
    let char = bytes
        .get(..length)
        .and_then(|sequence| std::str::from_utf8(sequence).ok())
        .and_then(|text| text.chars().next());
    Some(char.map_or((None, 1), |c| (Some(c), length)))
}

/// The character that ends just before `at`, and where it starts.
pub(crate) fn decode_before(bytes: &[u8], at: usize) -> Option<(Option<char>, usize)> {
    let last = at.checked_sub(1)?;
    let byte = *bytes.get(last)?;
    if byte < 0x80 {
        return Some((Some(char::from(byte)), last));
    }
    for back in 2..=4 {
        let Some(start) = at.checked_sub(back) else {
            break;
        };
        if let Some((Some(c), length)) = bytes.get(start..at).and_then(decode)
            && length == back
        {
            return Some((Some(c), start));
        }
    }
    Some((None, last))
}

/// Letters, digits and the underscore, in every script.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Marks that combine with the character before them, so that both are one letter to the reader.
pub(crate) fn is_mark(c: char) -> bool {
    matches!(c as u32,
        0x0300..=0x036F | 0x0483..=0x0489 | 0x0591..=0x05BD | 0x0610..=0x061A | 0x064B..=0x065F
        | 0x093A..=0x094F | 0x0E31..=0x0E4E | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x200D
        | 0x20D0..=0x20FF | 0x302A..=0x302F | 0x3099..=0x309A | 0xFE00..=0xFE0F
        | 0xFE20..=0xFE2F | 0x1F3FB..=0x1F3FF)
}

/// Whether the character that starts at `at` is a word character.
#[inline]
pub(crate) fn word_at(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at) {
        None => false,
        Some(byte) if *byte < 0x80 => byte.is_ascii_alphanumeric() || *byte == b'_',
        Some(_) => matches!(bytes.get(at..).and_then(decode), Some((Some(c), _)) if is_word(c)),
    }
}

/// Whether the character that ends just before `at` is a word character or one of `also`.
#[inline]
pub(crate) fn word_before(bytes: &[u8], at: usize, also: &[u8]) -> bool {
    match at.checked_sub(1).and_then(|last| bytes.get(last)) {
        None => false,
        Some(byte) if *byte < 0x80 => byte.is_ascii_alphanumeric() || *byte == b'_' || also.contains(byte),
        Some(_) => matches!(decode_before(bytes, at), Some((Some(c), _)) if is_word(c)),
    }
}

/// Whether a word character or `-` starts at `at`.
pub(crate) fn word_or_dash_at(bytes: &[u8], at: usize) -> bool {
    bytes.get(at) == Some(&b'-') || word_at(bytes, at)
}

/// Where the run of word characters and hyphens that starts at `from` ends.
pub(crate) fn token_run(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        at += name(bytes.get(at..).unwrap_or_default()).length;
        if bytes.get(at).is_none_or(u8::is_ascii) {
            return at;
        }
        match bytes.get(at..).and_then(decode) {
            Some((Some(c), length)) if is_word(c) => at += length,
            Some(_) | None => return at,
        }
    }
}

/// A run of ASCII letters, digits, underscores and hyphens.
pub(crate) struct Name {
    pub(crate) length: usize,
    /// There is nothing but letters in it.
    pub(crate) letters: bool,
}

/// The name that `bytes` starts with, perhaps an empty one.
#[inline]
pub(crate) fn name(bytes: &[u8]) -> Name {
    let mut name = Name {
        length: 0,
        letters: true,
    };
    let (chunks, rest) = bytes.as_chunks();
    for chunk in chunks {
        let (letters, members) = dispatch!(Level::baseline(), simd => name_bytes(simd, chunk));
        let length = members.trailing_ones();
        name.letters &= letters.trailing_ones() >= length;
        name.length += length as usize;
        if length < 16 {
            return name;
        }
    }
    for byte in rest {
        let letter = byte.is_ascii_alphabetic();
        if !(letter || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')) {
            return name;
        }
        name.letters &= letter;
        name.length += 1;
    }
    name
}

/// Which of the bytes are ASCII letters, and which letters, digits, underscores or hyphens.
#[inline(always)]
fn name_bytes<S: Simd>(simd: S, bytes: &[u8; 16]) -> (u16, u16) {
    let v = u8x16::from_slice(simd, bytes.as_slice());
    let splat = |byte: u8| u8x16::splat(simd, byte);
    let letters = ((v | splat(0x20)) - splat(b'a')).simd_lt(splat(26));
    let digits = (v - splat(b'0')).simd_lt(splat(10));
    let others = v.simd_eq(splat(b'_')) | v.simd_eq(splat(b'-'));
    let members = letters | digits | others;
    (letters.to_bitmask() as u16, members.to_bitmask() as u16)
}

/// What base 64 of either alphabet (RFC 4648, sections 4 and 5) says; other bytes in it are passed over.
pub(crate) fn base64(encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len() / 4 * 3 + 3);
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for byte in encoded {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => continue,
        };
        buffer = buffer << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((buffer >> bits) as u8);
            buffer &= (1 << bits) - 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{name, token_run};

    #[test]
    fn a_name_ends_at_the_first_byte_that_is_not_of_it() {
        for end in 0..40 {
            for byte in 0..=255_u8 {
                let mut text = vec![b'a'; 40];
                if let Some(place) = text.get_mut(end) {
                    *place = byte;
                }
                let member = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                let found = name(&text);
                assert_eq!(found.length, if member { 40 } else { end }, "{byte:#x} at {end}");
                assert_eq!(
                    found.letters,
                    !member || byte.is_ascii_alphabetic(),
                    "{byte:#x} at {end}"
                );
            }
        }
    }

    #[test]
    fn letters_of_other_scripts_belong_to_a_token() {
        assert_eq!(token_run("x-\u{e4}_1.".as_bytes(), 0), 6);
        assert_eq!(token_run(b"x\xff", 0), 1);
    }
}
