//! ParameterDescription: the types of a statement's parameters.

use super::super::{Cursor, WireError};

/// The types of a statement's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterDescription {
    /// Type OIDs.
    pub types: Vec<u32>,
}

impl ParameterDescription {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not a list of OIDs.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let count = usize::from(cursor.u16()?);
        let mut types = Vec::with_capacity(count.min(cursor.remaining() / 4));
        for _ in 0..count {
            types.push(cursor.u32()?);
        }
        cursor.finish()?;
        Ok(Self { types })
    }
}
