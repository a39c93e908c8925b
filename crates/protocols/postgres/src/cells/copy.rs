//! `COPY … TO STDOUT`: a stream of rows, cut into messages anywhere.

use std::sync::Arc;

use sallyport_mask::{MaskKey, Scanner};
use serde::{Deserialize, Serialize};

use super::batch::{Batch, Look, Rows as Taken, in_chunks};
use super::copy_binary::Binary;
use super::marks::Marks;
use super::masker::{Masker, Outcome};
use super::row::Lengths;
use super::{CellError, ColumnPlan, Encoding, Format, ROW_LIMIT, TypeMap, copy_batch, copy_csv, copy_text};

/// How the rows are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopyFormat {
    /// `FORMAT text`.
    Text(TextOptions),
    /// `FORMAT csv`.
    Csv(CsvOptions),
    /// `FORMAT binary`.
    Binary,
}

/// The options of `FORMAT text`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextOptions {
    /// Between columns.
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: Vec<u8>,
    /// The first line holds the columns' names.
    pub header: bool,
    /// How characters are written.
    pub encoding: Encoding,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            delimiter: b'\t',
            null: b"\\N".to_vec(),
            header: false,
            encoding: Encoding::Plain,
        }
    }
}

/// The options of `FORMAT csv`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvOptions {
    /// Between columns.
    pub delimiter: u8,
    /// Around values.
    pub quote: u8,
    /// Before a quote in a quoted value.
    pub escape: u8,
    /// Values of some columns are in quotes though they need none.
    pub force_quote: bool,
    /// What stands, without quotes, for NULL.
    pub null: Vec<u8>,
    /// The first line holds the columns' names.
    pub header: bool,
    /// How characters are written.
    pub encoding: Encoding,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: b'"',
            escape: b'"',
            force_quote: false,
            null: Vec::new(),
            header: false,
            encoding: Encoding::Plain,
        }
    }
}

/// Masks the data of one `COPY … TO STDOUT`.
pub struct CopyMasker {
    format: Rows,
    /// The row that has begun.
    carry: Vec<u8>,
    limit: usize,
    columns: Columns,
    marks: Marks,
}

enum Rows {
    Text {
        options: TextOptions,
        searched: usize,
    },
    Csv {
        options: CsvOptions,
        search: copy_csv::Search,
    },
    Binary(Binary),
}

/// The columns of a COPY, and what masks their values.
pub(super) struct Columns {
    /// No columns if nothing is known of them, not even how many there are.
    pub(super) batch: Batch,
    /// Every column is scanned as the text that it is, or not at all.
    plain: bool,
    /// The row is the columns' names. They are no values of theirs, but a target could say any value there.
    names: bool,
    pub(super) cell: Vec<u8>,
}

/// `CopyData`'s type byte.
const TAG: u8 = b'd';

impl CopyMasker {
    /// A masker for a COPY with these columns. An empty list means that nothing is known of them: each value is
    /// looked at for itself.
    pub fn new(
        format: CopyFormat,
        columns: Vec<ColumnPlan>,
        scanner: Arc<Scanner>,
        key: Arc<MaskKey>,
        types: Arc<TypeMap>,
    ) -> Self {
        let wire = match &format {
            CopyFormat::Binary => Format::Binary,
            CopyFormat::Text(_) | CopyFormat::Csv(_) => Format::Text,
        };
        let format = match format {
            CopyFormat::Text(options) => Rows::Text { options, searched: 0 },
            CopyFormat::Csv(options) => Rows::Csv {
                options,
                search: copy_csv::Search::default(),
            },
            CopyFormat::Binary => Rows::Binary(Binary::default()),
        };
        let mut columns = Columns::new(columns, wire, Masker::new(scanner, key, types));
        columns.names = match &format {
            Rows::Text { options, .. } => options.header,
            Rows::Csv { options, .. } => options.header,
            Rows::Binary(_) => false,
        };
        Self {
            format,
            carry: Vec::new(),
            limit: ROW_LIMIT,
            columns,
            marks: Marks::default(),
        }
    }

    /// Whether nothing can change, so that the data may be forwarded without a look at it.
    pub fn untouched(&self) -> bool {
        self.columns.untouched()
    }

    /// Takes the data of a `CopyData` message (what follows its length), and appends the data that can be sent on
    /// to `out`: whole rows, so perhaps nothing yet.
    ///
    /// # Errors
    /// Data that is malformed or a row too long; `out` is as it was, and the rest must not be passed on.
    pub fn data(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), CellError> {
        let start = out.len();
        let mut held = std::mem::take(&mut self.carry);
        if held.is_empty() {
            let used = self.whole_rows(chunk, out).inspect_err(|_| out.truncate(start))?;
            held.extend_from_slice(chunk.get(used..).unwrap_or_default());
        } else {
            held.extend_from_slice(chunk);
            let used = self.whole_rows(&held, out).inspect_err(|_| out.truncate(start))?;
            held.drain(..used);
        }
        if held.len() > self.limit {
            out.truncate(start);
            return Err(CellError::TooLong { limit: self.limit });
        }
        self.carry = held;
        Ok(())
    }

