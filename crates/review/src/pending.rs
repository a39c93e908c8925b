//! A client that waits for reviewers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::desk::Inner;
use crate::error::ReviewError;
use crate::keeper::Order;
use crate::request::Grant;

/// How waiting ended.
#[derive(Debug)]
pub enum Outcome {
    /// Enough people approved. The grant is used up by this: the command may run now, once.
    Approved(Grant),
    /// A reviewer said no.
    Denied {
        /// Who.
        by: String,
        /// What they wrote.
        reason: Option<String>,
    },
    /// The client has waited long enough. The request can still be decided; running the same command again after an
    /// approval passes.
    TimedOut,
    /// Nobody decided in time.
    Expired,
    /// The request was withdrawn, by the person who asked or by the gateway.
    Withdrawn {
        /// Why.
        reason: Option<String>,
    },
    /// It cannot be known or written down what became of it; the command must be refused.
    Failed(ReviewError),
}

/// A request that a client waits for. Dropping it before its outcome is known withdraws the request: a client that is
/// gone or has cancelled leaves nothing to approve.
pub struct Pending {
    id: String,
    session: String,
    inner: Arc<Inner>,
    signal: Arc<watch::Sender<()>>,
    /// `None` once the outcome was given.
    waiting: Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
}

impl Pending {
    pub(crate) fn new(inner: Arc<Inner>, id: &str, session: &str, deadline: Instant) -> Self {
        let signal = inner.watch(id);
        let waiting = Box::pin(wait(Arc::clone(&inner), id.to_owned(), signal.subscribe(), deadline));
        Self {
            id: id.to_owned(),
            session: session.to_owned(),
            inner,
            signal,
            waiting: Some(waiting),
        }
    }

    /// The short identifier that people act on, such as `req_7k2m9q`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits for the outcome, which is given once; after that the future never ends.
    ///
    /// # Cancel safety
    /// The returned future may be dropped and asked for again: nothing is lost.
    pub async fn outcome(&mut self) -> Outcome {
        std::future::poll_fn(|cx| self.poll_outcome(cx)).await
    }

    /// As [`Pending::outcome`], for a driver that polls.
    pub fn poll_outcome(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Outcome> {
        let Some(waiting) = &mut self.waiting else {
            return std::task::Poll::Pending;
        };
        let outcome = std::task::ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        self.inner.unwatch(&self.id, &self.signal);
        if matches!(outcome, Outcome::Failed(_)) {
            self.abandon();
        }
        std::task::Poll::Ready(outcome)
    }

    fn abandon(&self) {
        let order = Order::Abandon {
            id: self.id.clone(),
            session: self.session.clone(),
        };
        // Without a keeper the process is ending; the next start withdraws what was waited for.
        let _ = self.inner.orders.send(order);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.waiting.is_some() {
            self.inner.unwatch(&self.id, &self.signal);
            self.abandon();
        }
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending")
            .field("id", &self.id)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

async fn wait(inner: Arc<Inner>, id: String, mut signal: watch::Receiver<()>, deadline: Instant) -> Outcome {
    loop {
        // Marked as seen before looking, so that a change after the look wakes us.
        signal.borrow_and_update();
        match inner.look(&id).await {
            Ok(Some(outcome)) => return outcome,
            Ok(None) => {}
            Err(error) => return Outcome::Failed(error),
        }
        match timeout_at(deadline, signal.changed()).await {
            Ok(Ok(())) => {}
            // The sender lives as long as the pending; were it gone, waiting on would hang.
            Ok(Err(_)) | Err(_) => {
                return inner.stop_waiting(&id).await.unwrap_or_else(Outcome::Failed);
            }
        }
    }
}
