//! E-mail addresses: RFC 5322 atoms, RFC 6531 characters, host names with a top-level domain.

use std::ops::Range;

use fearless_simd::{Level, Simd, SimdBase, SimdMask, dispatch, u8x16};

use crate::words::{Name, decode, decode_before, is_mark, is_word, name};

/// The longest label of a host name, in characters.
const LABEL_LIMIT: usize = 63;

/// So many bytes of a local part are looked at. RFC 5321 allows 64.
const LOCAL_LIMIT: usize = 256;

/// The address around the `@` at `at`; it starts at `from` (where the one before it ends) or later.
pub(super) fn find(text: &[u8], from: usize, at: usize) -> Option<Range<usize>> {
    let start = local_start(text, at).max(from);
    if start >= at {
        return None;
    }
    let end = domain_end(text, at + 1)?;
    Some(start..end)
}

/// Where the local part that ends at `at` starts, of which at most [`LOCAL_LIMIT`] bytes count. Bytes that are no
/// UTF-8 belong to it: they are letters of another encoding.
fn local_start(text: &[u8], at: usize) -> usize {
    let limit = at.saturating_sub(LOCAL_LIMIT);
    let mut start = at;
    loop {
        let before = text.get(limit..start).unwrap_or_default();
        start -= local_length(before);
        if start == limit {
            return start;
        }
        match start.checked_sub(1).and_then(|last| text.get(last)) {
            Some(0x80..) => {}
            Some(_) | None => return start,
        }
        match decode_before(text, start) {
            Some((c, before)) if before >= limit && c.is_none_or(|c| is_word(c) || is_mark(c)) => start = before,
            Some(_) | None => return start,
        }
    }
}

/// How many ASCII characters of a local part `text` ends with.
fn local_length(text: &[u8]) -> usize {
    let (rest, chunks) = text.as_rchunks();
    let mut length = 0;
    for chunk in chunks.iter().rev() {
        let here = dispatch!(Level::baseline(), simd => local_bytes(simd, chunk)).leading_ones();
        length += here as usize;
        if here < 16 {
            return length;
        }
    }
    length + rest.iter().rev().take_while(|byte| is_local(**byte)).count()
}

/// Which of the bytes are ASCII characters of a local part: those that are printed, but for [`SPECIAL`].
#[inline(always)]
fn local_bytes<S: Simd>(simd: S, bytes: &[u8; 16]) -> u16 {
    let v = u8x16::from_slice(simd, bytes.as_slice());
    let splat = |byte: u8| u8x16::splat(simd, byte);
    let mut special = v.simd_eq(splat(b'"'));
    for byte in SPECIAL {
        special |= v.simd_eq(splat(byte));
    }
    let printed = (v - splat(b'!')).simd_lt(splat(b'~' - b'!' + 1));
    (printed & !special).to_bitmask() as u16
}

/// The printed ASCII characters that no local part holds without quotes: letters, digits and `.!#$%&'*+/=?^`{|}~_-`
/// are the others.
const SPECIAL: [u8; 12] = *b"\"(),:;<>@[\\]";

fn is_local(byte: u8) -> bool {
    byte.is_ascii_graphic() && !SPECIAL.contains(&byte)
}

/// One label of a host name.
struct Label {
    end: usize,
    /// Can stand anywhere in the name.
    sound: bool,
    /// Can stand last.
    top: bool,
}

/// Where the host name at `from` ends: behind the last label that can be a top-level domain, with sound
/// labels before it.
fn domain_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    let mut best = None;
    loop {
        let label = label(text, at);
        if at > from && label.top {
            best = Some(label.end);
        }
        if !label.sound || text.get(label.end) != Some(&b'.') {
            return best;
        }
        at = label.end + 1;
    }
}