    /// Takes the whole `CopyData` messages that `input` starts with, as many as hold whole rows, perhaps none: then
    /// [`CopyMasker::data`] takes the first one. If a value changes, appends what is to be sent on instead of them to
    /// `out`; if none does, `out` is as it was. The more messages at once, the less each costs.
    ///
    /// # Errors
    /// As [`CopyMasker::data`]; `out` is as it was.
    pub fn messages(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Taken, CellError> {
        in_chunks(input, TAG, out, |chunk, before, out| {
            let batch = &mut self.columns.batch;
            let marks = &mut self.marks;
            let nothing = (0, 0);
            let (taken, count) = match &self.format {
                _ if !self.carry.is_empty() || self.columns.names || batch.columns.is_empty() => nothing,
                Rows::Text { options, .. } => copy_batch::add_text(batch, marks, options, chunk),
                Rows::Csv { options, .. } => copy_batch::add_csv(batch, marks, options, chunk),
                Rows::Binary(Binary::Tuples) => copy_batch::add_binary(batch, chunk),
                Rows::Binary(Binary::Header | Binary::Over) => nothing,
            };
            let chunk = chunk.get(..taken).unwrap_or_default();
            let changed = count > 0
                && match &self.format {
                    Rows::Text { options, .. } => batch.mask(chunk, options, before, out)?,
                    Rows::Csv { options, .. } => batch.mask(chunk, options, before, out)?,
                    Rows::Binary(_) => batch.mask(chunk, &Lengths, before, out)?,
                };
            Ok(Taken { taken, count, changed })
        })
    }

    /// Appends what is left when the data ends.
    ///
    /// # Errors
    /// Data that ends in the middle of a row.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), CellError> {
        let rest = std::mem::take(&mut self.carry);
        if rest.is_empty() {
            return Ok(());
        }
        let start = out.len();
        let done = match &mut self.format {
            Rows::Text { options, .. } => copy_text::row(options, &mut self.columns, &rest, out),
            Rows::Csv { options, .. } => copy_csv::row(options, &mut self.columns, &rest, out),
            Rows::Binary(_) => Err(CellError::Malformed("COPY data")),
        };
        done.inspect_err(|_| out.truncate(start))
    }

    /// Masks the whole rows that `data` starts with, and says how many bytes they are.
    fn whole_rows(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<usize, CellError> {
        let columns = &mut self.columns;
        match &mut self.format {
            Rows::Binary(binary) => binary.rows(columns, data, out),
            Rows::Text { options, searched } => {
                let mut used = 0;
                let mut from = std::mem::take(searched);
                while let Some(end) = data.get(from..).and_then(|rest| memchr::memchr(b'\n', rest)) {
                    let row = data.get(used..from + end).unwrap_or_default();
                    copy_text::row(options, columns, row, out)?;
                    columns.names = false;
                    out.push(b'\n');
                    from += end + 1;
                    used = from;
                }
                *searched = data.len() - used;
                Ok(used)
            }
            Rows::Csv { options, search } => {
                let mut used = 0;
                while let Some(end) = search.row_end(options, data, used) {
                    let row = data.get(used..end).unwrap_or_default();
                    copy_csv::row(options, columns, row, out)?;
                    columns.names = false;
                    out.push(b'\n');
                    used = end + 1;
                }
                Ok(used)
            }
        }
    }
}

impl Columns {
    fn new(plans: Vec<ColumnPlan>, wire: Format, masker: Masker) -> Self {
        let plans = plans.into_iter().map(|plan| ColumnPlan { format: wire, ..plan });
        let batch = Batch::new(plans.collect(), masker);
        let plain = batch
            .columns
            .iter()
            .all(|column| column.look == Look::Never || batch.masker.is_plain_text(&column.plan));
        Self {
            batch,
            plain,
            names: false,
            cell: Vec::new(),
        }
    }

    fn untouched(&self) -> bool {
        if self.batch.columns.is_empty() {
            return self.batch.masker.scanner.is_empty();
        }
        self.batch.untouched() && (!self.names || self.batch.masker.scanner.is_empty())
    }

    /// Whether a search through the whole row finds whatever a search through its columns would.
    pub(super) fn searchable(&self, delimiter: u8) -> bool {
        (self.plain || self.names) && matches!(delimiter, b'\t' | b',' | b';' | b'|')
    }

    /// A row must have the columns that are known.
    pub(super) fn check(&self, got: usize) -> Result<(), CellError> {
        let expected = self.batch.columns.len();
        if expected == 0 || got == expected {
            Ok(())
        } else {
            Err(CellError::Columns { expected, got })
        }
    }

    /// Masks the value of a column; the new one is in `cell`.
    pub(super) fn value(&mut self, number: usize, format: Format, value: &[u8]) -> Outcome {
        self.cell.clear();
        let masker = &mut self.batch.masker;
        if self.names {
            return masker.scanned(value, &mut self.cell);
        }
        match self.batch.columns.get(number) {
            Some(column) if column.look == Look::Never => Outcome::Same,
            Some(column) => masker.value_of(&column.plan, &column.kind, value, &mut self.cell),
            None => {
                let ColumnPlan { rule, type_oid, format } = ColumnPlan::unknown(format);
                masker.value(rule, type_oid, format, value, &mut self.cell)
            }
        }
    }

    /// Whether nothing is found in a row.
    pub(super) fn holds_nothing(&mut self, row: &[u8]) -> bool {
        self.batch.masker.holds_nothing(row)
    }
}

#[cfg(test)]
#[path = "copy_batch_tests.rs"]
mod batch_tests;
#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
