//! `json`, `jsonb`, `xml` and `bytea`.

use sallyport_mask::{Strategy, json};

use super::masker::{Masker, Outcome};
use super::{Format, TypeKind};

/// The version byte of binary `jsonb`.
const JSONB_VERSION: u8 = 1;

impl Masker {
    /// A document of a classified column: no part of it is shown.
    pub(super) fn ruled_json(
        &mut self,
        strategy: Strategy,
        kind: &TypeKind,
        format: Format,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        let Some(text) = json_text(kind, format, value, out) else {
            return Outcome::Null;
        };
        match strategy {
            Strategy::Zero => out.push(b'0'),
            Strategy::Null => return Outcome::Null,
            Strategy::Hash | Strategy::KeepLast(_) | Strategy::Year | Strategy::Email | Strategy::Card => {
                let mut new = Vec::new();
                match plain_string(text) {
                    Some(string) => {
                        sallyport_mask::apply(strategy, &self.key, string.as_bytes(), &mut new);
                    }
                    None if strategy == Strategy::Hash => {
                        sallyport_mask::apply(strategy, &self.key, text, &mut new);
                    }
                    None => new.extend_from_slice(b"***"),
                }
                json::quote(&new, out);
            }
            Strategy::Redact | Strategy::Partial => out.extend_from_slice(b"\"***\""),
        }
        Outcome::Changed
    }

    pub(super) fn detected_json(
        &mut self,
        kind: &TypeKind,
        format: Format,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        let Some(text) = json_text(kind, format, value, out) else {
            return self.null_if_found(value);
        };
        if json::mask(&self.scanner, text, &mut self.scratch, out) {
            Outcome::Changed
        } else {
            Outcome::Same
        }
    }

    /// Stars and punctuation would break the mark-up, so only whole replacements are made.
    pub(super) fn ruled_xml(&mut self, strategy: Strategy, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        match strategy {
            Strategy::Hash => sallyport_mask::apply(strategy, &self.key, value, out),
            Strategy::Null => return Outcome::Null,
            Strategy::Redact
            | Strategy::KeepLast(_)
            | Strategy::Zero
            | Strategy::Year
            | Strategy::Email
            | Strategy::Card
            | Strategy::Partial => out.extend_from_slice(b"***"),
        }
        Outcome::Changed
    }

    /// Values are replaced in the text; a value that only shows once character references are resolved takes the
    /// document with it.
    pub(super) fn detected_xml(&mut self, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        if self.scanned(value, out) == Outcome::Changed {
            return Outcome::Changed;
        }
        match resolved(value) {
            Some(resolved) => self.null_if_found(&resolved),
            None => Outcome::Same,
        }
    }

    pub(super) fn ruled_bytea(
        &mut self,
        strategy: Strategy,
        format: Format,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        let Some(bytes) = decoded(format, value) else {
            return Outcome::Null;
        };
        if bytes.is_empty() {
            return Outcome::Same;
        }
        let mut new = Vec::new();
        match strategy {
            Strategy::Null => return Outcome::Null,
            Strategy::Hash => sallyport_mask::apply(strategy, &self.key, &bytes, &mut new),
            Strategy::Zero => new.resize(bytes.len(), 0),
            Strategy::Redact
            | Strategy::KeepLast(_)
            | Strategy::Year
            | Strategy::Email
            | Strategy::Card
            | Strategy::Partial => new.extend_from_slice(b"***"),
        }
        encode(format, value, &new, out);
        Outcome::Changed
    }

    pub(super) fn detected_bytea(&mut self, format: Format, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        if format == Format::Binary {
            return self.scanned(value, out);
        }
        let Some(bytes) = decoded(format, value) else {
            return self.null_if_found(value);
        };
        let mut new = Vec::new();
        if !self.scanner.scan_with(&bytes, &mut self.scratch, &mut new) {
            return Outcome::Same;
        }
        encode(format, value, &new, out);
        Outcome::Changed
    }
}

/// The text of a document. The version byte of binary `jsonb` is appended to `out`, where the new text follows.
fn json_text<'a>(kind: &TypeKind, format: Format, value: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    if *kind != TypeKind::Jsonb || format == Format::Text {
        return Some(value);
    }
    let text = value.strip_prefix(&[JSONB_VERSION])?;
    out.push(JSONB_VERSION);
    Some(text)
}

/// What a document means that is nothing but a string.
fn plain_string(text: &[u8]) -> Option<String> {
    serde_json::from_slice(text).ok()
}

/// The text with numeric character references resolved, if there are any.
fn resolved(value: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(value, b"&#")?;
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = memchr::memmem::find(rest, b"&#") {
        let (before, tail) = rest.split_at_checked(at)?;
        out.extend_from_slice(before);
        let end = tail.iter().take(16).position(|byte| *byte == b';');
        let c = end.and_then(|end| tail.get(2..end)).and_then(reference);
        match (c, end) {
            (Some(c), Some(end)) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = tail.get(end + 1..)?;
            }
            _ => {
                out.extend_from_slice(b"&#");
                rest = tail.get(2..)?;
            }
        }
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// The character of `53` or `x35`.
fn reference(digits: &[u8]) -> Option<char> {
    let text = std::str::from_utf8(digits).ok()?;
    let code = match text.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => text.parse().ok()?,
    };
    char::from_u32(code)
}

/// The bytes of a `bytea`; in text either `\x` and hexadecimal digits or the old escapes.
fn decoded(format: Format, value: &[u8]) -> Option<Vec<u8>> {
    if format == Format::Binary {
        return Some(value.to_vec());
    }
    let Some(hex) = value.strip_prefix(b"\\x") else {
        return unescaped(value);
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = hex.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

fn unescaped(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        match rest {
            [b'\\', tail @ ..] => {
                out.push(b'\\');
                rest = tail;
            }
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => return None,
        }
    }
    Some(out)
}

/// Appends the bytes in the format, and in text in the style, of the old value.
fn encode(format: Format, old: &[u8], new: &[u8], out: &mut Vec<u8>) {
    if format == Format::Binary {
        out.extend_from_slice(new);
    } else if old.starts_with(b"\\x") {
        out.extend_from_slice(b"\\x");
        for byte in new {
            for digit in [byte >> 4, byte & 0xF] {
                out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
            }
        }
    } else {
        for byte in new {
            match byte {
                b'\\' => out.extend_from_slice(b"\\\\"),
                0x20..=0x7E => out.push(*byte),
                _ => {
                    let octal = [byte >> 6, byte >> 3 & 7, byte & 7].map(|digit| b'0' + digit);
                    out.push(b'\\');
                    out.extend_from_slice(&octal);
                }
            }
        }
    }
}
