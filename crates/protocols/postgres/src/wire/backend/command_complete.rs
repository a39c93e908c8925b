//! CommandComplete: a statement is done.

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// A statement is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandComplete<'a> {
    /// The command tag, like `SELECT 5` or `INSERT 0 1`.
    pub tag: &'a [u8],
}

impl<'a> CommandComplete<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not exactly one string.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let tag = cursor.cstr()?;
        cursor.finish()?;
        Ok(Self { tag })
    }

    /// How many rows it says were returned or changed.
    pub fn rows(&self) -> Option<u64> {
        let last = self.tag.rsplit(|byte| *byte == b' ').next()?;
        std::str::from_utf8(last).ok()?.parse().ok()
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'C', |out| out.put_cstr(self.tag));
    }
}
