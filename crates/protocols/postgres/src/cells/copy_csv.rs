//! `FORMAT csv`: quotes (`CopyAttributeOutCSV` in PostgreSQL's `copyto.c`).

use super::copy::{Columns, CsvOptions};
use super::masker::Outcome;
use super::{CellError, Encoding, Format};

/// How far the search for the end of the current row has come.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Bytes of the row that were looked at.
    seen: usize,
    quoted: bool,
}

impl Search {
    /// Where the row that starts at `from` ends; `None` if more data is needed. A line end in quotes is data.
    pub(super) fn row_end(&mut self, options: &CsvOptions, data: &[u8], from: usize) -> Option<usize> {
        let mut at = from + self.seen;
        while let Some(byte) = data.get(at) {
            let next = data.get(at + 1).copied();
            if *byte == b'\n' && !self.quoted {
                *self = Self::default();
                return Some(at);
            }
            let escaped = self.quoted && *byte == options.escape && options.escape != options.quote;
            if *byte == options.quote {
                self.quoted = !self.quoted;
            } else if escaped || options.encoding != Encoding::Plain {
                // What decides how many bytes this is must be there.
                let Some(next) = next else {
                    break;
                };
                at += match escaped {
                    true if next == options.quote || next == options.escape => 2,
                    true => 1,
                    false => options.encoding.length(*byte, Some(next)),
                };
                continue;
            } else {
                at += self.ordinary(options, data.get(at..).unwrap_or_default());
                continue;
            }
            at += 1;
        }
        self.seen = at - from;
        None
    }

    /// How many bytes mean nothing here.
    fn ordinary(&self, options: &CsvOptions, rest: &[u8]) -> usize {
        let next = if self.quoted {
            memchr::memchr2(options.quote, options.escape, rest)
        } else {
            memchr::memchr2(options.quote, b'\n', rest)
        };
        next.unwrap_or(rest.len())
    }
}

/// Masks a row without its line end.
pub(super) fn row(options: &CsvOptions, columns: &mut Columns, row: &[u8], out: &mut Vec<u8>) -> Result<(), CellError> {
    if columns.searchable(options.delimiter)
        && options.encoding == Encoding::Plain
        && memchr::memchr(options.quote, row).is_none()
        && columns.holds_nothing(row)
    {
        out.extend_from_slice(row);
        return Ok(());
    }
    let mut rest = row;
    let mut number = 0;
    let mut old = Vec::new();
    loop {
        let (end, quoted) = field(options, rest, &mut old);
        let raw = rest.get(..end).unwrap_or_default();
        if !quoted && raw == options.null {
            out.extend_from_slice(raw);
        } else {
            match columns.value(number, Format::Text, &old) {
                Outcome::Same => out.extend_from_slice(raw),
                Outcome::Null => out.extend_from_slice(&options.null),
                Outcome::Changed => write(options, &columns.cell, quoted && options.force_quote, out),
            }
        }
        number += 1;
        match rest.get(end + 1..) {
            Some(next) => rest = next,
            None => break,
        }
        out.push(options.delimiter);
    }
    columns.check(number)
}

/// Reads the first field into `value`, without its quotes: where it ends, and whether it had any.
pub(super) fn field(options: &CsvOptions, row: &[u8], value: &mut Vec<u8>) -> (usize, bool) {
    value.clear();
    let mut at = 0;
    let mut quoted = false;
    let mut any = false;
    while let Some(byte) = row.get(at) {
        let next = row.get(at + 1).copied();
        if *byte == options.delimiter && !quoted {
            break;
        }
        let escapes = quoted && *byte == options.escape;
        if let Some(next) = next
            && escapes
            && (next == options.quote || next == options.escape)
        {
            value.push(next);
            at += 2;
        } else if *byte == options.quote {
            quoted = !quoted;
            any = true;
            at += 1;
        } else {
            let end = (at + options.encoding.length(*byte, next)).min(row.len());
            value.extend_from_slice(row.get(at..end).unwrap_or_default());
            at = end;
        }
    }
    (at, any)
}

/// Whether a value must be written in quotes.
#[inline]
pub(super) fn needs_quotes(options: &CsvOptions, value: &[u8]) -> bool {
    let special = |byte: u8| (byte == options.delimiter) | (byte == options.quote) | (byte == b'\n') | (byte == b'\r');
    // All of them, which is quicker than to stop at one.
    value == options.null || value.iter().fold(false, |any, byte| any | special(*byte))
}

/// Appends a value, in quotes if it must be or needs them.
pub(super) fn write(options: &CsvOptions, value: &[u8], forced: bool, out: &mut Vec<u8>) {
    if !forced && !needs_quotes(options, value) {
        out.extend_from_slice(value);
        return;
    }
    out.push(options.quote);
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        if *byte == options.quote || *byte == options.escape {
            out.push(options.escape);
        }
        let length = options.encoding.length(*byte, value.get(at + 1).copied());
        let end = (at + length).min(value.len());
        out.extend_from_slice(value.get(at..end).unwrap_or_default());
        at = end;
    }
    out.push(options.quote);
}
