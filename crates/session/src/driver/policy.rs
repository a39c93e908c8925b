//! Another policy comes into force while commands run.

use std::task::Poll;

use serde_json::json;
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
    pub(super) fn poll_policy(&mut self) -> Result<(), Ending> {
        let mut changed = false;
        let cx = &mut self.bell.context();
        while let Poll::Ready(change) = self.signals.policy.as_mut().poll(cx) {
            self.signals.policy = change.next();
            changed = true;
        }
        if changed { self.reconsider() } else { Ok(()) }
    }

    /// Ends what is not permitted any more: the session, or commands of it.
    pub(super) fn reconsider(&mut self) -> Result<(), Ending> {
        self.gate.refresh();
        self.renew();
        if let Some(refusal) = self.gate.reconsider_session() {
            return Err(self.end_for(refusal));
        }
        self.conversation.revealed(&self.gate.reveals(), &mut self.out);
        for (seq, command) in self.conversation.lasting() {
            if let Some(refusal) = self.gate.reconsider(seq, &command) {
                let detail = json!({ "revoked": seq, "rules": refusal.rules, "message": refusal.message });
                self.out.remark(detail.to_string().into_bytes());
                self.conversation.revoke(seq, &refusal, &mut self.out);
            }
        }
        self.settle().map(drop)
    }
}
