//! `DataRow` messages.

use std::sync::Arc;

use sallyport_mask::{MaskKey, Scanner};

use super::composite::Reader;
use super::masker::{Masker, Outcome};
use super::{CellError, ColumnPlan, TypeMap};

/// A column, and whether any value of it can change.
struct Column {
    plan: ColumnPlan,
    watched: bool,
}

/// Masks the rows of one result.
pub struct RowMasker {
    columns: Vec<Column>,
    untouched: bool,
    masker: Masker,
    /// The new value of one cell.
    cell: Vec<u8>,
}

/// `DataRow`'s type byte.
const TAG: u8 = b'D';

impl RowMasker {
    /// A masker for a result with these columns.
    pub fn new(
        columns: Vec<ColumnPlan>,
        scanner: Arc<Scanner>,
        key: Arc<MaskKey>,
        types: Arc<TypeMap>,
    ) -> Self {
        let masker = Masker::new(scanner, key, types);
        let columns: Vec<Column> = columns
            .into_iter()
            .map(|plan| Column {
                plan,
                watched: plan.rule.is_some() || masker.can_change(plan.type_oid, plan.format),
            })
            .collect();
        let untouched = !columns.iter().any(|column| column.watched);
        Self { columns, untouched, masker, cell: Vec::new() }
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
        const MALFORMED: CellError = CellError::Malformed("DataRow");
        let start = out.len();
        let mut reader = Reader::new(body);
        let count = reader.short().and_then(|count| usize::try_from(count).ok());
        let count = count.ok_or(MALFORMED)?;
        if count != self.columns.len() {
            return Err(CellError::Columns { expected: self.columns.len(), got: count });
        }
        // So much of `body` is in `out`, once anything is.
        let mut copied = 0;
        let mut changed = false;
        for column in &self.columns {
            let before = reader.seen().len();
            let Some(cell) = reader.field().ok_or(MALFORMED)? else {
                continue;
            };
            if !column.watched {
                continue;
            }
            let ColumnPlan { rule, type_oid, format } = column.plan;
            self.cell.clear();
            let outcome = self.masker.value(rule, type_oid, format, cell, &mut self.cell);
            let length = match outcome {
                Outcome::Same => continue,
                Outcome::Null => -1,
                Outcome::Changed => i32::try_from(self.cell.len()).map_err(|_| MALFORMED)?,
            };
            if !changed {
                out.extend_from_slice(&[TAG, 0, 0, 0, 0]);
            }
            out.extend_from_slice(body.get(copied..before).unwrap_or_default());
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&self.cell);
            changed = true;
            copied = reader.seen().len();
        }
        if !reader.is_empty() {
            return Err(MALFORMED);
        }
        if changed {
            out.extend_from_slice(body.get(copied..).unwrap_or_default());
            let length = i32::try_from(out.len() - start - 1).map_err(|_| MALFORMED)?;
            for (to, from) in out.iter_mut().skip(start + 1).zip(length.to_be_bytes()) {
                *to = from;
            }
        }
        Ok(changed)
    }
}
