//! The `p` message: answers to authentication requests. What is inside depends on what was asked.

use std::fmt;

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// An answer to an authentication request, not decoded. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password<'a> {
    body: &'a [u8],
}

impl fmt::Debug for Password<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl<'a> Password<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body }
    }

    /// The password, when a password was asked for.
    ///
    /// # Errors
    /// A [`WireError`] when the body is not exactly one string.
    pub fn password(&self) -> Result<&'a [u8], WireError> {
        let mut cursor = Cursor::new(self.body);
        let password = cursor.cstr()?;
        cursor.finish()?;
        Ok(password)
    }

    /// Appends a PasswordMessage.
    pub fn encode<S: Sink>(out: &mut S, password: &[u8]) {
        message(out, b'p', |out| out.put_cstr(password));
    }
}

/// The first message of a SASL exchange.
#[derive(Clone, Copy)]
pub struct SaslInitialResponse<'a> {
    /// The mechanism chosen.
    pub mechanism: &'a str,
    /// Its first data.
    pub data: &'a [u8],
}

impl SaslInitialResponse<'_> {
    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'p', |out| {
            out.put_cstr(self.mechanism.as_bytes());
            out.put_value(Some(self.data));
        });
    }
}

/// A further message of a SASL exchange.
#[derive(Clone, Copy)]
pub struct SaslResponse<'a> {
    /// The mechanism's data.
    pub data: &'a [u8],
}

impl SaslResponse<'_> {
    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'p', |out| out.put_slice(self.data));
    }
}
