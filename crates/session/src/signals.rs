//! What ends, interrupts or bounds a session from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use tokio::sync::Notify;

use crate::hold::Waiting;
use crate::refusal::Refusal;
use crate::room::Rooms;
use crate::sessions::PolicyChange;

/// What reaches a relay from outside its two peers.
pub struct Signals {
    /// Resolves when the session must end: killed, its token revoked, the gateway shutting down.
    pub end: Waiting<Refusal>,
    /// Resolves when the session must end as soon as it rests: no command runs and no transaction is open.
    pub closing: Waiting<Refusal>,
    /// Resolves when another policy is in force.
    pub policy: Waiting<PolicyChange>,
    /// Notified when the client asks to cancel.
    pub interrupt: Arc<Interrupt>,
    /// The memory that all sessions have for long messages.
    pub rooms: Rooms,
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

/// A client's request to cancel, from another connection.
#[derive(Debug, Default)]
pub struct Interrupt {
    notify: Notify,
    holding: AtomicBool,
}

impl Interrupt {
    /// Asks the session to give its held command up. False when nothing is held: then the target is to be asked.
    pub fn request(&self) -> bool {
        let holding = self.holding.load(Ordering::Acquire);
        if holding {
            self.notify.notify_one();
        }
        holding
    }

    /// A command is held from now on. A request that came too late for an earlier one is not for this one.
    pub(crate) fn begin(&self) {
        self.notify.notified().now_or_never().unwrap_or_default();
        self.holding.store(true, Ordering::Release);
    }

    /// Nothing is held any more.
    pub(crate) fn end(&self) {
        self.holding.store(false, Ordering::Release);
    }

    /// Resolves when the client asks.
    pub(crate) async fn asked(&self) {
        self.notify.notified().await;
    }
}
