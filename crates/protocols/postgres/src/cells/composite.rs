//! Composite values and records.

use sallyport_mask::Strategy;

use super::Format;
use super::masker::{Masker, Outcome};

/// The type of a field that nobody described: `text`.
const TEXT: u32 = 25;

impl Masker {
    /// Masks each field.
    pub(super) fn composite(
        &mut self,
        rule: Option<Strategy>,
        fields: Option<&[u32]>,
        format: Format,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        let done = match format {
            Format::Text => self.composite_text(rule, fields, value, out),
            Format::Binary => self.composite_binary(rule, value, out),
        };
        match done {
            Some(true) => Outcome::Changed,
            Some(false) => Outcome::Same,
            None => self.malformed(rule, value),
        }
    }

    /// `record_out`: fields between brackets and commas, in quotes where they must be; nothing is NULL.
    fn composite_text(
        &mut self,
        rule: Option<Strategy>,
        fields: Option<&[u32]>,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<bool> {
        let mut rest = value.strip_prefix(b"(")?;
        out.push(b'(');
        let mut changed = false;
        let mut old = Vec::new();
        let mut new = Vec::new();
        let mut number = 0;
        loop {
            let end = field_text(rest, &mut old)?;
            let raw = rest.get(..end)?;
            let oid = fields.map_or(Some(TEXT), |fields| fields.get(number).copied())?;
            new.clear();
            match self.value(rule, oid, Format::Text, &old, &mut new) {
                Outcome::Same => out.extend_from_slice(raw),
                Outcome::Null => changed = true,
                Outcome::Changed => {
                    changed = true;
                    quote_field(&new, out);
                }
            }
            number += 1;
            let (byte, tail) = rest.get(end..)?.split_first()?;
            out.push(*byte);
            rest = tail;
            match byte {
                b',' => {}
                b')' if rest.is_empty() => return Some(changed),
                _ => return None,
            }
        }
    }

    /// `record_send`: a count, then each field with its type and length.
    fn composite_binary(&mut self, rule: Option<Strategy>, value: &[u8], out: &mut Vec<u8>) -> Option<bool> {
        let mut reader = Reader::new(value);
        let count = reader.int()?;
        out.extend_from_slice(reader.seen());
        let mut changed = false;
        for _ in 0..count {
            let oid = reader.int()?;
            out.extend_from_slice(&oid.to_be_bytes());
            let field = reader.field()?;
            changed |= self.field(rule, oid.cast_unsigned(), field, out) != Outcome::Same;
        }
        reader.is_empty().then_some(changed)
    }
}

/// Reads the field that `value` starts with into `text`, without quotes and escapes: where it ends.
fn field_text(value: &[u8], text: &mut Vec<u8>) -> Option<usize> {
    text.clear();
    let mut at = 0;
    let mut quoted = false;
    loop {
        match (value.get(at)?, value.get(at + 1)) {
            (b'"', Some(b'"')) if quoted => {
                text.push(b'"');
                at += 2;
            }
            (b'"', _) => {
                quoted = !quoted;
                at += 1;
            }
            (b'\\', next) => {
                text.push(*next?);
                at += 2;
            }
            (b',' | b')', _) if !quoted => return Some(at),
            (byte, _) => {
                text.push(*byte);
                at += 1;
            }
        }
    }
}

/// Appends a field as `record_out` would write it.
fn quote_field(text: &[u8], out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'(' | b')' | b',' | b' ' | b'\t'..=b'\r');
    if !text.is_empty() && !text.iter().any(special) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(*byte);
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Reads binary containers. Every method gives `None` where the bytes end too soon.
pub(super) struct Reader<'a> {
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(whole: &'a [u8]) -> Self {
        Self { whole, rest: whole }
    }

    /// What was read until now.
    pub(super) fn seen(&self) -> &'a [u8] {
        self.whole.get(..self.whole.len() - self.rest.len()).unwrap_or_default()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    pub(super) fn short(&mut self) -> Option<i16> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(i16::from_be_bytes(*bytes))
    }

    pub(super) fn int(&mut self) -> Option<i32> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(i32::from_be_bytes(*bytes))
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    /// A length and so many bytes; `Some(None)` for NULL, whose length is -1.
    pub(super) fn field(&mut self) -> Option<Option<&'a [u8]>> {
        match self.int()? {
            -1 => Some(None),
            length => self.bytes(usize::try_from(length).ok()?).map(Some),
        }
    }
}
