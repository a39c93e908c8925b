//! Many rows at once: the values in them that may change are found first, then one look at all of them tells in which
//! something could be, and only these are looked at closely.
//!
//! What the rows are written in ([`Form`]) and where their values lie is known outside: see `row.rs` and
//! `copy_batch.rs`. All of them are messages with their length behind the first byte.

use std::ops::Range;

use sallyport_mask::Strategy;

use super::masker::{Masker, Outcome};
use super::{CellError, ColumnPlan, TypeKind};

/// So many bytes are looked at in one go, and whole messages: few enough for the fastest cache.
pub(super) const CHUNK: usize = 8 * 1024;
/// The values of a longer message are searched one by one, which needs less memory.
pub(super) const LOOK_LIMIT: usize = 64 * 1024;
/// Numbers with fewer characters hold no card's number, but for exponents.
const SHORT_NUMBER: usize = 13;
/// What is shorter is copied with one that long: a fixed length takes no call.
const SHORT: usize = 64;

const MALFORMED: CellError = CellError::Malformed("message");

/// How the values of a column are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing in them can change.
    Never,
    /// Text: one look at many rows tells where something could be, and there it is searched.
    Text,
    /// The same look tells in which values something could be.
    Hint,
    /// Decimal numbers: short ones hold nothing.
    Number,
    /// Text that is replaced whatever it is.
    Ruled(Strategy),
    /// Each by itself.
    Always,
    /// Each by itself, and not before it is read from how it is written.
    Written,
}

/// A column of a result.
pub(super) struct Column {
    pub(super) plan: ColumnPlan,
    pub(super) kind: TypeKind,
    pub(super) look: Look,
}

/// A value that may change.
struct Cell {
    /// Where its row's message starts.
    row: usize,
    column: usize,
    look: Look,
    /// Where it lies.
    value: Range<usize>,
    /// What is written anew with it: so many bytes more before and behind it.
    around: Around,
}

/// Bytes before and behind a value that belong to it, as its length or its quotes do.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub(super) before: u8,
    pub(super) behind: u8,
}

/// What the values of a result are written in.
pub(super) trait Form {
    /// What a value begins with.
    fn begin(out: &mut Vec<u8>);

    /// The value that began at `start` is all of `out` from there on. It stands in the place of what is `old`, all that
    /// is around the value included. `spare` is memory to work with.
    fn end(&self, start: usize, old: &[u8], spare: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), CellError>;

    /// Appends NULL.
    fn null(&self, out: &mut Vec<u8>);

    /// The value that is written so, in `spare`.
    fn read(&self, written: &[u8], spare: &mut Vec<u8>);
}

/// The columns of a result and what masks the values in them.
pub(super) struct Batch {
    pub(super) columns: Vec<Column>,
    pub(super) masker: Masker,
    cells: Vec<Cell>,
    /// Whether the values of the rows at hand are few enough bytes for one look at all of them.
    looks: bool,
    /// Whether that look tells all: nothing changes where it shows nothing.
    tells_all: bool,
    new: Vec<u8>,
    spare: Vec<u8>,
}

