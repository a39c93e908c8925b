//! FunctionCallResponse: the result of a function called by OID.

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// The result of a function call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionCallResponse<'a> {
    /// The value; `None` is NULL.
    pub value: Option<&'a [u8]>,
}

impl<'a> FunctionCallResponse<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not exactly one value.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let value = cursor.value()?;
        cursor.finish()?;
        Ok(Self { value })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'V', |out| out.put_value(self.value));
    }
}
