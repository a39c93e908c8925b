//! Somebody begins or ceases to watch the session.

use std::future::Future;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Ending, Relay};
use crate::conversation::Conversation;

/// How long what must be watched goes on without anybody who does: a watcher may have lost the network for a moment.
/// Nothing of the client is read meanwhile.
const GRACE: Duration = Duration::from_secs(10);

impl<C, K, T> Relay<C, K, T>
where
    C: Conversation,
    K: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    /// Polled when the bell has rung.
    pub(super) fn poll_audience(&mut self) -> Result<(), Ending> {
        let mut changed = false;
        while let Poll::Ready(seen) = self.audience.as_mut().poll(&mut self.bell.context()) {
            self.audience = self.gate.audience().next_change(seen);
            self.gate.record().note_audience();
            changed = true;
        }
        if !changed {
            return Ok(());
        }
        let lacks = self.lacks_somebody();
        // What may be seen can depend on who watches, too, and that has no grace.
        self.conversation.revealed(&self.gate.reveals(), &mut self.out);
        if lacks {
            self.unwatched
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(GRACE)));
            return Ok(());
        }
        match self.unwatched.take() {
            Some(_) => self.advance_client(),
            None => Ok(()),
        }
    }

    /// What must be watched ends when nobody has come back in time.
    pub(super) fn poll_unwatched(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let over = self.unwatched.as_mut().map(|grace| grace.as_mut().poll(cx));
        if over.is_none_or(|over| over.is_pending()) {
            return Ok(());
        }
        self.unwatched = None;
        self.reconsider()?;
        self.advance_client()
    }

    /// Whether something goes on that would not be permitted now.
    fn lacks_somebody(&mut self) -> bool {
        self.gate.refresh();
        let lasting = self.conversation.lasting();
        let mut lasting = lasting.iter();
        self.gate.reconsider_session().is_some()
            || lasting.any(|(seq, command)| self.gate.reconsider(*seq, command).is_some())
    }
}
