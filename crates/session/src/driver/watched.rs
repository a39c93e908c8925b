//! Somebody begins or ceases to watch the session.

use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Ending, Relay};
use crate::conversation::Conversation;

impl<C, K, T> Relay<C, K, T>
where
    C: Conversation,
    K: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    /// Polled when the bell has rung.
    pub(super) fn poll_audience(&mut self) -> Result<(), Ending> {
        while let Poll::Ready(seen) = self.audience.as_mut().poll(&mut self.bell.context()) {
            self.audience = self.gate.audience().next_change(seen);
            self.gate.record().note_audience();
        }
        Ok(())
    }
}
