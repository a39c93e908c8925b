//! E-mail addresses: RFC 5322 atoms, RFC 6531 characters, host names with a top-level domain.

use std::ops::Range;

use crate::words::{decode, decode_before, is_mark, is_word};

/// The longest label of a host name, in characters.
const LABEL_LIMIT: usize = 63;

/// The address around the `@` at `at`; it starts at `from` (where the one before it ends) or later.
pub(super) fn find(text: &[u8], from: usize, at: usize) -> Option<Range<usize>> {
    let start = local_start(text, at).max(from);
    if start >= at {
        return None;
    }
    let end = domain_end(text, at + 1)?;
    Some(start..end)
}

/// Where the local part that ends at `at` starts. Bytes that are no UTF-8 belong to it: they are letters of
/// another encoding.
fn local_start(text: &[u8], at: usize) -> usize {
    let mut start = at;
    loop {
        let before = text.get(..start).unwrap_or_default();
        start -= before.iter().rev().take_while(|byte| local(**byte)).count();
        match start.checked_sub(1).and_then(|last| text.get(last)) {
            Some(0x80..) => {}
            Some(_) | None => return start,
        }
        match decode_before(text, start) {
            Some((c, before)) if c.is_none_or(|c| is_word(c) || is_mark(c)) => start = before,
            Some(_) | None => return start,
        }
    }
}

/// The ASCII characters of a local part: letters, digits and `.!#$%&'*+/=?^`{|}~_-`.
const LOCAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        let other = matches!(
            byte,
            b'_' | b'.' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'/' | b'=' | b'?' | b'^' | b'`'
                | b'{'..=b'~' | b'-'
        );
        #[expect(clippy::indexing_slicing, reason = "in a constant, below 128 of 256")]
        {
            table[byte as usize] = byte.is_ascii_alphanumeric() || other;
        }
        byte += 1;
    }
    table
};

fn local(byte: u8) -> bool {
    LOCAL.get(usize::from(byte)).copied().unwrap_or_default()
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
    let run = ascii.iter().take_while(|byte| host(**byte)).count();
    if !matches!(ascii.get(run), Some(0x80..)) {
        return ascii_label(ascii.get(..run).unwrap_or_default(), from);
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
fn ascii_label(bytes: &[u8], from: usize) -> Label {
    let international = bytes.strip_prefix(b"xn--").is_some_and(|rest| !rest.is_empty());
    let letters = bytes.len() >= 2 && bytes.iter().all(u8::is_ascii_alphabetic);
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

    use super::find;

    fn found(text: &str) -> Option<&str> {
        find(text.as_bytes(), 0, text.find('@').unwrap()).and_then(|range| text.get(range))
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
