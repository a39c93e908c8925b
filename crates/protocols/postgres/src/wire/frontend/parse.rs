//! Parse: make a prepared statement.

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// A request to make a prepared statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// The text, in the client's encoding.
    pub text: &'a [u8],
    /// OIDs of the parameters' types; 0 leaves one to the server. May be shorter than the parameters.
    pub parameter_types: Vec<u32>,
}

impl<'a> Parse<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not what the type says.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let name = cursor.cstr()?;
        let text = cursor.cstr()?;
        let count = usize::from(cursor.u16()?);
        let mut parameter_types = Vec::with_capacity(count.min(cursor.remaining() / 4));
        for _ in 0..count {
            parameter_types.push(cursor.u32()?);
        }
        cursor.finish()?;
        Ok(Self {
            name,
            text,
            parameter_types,
        })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'P', |out| {
            out.put_cstr(self.name);
            out.put_cstr(self.text);
            out.put_count(self.parameter_types.len());
            for oid in &self.parameter_types {
                out.put_u32(*oid);
            }
        });
    }
}
