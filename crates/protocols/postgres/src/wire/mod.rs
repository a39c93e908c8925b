//! PostgreSQL's frontend/backend protocol, versions 3.0 and 3.2: frames and messages.
//!
//! Pure: no sockets, no clock, no policy. Direction is in the type: what a client says is in
//! [`frontend`], what a server says is in [`backend`], and the same byte never means both. Decoding
//! borrows from the buffer, is bounded by it, and refuses what it does not know.
//!
//! Source: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

pub mod backend;
mod copy_data;
mod cursor;
mod diagnostic;
mod encode;
mod error;
mod frame;
pub mod frontend;
pub mod startup;

pub use copy_data::CopyData;
pub use cursor::Cursor;
pub use diagnostic::{Diagnostic, Field, Severity};
pub use encode::{Sink, message};
pub use error::WireError;
pub use frame::{Class, Frame, HEADER_LEN, Limits, Tag, next_frame, peek_frame};

/// The format of a value on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The type's text output.
    Text,
    /// The type's binary send format.
    Binary,
}

impl Format {
    /// The code that stands for this format in messages.
    pub fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }

    /// The format for a code.
    ///
    /// # Errors
    /// [`WireError::BadValue`] for any code but 0 and 1.
    pub fn from_code(code: i16) -> Result<Self, WireError> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            _ => Err(WireError::BadValue("format code")),
        }
    }
}

#[cfg(test)]
mod tests;
