//! `FORMAT binary`: a header, tuples of fields with lengths, a trailer (documentation of COPY, "Binary Format").

use super::composite::Reader;
use super::copy::Columns;
use super::masker::Outcome;
use super::{CellError, Format};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xFF\r\n\0";
const MALFORMED: CellError = CellError::Malformed("binary COPY");

/// What comes next.
#[derive(Debug, Default)]
pub(super) enum Binary {
    #[default]
    Header,
    Tuples,
    /// The trailer came: nothing may follow.
    Over,
}

impl Binary {
    /// Masks the whole parts that `data` starts with, and says how many bytes they are.
    pub(super) fn rows(&mut self, columns: &mut Columns, data: &[u8], out: &mut Vec<u8>) -> Result<usize, CellError> {
        let mut used = 0;
        loop {
            let rest = data.get(used..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(used);
            }
            let part = match self {
                Self::Header => header(rest)?,
                Self::Tuples => tuple(columns, rest, out)?,
                Self::Over => return Err(MALFORMED),
            };
            let Some(part) = part else {
                return Ok(used);
            };
            match (&self, part) {
                (Self::Header, Part::Whole(length)) => {
                    out.extend_from_slice(rest.get(..length).unwrap_or_default());
                    *self = Self::Tuples;
                    used += length;
                }
                (_, Part::Whole(length)) => used += length,
                (_, Part::Trailer) => {
                    out.extend_from_slice(&(-1_i16).to_be_bytes());
                    *self = Self::Over;
                    used += 2;
                }
            }
        }
    }
}

enum Part {
    /// So many bytes.
    Whole(usize),
    Trailer,
}

/// The header, if all of it is there. Flags that change the tuples' form are refused.
fn header(data: &[u8]) -> Result<Option<Part>, CellError> {
    let seen = SIGNATURE.len().min(data.len());
    if data.get(..seen) != SIGNATURE.get(..seen) {
        return Err(MALFORMED);
    }
    let mut reader = Reader::new(data);
    let Some(_) = reader.bytes(SIGNATURE.len()) else {
        return Ok(None);
    };
    let (Some(flags), Some(extension)) = (reader.int(), reader.int()) else {
        return Ok(None);
    };
    if flags != 0 {
        return Err(MALFORMED);
    }
    let extension = usize::try_from(extension).map_err(|_| MALFORMED)?;
    Ok(reader.bytes(extension).map(|_| Part::Whole(reader.seen().len())))
}

/// One tuple, if all of it is there.
fn tuple(columns: &mut Columns, data: &[u8], out: &mut Vec<u8>) -> Result<Option<Part>, CellError> {
    let mut reader = Reader::new(data);
    let Some(count) = reader.short() else {
        return Ok(None);
    };
    if count == -1 {
        return Ok(Some(Part::Trailer));
    }
    let count = usize::try_from(count).map_err(|_| MALFORMED)?;
    columns.check(count)?;
    let head = reader.seen();
    if !all_there(&mut reader, count)? {
        return Ok(None);
    }
    let length = reader.seen().len();
    let mut reader = Reader::new(data);
    reader.short();
    out.extend_from_slice(head);
    for number in 0..count {
        let Some(field) = reader.field().ok_or(MALFORMED)? else {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            continue;
        };
        let new = match columns.value(number, Format::Binary, field) {
            Outcome::Same => Some(field),
            Outcome::Changed => Some(columns.cell.as_slice()),
            Outcome::Null => None,
        };
        let length = match new {
            Some(new) => i32::try_from(new.len()).map_err(|_| MALFORMED)?,
            None => -1,
        };
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(new.unwrap_or_default());
    }
    Ok(Some(Part::Whole(length)))
}

/// Whether all fields of a tuple are there.
fn all_there(reader: &mut Reader<'_>, count: usize) -> Result<bool, CellError> {
    for _ in 0..count {
        let Some(length) = reader.int() else {
            return Ok(false);
        };
        if length == -1 {
            continue;
        }
        let length = usize::try_from(length).map_err(|_| MALFORMED)?;
        if reader.bytes(length).is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
