//! NotificationResponse: somebody called NOTIFY.

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// A notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationResponse<'a> {
    /// The notifying session's process id on the server.
    pub pid: i32,
    /// The channel.
    pub channel: &'a [u8],
    /// The payload: text that another session chose.
    pub payload: &'a [u8],
}

impl<'a> NotificationResponse<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not what the type says.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let pid = cursor.i32()?;
        let channel = cursor.cstr()?;
        let payload = cursor.cstr()?;
        cursor.finish()?;
        Ok(Self { pid, channel, payload })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'A', |out| {
            out.put_i32(self.pid);
            out.put_cstr(self.channel);
            out.put_cstr(self.payload);
        });
    }
}
