//! The messages of the connection protocol as both sides send them (RFC 4254, sections 4 and 5).

use bytes::{BufMut, BytesMut};
use sallyport_ssh_transport::message;
use sallyport_ssh_transport::wire::{self, Reader, WireError};

/// One message. Its form is the same in both directions; what a kind of request or channel means is not, and has
/// types of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    GlobalRequest {
        name: &'a [u8],
        want_reply: bool,
        rest: &'a [u8],
    },
    RequestSuccess(&'a [u8]),
    RequestFailure,
    Open {
        kind: &'a [u8],
        sender: u32,
        window: u32,
        max_packet: u32,
        rest: &'a [u8],
    },
    OpenConfirmation {
        channel: u32,
        sender: u32,
        window: u32,
        max_packet: u32,
    },
    OpenFailure {
        channel: u32,
        reason: u32,
        text: &'a [u8],
    },
    WindowAdjust {
        channel: u32,
        bytes: u32,
    },
    /// `stream` is 0 for data and the data type code of extended data otherwise (1 is stderr).
    Data {
        channel: u32,
        stream: u32,
        data: &'a [u8],
    },
    Eof {
        channel: u32,
    },
    Close {
        channel: u32,
    },
    Request {
        channel: u32,
        name: &'a [u8],
        want_reply: bool,
        rest: &'a [u8],
    },
    Success {
        channel: u32,
    },
    Failure {
        channel: u32,
    },
}

impl<'a> Packet<'a> {
    /// Reads a payload. `None` for a message that is not of this protocol.
    pub(crate) fn read(payload: &'a [u8]) -> Result<Option<Self>, WireError> {
        let mut reader = Reader::new(payload);
        let packet = match reader.u8()? {
            message::GLOBAL_REQUEST => Self::GlobalRequest {
                name: reader.string()?,
                want_reply: reader.bool()?,
                rest: reader.rest(),
            },
            message::REQUEST_SUCCESS => Self::RequestSuccess(reader.rest()),
            message::REQUEST_FAILURE => Self::RequestFailure,
            message::CHANNEL_OPEN => Self::Open {
                kind: reader.string()?,
                sender: reader.u32()?,
                window: reader.u32()?,
                max_packet: reader.u32()?,
                rest: reader.rest(),
            },
            message::CHANNEL_OPEN_CONFIRMATION => Self::confirmation(&mut reader)?,
            message::CHANNEL_OPEN_FAILURE => Self::failure(&mut reader)?,
            message::CHANNEL_WINDOW_ADJUST => Self::WindowAdjust {
                channel: reader.u32()?,
                bytes: reader.u32()?,
            },
            message::CHANNEL_DATA => Self::Data {
                channel: reader.u32()?,
                stream: 0,
                data: reader.string()?,
            },
            message::CHANNEL_EXTENDED_DATA => Self::extended(&mut reader)?,
            message::CHANNEL_EOF => Self::Eof { channel: reader.u32()? },
            message::CHANNEL_CLOSE => Self::Close { channel: reader.u32()? },
            message::CHANNEL_REQUEST => Self::Request {
                channel: reader.u32()?,
                name: reader.string()?,
                want_reply: reader.bool()?,
                rest: reader.rest(),
            },
            message::CHANNEL_SUCCESS => Self::Success { channel: reader.u32()? },
            message::CHANNEL_FAILURE => Self::Failure { channel: reader.u32()? },
            _ => return Ok(None),
        };
        reader.finish()?;
        Ok(Some(packet))
    }

    fn confirmation(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let packet = Self::OpenConfirmation {
            channel: reader.u32()?,
            sender: reader.u32()?,
            window: reader.u32()?,
            max_packet: reader.u32()?,
        };
        // What follows is of the channel's kind; none of those that are carried has anything there.
        let _ = reader.rest();
        Ok(packet)
    }

    fn failure(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let packet = Self::OpenFailure {
            channel: reader.u32()?,
            reason: reader.u32()?,
            text: reader.string()?,
        };
        // The language tag, which some leave out.
        let _ = reader.rest();
        Ok(packet)
    }

    fn extended(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let (channel, stream) = (reader.u32()?, reader.u32()?);
        if stream == 0 {
            // It would be taken for plain data (section 5.2 gives 0 no meaning).
            return Err(WireError::Number);
        }
        Ok(Self::Data {
            channel,
            stream,
            data: reader.string()?,
        })
    }

