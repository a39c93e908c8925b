//! ReadyForQuery: the server waits for the next command.

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// Where the session stands with its transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TransactionStatus {
    /// In none.
    #[default]
    Idle,
    /// In one.
    Open,
    /// In one that has failed and can only be rolled back.
    Failed,
}

/// The server waits for the next command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyForQuery {
    /// Where the session stands with its transaction.
    pub status: TransactionStatus,
}

impl ReadyForQuery {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not one known status.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let status = match cursor.u8()? {
            b'I' => TransactionStatus::Idle,
            b'T' => TransactionStatus::Open,
            b'E' => TransactionStatus::Failed,
            _ => return Err(WireError::BadValue("transaction status")),
        };
        cursor.finish()?;
        Ok(Self { status })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'Z', |out| {
            out.put_u8(match self.status {
                TransactionStatus::Idle => b'I',
                TransactionStatus::Open => b'T',
                TransactionStatus::Failed => b'E',
            });
        });
    }
}
