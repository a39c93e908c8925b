//! Many messages of COPY data at once, each of which holds whole rows, as servers send them.
//!
//! What is here takes only what it is sure of. Where it stops nothing need be wrong: [`super::CopyMasker::data`] takes
//! everything, one message after another.

use std::ops::Range;

use sallyport_mask::Scanner;

use super::batch::{Batch, body};
use super::copy::{CsvOptions, TextOptions};
use super::marks::Marks;
use super::rewrite::{Around, Form};
use super::row::add_tuple;
use super::{CellError, Encoding, copy_csv, copy_text};

/// So many bytes were taken, and so many messages.
pub(super) type Taken = (usize, usize);

const PLAIN: Around = Around { before: 0, behind: 0 };
const QUOTED: Around = Around { before: 1, behind: 1 };

/// Adds the values of the messages that `chunk` starts with.
pub(super) fn add_text(batch: &mut Batch, marks: &mut Marks, options: &TextOptions, chunk: &[u8]) -> Taken {
    if options.encoding != Encoding::Plain || matches!(options.delimiter, b'\n' | b'\\') {
        return (0, 0);
    }
    marks.of(chunk, [options.delimiter, b'\n', b'\\']);
    begin(batch, chunk, Scanner::parts_values(options.delimiter));
    add_messages(batch, chunk, |batch, row, place| {
        marks.skip_to(place.start);
        add_lines(batch, marks, options, chunk, row, place)
    })
}

/// The same for CSV.
pub(super) fn add_csv(batch: &mut Batch, marks: &mut Marks, options: &CsvOptions, chunk: &[u8]) -> Taken {
    let CsvOptions { delimiter, quote, .. } = *options;
    if options.encoding != Encoding::Plain || delimiter == b'\n' || quote == b'\n' || delimiter == quote {
        return (0, 0);
    }
    marks.of(chunk, [delimiter, b'\n', quote]);
    begin(
        batch,
        chunk,
        Scanner::parts_values(delimiter) && Scanner::parts_values(quote),
    );
    add_messages(batch, chunk, |batch, row, place| {
        marks.skip_to(place.start);
        add_records(batch, marks, options, chunk, row, place)
    })
}

/// The same for tuples.
pub(super) fn add_binary(batch: &mut Batch, chunk: &[u8]) -> Taken {
    begin(batch, chunk, false);
    add_messages(batch, chunk, |batch, row, place| {
        let mut at = place.start;
        while at < place.end {
            at = add_tuple(batch, row, chunk, at..place.end).ok()?;
        }
        Some(())
    })
}

fn begin(batch: &mut Batch, chunk: &[u8], parted: bool) {
    if parted {
        batch.begin_parted(chunk.len());
    } else {
        batch.begin(chunk.len());
    }
}

/// Adds the values of one message after another, as far as all of a message is understood. An empty one is not: it
/// would be left out.
fn add_messages(
    batch: &mut Batch,
    chunk: &[u8],
    mut add: impl FnMut(&mut Batch, usize, Range<usize>) -> Option<()>,
) -> Taken {
    let (mut row, mut count) = (0, 0);
    while let Some((body, end)) = body(chunk, row) {
        batch.head(&(row..body.start));
        if body.is_empty() || add(batch, row, body).is_none() {
            batch.forget(row);
            break;
        }
        (row, count) = (end, count + 1);
    }
    (row, count)
}

/// Lines of fields, in which a backslash takes the byte behind it along unless that ends the line.
fn add_lines(
    batch: &mut Batch,
    marks: &mut Marks,
    options: &TextOptions,
    chunk: &[u8],
    row: usize,
    place: Range<usize>,
) -> Option<()> {
    let (mut from, mut column, mut escaped) = (place.start, 0, false);
    while from < place.end {
        let at = marks.next().filter(|at| *at < place.end)?;
        let byte = *chunk.get(at)?;
        if byte == b'\\' {
            escaped = true;
            if *chunk.get(at + 1)? != b'\n' {
                marks.skip_to(at + 2);
            }
            continue;
        }
        if batch.may_change(column) && chunk.get(from..at)? != options.null {
            if std::mem::take(&mut escaped) {
                batch.add_written(row, column, from..at);
            } else {
                batch.add(row, column, chunk, from..at, PLAIN);
            }
        }
        escaped = false;
        from = at + 1;
        column = next_column(batch, column, byte)?;
    }
    (column == 0).then_some(())
}

/// Lines of fields, which may be in quotes, and line ends and delimiters in these.
fn add_records(
    batch: &mut Batch,
    marks: &mut Marks,
    options: &CsvOptions,
    chunk: &[u8],
    row: usize,
    place: Range<usize>,
) -> Option<()> {
    let (mut from, mut column, mut quotes) = (place.start, 0, 0_u32);
    while from < place.end {
        let at = marks.next().filter(|at| *at < place.end)?;
        let byte = *chunk.get(at)?;
        if byte == options.quote {
            // An escape of another kind may stand before a quote and make it part of the value.
            if options.escape != options.quote {
                return None;
            }
            quotes += 1;
            continue;
        }
        if !quotes.is_multiple_of(2) {
            continue;
        }
        if batch.may_change(column) {
            let written = chunk.get(from..at)?;
            let ends = (written.first(), written.last()) == (Some(&options.quote), Some(&options.quote));
            match quotes {
                0 if written == options.null => {}
                0 => batch.add(row, column, chunk, from..at, PLAIN),
                2 if ends => batch.add(row, column, chunk, from + 1..at - 1, QUOTED),
                _ => batch.add_written(row, column, from..at),
            }
        }
        quotes = 0;
        from = at + 1;
        column = next_column(batch, column, byte)?;
    }
    (column == 0).then_some(())
}

/// The column behind this one: the first, if the line ends here, as it must behind the last one.
#[inline]
fn next_column(batch: &Batch, column: usize, byte: u8) -> Option<usize> {
    let last = column + 1 == batch.columns.len();
    match (byte == b'\n', last) {
        (true, true) => Some(0),
        (false, false) => Some(column + 1),
        (true, false) | (false, true) => None,
    }
}

impl Form for TextOptions {
    fn begin(_out: &mut Vec<u8>) {}

    fn end(&self, start: usize, _old: &[u8], spare: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), CellError> {
        let value = out.get(start..).unwrap_or_default();
        if copy_text::needs_escapes(self, value) {
            spare.clear();
            spare.extend_from_slice(value);
            out.truncate(start);
            copy_text::escape(self, spare, out);
        }
        Ok(())
    }

    fn null(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.null);
    }

    fn read(&self, written: &[u8], spare: &mut Vec<u8>) {
        copy_text::unescape(self.encoding, written, spare);
    }
}

impl Form for CsvOptions {
    fn begin(_out: &mut Vec<u8>) {}

    fn end(&self, start: usize, old: &[u8], spare: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), CellError> {
        let value = out.get(start..).unwrap_or_default();
        let forced = self.force_quote && memchr::memchr(self.quote, old).is_some();
        if forced || copy_csv::needs_quotes(self, value) {
            spare.clear();
            spare.extend_from_slice(value);
            out.truncate(start);
            copy_csv::write(self, spare, forced, out);
        }
        Ok(())
    }

    fn null(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.null);
    }

    fn read(&self, written: &[u8], spare: &mut Vec<u8>) {
        copy_csv::field(self, written, spare);
    }
}
