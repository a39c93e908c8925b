//! `DataRow` messages.

use std::ops::Range;
use std::sync::Arc;

use sallyport_mask::{MaskKey, Scanner};

use super::composite::Reader;
use super::masker::{Masker, Outcome};
use super::{CellError, ColumnPlan, TypeMap};

/// A column, and whether any value of it can change.
struct Column {
    plan: ColumnPlan,
    watched: bool,
    /// Searched as the text that it is, so one look at the row tells where.
    plain: bool,
}

/// The longest row that one look takes in; the cells of longer ones are searched one by one.
const LOOK_LIMIT: usize = 64 * 1024;

/// Masks the rows of one result.
pub struct RowMasker {
    columns: Vec<Column>,
    untouched: bool,
    /// Some column is searched as text.
    look: bool,
    masker: Masker,
    /// The new value of one cell.
    cell: Vec<u8>,
    /// Where the cells of the row lie; `None` for NULL.
    cells: Vec<Option<Range<usize>>>,
}

/// `DataRow`'s type byte.
const TAG: u8 = b'D';
const MALFORMED: CellError = CellError::Malformed("DataRow");

impl RowMasker {
    /// A masker for a result with these columns.
    pub fn new(columns: Vec<ColumnPlan>, scanner: Arc<Scanner>, key: Arc<MaskKey>, types: Arc<TypeMap>) -> Self {
        let masker = Masker::new(scanner, key, types);
        let columns: Vec<Column> = columns
            .into_iter()
            .map(|plan| Column {
                plan,
                watched: plan.rule.is_some() || masker.can_change(plan.type_oid),
                plain: masker.is_text(&plan),
            })
            .collect();
        let untouched = !columns.iter().any(|column| column.watched);
        let look = columns.iter().any(|column| column.watched && column.plain);
        Self {
            columns,
            untouched,
            look,
            masker,
            cell: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Whether nothing can change, so that messages may be forwarded without a look at them.
    pub fn untouched(&self) -> bool {
        self.untouched
    }

    /// Takes the body of a `DataRow` (what follows its length). If a value changes, appends the whole new message,
    /// type and length included, to `out` and says true; if none does, `out` is as it was.
    ///
    /// # Errors
    /// A row that is malformed or has another number of columns; `out` is as it was, and the row must not be
    /// passed on.
    pub fn row(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<bool, CellError> {
        let start = out.len();
        let result = self.rewrite(body, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn rewrite(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<bool, CellError> {
        self.find_cells(body)?;
        let start = out.len();
        let looked = self.look && body.len() <= LOOK_LIMIT;
        if looked {
            self.masker.look_at(body, &self.cells);
        }
        // So much of `body` is in `out`, once anything is.
        let mut copied = 0;
        for (column, cell) in self.columns.iter().zip(&self.cells) {
            let (true, Some(cell)) = (column.watched, cell) else {
                continue;
            };
            self.cell.clear();
            let outcome = if looked && column.plain {
                self.masker.looked_at(body, cell, &mut self.cell)
            } else {
                let ColumnPlan { rule, type_oid, format } = column.plan;
                let value = body.get(cell.clone()).unwrap_or_default();
                self.masker.value(rule, type_oid, format, value, &mut self.cell)
            };
            let length = match outcome {
                Outcome::Same => continue,
                Outcome::Null => -1,
                Outcome::Changed => i32::try_from(self.cell.len()).map_err(|_| MALFORMED)?,
            };
            if copied == 0 {
                out.extend_from_slice(&[TAG, 0, 0, 0, 0]);
            }
            out.extend_from_slice(body.get(copied..cell.start - 4).unwrap_or_default());
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&self.cell);
            copied = cell.end;
        }
        if copied == 0 {
            return Ok(false);
        }
        out.extend_from_slice(body.get(copied..).unwrap_or_default());
        let length = i32::try_from(out.len() - start - 1).map_err(|_| MALFORMED)?;
        for (to, from) in out.iter_mut().skip(start + 1).zip(length.to_be_bytes()) {
            *to = from;
        }
        Ok(true)
    }

    /// Finds where the cells lie, and that there is nothing else.
    fn find_cells(&mut self, body: &[u8]) -> Result<(), CellError> {
        self.cells.clear();
        let mut reader = Reader::new(body);
        let count = reader.short().and_then(|count| usize::try_from(count).ok());
        let count = count.ok_or(MALFORMED)?;
        if count != self.columns.len() {
            return Err(CellError::Columns {
                expected: self.columns.len(),
                got: count,
            });
        }
        for _ in 0..count {
            let cell = reader.field().ok_or(MALFORMED)?;
            let end = reader.seen().len();
            self.cells.push(cell.map(|cell| end - cell.len()..end));
        }
        if reader.is_empty() { Ok(()) } else { Err(MALFORMED) }
    }
}

#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;
