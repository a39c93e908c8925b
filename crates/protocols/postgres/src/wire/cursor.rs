//! Bounded reading of a message's body.

use super::WireError;

/// Reads a message's body front to back; every read is checked against what is left.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer are left.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the end.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A 16-bit number, signed.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer than two bytes are left.
    pub fn i16(&mut self) -> Result<i16, WireError> {
        self.array().map(i16::from_be_bytes)
    }

    /// A 16-bit number, unsigned (how the server reads counts).
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer than two bytes are left.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A 32-bit number, signed.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer than four bytes are left.
    pub fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A 32-bit number, unsigned.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer than four bytes are left.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A zero-terminated string, without its terminator.
    ///
    /// # Errors
    /// [`WireError::Unterminated`] when no zero byte is left.
    pub fn cstr(&mut self) -> Result<&'a [u8], WireError> {
        let at = memchr::memchr(0, self.rest).ok_or(WireError::Unterminated)?;
        let text = self.bytes(at)?;
        self.u8()?;
        Ok(text)
    }

    /// A value with its 32-bit length in front; length -1 is NULL.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when it is cut short, [`WireError::BadValue`] for other negative lengths.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        match self.i32()? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| WireError::BadValue("value length"))?;
                self.bytes(len).map(Some)
            }
        }
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`WireError::Trailing`] when something is left.
    pub fn finish(self) -> Result<(), WireError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(WireError::Trailing)
        }
    }
}
