//! `FORMAT text`: delimiters, backslashes (`CopyAttributeOutText` in PostgreSQL's `copyto.c`).

use fearless_simd::{Level, Simd, SimdBase, SimdFrom, SimdMask, dispatch, u8x16};

use super::copy::{Columns, TextOptions};
use super::masker::Outcome;
use super::{CellError, Encoding, Format};

/// Masks a row without its line end.
pub(super) fn row(
    options: &TextOptions,
    columns: &mut Columns,
    row: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CellError> {
    if columns.searchable(options.delimiter)
        && options.encoding == Encoding::Plain
        && memchr::memchr(b'\\', row).is_none()
        && columns.holds_nothing(row)
    {
        out.extend_from_slice(row);
        return Ok(());
    }
    let mut rest = row;
    let mut number = 0;
    let mut old = Vec::new();
    loop {
        let end = field_end(options, rest);
        let raw = rest.get(..end).unwrap_or_default();
        field(options, columns, number, raw, &mut old, out);
        number += 1;
        match rest.get(end + 1..) {
            Some(next) => rest = next,
            None => break,
        }
        out.push(options.delimiter);
    }
    columns.check(number)
}

fn field(
    options: &TextOptions,
    columns: &mut Columns,
    number: usize,
    raw: &[u8],
    old: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    if raw == options.null {
        out.extend_from_slice(raw);
        return;
    }
    let value = if memchr::memchr(b'\\', raw).is_some() {
        unescape(options.encoding, raw, old);
        old.as_slice()
    } else {
        raw
    };
    match columns.value(number, Format::Text, value) {
        Outcome::Same => out.extend_from_slice(raw),
        Outcome::Null => out.extend_from_slice(&options.null),
        Outcome::Changed => escape(options, &columns.cell, out),
    }
}

/// Where the first field ends: at a delimiter without a backslash, or at the end.
fn field_end(options: &TextOptions, row: &[u8]) -> usize {
    if options.encoding == Encoding::Plain {
        let mut at = 0;
        while let Some(next) = row
            .get(at..)
            .and_then(|rest| memchr::memchr2(options.delimiter, b'\\', rest))
        {
            at += next;
            if row.get(at) == Some(&options.delimiter) {
                return at;
            }
            at += 2;
        }
        return row.len();
    }
    let mut at = 0;
    while let Some(byte) = row.get(at) {
        if *byte == options.delimiter {
            return at;
        }
        at += match byte {
            b'\\' => 2,
            _ => options.encoding.length(*byte, row.get(at + 1).copied()),
        };
    }
    row.len()
}

/// Reads a field without its backslashes into `value`.
pub(super) fn unescape(encoding: Encoding, raw: &[u8], value: &mut Vec<u8>) {
    value.clear();
    let mut at = 0;
    while let Some(byte) = raw.get(at) {
        if *byte == b'\\' {
            let next = raw.get(at + 1).copied().unwrap_or(b'\\');
            value.push(match next {
                b'b' => 0x08,
                b'f' => 0x0C,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0B,
                other => other,
            });
            at += 2;
            continue;
        }
        let end = (at + encoding.length(*byte, raw.get(at + 1).copied())).min(raw.len());
        value.extend_from_slice(raw.get(at..end).unwrap_or_default());
        at = end;
    }
}

/// Whether a value must be written with backslashes.
#[inline]
pub(super) fn needs_escapes(options: &TextOptions, value: &[u8]) -> bool {
    if options.encoding != Encoding::Plain {
        return true;
    }
    let special = |byte: &u8| matches!(byte, 0x08..=0x0D | b'\\') || *byte == options.delimiter;
    might_need_escapes(value, options.delimiter) && value.iter().any(special)
}

/// As many bytes as are looked at in one go.
const BLOCK: usize = 16;

/// Whether any byte is one of those that need a backslash, or another control character.
#[inline]
fn might_need_escapes(value: &[u8], delimiter: u8) -> bool {
    let Some(last) = value.last_chunk::<BLOCK>() else {
        let special = |byte: u8| (byte < 0x20) | (byte == b'\\') | (byte == delimiter);
        return value.iter().fold(false, |any, byte| any | special(*byte));
    };
    // The last block may lie across the one before it.
    let mut any = dispatch!(Level::baseline(), simd => has_special(simd, last, delimiter));
    let (blocks, _) = value.as_chunks();
    for block in blocks {
        any |= dispatch!(Level::baseline(), simd => has_special(simd, block, delimiter));
    }
    any
}

#[inline(always)]
fn has_special<S: Simd>(simd: S, block: &[u8; BLOCK], delimiter: u8) -> bool {
    let v = u8x16::simd_from(simd, *block);
    let splat = |byte: u8| u8x16::splat(simd, byte);
    (v.simd_lt(splat(0x20)) | v.simd_eq(splat(b'\\')) | v.simd_eq(splat(delimiter))).any_true()
}

/// Appends a value, with backslashes where it needs them.
pub(super) fn escape(options: &TextOptions, value: &[u8], out: &mut Vec<u8>) {
    if !needs_escapes(options, value) {
        out.extend_from_slice(value);
        return;
    }
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        let letter = match byte {
            0x08 => Some(b'b'),
            0x0C => Some(b'f'),
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            0x0B => Some(b'v'),
            b'\\' => Some(b'\\'),
            other => (*other == options.delimiter).then_some(*other),
        };
        if let Some(letter) = letter {
            out.extend_from_slice(&[b'\\', letter]);
            at += 1;
            continue;
        }
        let length = options.encoding.length(*byte, value.get(at + 1).copied());
        let end = (at + length).min(value.len());
        out.extend_from_slice(value.get(at..end).unwrap_or_default());
        at = end;
    }
}
