//! `DataRow` messages.

use std::ops::Range;
use std::sync::Arc;

use sallyport_mask::{MaskKey, Scanner};

use super::masker::{Masker, Outcome};
use super::{CellError, ColumnPlan, TypeKind, TypeMap};

/// How the cells of a column are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Nothing in them can change.
    Never,
    /// Text: one look at many rows tells where something could be, and there it is searched.
    Text,
    /// The same look tells in which values something could be.
    Hint,
    /// Decimal numbers: short ones hold nothing.
    Number,
    /// Each by itself.
    Always,
}

struct Column {
    plan: ColumnPlan,
    kind: TypeKind,
    look: Look,
}

/// A cell that may change.
struct Cell {
    /// Where its row's message starts.
    row: usize,
    column: usize,
    /// Where its value lies.
    value: Range<usize>,
    look: Look,
}

/// What became of the rows that an input starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// So many bytes of the input were whole `DataRow` messages.
    pub taken: usize,
    /// So many messages.
    pub count: usize,
    /// Whether a value changed: then the messages to send on were appended, else they are those of the input.
    pub changed: bool,
}

/// So many bytes are looked at in one go, and whole messages: few enough for the fastest cache.
const CHUNK: usize = 8 * 1024;
/// The cells of a longer message are searched one by one, which needs less memory.
const LOOK_LIMIT: usize = 64 * 1024;
/// Numbers with fewer characters hold no card's number, but for exponents.
const SHORT_NUMBER: usize = 13;

