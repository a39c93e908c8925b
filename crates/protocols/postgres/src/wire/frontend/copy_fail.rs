//! CopyFail: the client gives up its COPY input.

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// COPY input given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyFail<'a> {
    /// Why, as the server will say it in its error.
    pub reason: &'a [u8],
}

impl<'a> CopyFail<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not exactly one string.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let reason = cursor.cstr()?;
        cursor.finish()?;
        Ok(Self { reason })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'f', |out| out.put_cstr(self.reason));
    }
}
