//! Messages of the client that are longer than the gateway takes: refused, and read past without being kept.

use bytes::{Buf, BytesMut};
use sallyport_session::{Effects, WireError};

use super::{Discarding, PostgresConversation};
use crate::refuse;
use crate::wire::frontend::Tag;
use crate::wire::{Class, Tag as _, WireError as Offence};

impl PostgresConversation {
    /// Reads past what has come of a message that was refused for its length. True while more of it is to come.
    pub(super) fn skips(&mut self, bytes: &mut BytesMut) -> bool {
        let len = self.skipping.min(bytes.len());
        bytes.advance(len);
        self.skipping -= len;
        self.skipping > 0
    }

    /// The client's next message cannot be taken. One that is a command, and only too long, is refused as commands are,
    /// and the session goes on; anything else ends it.
    pub(super) fn on_offence(&mut self, offence: &Offence, out: &mut Effects) -> Result<(), WireError> {
        let Offence::TooLong { tag, len, limit } = *offence else {
            return Err(WireError::client(offence.to_string()));
        };
        let message = format!("the message has {len} bytes, and the gateway takes {limit}");
        let simple = match Tag::from_byte(tag) {
            _ if self.copy_in.is_some() => None,
            Some(Tag::Query | Tag::FunctionCall) => Some(true),
            Some(Tag::Parse | Tag::Bind) => Some(false),
            Some(
                Tag::Describe
                | Tag::Execute
                | Tag::Close
                | Tag::Sync
                | Tag::Flush
                | Tag::CopyData
                | Tag::CopyDone
                | Tag::CopyFail
                | Tag::Password
                | Tag::Terminate,
            )
            | None => None,
        };
        let hint = match Tag::from_byte(tag).map(|tag| tag.class()) {
            Some(Class::Statement) => "Give large values as parameters, or send them with COPY.",
            Some(Class::Data) => {
                "The gateway's setting `limits.max_message_mib` is the limit. COPY carries any amount, in many messages."
            }
            Some(Class::Control) | None => "No client needs a message of this type to be so long.",
        };
        let Some(simple) = simple else {
            out.tell(&refuse::last_word("54000", &message, hint));
            self.fatal = true;
            return Err(WireError::client(offence.to_string()));
        };
        if self.discarding == Discarding::No {
            let error = refuse::plain("54000", &message, hint);
            self.refuse(simple, 0, &error, out);
        }
        // The length field counts itself, but not the type before it.
        self.skipping = usize::try_from(len).unwrap_or(usize::MAX).saturating_add(1);
        Ok(())
    }
}
