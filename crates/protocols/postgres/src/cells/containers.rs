//! Arrays, ranges, multiranges and `hstore`: values in values.

use sallyport_mask::Strategy;

use super::composite::Reader;
use super::masker::{Masker, Outcome};
use super::{Format, TypeKind};

/// PostgreSQL's limit of dimensions (MAXDIM).
const DIMENSIONS: usize = 6;

impl Masker {
    /// Masks each element; an element that becomes NULL stays in its place.
    pub(super) fn array(
        &mut self,
        rule: Option<Strategy>,
        element: u32,
        delimiter: u8,
        format: Format,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        let done = match format {
            Format::Text => self.array_text(rule, element, delimiter, value, out),
            Format::Binary => self.array_binary(rule, value, out),
        };
        match done {
            Some(true) => Outcome::Changed,
            Some(false) => Outcome::Same,
            None => self.malformed(rule, value),
        }
    }

    /// A value that its type's format does not explain: NULL if it would have been masked or holds anything.
    pub(super) fn malformed(&mut self, rule: Option<Strategy>, value: &[u8]) -> Outcome {
        match rule {
            Some(_) => Outcome::Null,
            None => self.null_if_found(value),
        }
    }

    /// `array_out`: braces, delimiters, quotes where they must be.
    fn array_text(
        &mut self,
        rule: Option<Strategy>,
        element: u32,
        delimiter: u8,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<bool> {
        let mut changed = false;
        let mut at = 0;
        if value.first() == Some(&b'[') {
            at = memchr::memchr(b'=', value)? + 1;
            out.extend_from_slice(value.get(..at)?);
        }
        let mut old = Vec::new();
        let mut new = Vec::new();
        while let Some(byte) = value.get(at) {
            if matches!(byte, b'{' | b'}') || *byte == delimiter {
                out.push(*byte);
                at += 1;
                continue;
            }
            let (end, quoted) = element_text(value, at, delimiter, &mut old)?;
            let raw = value.get(at..end)?;
            at = end;
            if !quoted && old.eq_ignore_ascii_case(b"NULL") {
                out.extend_from_slice(raw);
                continue;
            }
            new.clear();
            match self.value(rule, element, Format::Text, &old, &mut new) {
                Outcome::Same => out.extend_from_slice(raw),
                Outcome::Null => {
                    changed = true;
                    out.extend_from_slice(b"NULL");
                }
                Outcome::Changed => {
                    changed = true;
                    quote_element(&new, delimiter, out);
                }
            }
        }
        Some(changed)
    }

    /// `array_send`: dimensions, flags, element type, then each element with its length.
    fn array_binary(&mut self, rule: Option<Strategy>, value: &[u8], out: &mut Vec<u8>) -> Option<bool> {
        let start = out.len();
        let mut reader = Reader::new(value);
        let dimensions = usize::try_from(reader.int()?).ok()?;
        let _has_null = reader.int()?;
        let element = reader.int()?.cast_unsigned();
        if dimensions > DIMENSIONS {
            return None;
        }
        let mut count: usize = usize::from(dimensions > 0);
        for _ in 0..dimensions {
            count = count.checked_mul(usize::try_from(reader.int()?).ok()?)?;
            reader.int()?;
        }
        out.extend_from_slice(reader.seen());
        let mut changed = false;
        let mut nulled = false;
        for _ in 0..count {
            let field = reader.field()?;
            let outcome = self.field(rule, element, field, out);
            changed |= outcome != Outcome::Same;
            nulled |= outcome == Outcome::Null;
        }
        if nulled {
            for (to, from) in out.iter_mut().skip(start + 4).zip(1_i32.to_be_bytes()) {
                *to = from;
            }
        }
        reader.is_empty().then_some(changed)
    }

    /// Appends a field of a binary container with its length.
    pub(super) fn field(
        &mut self,
        rule: Option<Strategy>,
        oid: u32,
        field: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let Some(field) = field else {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            return Outcome::Same;
        };
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        let outcome = self.value(rule, oid, Format::Binary, field, out);
        let length = match outcome {
            Outcome::Same => {
                out.extend_from_slice(field);
                i32::try_from(field.len()).unwrap_or(-1)
            }
            Outcome::Null => -1,
            Outcome::Changed => i32::try_from(out.len() - start - 4).unwrap_or(-1),
        };
        for (to, from) in out.iter_mut().skip(start).zip(length.to_be_bytes()) {
            *to = from;
        }
        outcome
    }

    /// A range with something in a bound becomes NULL: a bound cannot be changed by itself.
    pub(super) fn range(&mut self, bound: u32, format: Format, value: &[u8]) -> Outcome {
        match format {
            Format::Text => self.null_if_found(value),
            Format::Binary => {
                let mut reader = Reader::new(value);
                self.range_binary(bound, &mut reader)
                    .filter(|_| reader.is_empty())
                    .unwrap_or_else(|| self.malformed(None, value))
            }
        }
    }

    /// `range_send`: flags, then the bounds that there are.
    fn range_binary(&mut self, bound: u32, reader: &mut Reader<'_>) -> Option<Outcome> {
        const EMPTY: u8 = 0x01;
        const LOWER_INFINITE: u8 = 0x08;
        const UPPER_INFINITE: u8 = 0x10;
        let flags = reader.byte()?;
        let mut outcome = Outcome::Same;
        let absent = [LOWER_INFINITE, UPPER_INFINITE];
        for absent in absent.into_iter().filter(|_| flags & EMPTY == 0) {
            if flags & absent != 0 {
                continue;
            }
            let field = reader.field()??;
            if self.value(None, bound, Format::Binary, field, &mut Vec::new()) != Outcome::Same {
                outcome = Outcome::Null;
            }
        }
        Some(outcome)
    }

    /// `multirange_send`: a count, then ranges with their lengths.
    pub(super) fn multirange(&mut self, bound: u32, format: Format, value: &[u8]) -> Outcome {
        if format == Format::Text {
            return self.null_if_found(value);
        }
        let mut reader = Reader::new(value);
        let mut check = || {
            let count = reader.int()?;
            for _ in 0..count {
                let range = reader.field()??;
                if self.range(bound, Format::Binary, range) != Outcome::Same {
                    return Some(Outcome::Null);
                }
            }
            reader.is_empty().then_some(Outcome::Same)
        };
        match check() {
            Some(outcome) => outcome,
            None => self.malformed(None, value),
        }
    }

    /// Keys and values of an `hstore`.
    pub(super) fn hstore(&mut self, format: Format, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        let done = match format {
            Format::Text => self.hstore_text(value, out),
            Format::Binary => self.hstore_binary(value, out),
        };
        match done {
            Some(true) => Outcome::Changed,
            Some(false) => Outcome::Same,
            None => self.malformed(None, value),
        }
    }

    /// `"key"=>"value", "key"=>NULL`: only what is in quotes can hold anything.
    fn hstore_text(&mut self, value: &[u8], out: &mut Vec<u8>) -> Option<bool> {
        let mut changed = false;
        let mut rest = value;
        let mut old = Vec::new();
        let mut new = Vec::new();
        while let Some(open) = memchr::memchr(b'"', rest) {
            out.extend_from_slice(rest.get(..=open)?);
            rest = rest.get(open + 1..)?;
            let end = quoted_text(rest, &mut old)?;
            new.clear();
            if self.scanned(&old, &mut new) == Outcome::Changed {
                changed = true;
                escape_quoted(&new, out);
            } else {
                out.extend_from_slice(rest.get(..end)?);
            }
            out.push(b'"');
            rest = rest.get(end + 1..)?;
        }
        out.extend_from_slice(rest);
        Some(changed)
    }

    fn hstore_binary(&mut self, value: &[u8], out: &mut Vec<u8>) -> Option<bool> {
        const TEXT: u32 = 25;
        let mut reader = Reader::new(value);
        let count = reader.int()?;
        out.extend_from_slice(reader.seen());
        let mut changed = false;
        for _ in 0..count {
            for _ in 0..2 {
                let field = reader.field()?;
                changed |= self.field(None, TEXT, field, out) != Outcome::Same;
            }
        }
        reader.is_empty().then_some(changed)
    }
}

impl TypeKind {
    /// The array of elements of this type, with the usual delimiter.
    pub const fn array_of(element: u32) -> Self {
        Self::Array {
            element,
            delimiter: b',',
        }
    }
}

/// Reads the element that starts at `from` into `text`, without quotes and escapes: where it ends, and
/// whether it was quoted.
fn element_text(value: &[u8], from: usize, delimiter: u8, text: &mut Vec<u8>) -> Option<(usize, bool)> {
    if value.get(from) == Some(&b'"') {
        let end = quoted_text(value.get(from + 1..)?, text)?;
        return Some((from + 1 + end + 1, true));
    }
    text.clear();
    let mut at = from;
    loop {
        match value.get(at)? {
            b'{' | b'}' => break,
            byte if *byte == delimiter => break,
            b'\\' => {
                text.push(*value.get(at + 1)?);
                at += 2;
            }
            byte => {
                text.push(*byte);
                at += 1;
            }
        }
    }
    Some((at, false))
}

/// Reads up to the closing quote into `text`, without backslashes: where the quote is.
fn quoted_text(value: &[u8], text: &mut Vec<u8>) -> Option<usize> {
    text.clear();
    let mut at = 0;
    loop {
        match value.get(at)? {
            b'"' => return Some(at),
            b'\\' => {
                text.push(*value.get(at + 1)?);
                at += 2;
            }
            byte => {
                text.push(*byte);
                at += 1;
            }
        }
    }
}

fn escape_quoted(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
}

/// Appends an element as `array_out` would write it.
fn quote_element(text: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b' ' | b'\t'..=b'\r') || *byte == delimiter;
    if text.is_empty() || text.eq_ignore_ascii_case(b"NULL") || text.iter().any(special) {
        out.push(b'"');
        escape_quoted(text, out);
        out.push(b'"');
    } else {
        out.extend_from_slice(text);
    }
}
