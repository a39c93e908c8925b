//! What can be wrong with bytes from a peer.

/// A message that breaks the protocol. Who sent it is known by whoever read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first byte of a message is of no message type that this side may send.
    #[error("message type `{}` is not known", .0.escape_ascii())]
    UnknownType(u8),
    /// The length field is smaller than itself.
    #[error("message of type `{}` has the impossible length {len}", .tag.escape_ascii())]
    BadLength {
        /// The message's type byte (0 for the startup packet).
        tag: u8,
        /// The length field as it came.
        len: u32,
    },
    /// The message is longer than the limit for its type.
    #[error("message of type `{}` has {len} bytes, the limit is {limit}", .tag.escape_ascii())]
    TooLong {
        /// The message's type byte (0 for the startup packet).
        tag: u8,
        /// The length field as it came, in bytes.
        len: u32,
        /// The limit, in bytes.
        limit: u32,
    },
    /// The message ends before what it announces.
    #[error("message is shorter than what it announces")]
    Truncated,
    /// Bytes are left over after the message.
    #[error("message has bytes left over at its end")]
    Trailing,
    /// A string has no terminator.
    #[error("string without a terminator")]
    Unterminated,
    /// A field has a value that the protocol does not have.
    #[error("message has an invalid {0}")]
    BadValue(&'static str),
}