/// Masks the rows of one result.
pub struct RowMasker {
    columns: Vec<Column>,
    untouched: bool,
    masker: Masker,
    /// The new value of one cell.
    new: Vec<u8>,
    /// The cells of the rows at hand.
    cells: Vec<Cell>,
    /// A message put together from a body.
    message: Vec<u8>,
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
                kind: masker.types.kind(plan.type_oid),
                look: Look::of(&plan, &masker),
            })
            .collect();
        let untouched = columns.iter().all(|column| column.look == Look::Never);
        Self {
            columns,
            untouched,
            masker,
            new: Vec::new(),
            cells: Vec::new(),
            message: Vec::new(),
        }
    }

    /// Whether nothing can change, so that messages may be forwarded without a look at them.
    pub fn untouched(&self) -> bool {
        self.untouched
    }

    /// Takes all whole `DataRow` messages that `input` starts with. If a value changes, appends what is to be sent on
    /// instead of them to `out`; if none does, `out` is as it was. The more messages at once, the less each costs.
    ///
    /// # Errors
    /// A row that is malformed or has another number of columns; `out` is as it was, and neither this row nor those
    /// before it in `input` were passed on.
    pub fn rows(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Rows, CellError> {
        let start = out.len();
        let mut rows = Rows {
            taken: 0,
            count: 0,
            changed: false,
        };
        loop {
            let rest = input.get(rows.taken..).unwrap_or_default();
            let (length, count) = whole_messages(rest);
            if count == 0 {
                return Ok(rows);
            }
            let chunk = rest.get(..length).unwrap_or_default();
            let before = (!rows.changed).then(|| input.get(..rows.taken).unwrap_or_default());
            match self.chunk(chunk, before, out) {
                Ok(changed) if changed || !rows.changed => rows.changed = changed,
                Ok(_) => out.extend_from_slice(chunk),
                Err(error) => {
                    out.truncate(start);
                    return Err(error);
                }
            }
            rows.taken += length;
            rows.count += count;
        }
    }

    /// Takes the body of one `DataRow` (what follows its length). If a value changes, appends the whole new message,
    /// type and length included, to `out` and says true; if none does, `out` is as it was.
    ///
    /// # Errors
    /// A row that is malformed or has another number of columns; `out` is as it was, and the row must not be
    /// passed on.
    pub fn row(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<bool, CellError> {
        let length = u32::try_from(body.len() + 4).map_err(|_| MALFORMED)?;
        let mut message = std::mem::take(&mut self.message);
        message.clear();
        message.push(TAG);
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(body);
        let start = out.len();
        let result = self
            .chunk(&message, Some(&[]), out)
            .inspect_err(|_| out.truncate(start));
        self.message = message;
        result
    }

    /// Masks whole messages. If a value changes, appends `before`, if that is still to be done, and the messages to
    /// `out`, and says true.
    fn chunk(&mut self, chunk: &[u8], before: Option<&[u8]>, out: &mut Vec<u8>) -> Result<bool, CellError> {
        let looked = chunk.len() <= LOOK_LIMIT;
        self.masker.scratch.begin_texts(if looked { chunk.len() } else { 0 });
        self.find_cells(chunk, looked)?;
        if self.cells.is_empty() {
            return Ok(false);
        }
        let any = self.masker.scanner.look_at_texts(chunk, &mut self.masker.scratch);
        let any = any || self.masker.scanner.has_custom();
        if !any
            && self
                .cells
                .iter()
                .all(|cell| matches!(cell.look, Look::Text | Look::Hint))
        {
            return Ok(false);
        }
        let mut rewriter = Rewriter::new(chunk, before, out);
        for cell in &self.cells {
            match cell.look {
                Look::Text if self.masker.find_in(chunk, &cell.value) => {
                    let out = rewriter.value(cell)?;
                    self.masker.rewrite(chunk, &cell.value, out);
                    rewriter.value_ends()?;
                    continue;
                }
                Look::Hint if self.masker.scratch.could_hold(&cell.value) => {}
                Look::Number | Look::Always => {}
                Look::Never | Look::Text | Look::Hint => continue,
            }
            let Column { plan, kind, .. } = self.columns.get(cell.column).ok_or(MALFORMED)?;
            let value = chunk.get(cell.value.clone()).unwrap_or_default();
            self.new.clear();
            match self.masker.value_of(plan, kind, value, &mut self.new) {
                Outcome::Same => {}
                Outcome::Null => rewriter.null(cell)?,
                Outcome::Changed => {
                    rewriter.value(cell)?.extend_from_slice(&self.new);
                    rewriter.value_ends()?;
                }
            }
        }
        rewriter.finish()
    }

    /// Finds the cells that may change, and that there is nothing but whole rows.
    fn find_cells(&mut self, chunk: &[u8], looked: bool) -> Result<(), CellError> {
        self.cells.clear();
        let mut row = 0;
        while row < chunk.len() {
            let (body, end) = body(chunk, row).ok_or(MALFORMED)?;
            let mut at = body.start;
            let count = chunk.get(at..).and_then(<[u8]>::first_chunk).ok_or(MALFORMED)?;
            let count = usize::from(u16::from_be_bytes(*count));
            at += 2;
            if count != self.columns.len() {
                return Err(CellError::Columns {
                    expected: self.columns.len(),
                    got: count,
                });
            }
            for (number, column) in self.columns.iter().enumerate() {
                let length = chunk.get(at..end).and_then(<[u8]>::first_chunk).ok_or(MALFORMED)?;
                let length = i32::from_be_bytes(*length);
                at += 4;
                let Ok(length) = usize::try_from(length) else {
                    if length == -1 {
                        continue;
                    }
                    return Err(MALFORMED);
                };
                let value = at..at + length;
                if value.end > end {
                    return Err(MALFORMED);
                }
                at = value.end;
                if length == 0 || column.look == Look::Never {
                    continue;
                }
                let mut look = column.look;
                match look {
                    Look::Text | Look::Hint if looked => self.masker.scratch.add_text(&value),
                    Look::Text | Look::Hint => look = Look::Always,
                    Look::Number if is_short_number(chunk.get(value.clone()).unwrap_or_default()) => continue,
                    Look::Number | Look::Always | Look::Never => {}
                }
                self.cells.push(Cell {
                    row,
                    column: number,
                    value,
                    look,
                });
            }
            if at != end {
                return Err(MALFORMED);
            }
            row = end;
        }
        Ok(())
    }
}

impl Look {
    fn of(plan: &ColumnPlan, masker: &Masker) -> Self {
        if plan.rule.is_none() && !masker.can_change(plan.type_oid) {
            Self::Never
        } else if masker.is_text(plan) {
            Self::Text
        } else if masker.scanner.has_custom() {
            Self::Always
        } else if masker.is_searched_as_it_is(plan) {
            Self::Hint
        } else if masker.is_number(plan) {
            Self::Number
        } else {
            Self::Always
        }
    }
}

/// Where the body of the message at `row` lies in `bytes`, and where it ends.
#[inline]
fn body(bytes: &[u8], row: usize) -> Option<(Range<usize>, usize)> {
    let [_, length @ ..] = *bytes.get(row..)?.first_chunk::<5>()?;
    let end = row + 1 + usize::try_from(u32::from_be_bytes(length)).ok()?;
    (row + 5 <= end && end <= bytes.len()).then_some((row + 5..end, end))
}

/// How long the whole `DataRow` messages are that `input` starts with, and how many; not many more than fill a chunk.
fn whole_messages(input: &[u8]) -> (usize, usize) {
    let (mut end, mut count) = (0, 0);
    while end < CHUNK
        && input.get(end) == Some(&TAG)
        && let Some((_, next)) = body(input, end)
    {
        if count > 0 && next > LOOK_LIMIT {
            break;
        }
        (end, count) = (next, count + 1);
    }
    (end, count)
}

/// Too few characters for the number of a card.
#[inline]
fn is_short_number(value: &[u8]) -> bool {
    value.len() < SHORT_NUMBER && !value.iter().any(|byte| matches!(byte, b'e' | b'E'))
}

/// Writes messages anew, from the first change on.
struct Rewriter<'a> {
    chunk: &'a [u8],
    before: Option<&'a [u8]>,
    out: &'a mut Vec<u8>,
    /// So much of the chunk is in `out`, or something else in its place.
    copied: usize,
    /// The row that changes: where it starts in the chunk and in `out`.
    row: Option<(usize, usize)>,
    /// Where the length of the value is, which comes last in `out`.
    length_at: usize,
}