    /// Appends the payload.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        match *self {
            Self::GlobalRequest { name, want_reply, rest } => {
                out.put_u8(message::GLOBAL_REQUEST);
                wire::put_string(out, name);
                out.put_u8(want_reply.into());
                out.put_slice(rest);
            }
            Self::RequestSuccess(rest) => {
                out.put_u8(message::REQUEST_SUCCESS);
                out.put_slice(rest);
            }
            Self::RequestFailure => out.put_u8(message::REQUEST_FAILURE),
            Self::Open {
                kind,
                sender,
                window,
                max_packet,
                rest,
            } => {
                out.put_u8(message::CHANNEL_OPEN);
                wire::put_string(out, kind);
                numbers(out, &[sender, window, max_packet]);
                out.put_slice(rest);
            }
            Self::OpenConfirmation {
                channel,
                sender,
                window,
                max_packet,
            } => {
                out.put_u8(message::CHANNEL_OPEN_CONFIRMATION);
                numbers(out, &[channel, sender, window, max_packet]);
            }
            Self::OpenFailure { channel, reason, text } => {
                out.put_u8(message::CHANNEL_OPEN_FAILURE);
                numbers(out, &[channel, reason]);
                wire::put_string(out, text);
                wire::put_string(out, b"");
            }
            Self::WindowAdjust { channel, bytes } => {
                out.put_u8(message::CHANNEL_WINDOW_ADJUST);
                numbers(out, &[channel, bytes]);
            }
            Self::Data { channel, stream, data } => {
                out.put_slice(DataHead::new(channel, stream, data.len()).as_bytes());
                out.put_slice(data);
            }
            Self::Request {
                channel,
                name,
                want_reply,
                rest,
            } => {
                out.put_u8(message::CHANNEL_REQUEST);
                out.put_u32(channel);
                wire::put_string(out, name);
                out.put_u8(want_reply.into());
                out.put_slice(rest);
            }
            Self::Eof { channel } => of_channel(out, message::CHANNEL_EOF, channel),
            Self::Close { channel } => of_channel(out, message::CHANNEL_CLOSE, channel),
            Self::Success { channel } => of_channel(out, message::CHANNEL_SUCCESS, channel),
            Self::Failure { channel } => of_channel(out, message::CHANNEL_FAILURE, channel),
        }
    }
}

fn numbers(out: &mut BytesMut, numbers: &[u32]) {
    for number in numbers {
        out.put_u32(*number);
    }
}

fn of_channel(out: &mut BytesMut, message: u8, channel: u32) {
    out.put_u8(message);
    out.put_u32(channel);
}

/// What stands before the data in its message: so that data can be encrypted from where it lies.
pub(crate) struct DataHead {
    bytes: [u8; 13],
    len: usize,
}

impl DataHead {
    pub(crate) fn new(channel: u32, stream: u32, len: usize) -> Self {
        let data_len = u32::try_from(len).unwrap_or(u32::MAX);
        let mut bytes = [0; 13];
        let mut rest: &mut [u8] = &mut bytes;
        let kind = if stream == 0 {
            message::CHANNEL_DATA
        } else {
            message::CHANNEL_EXTENDED_DATA
        };
        rest.put_u8(kind);
        rest.put_u32(channel);
        if stream != 0 {
            rest.put_u32(stream);
        }
        rest.put_u32(data_len);
        let len = 13 - rest.len();
        Self { bytes, len }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::Packet;

    fn written(packet: &Packet<'_>) -> BytesMut {
        let mut out = BytesMut::new();
        packet.write(&mut out);
        out
    }

    #[test]
    fn what_is_written_reads_back() {
        let packets = [
            Packet::GlobalRequest {
                name: b"tcpip-forward",
                want_reply: true,
                rest: b"x",
            },
            Packet::Open {
                kind: b"session",
                sender: 1,
                window: 2,
                max_packet: 3,
                rest: b"",
            },
            Packet::OpenConfirmation {
                channel: 1,
                sender: 2,
                window: 3,
                max_packet: 4,
            },
            Packet::OpenFailure {
                channel: 1,
                reason: 2,
                text: b"no",
            },
            Packet::WindowAdjust { channel: 1, bytes: 9 },
            Packet::Data {
                channel: 7,
                stream: 0,
                data: b"out",
            },
            Packet::Data {
                channel: 7,
                stream: 1,
                data: b"err",
            },
            Packet::Request {
                channel: 1,
                name: b"exec",
                want_reply: true,
                rest: b"\0\0\0\x02ls",
            },
            Packet::Eof { channel: 5 },
            Packet::Close { channel: 5 },
            Packet::Success { channel: 5 },
            Packet::Failure { channel: 5 },
        ];
        for packet in packets {
            assert_eq!(Packet::read(&written(&packet)).unwrap().unwrap(), packet);
        }
    }

    #[test]
    fn bytes_behind_the_last_field_are_not_understood() {
        let mut close = written(&Packet::Close { channel: 5 });
        close.extend_from_slice(b"x");
        assert!(Packet::read(&close).is_err());
        assert!(
            Packet::read(b"\x5f\0\0\0\0\0\0\0\0\0\0\0\0").is_err(),
            "extended data of type 0"
        );
        assert_eq!(Packet::read(&[200]).unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Packet::read(&bytes);
        }
    }
}
