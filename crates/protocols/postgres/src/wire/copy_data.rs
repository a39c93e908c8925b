//! CopyData: a piece of a COPY stream, in either direction.

use super::encode::{Sink, message};

/// A piece of a COPY stream. From a server it is usually one row; from a client it may be any piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyData<'a> {
    /// The bytes.
    pub data: &'a [u8],
}

impl<'a> CopyData<'a> {
    /// Reads a body.
    pub fn decode(body: &'a [u8]) -> Self {
        Self { data: body }
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'd', |out| out.put_slice(self.data));
    }
}
