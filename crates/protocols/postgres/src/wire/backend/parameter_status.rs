//! ParameterStatus: the value of a setting that clients follow.

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// The value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterStatus<'a> {
    /// The setting's name.
    pub name: &'a [u8],
    /// Its value, now.
    pub value: &'a [u8],
}

impl<'a> ParameterStatus<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not exactly two strings.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let name = cursor.cstr()?;
        let value = cursor.cstr()?;
        cursor.finish()?;
        Ok(Self { name, value })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'S', |out| {
            out.put_cstr(self.name);
            out.put_cstr(self.value);
        });
    }
}
