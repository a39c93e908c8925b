//! The binary packet protocol (RFC 4253 section 6): packets are sealed and opened in place, in the buffers they
//! travel in.
//!
//! What arrives is believed in this order: a length within bounds, the seal over all of it, then what is in it.
//! Whatever is wrong with a packet, the error is the same.

mod protection;
mod suite;

use std::ops::Range;

use aws_lc_rs::rand;
use bytes::{BufMut, BytesMut};
use thiserror::Error;

use protection::{Opening, Sealing};
pub use suite::{Cipher, Mac};
pub(crate) use suite::{KeyMaterial, Suite};

/// The most that a `packet_length` may say; OpenSSH has the same bound.
pub(crate) const LENGTH_MAX: usize = 256 * 1024;
/// The same before there are keys, where only the key exchange is spoken (RFC 4253 section 6.1).
const CLEAR_LENGTH_MAX: usize = 35_000;
/// The largest payload that can be sent.
pub const PAYLOAD_MAX: usize = LENGTH_MAX - 256;
/// The least padding (RFC 4253 section 6).
const PADDING_MIN: usize = 4;
/// The length and the number of bytes of padding.
const HEADER: usize = 5;

/// Why a packet was not opened or sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum PacketError {
    /// It is not what the peer sealed. There is one error for all that can be wrong: which it was would tell a
    /// forger how far he got.
    #[error("a packet is not what the peer sealed")]
    Corrupt,
    #[error("a packet is too long to be sent")]
    TooLong,
    #[error("the keys were used for too many packets")]
    Exhausted,
    #[error("the cryptographic library failed")]
    Library,
}

/// How much was sent or received under the present keys.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Usage {
    fn add(&mut self, bytes: usize) -> Result<(), PacketError> {
        // With one more, a sequence number would come twice under the same keys.
        if self.packets > u64::from(u32::MAX) {
            return Err(PacketError::Exhausted);
        }
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(bytes as u64);
        Ok(())
    }
}

/// The sending side of a connection.
pub(crate) struct Sealer {
    keys: Sealing,
    sequence: u32,
    usage: Usage,
    padding: Padding,
}

impl Sealer {
    /// A connection's start: no keys.
    pub(crate) fn new() -> Self {
        Self {
            keys: Sealing::Clear,
            sequence: 0,
            usage: Usage::default(),
            padding: Padding::new(),
        }
    }

    /// For a stream that is protected otherwise: no keys, and none to come.
    pub(crate) fn carried() -> Self {
        Self {
            keys: Sealing::Carried,
            ..Self::new()
        }
    }

    /// Takes new keys; with strict key exchange the sequence numbers start again.
    pub(crate) fn replace(&mut self, suite: Suite, keys: &KeyMaterial, strict: bool) -> Result<(), PacketError> {
        self.keys = Sealing::new(suite, keys)?;
        self.usage = Usage::default();
        if strict {
            self.sequence = 0;
        }
        Ok(())
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    #[cfg(test)]
    pub(crate) fn use_up(&mut self, packets: u64) {
        self.usage.packets = packets;
    }

    /// Appends one packet to `out`, whose payload is `parts` one after another.
    pub(crate) fn seal(&mut self, parts: &[&[u8]], out: &mut BytesMut) -> Result<(), PacketError> {
        let payload: usize = parts.iter().map(|part| part.len()).sum();
        if payload > PAYLOAD_MAX {
            return Err(PacketError::TooLong);
        }
        let block = self.keys.block();
        let aligned = payload + if self.keys.length_is_apart() { 1 } else { HEADER };
        let padding = PADDING_MIN + (block - (aligned + PADDING_MIN) % block) % block;
        let length = 1 + payload + padding;
        self.keys.count(&mut self.usage, length)?;
        let start = out.len();
        out.reserve(4 + length + Sealing::TAG_MAX);
        out.put_u32(u32::try_from(length).map_err(|_| PacketError::TooLong)?);
        out.put_u8(u8::try_from(padding).map_err(|_| PacketError::TooLong)?);
        for part in parts {
            out.put_slice(part);
        }
        out.put_slice(self.padding.take(padding)?);
        let packet = out.get_mut(start..).ok_or(PacketError::Library)?;
        let tag = self.keys.seal(self.sequence, packet)?;
        out.put_slice(tag.as_ref());
        self.sequence = self.sequence.wrapping_add(1);
        Ok(())
    }
}

/// The receiving side of a connection.
pub(crate) struct Opener {
    keys: Opening,
    sequence: u32,
    usage: Usage,
    /// The length of the packet at the head of the input, once it is known. Where lengths are encrypted with the
    /// rest, the first block of the input is decrypted then.
    length: Option<usize>,
}

/// A packet that was opened, as places in the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) payload: Range<usize>,
    pub(crate) whole: usize,
    pub(crate) sequence: u32,
}