impl Batch {
    pub(super) fn new(plans: Vec<ColumnPlan>, masker: Masker) -> Self {
        let column = |plan: ColumnPlan| Column {
            plan,
            kind: masker.types.kind(plan.type_oid),
            look: Look::of(&plan, &masker),
        };
        Self {
            columns: plans.into_iter().map(column).collect(),
            masker,
            cells: Vec::new(),
            looks: false,
            tells_all: true,
            new: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Whether nothing can change.
    pub(super) fn untouched(&self) -> bool {
        self.columns.iter().all(|column| column.look == Look::Never)
    }

    /// Begins with messages of so many bytes.
    pub(super) fn begin(&mut self, length: usize) {
        self.cells.clear();
        self.looks = length <= LOOK_LIMIT;
        self.tells_all = true;
        self.masker.scratch.begin_texts(if self.looks { length } else { 0 });
    }

    /// Adds the value of a column that is no NULL, in order.
    #[inline]
    pub(super) fn add(&mut self, row: usize, column: usize, chunk: &[u8], value: Range<usize>, around: Around) {
        let Some(mut look) = self.columns.get(column).map(|column| column.look) else {
            return;
        };
        if look == Look::Never || value.is_empty() {
            return;
        }
        match look {
            Look::Text | Look::Hint if self.looks => self.masker.scratch.add_text(&value),
            Look::Text | Look::Hint => look = Look::Always,
            Look::Number if is_short_number(chunk.get(value.clone()).unwrap_or_default()) => return,
            Look::Number | Look::Ruled(_) | Look::Always | Look::Written | Look::Never => {}
        }
        self.tells_all &= matches!(look, Look::Text | Look::Hint);
        self.cells.push(Cell {
            row,
            column,
            look,
            value,
            around,
        });
    }

    /// Adds a value that must be read from how it is written.
    pub(super) fn add_written(&mut self, row: usize, column: usize, written: Range<usize>) {
        self.tells_all = false;
        self.cells.push(Cell {
            row,
            column,
            look: Look::Written,
            value: written,
            around: Around { before: 0, behind: 0 },
        });
    }

    /// Whether values of this column are worth adding.
    #[inline]
    pub(super) fn may_change(&self, column: usize) -> bool {
        self.columns
            .get(column)
            .is_some_and(|column| column.look != Look::Never)
    }

    /// Forgets the values of the last row, which begins here.
    pub(super) fn forget(&mut self, row: usize) {
        while self.cells.last().is_some_and(|cell| cell.row >= row) {
            self.cells.pop();
        }
    }

    /// Masks whole messages, the values of which were added. If one changes, appends `before`, if that is still to be
    /// done, and the messages to `out`, and says true.
    ///
    /// # Errors
    /// A value that became too long; what was appended to `out` is not fit to be sent.
    pub(super) fn mask<F: Form>(
        &mut self,
        chunk: &[u8],
        form: &F,
        before: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<bool, CellError> {
        if self.cells.is_empty() {
            return Ok(false);
        }
        let any = self.masker.scanner.look_at_texts(chunk, &mut self.masker.scratch);
        let any = any || self.masker.scanner.has_custom();
        if !any && self.tells_all {
            return Ok(false);
        }
        let mut rewriter = Rewriter::new(chunk, before, out);
        for cell in &self.cells {
            match cell.look {
                Look::Text => {
                    if any && self.masker.find_in(chunk, &cell.value) {
                        let out = rewriter.value::<F>(cell)?;
                        self.masker.rewrite(chunk, &cell.value, out);
                        rewriter.value_ends(cell, form, &mut self.spare)?;
                    }
                    continue;
                }
                Look::Ruled(strategy) => {
                    let value = chunk.get(cell.value.clone()).unwrap_or_default();
                    let out = rewriter.value::<F>(cell)?;
                    sallyport_mask::apply(strategy, &self.masker.key, value, out);
                    rewriter.value_ends(cell, form, &mut self.spare)?;
                    continue;
                }
                Look::Hint if !any || !self.masker.scratch.could_hold(&cell.value) => continue,
                Look::Never => continue,
                Look::Hint | Look::Number | Look::Always | Look::Written => {}
            }
            let Column { plan, kind, .. } = self.columns.get(cell.column).ok_or(MALFORMED)?;
            let mut value = chunk.get(cell.value.clone()).unwrap_or_default();
            if cell.look == Look::Written {
                form.read(value, &mut self.spare);
                value = &self.spare;
            }
            self.new.clear();
            match self.masker.value_of(plan, kind, value, &mut self.new) {
                Outcome::Same => {}
                Outcome::Null => {
                    form.null(rewriter.up_to(cell)?);
                    rewriter.row_grows(cell);
                }
                Outcome::Changed => {
                    rewriter.value::<F>(cell)?.extend_from_slice(&self.new);
                    rewriter.value_ends(cell, form, &mut self.spare)?;
                }
            }
        }
        rewriter.finish()
    }
}

impl Cell {
    /// Where it lies with what is around it.
    #[inline]
    fn written(&self) -> Range<usize> {
        self.value.start - usize::from(self.around.before)..self.value.end + usize::from(self.around.behind)
    }
}

impl Look {
    fn of(plan: &ColumnPlan, masker: &Masker) -> Self {
        if plan.rule.is_none() && !masker.can_change(plan.type_oid) {
            Self::Never
        } else if masker.is_text(plan) {
            Self::Text
        } else if let Some(strategy) = masker.is_replaced_as_text(plan) {
            Self::Ruled(strategy)
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

/// Where the body of the message at `at` lies in `bytes`, and where it ends.
#[inline]
pub(super) fn body(bytes: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let [_, length @ ..] = *bytes.get(at..)?.first_chunk::<5>()?;
    let end = at + 1 + usize::try_from(u32::from_be_bytes(length)).ok()?;
    (at + 5 <= end && end <= bytes.len()).then_some((at + 5..end, end))
}

/// How long the whole messages of this type are that `input` starts with, and how many; not many more than fill a
/// chunk.
fn whole_messages(input: &[u8], tag: u8) -> (usize, usize) {
    let (mut end, mut count) = (0, 0);
    while end < CHUNK
        && input.get(end) == Some(&tag)
        && let Some((_, next)) = body(input, end)
    {
        if count > 0 && next > LOOK_LIMIT {
            break;
        }
        (end, count) = (next, count + 1);
    }
    (end, count)
}

/// What became of the messages that an input starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// So many bytes of the input were whole messages, and were taken.
    pub taken: usize,
    /// So many messages.
    pub count: usize,
    /// Whether a value changed: then the messages to send on were appended, else they are those of the input.
    pub changed: bool,
}

/// Gives the whole messages of this type that `input` starts with to `mask`, some at a time, until it takes less than it
/// is given. It says how many bytes and messages it took, and whether it appended what is to be sent on instead of
/// them; if so, and it is given something that was not sent on before them, it appends that first.
pub(super) fn in_chunks(
    input: &[u8],
    tag: u8,
    out: &mut Vec<u8>,
    mut mask: impl FnMut(&[u8], Option<&[u8]>, &mut Vec<u8>) -> Result<Rows, CellError>,
) -> Result<Rows, CellError> {
    let start = out.len();
    let mut rows = Rows {
        taken: 0,
        count: 0,
        changed: false,
    };
    loop {
        let rest = input.get(rows.taken..).unwrap_or_default();
        let (length, count) = whole_messages(rest, tag);
        if count == 0 {
            return Ok(rows);
        }
        let chunk = rest.get(..length).unwrap_or_default();
        let before = (!rows.changed).then(|| input.get(..rows.taken).unwrap_or_default());
        let done = mask(chunk, before, out).inspect_err(|_| out.truncate(start))?;
        if done.changed {
            rows.changed = true;
        } else if rows.changed {
            out.extend_from_slice(chunk.get(..done.taken).unwrap_or_default());
        }
        rows.taken += done.taken;
        rows.count += done.count;
        if done.taken < length {
            return Ok(rows);
        }
    }
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
    /// The message that changes.
    row: Option<Changed>,
    /// Where what is written in a value's place begins in `out`.
    begun: usize,
}

/// A message that changes: where it starts in the chunk and in `out`, and what is taken from its length and added to
/// it.
struct Changed {
    from: usize,
    to: usize,
    less: usize,
    more: usize,
}

impl<'a> Rewriter<'a> {
    fn new(chunk: &'a [u8], before: Option<&'a [u8]>, out: &'a mut Vec<u8>) -> Self {
        Self {
            chunk,
            before,
            out,
            copied: 0,
            row: None,
            begun: 0,
        }
    }

    /// Copies all up to what is written in the value's place, which is to be appended to what this gives.
    #[inline]
    fn up_to(&mut self, cell: &Cell) -> Result<&mut Vec<u8>, CellError> {
        if self.row.as_ref().is_none_or(|row| row.from != cell.row) {
            self.next_row(cell.row)?;
        }
        let written = cell.written();
        self.copy(written.start);
        self.copied = written.end;
        self.begun = self.out.len();
        Ok(self.out)
    }

    /// The first change in a message.
    fn next_row(&mut self, from: usize) -> Result<(), CellError> {
        self.end_row()?;
        if let Some(before) = self.before.take() {
            self.out.extend_from_slice(before);
        }
        let to = self.out.len() + (from - self.copied);
        self.row = Some(Changed {
            from,
            to,
            less: 0,
            more: 0,
        });
        Ok(())
    }

    /// What stands in the value's place now was appended.
    #[inline]
    fn row_grows(&mut self, cell: &Cell) {
        if let Some(row) = &mut self.row {
            row.less += cell.written().len();
            row.more += self.out.len() - self.begun;
        }
    }

    /// A new value is to be appended to what this gives; [`Rewriter::value_ends`] says when it is.
    #[inline]
    fn value<F: Form>(&mut self, cell: &Cell) -> Result<&mut Vec<u8>, CellError> {
        let out = self.up_to(cell)?;
        F::begin(out);
        Ok(out)
    }

    #[inline]
    fn value_ends<F: Form>(&mut self, cell: &Cell, form: &F, spare: &mut Vec<u8>) -> Result<(), CellError> {
        let old = self.chunk.get(cell.written());
        form.end(self.begun, old.unwrap_or_default(), spare, self.out)?;
        self.row_grows(cell);
        Ok(())
    }

    /// The new length of the message that changed.
    fn end_row(&mut self) -> Result<(), CellError> {
        let Some(row) = self.row.take() else {
            return Ok(());
        };
        let place = self.out.get_mut(row.to + 1..).and_then(<[u8]>::first_chunk_mut);
        let place = place.ok_or(MALFORMED)?;
        let old = usize::try_from(i32::from_be_bytes(*place)).map_err(|_| MALFORMED)?;
        let new = i32::try_from(old + row.more - row.less).map_err(|_| MALFORMED)?;
        *place = new.to_be_bytes();
        Ok(())
    }

    fn finish(mut self) -> Result<bool, CellError> {
        if self.row.is_none() {
            return Ok(false);
        }
        self.end_row()?;
        self.copy(self.chunk.len());
        Ok(true)
    }

    #[inline]
    fn copy(&mut self, end: usize) {
        let range = self.copied..end;
        self.copied = end;
        let wide = self.chunk.get(range.start..).and_then(<[u8]>::first_chunk::<SHORT>);
        match wide {
            Some(wide) if range.len() <= SHORT => {
                let length = self.out.len() + range.len();
                self.out.extend_from_slice(wide);
                self.out.truncate(length);
            }
            Some(_) | None => self.out.extend_from_slice(self.chunk.get(range).unwrap_or_default()),
        }
    }
}
