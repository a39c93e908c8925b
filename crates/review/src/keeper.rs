//! The one background task: it withdraws what clients left behind, expires what is due, and feeds the webhooks.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::clock::ms;
use crate::desk::Inner;
use crate::webhook;

/// What the keeper is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Something changed: look again when the next thing is due.
    Look,
    /// A client stopped waiting.
    Abandon {
        /// The request.
        id: String,
        /// The session that waited.
        session: String,
    },
}

/// The longest sleep: a wall clock that jumps is noticed after so long.
const MAX_SLEEP: Duration = Duration::from_secs(30);
/// After a failure of the store, the pause before the next try.
const RETRY: Duration = Duration::from_secs(1);
/// How often old requests are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// Starts the keeper and the webhooks. They end when `inner` is dropped.
pub(crate) fn start(inner: &Arc<Inner>, orders: mpsc::UnboundedReceiver<Order>) {
    webhook::start(inner);
    tokio::spawn(keep(Arc::downgrade(inner), orders));
}

async fn keep(inner: Weak<Inner>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut pruned: Option<Instant> = None;
    loop {
        let sleep = match inner.upgrade() {
            Some(inner) => {
                if pruned.is_none_or(|at| at.elapsed() >= PRUNE_EVERY) {
                    prune(&inner).await;
                    pruned = Some(Instant::now());
                }
                sweep(&inner).await
            }
            None => return,
        };
        match timeout(sleep, orders.recv()).await {
            Ok(Some(order)) => obey(&inner, order, &mut orders).await,
            Ok(None) => return,
            Err(_) => {}
        }
    }
}

async fn obey(inner: &Weak<Inner>, first: Order, orders: &mut mpsc::UnboundedReceiver<Order>) {
    let Some(inner) = inner.upgrade() else { return };
    let mut next = Some(first);
    while let Some(order) = next {
        match order {
            Order::Look => {}
            Order::Abandon { id, session } => {
                if let Err(error) = inner.abandon(&id, &session).await {
                    tracing::error!(request = id, %error, "a request of a client that is gone could not be withdrawn");
                }
            }
        }
        next = orders.try_recv().ok();
    }
}

/// Expires what is due; returns how long nothing else will be.
async fn sweep(inner: &Inner) -> Duration {
    if let Err(error) = inner.sweep().await {
        tracing::error!(%error, "requests could not be expired");
        return RETRY;
    }
    match inner.requests.next_expiry().await {
        Ok(None) => MAX_SLEEP,
        Ok(Some(at)) => {
            let left = at.saturating_sub(inner.config.clock.now_ms()).max(0);
            Duration::from_millis(left.unsigned_abs()).min(MAX_SLEEP)
        }
        Err(error) => {
            tracing::error!(%error, "the next expiry of a request is not known");
            RETRY
        }
    }
}

async fn prune(inner: &Inner) {
    let before = inner.config.clock.now_ms().saturating_sub(ms(inner.config.retention));
    match inner.requests.prune(before).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "old requests were forgotten"),
        Err(error) => tracing::error!(%error, "old requests could not be forgotten"),
    }
}
