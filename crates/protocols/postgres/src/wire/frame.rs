//! Finding messages in a byte stream, without copying and before anything is buffered for them.

use super::WireError;

/// Bytes in front of a message's body: the type and the length.
pub const HEADER_LEN: usize = 5;

/// How much a kind of message may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Messages that are short by nature.
    Control,
    /// The text of statements.
    Statement,
    /// Values: rows, parameters, copied data, and the texts of errors.
    Data,
}

/// The type byte of the messages that one side may send.
pub trait Tag: Copy + Eq + std::fmt::Debug {
    /// The type for a byte, if this side has one.
    fn from_byte(byte: u8) -> Option<Self>;
    /// The byte for this type.
    fn byte(self) -> u8;
    /// Which limit holds for it.
    fn class(self) -> Class;
}

/// The longest messages that are accepted, in bytes of the length field (which counts itself).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For [`Class::Control`].
    pub control: u32,
    /// For [`Class::Statement`].
    pub statement: u32,
    /// For [`Class::Data`].
    pub data: u32,
}

impl Default for Limits {
    /// 1 MiB, 16 MiB, and just under 1 GiB, which is what the server itself can take or send.
    fn default() -> Self {
        Self {
            control: 1 << 20,
            statement: 16 << 20,
            data: (1 << 30) - 1,
        }
    }
}

impl Limits {
    /// The same, with no limit above `bytes`, the type byte included.
    #[must_use]
    pub fn at_most(self, bytes: u32) -> Self {
        let most = bytes.saturating_sub(1);
        Self {
            control: self.control.min(most),
            statement: self.statement.min(most),
            data: self.data.min(most),
        }
    }

    /// Whether a message is not longer than these allow.
    ///
    /// # Errors
    /// [`WireError::TooLong`].
    pub fn check<T: Tag>(&self, frame: Frame<T>) -> Result<(), WireError> {
        let len = u32::try_from(frame.total_len.saturating_sub(1)).unwrap_or(u32::MAX);
        let (tag, limit) = (frame.tag.byte(), self.of(frame.tag.class()));
        if len > limit {
            return Err(WireError::TooLong { tag, len, limit });
        }
        Ok(())
    }

    fn of(&self, class: Class) -> u32 {
        match class {
            Class::Control => self.control,
            Class::Statement => self.statement,
            Class::Data => self.data,
        }
    }
}

/// One message in a buffer, from the buffer's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<T> {
    /// What kind of message.
    pub tag: T,
    /// Bytes of the whole message, with type and length.
    pub total_len: usize,
}

impl<T> Frame<T> {
    /// The message's body, when `buf` (which the frame was found in) holds all of it.
    pub fn body<'a>(&self, buf: &'a [u8]) -> Option<&'a [u8]> {
        buf.get(HEADER_LEN..self.total_len)
    }

    /// Whether `buf` holds all of the message.
    pub fn is_whole(&self, buf: &[u8]) -> bool {
        buf.len() >= self.total_len
    }
}

/// The message that `buf` begins with, as soon as its header is there. Its body may not be.
///
/// # Errors
/// An unknown type is refused at its first byte, a length out of bounds as soon as it is known.
pub fn peek_frame<T: Tag>(buf: &[u8], limits: &Limits) -> Result<Option<Frame<T>>, WireError> {
    let Some((&byte, rest)) = buf.split_first() else {
        return Ok(None);
    };
    let tag = T::from_byte(byte).ok_or(WireError::UnknownType(byte))?;
    let Some(len) = rest.first_chunk::<4>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(*len);
    if len < 4 {
        return Err(WireError::BadLength { tag: byte, len });
    }
    let limit = limits.of(tag.class());
    if len > limit {
        return Err(WireError::TooLong { tag: byte, len, limit });
    }
    let len = usize::try_from(len).map_err(|_| WireError::TooLong { tag: byte, len, limit })?;
    Ok(Some(Frame {
        tag,
        total_len: len.saturating_add(1),
    }))
}

/// The message that `buf` begins with, when all of it is there.
///
/// # Errors
/// As [`peek_frame`].
pub fn next_frame<T: Tag>(buf: &[u8], limits: &Limits) -> Result<Option<Frame<T>>, WireError> {
    Ok(peek_frame(buf, limits)?.filter(|frame| frame.is_whole(buf)))
}
