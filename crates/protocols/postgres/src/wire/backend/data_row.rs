//! DataRow: one row of a result.

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// A row, its values not yet looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataRow<'a> {
    count: u16,
    values: &'a [u8],
}

impl<'a> DataRow<'a> {
    /// Reads a body: the count only. The values are checked as [`Self::columns`] passes over them.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when there is no count.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        Ok(Self {
            count: cursor.u16()?,
            values: cursor.rest(),
        })
    }

    /// How many values the row says it has.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether the row has no values.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values in order; the first error ends it.
    pub fn columns(&self) -> Columns<'a> {
        Columns {
            left: self.count,
            cursor: Some(Cursor::new(self.values)),
        }
    }

    /// Appends a row.
    pub fn encode<S: Sink>(out: &mut S, values: &[Option<&[u8]>]) {
        message(out, b'D', |out| {
            out.put_count(values.len());
            for value in values {
                out.put_value(*value);
            }
        });
    }
}

/// The values of a row; `None` is NULL.
#[derive(Clone, Debug)]
pub struct Columns<'a> {
    left: u16,
    cursor: Option<Cursor<'a>>,
}

impl<'a> Iterator for Columns<'a> {
    type Item = Result<Option<&'a [u8]>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut cursor = self.cursor.take()?;
        let Some(left) = self.left.checked_sub(1) else {
            return cursor.finish().err().map(Err);
        };
        self.left = left;
        let value = cursor.value();
        if value.is_ok() {
            self.cursor = Some(cursor);
        }
        Some(value)
    }
}
