//! NegotiateProtocolVersion: not all that was asked for is spoken here.

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// The newest minor version that is spoken, and the options that are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiateProtocolVersion<'a> {
    /// The newest version spoken, as in the startup packet (major × 65536 + minor).
    ///
    /// The documentation calls this the minor version; servers have always sent the whole number.
    pub version: u32,
    /// Names of the `_pq_.` options that are not known.
    pub unknown: Vec<&'a [u8]>,
}

impl<'a> NegotiateProtocolVersion<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not what the type says.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let version = cursor.u32()?;
        let count = cursor.u32()?;
        let mut unknown = Vec::new();
        for _ in 0..count {
            unknown.push(cursor.cstr()?);
        }
        cursor.finish()?;
        Ok(Self { version, unknown })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'v', |out| {
            out.put_u32(self.version);
            out.put_u32(u32::try_from(self.unknown.len()).unwrap_or(u32::MAX));
            for name in &self.unknown {
                out.put_cstr(name);
            }
        });
    }
}