fn label(text: &[u8], from: usize) -> Label {
    let mut at = from;
    let ascii = text.get(from..).unwrap_or_default();
    let Name { length, letters } = name(ascii);
    if !matches!(ascii.get(length), Some(0x80..)) {
        return ascii_label(ascii.get(..length).unwrap_or_default(), letters, from);
    }
    let (mut count, mut letters, mut last_dash) = (0, true, true);
    while let Some(byte) = text.get(at) {
        if *byte < 0x80 {
            if !host(*byte) {
                break;
            }
            letters &= byte.is_ascii_alphabetic();
            last_dash = *byte == b'-';
            (at, count) = (at + 1, count + 1);
            continue;
        }
        let Some((c, length)) = text.get(at..).and_then(decode) else {
            break;
        };
        if !c.is_none_or(|c| is_word(c) || is_mark(c)) {
            break;
        }
        letters &= c.is_none_or(|c| !c.is_numeric());
        last_dash = false;
        (at, count) = (at + length, count + 1);
    }
    let bytes = text.get(from..at).unwrap_or_default();
    let first_dash = bytes.first() == Some(&b'-');
    let international = bytes.strip_prefix(b"xn--").is_some_and(|rest| !rest.is_empty());
    Label {
        end: at,
        sound: (1..=LABEL_LIMIT).contains(&count) && !first_dash && !last_dash,
        top: international || (letters && count >= 2),
    }
}

/// A label without characters of other scripts, which starts at `from`.
fn ascii_label(bytes: &[u8], letters: bool, from: usize) -> Label {
    let international = bytes.len() > 4 && bytes.starts_with(b"xn--");
    let letters = bytes.len() >= 2 && letters;
    let dash = bytes.first() == Some(&b'-') || bytes.last() == Some(&b'-');
    Label {
        end: from + bytes.len(),
        sound: (1..=LABEL_LIMIT).contains(&bytes.len()) && !dash,
        top: international || letters,
    }
}

/// The ASCII characters of a label.
fn host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// How many bytes of the local part are shown: its first letter with the marks on it.
pub(super) fn shown(address: &[u8]) -> usize {
    if let [0..0x80, 0..0x80, ..] = address {
        return 1;
    }
    let mut end = decode(address).map_or(0, |(_, length)| length);
    while let Some((Some(c), length)) = address.get(end..).and_then(decode) {
        if !is_mark(c) {
            break;
        }
        end += length;
    }
    end
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{find, local_length};

    fn found(text: &str) -> Option<&str> {
        find(text.as_bytes(), 0, text.find('@').unwrap()).and_then(|range| text.get(range))
    }

    #[test]
    fn the_characters_of_a_local_part_are_known_wherever_they_stand() {
        let of_rfc_5322 = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^`{|}~_-".contains(&byte);
        for byte in 0..=255_u8 {
            for behind in 0..40 {
                let mut text = vec![byte];
                text.resize(behind + 1, b'a');
                let want = behind + usize::from(of_rfc_5322(byte));
                assert_eq!(local_length(&text), want, "{byte:#x} before {behind}");
            }
        }
    }

    #[test]
    fn addresses_in_their_surroundings() {
        assert_eq!(found("mailto:ada@example.com?x=1"), Some("ada@example.com"));
        assert_eq!(found("ends with ada@example.com."), Some("ada@example.com"));
        assert_eq!(found("ada@example.com.2x"), Some("ada@example.com"));
        assert_eq!(found("用户@例子.公司"), Some("用户@例子.公司"));
        assert_eq!(found("a@b.xn--p1ai"), Some("a@b.xn--p1ai"));
    }

    #[test]
    fn what_only_has_an_at_sign_is_no_address() {
        for text in [
            "a@b",
            "foo@2x.p",
            "1@2.3",
            "@example.com",
            "a@-b.com",
            "a@.com",
            "a@b..com",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn other_encodings_do_not_hide_an_address() {
        let text = b"j\xf6rg@m\xfcller.de";
        assert_eq!(find(text, 0, 4), Some(0..text.len()));
    }
}
