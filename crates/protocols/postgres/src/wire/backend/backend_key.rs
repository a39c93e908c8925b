//! BackendKeyData: what a client needs to cancel.

use std::fmt;

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// The longest secret that protocol 3.2 allows, in bytes.
pub(crate) const MAX_SECRET: usize = 256;
/// The shortest, and the only length in 3.0, in bytes.
pub(crate) const MIN_SECRET: usize = 4;

/// The key of a session. `Debug` does not show the secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BackendKeyData<'a> {
    /// The process id, or whatever stands for it.
    pub pid: i32,
    /// The secret: 4 bytes in 3.0, up to 256 in 3.2.
    pub secret: &'a [u8],
}

impl fmt::Debug for BackendKeyData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendKeyData")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

impl<'a> BackendKeyData<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when the secret's length is out of bounds.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let pid = cursor.i32()?;
        let secret = cursor.rest();
        if !(MIN_SECRET..=MAX_SECRET).contains(&secret.len()) {
            return Err(WireError::BadValue("length of the cancel key"));
        }
        Ok(Self { pid, secret })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'K', |out| {
            out.put_i32(self.pid);
            out.put_slice(self.secret);
        });
    }
}
