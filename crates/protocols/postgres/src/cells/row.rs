//! `DataRow` messages.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use sallyport_mask::{MaskKey, Scanner};

use super::batch::{Batch, Rows, body, in_chunks};
use super::masker::Masker;
use super::rewrite::{Around, Form};
use super::{CellError, ColumnPlan, TypeMap};
use crate::wire::HEADER_LEN;
use crate::wire::backend::DataRow;

/// Masks the rows of one result.
pub struct RowMasker {
    batch: Batch,
    untouched: bool,
    /// A message put together from a body.
    message: Vec<u8>,
}

/// `DataRow`'s type byte.
const TAG: u8 = b'D';
const MALFORMED: CellError = CellError::Malformed("DataRow");

/// A value that is all of a result, as the cell of a row of one column is masked.
///
/// # Errors
/// As [`RowMasker::row`].
pub fn mask_value<'v>(masker: &mut RowMasker, value: Option<&'v [u8]>) -> Result<Option<Cow<'v, [u8]>>, CellError> {
    let Some(bytes) = value else { return Ok(None) };
    let (mut row, mut masked) = (Vec::new(), Vec::new());
    DataRow::encode(&mut row, &[value]);
    if !masker.row(row.get(HEADER_LEN..).unwrap_or_default(), &mut masked)? {
        return Ok(Some(Cow::Borrowed(bytes)));
    }
    let masked = DataRow::decode(masked.get(HEADER_LEN..).unwrap_or_default());
    let cell = masked.ok().and_then(|row| row.columns().next()?.ok());
    let cell = cell.ok_or(CellError::Malformed("result of a function"))?;
    Ok(cell.map(|cell| Cow::Owned(cell.to_vec())))
}

impl RowMasker {
    /// A masker for a result with these columns.
    pub fn new(columns: Vec<ColumnPlan>, scanner: Arc<Scanner>, key: Arc<MaskKey>, types: Arc<TypeMap>) -> Self {
        let batch = Batch::new(columns, Masker::new(scanner, key, types));
        Self {
            untouched: batch.untouched(),
            batch,
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
        in_chunks(input, TAG, out, |chunk, before, out| {
            let (count, changed) = self.chunk(chunk, before, out)?;
            Ok(Rows {
                taken: chunk.len(),
                count,
                changed,
            })
        })
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
        let result = self.chunk(&message, Some(&[]), out);
        self.message = message;
        result.map(|(_, changed)| changed).inspect_err(|_| out.truncate(start))
    }

    /// Masks whole messages and counts them. If a value changes, appends `before`, if that is still to be done, and the
    /// messages to `out`, and says true.
    fn chunk(&mut self, chunk: &[u8], before: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(usize, bool), CellError> {
        self.batch.begin(chunk.len());
        let (mut row, mut count) = (0, 0);
        while row < chunk.len() {
            let (body, end) = body(chunk, row).ok_or(MALFORMED)?;
            if add_tuple(&mut self.batch, row, chunk, body.start..end)? != end {
                return Err(MALFORMED);
            }
            (row, count) = (end, count + 1);
        }
        Ok((count, self.batch.mask(chunk, &Lengths, before, out)?))
    }
}

/// Adds the values of a tuple that lies within `place`, and says where it ends: a count, then each value with its
/// length in front.
#[inline]
pub(super) fn add_tuple(batch: &mut Batch, row: usize, chunk: &[u8], place: Range<usize>) -> Result<usize, CellError> {
    let mut at = place.start;
    let count = chunk
        .get(at..place.end)
        .and_then(<[u8]>::first_chunk)
        .ok_or(MALFORMED)?;
    let count = usize::from(u16::from_be_bytes(*count));
    at += 2;
    let expected = batch.columns.len();
    if count != expected {
        return Err(CellError::Columns { expected, got: count });
    }
    for column in 0..count {
        let length = chunk
            .get(at..place.end)
            .and_then(<[u8]>::first_chunk)
            .ok_or(MALFORMED)?;
        let length = i32::from_be_bytes(*length);
        at += 4;
        let Ok(length) = usize::try_from(length) else {
            if length == -1 {
                continue;
            }
            return Err(MALFORMED);
        };
        let value = at..at + length;
        if value.end > place.end {
            return Err(MALFORMED);
        }
        at = value.end;
        batch.add(row, column, chunk, value, Around { before: 4, behind: 0 });
    }
    Ok(at)
}

/// Values with their lengths in front; a NULL has a length of -1.
pub(super) struct Lengths;

impl Form for Lengths {
    fn begin(out: &mut Vec<u8>) {
        out.extend_from_slice(&[0; 4]);
    }

    fn end(&self, start: usize, _old: &[u8], _spare: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), CellError> {
        let length = i32::try_from(out.len() - start - 4).map_err(|_| MALFORMED)?;
        let place = out
            .get_mut(start..)
            .and_then(<[u8]>::first_chunk_mut)
            .ok_or(MALFORMED)?;
        *place = length.to_be_bytes();
        Ok(())
    }

    fn null(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    fn read(&self, written: &[u8], spare: &mut Vec<u8>) {
        spare.clear();
        spare.extend_from_slice(written);
    }
}

#[cfg(test)]
#[path = "row_run_tests.rs"]
mod run_tests;
#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;
