//! Writes messages anew in which values change, from the first change on. What does not change is copied.

use std::ops::Range;

use super::CellError;
use super::batch::Look;

/// What is shorter is copied with one that long: a fixed length takes no call.
const SHORT: usize = 64;

const MALFORMED: CellError = CellError::Malformed("message");

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

/// A value that may change.
pub(super) struct Cell {
    /// Where its row's message starts.
    pub(super) row: u32,
    /// Where it lies.
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) column: u16,
    pub(super) look: Look,
    /// What is written anew with it: so many bytes more before and behind it.
    pub(super) around: Around,
}

/// Bytes before and behind a value that belong to it, as its length or its quotes do.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub(super) before: u8,
    pub(super) behind: u8,
}

impl Cell {
    #[inline]
    pub(super) fn row(&self) -> usize {
        self.row as usize
    }

    #[inline]
    pub(super) fn value(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Where it lies with what is around it.
    #[inline]
    fn written(&self) -> Range<usize> {
        let Range { start, end } = self.value();
        start - usize::from(self.around.before)..end + usize::from(self.around.behind)
    }
}

/// Writes messages anew, from the first change on.
pub(super) struct Rewriter<'a> {
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
    pub(super) fn new(chunk: &'a [u8], before: Option<&'a [u8]>, out: &'a mut Vec<u8>) -> Self {
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
    pub(super) fn up_to(&mut self, cell: &Cell) -> Result<&mut Vec<u8>, CellError> {
        if self.row.as_ref().is_none_or(|row| row.from != cell.row()) {
            self.next_row(cell.row())?;
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
    pub(super) fn row_grows(&mut self, cell: &Cell) {
        if let Some(row) = &mut self.row {
            row.less += cell.written().len();
            row.more += self.out.len() - self.begun;
        }
    }

    /// A new value is to be appended to what this gives; [`Rewriter::value_ends`] says when it is.
    #[inline]
    pub(super) fn value<F: Form>(&mut self, cell: &Cell) -> Result<&mut Vec<u8>, CellError> {
        let out = self.up_to(cell)?;
        F::begin(out);
        Ok(out)
    }

    #[inline]
    pub(super) fn value_ends<F: Form>(&mut self, cell: &Cell, form: &F, spare: &mut Vec<u8>) -> Result<(), CellError> {
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

    pub(super) fn finish(mut self) -> Result<bool, CellError> {
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