impl<'a> Rewriter<'a> {
    fn new(chunk: &'a [u8], before: Option<&'a [u8]>, out: &'a mut Vec<u8>) -> Self {
        Self {
            chunk,
            before,
            out,
            copied: 0,
            row: None,
            length_at: 0,
        }
    }

    /// Copies all up to the cell's length.
    fn up_to(&mut self, cell: &Cell) -> Result<(), CellError> {
        if self.row.is_none_or(|(row, _)| row != cell.row) {
            self.end_row()?;
            if let Some(before) = self.before.take() {
                self.out.extend_from_slice(before);
            }
            self.copy(cell.row);
            self.row = Some((cell.row, self.out.len()));
        }
        self.copy(cell.value.start - 4);
        self.copied = cell.value.end;
        Ok(())
    }

    fn null(&mut self, cell: &Cell) -> Result<(), CellError> {
        self.up_to(cell)?;
        self.out.extend_from_slice(&(-1_i32).to_be_bytes());
        Ok(())
    }

    /// A new value is to be appended to what this gives; [`Rewriter::value_ends`] says when it is.
    fn value(&mut self, cell: &Cell) -> Result<&mut Vec<u8>, CellError> {
        self.up_to(cell)?;
        self.length_at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        Ok(self.out)
    }

    fn value_ends(&mut self) -> Result<(), CellError> {
        let length = self.out.len() - self.length_at - 4;
        let length = i32::try_from(length).map_err(|_| MALFORMED)?;
        put(self.out, self.length_at, length)
    }

    /// The rest of the row that changed, and its new length.
    fn end_row(&mut self) -> Result<(), CellError> {
        let Some((row, start)) = self.row.take() else {
            return Ok(());
        };
        let (_, end) = body(self.chunk, row).ok_or(MALFORMED)?;
        self.copy(end);
        let length = i32::try_from(self.out.len() - start - 1).map_err(|_| MALFORMED)?;
        put(self.out, start + 1, length)
    }

    fn finish(mut self) -> Result<bool, CellError> {
        if self.row.is_none() {
            return Ok(false);
        }
        self.end_row()?;
        self.copy(self.chunk.len());
        Ok(true)
    }

    fn copy(&mut self, end: usize) {
        self.out
            .extend_from_slice(self.chunk.get(self.copied..end).unwrap_or_default());
        self.copied = end;
    }
}

fn put(out: &mut [u8], at: usize, number: i32) -> Result<(), CellError> {
    let slot = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut).ok_or(MALFORMED)?;
    *slot = number.to_be_bytes();
    Ok(())
}

#[cfg(test)]
#[path = "row_run_tests.rs"]
mod run_tests;
#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;
