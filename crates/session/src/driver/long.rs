//! Long messages: read only where there is room for them.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Ending, Relay};
use crate::conversation::{Conversation, Side};
use crate::room::SHORT;

impl<C, K, T> Relay<C, K, T>
where
    C: Conversation,
    K: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    /// Whether there is room for the message that a peer is sending.
    pub(super) fn has_room(&mut self, side: Side, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let input = match side {
            Side::Client => &mut self.client.input,
            Side::Target => &mut self.target.input,
        };
        let len = self.conversation.keeps(side, input);
        if len <= SHORT {
            return Ok(true);
        }
        match self.room.poll_for(len, cx) {
            Poll::Ready(Ok(())) => {
                input.reserve(len.saturating_sub(input.len()));
                Ok(true)
            }
            Poll::Ready(Err(refusal)) => Err(self.end_for(refusal)),
            Poll::Pending => Ok(false),
        }
    }

    /// Gives the room for long messages back once they are gone.
    pub(super) fn leave_room(&mut self) {
        let waiting = [self.client.input.len(), self.target.input.len(), self.out.target_len()];
        let coming = [(Side::Client, &self.client.input), (Side::Target, &self.target.input)];
        let coming = coming.map(|(side, input)| self.conversation.keeps(side, input));
        let short = waiting.into_iter().chain(coming).all(|len| len <= SHORT) && self.out.client().len() <= SHORT;
        if short && self.holds.is_empty() && self.conversation.wants_client() {
            self.client.fit();
            self.target.fit();
            self.out.fit();
            self.room.give_back();
        }
    }
}