impl Opener {
    /// A connection's start: no keys.
    pub(crate) fn new() -> Self {
        Self {
            keys: Opening::Clear,
            sequence: 0,
            usage: Usage::default(),
            length: None,
        }
    }

    /// For a stream that is protected otherwise: no keys, and none to come.
    pub(crate) fn carried() -> Self {
        Self {
            keys: Opening::Carried,
            ..Self::new()
        }
    }

    /// Takes new keys; with strict key exchange the sequence numbers start again.
    pub(crate) fn replace(&mut self, suite: Suite, keys: &KeyMaterial, strict: bool) -> Result<(), PacketError> {
        self.keys = Opening::new(suite, keys)?;
        self.usage = Usage::default();
        if strict {
            self.sequence = 0;
        }
        Ok(())
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    #[cfg(test)]
    pub(crate) fn use_up(&mut self, packets: u64) {
        self.usage.packets = packets;
    }

    /// Opens the packet at the head of `input`, in place, if all of it is there. The payload is never empty.
    pub(crate) fn open(&mut self, input: &mut BytesMut) -> Result<Option<Opened>, PacketError> {
        let length = match self.length {
            Some(length) => length,
            None => {
                let Some(head) = input.get_mut(..self.keys.head()) else {
                    return Ok(None);
                };
                let length = self.keys.length(self.sequence, head)?;
                self.check_length(length)?;
                *self.length.insert(length)
            }
        };
        let whole = 4 + length + self.keys.tag();
        let Some(packet) = input.get_mut(..whole) else {
            return Ok(None);
        };
        self.keys.count(&mut self.usage, length)?;
        self.keys.open(self.sequence, packet)?;
        let padding = packet.get(4).map_or(0, |padding| usize::from(*padding));
        // At least one byte of payload: the number of the message.
        if padding < PADDING_MIN || padding + 2 > length {
            return Err(PacketError::Corrupt);
        }
        let opened = Opened {
            payload: HEADER..4 + length - padding,
            whole,
            sequence: self.sequence,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.length = None;
        Ok(Some(opened))
    }

    fn check_length(&self, length: usize) -> Result<(), PacketError> {
        let most = if matches!(self.keys, Opening::Clear) {
            CLEAR_LENGTH_MAX
        } else {
            LENGTH_MAX
        };
        let aligned = if self.keys.length_is_apart() {
            length
        } else {
            length + 4
        };
        // The least is the number of bytes of padding, one byte of payload and the least padding.
        if length < 1 + 1 + PADDING_MIN || length > most || !aligned.is_multiple_of(self.keys.block()) {
            return Err(PacketError::Corrupt);
        }
        Ok(())
    }
}

/// Random bytes for padding, fetched many at a time: a packet needs few, and each call costs more than they do.
struct Padding {
    pool: [u8; 512],
    used: usize,
}

impl Padding {
    fn new() -> Self {
        Self {
            pool: [0; 512],
            used: 512,
        }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], PacketError> {
        if self.used + count > self.pool.len() {
            rand::fill(&mut self.pool).map_err(|_| PacketError::Library)?;
            self.used = 0;
        }
        let taken = self
            .pool
            .get(self.used..self.used + count)
            .ok_or(PacketError::Library)?;
        self.used += count;
        Ok(taken)
    }
}

#[cfg(test)]
#[path = "packet/tests.rs"]
mod tests;
