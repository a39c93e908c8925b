//! Query: run a string of statements.

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// A string of statements, in the client's encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The text.
    pub text: &'a [u8],
}

impl<'a> Query<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not exactly one string.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let text = cursor.cstr()?;
        cursor.finish()?;
        Ok(Self { text })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'Q', |out| out.put_cstr(self.text));
    }
}
