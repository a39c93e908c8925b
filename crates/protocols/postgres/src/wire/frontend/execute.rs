//! Execute: run a portal.

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// A request to run a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    /// The portal's name; empty for the unnamed one.
    pub portal: &'a [u8],
    /// How many rows at most; zero or less for all.
    pub max_rows: i32,
}

impl<'a> Execute<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not a name and a number.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let portal = cursor.cstr()?;
        let max_rows = cursor.i32()?;
        cursor.finish()?;
        Ok(Self { portal, max_rows })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'E', |out| {
            out.put_cstr(self.portal);
            out.put_i32(self.max_rows);
        });
    }
}
