//! Private keys in PEM (RFC 7468) and PGP armour.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

static BEGIN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"-----BEGIN "));
static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"-----END "));

/// The longest label looked at.
const LABEL_LIMIT: usize = 128;

/// The key whose `-----BEGIN` starts at `start`: up to its end line, or to the end of the text where the end
/// line is missing, because a key cut short is still a key.
pub(crate) fn find(text: &[u8], start: usize) -> Option<Range<usize>> {
    let head = text.get(start..)?.strip_prefix(b"-----BEGIN ")?;
    let body = start + 11 + label(head)?;
    Some(start..end_after(text, body).unwrap_or(text.len()))
}

/// Where the first end line at or after `from` ends.
pub(crate) fn end_after(text: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    END.find_iter(rest).find_map(|at| {
        let tail = from + at + 9;
        label(text.get(tail..)?).map(|length| tail + length)
    })
}

/// The length of `-----BEGIN `.
pub(crate) const BEGIN_LENGTH: usize = 11;

/// Where the first `-----BEGIN ` at or after `from` is.
pub(crate) fn begin_after(text: &[u8], from: usize) -> Option<usize> {
    BEGIN.find(text.get(from..)?).map(|at| from + at)
}

/// What a text that goes on starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    /// The label of a private key, so long.
    Whole(usize),
    /// The beginning of one, perhaps.
    Open,
    /// Something else.
    None,
}

/// Whether `text`, which goes on, starts with the rest of the first line of a private key.
pub(crate) fn label_of(text: &[u8]) -> Label {
    let possible = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b' ' | b'-');
    match label(text) {
        Some(length) => Label::Whole(length),
        None if text.len() < LABEL_LIMIT && text.iter().all(possible) => Label::Open,
        None => Label::None,
    }
}

/// The length of `PRIVATE KEY-----`, with words before and ` BLOCK` after, that `text` starts with.
fn label(text: &[u8]) -> Option<usize> {
    let text = text.get(..LABEL_LIMIT).unwrap_or(text);
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        if let Some(tail) = rest.strip_prefix(b"PRIVATE KEY") {
            let tail = tail.strip_prefix(b" BLOCK").unwrap_or(tail);
            if tail.starts_with(b"-----") {
                return Some(text.len() - tail.len() + 5);
            }
        }
        let word = rest
            .iter()
            .take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            .count();
        if word == 0 || rest.get(word) != Some(&b' ') {
            return None;
        }
        at += word + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Label, find, label_of};

    #[test]
    fn up_to_the_end_line_or_the_end_of_the_text() {
        let text = b"-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nrest";
        assert_eq!(find(text, 0), Some(0..text.len() - 5));
        assert_eq!(find(text.get(..40).unwrap_or_default(), 0), Some(0..40));
        assert_eq!(find(b"-----BEGIN CERTIFICATE-----\nMII", 0), None);
    }

    #[test]
    fn a_label_that_may_go_on_is_known() {
        assert_eq!(label_of(b"PRIVATE KEY-----\nAA"), Label::Whole(16));
        assert_eq!(label_of(b"RSA PRIV"), Label::Open);
        assert_eq!(label_of(b""), Label::Open);
        assert_eq!(label_of(b"CERTIFICATE-----\n"), Label::None);
        assert_eq!(label_of(b"of the line"), Label::None);
    }
}
