//! Many rows at once: the values in them that may change are found first, then one look at all of them tells in which
//! something could be, and only these are looked at closely.
//!
//! What the rows are written in ([`Form`]) and where their values lie is known outside: see `row.rs` and
//! `copy_batch.rs`. All of them are messages with their length behind the first byte.

use std::ops::Range;

use fearless_simd::{Level, Simd, SimdBase, SimdFrom, SimdMask, dispatch, u8x16};
use sallyport_mask::Strategy;

use super::masker::{Masker, Outcome};
use super::rewrite::{Around, Cell, Form, Rewriter};
use super::{CellError, ColumnPlan, TypeKind};

/// So many bytes are looked at in one go, and whole messages: few enough for the fastest cache.
pub(super) const CHUNK: usize = 8 * 1024;
/// The values of a longer message are searched one by one, which needs less memory.
pub(super) const LOOK_LIMIT: usize = 64 * 1024;
/// Numbers with fewer characters hold no card's number, but for exponents.
const SHORT_NUMBER: usize = 13;
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
    /// Text that is replaced, as its column's rule says, whatever it is.
    Ruled,
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

/// The columns of a result and what masks the values in them.
pub(super) struct Batch {
    pub(super) columns: Vec<Column>,
    /// How the values of each column are looked at, once more, close together.
    looks: Vec<Look>,
    pub(super) masker: Masker,
    cells: Vec<Cell>,
    /// Whether the values of the rows at hand are few enough bytes for one look at all of them.
    at_once: bool,
    /// Whether this look is at all bytes, and not only at the values that were named for it.
    everywhere: bool,
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
        let columns: Vec<Column> = plans.into_iter().map(column).collect();
        Self {
            looks: columns.iter().map(|column| column.look).collect(),
            columns,
            masker,
            cells: Vec::new(),
            at_once: false,
            everywhere: false,
            tells_all: true,
            new: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Whether nothing can change.
    pub(super) fn untouched(&self) -> bool {
        self.looks.iter().all(|look| *look == Look::Never)
    }

    /// Begins with messages of so many bytes.
    pub(super) fn begin(&mut self, length: usize) {
        self.begins(length, false);
    }

    /// The same if bytes that part values ([`sallyport_mask::Scanner::parts_values`]) are around each value, but for
    /// the heads of messages: [`Batch::head`].
    pub(super) fn begin_parted(&mut self, length: usize) {
        self.begins(length, true);
    }

    fn begins(&mut self, length: usize, parted: bool) {
        self.cells.clear();
        self.at_once = length <= LOOK_LIMIT;
        self.everywhere = self.at_once && parted;
        self.tells_all = true;
        if self.everywhere {
            self.masker.scratch.begin_texts_everywhere(length);
        } else {
            self.masker.scratch.begin_texts(if self.at_once { length } else { 0 });
        }
    }

    /// A message begins.
    #[inline]
    pub(super) fn head(&mut self, place: &Range<usize>) {
        if self.everywhere {
            self.masker.scratch.leave_out(place);
        }
    }

    /// Adds the value of a column that is no NULL, in order.
    #[inline(always)]
    pub(super) fn add(&mut self, row: usize, column: usize, chunk: &[u8], value: Range<usize>, around: Around) {
        let Some(mut look) = self.looks.get(column).copied() else {
            return;
        };
        if look == Look::Never || value.is_empty() {
            return;
        }
        if matches!(look, Look::Text | Look::Hint) {
            if !self.at_once {
                look = Look::Always;
            } else if !self.everywhere {
                self.masker.scratch.add_text(&value);
            }
        } else if look == Look::Number && is_short_number(chunk, &value) {
            return;
        }
        self.push(row, column, value, around, look);
    }

    /// Adds a value that must be read from how it is written.
    pub(super) fn add_written(&mut self, row: usize, column: usize, written: Range<usize>) {
        self.push(row, column, written, Around { before: 0, behind: 0 }, Look::Written);
    }

    #[inline(always)]
    fn push(&mut self, row: usize, column: usize, value: Range<usize>, around: Around, look: Look) {
        self.tells_all &= matches!(look, Look::Text | Look::Hint);
        self.cells.push(Cell {
            row: row as u32,
            start: value.start as u32,
            end: value.end as u32,
            column: column as u16,
            look,
            around,
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
        while self.cells.last().is_some_and(|cell| cell.row() >= row) {
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
            let place = cell.value();
            match cell.look {
                Look::Text => {
                    if any && self.masker.find_in(chunk, &place) {
                        let out = rewriter.value::<F>(cell)?;
                        self.masker.rewrite(chunk, &place, out);
                        rewriter.value_ends(cell, form, &mut self.spare)?;
                    }
                    continue;
                }
                Look::Ruled => {
                    let column = self.columns.get(usize::from(cell.column)).ok_or(MALFORMED)?;
                    let strategy = column.plan.rule.unwrap_or(Strategy::Redact);
                    let value = chunk.get(place).unwrap_or_default();
                    let out = rewriter.value::<F>(cell)?;
                    sallyport_mask::apply(strategy, &self.masker.key, value, out);
                    rewriter.value_ends(cell, form, &mut self.spare)?;
                    continue;
                }
                Look::Hint if !any || !self.masker.scratch.could_hold(&place) => continue,
                Look::Never => continue,
                Look::Hint | Look::Number | Look::Always | Look::Written => {}
            }
            let Column { plan, kind, .. } = self.columns.get(usize::from(cell.column)).ok_or(MALFORMED)?;
            let mut value = chunk.get(place).unwrap_or_default();
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

impl Look {
    fn of(plan: &ColumnPlan, masker: &Masker) -> Self {
        if plan.rule.is_none() && !masker.can_change(plan.type_oid) {
            Self::Never
        } else if masker.is_text(plan) {
            Self::Text
        } else if masker.is_replaced_as_text(plan) {
            Self::Ruled
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
fn is_short_number(chunk: &[u8], value: &Range<usize>) -> bool {
    if value.len() >= SHORT_NUMBER {
        return false;
    }
    match chunk.get(value.start..).and_then(<[u8]>::first_chunk) {
        Some(block) => {
            let exponents = dispatch!(Level::baseline(), simd => exponents(simd, block));
            exponents & !(u64::MAX << value.len()) == 0
        }
        None => !chunk
            .get(value.clone())
            .unwrap_or_default()
            .iter()
            .any(|byte| byte | 0x20 == b'e'),
    }
}

/// Where an `e` stands, small or large.
#[inline(always)]
fn exponents<S: Simd>(simd: S, block: &[u8; 16]) -> u64 {
    let v = u8x16::simd_from(simd, *block) | u8x16::splat(simd, 0x20);
    v.simd_eq(u8x16::splat(simd, b'e')).to_bitmask()
}
