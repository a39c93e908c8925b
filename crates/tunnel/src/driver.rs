//! What keeps a connection going on either side, and notices when the other is gone.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::{Ping, PingPong, Reason, RecvStream, SendStream, server};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use crate::acceptor::{self, Incoming};
use crate::incoming::Arrivals;
use crate::outgoing::{Outgoing, Unsent};

/// How the other side's silence is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How often it is asked whether it is there.
    pub every: Duration,
    /// How long it may take to say so. All that is under way before the answer counts.
    pub patience: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            patience: Duration::from_secs(15),
        }
    }
}

/// What is known of a connection, shared by its flows.
#[derive(Debug, Default)]
pub(crate) struct Line {
    flows: AtomicUsize,
    /// Who is at the other end.
    other: String,
    lost: OnceLock<String>,
    latency_us: AtomicU64,
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) arrivals: Arc<Arrivals>,
    leaving: Mutex<Vec<Leaving>>,
    /// Somebody on this side ends it, or the last flow ended.
    changed: Notify,
}

/// Whatever ends the work on a connection ends its flows.
struct Over<'l>(&'l Line);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.lose("the tunnel was dropped");
        // The connection has told its flows, and nobody else listens any more.
        self.0.arrivals.take_in();
        self.0.see_off(true);
    }
}

/// A flow that was dropped before everything was sent. Were the half that sends dropped, too, what is in line would be.
#[derive(Debug)]
struct Leaving {
    unsent: Arc<Unsent>,
    _send: SendStream<Bytes>,
}

impl Line {
    /// To whoever `other` names, in words.
    pub(crate) fn to(other: String) -> Self {
        Self {
            other,
            ..Self::default()
        }
    }

    /// What is told of a connection that broke, before it is known why.
    pub(crate) fn broke(&self) -> String {
        format!("the tunnel to {} broke", self.other)
    }

    pub(crate) fn begin(&self) {
        self.flows.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self, flows: usize) {
        self.flows.fetch_sub(flows, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    fn leaving(&self) -> MutexGuard<'_, Vec<Leaving>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A flow is dropped. The stream is reset, if it is not over both ways, once everything was sent.
    pub(crate) fn leave(&self, send: SendStream<Bytes>, receive: RecvStream, unsent: &Arc<Unsent>) {
        unsent.leave();
        // Nobody reads what may come: the library throws it away from here on.
        drop(receive);
        if unsent.is_over() || self.lost().is_some() {
            drop(send);
            return self.end(1);
        }
        self.leaving().push(Leaving {
            unsent: Arc::clone(unsent),
            _send: send,
        });
        // Meanwhile the last block may have gone, or the connection ended.
        self.see_off(self.lost().is_some());
    }

    /// Lets go of flows that are leaving and have nothing more to send, or of all.
    fn see_off(&self, all: bool) {
        let gone: Vec<Leaving> = self
            .leaving()
            .extract_if(.., |flow| all || flow.unsent.is_over())
            .collect();
        let count = gone.len();
        // Not while the list is held: it takes the connection's lock.
        drop(gone);
        if count > 0 {
            self.end(count);
        }
    }

    async fn see_all_off(&self) {
        loop {
            self.outgoing.left.notified().await;
            self.see_off(false);
        }
    }

    pub(crate) fn flows(&self) -> usize {
        self.flows.load(Ordering::Relaxed)
    }

    /// Why it is over, once it is.
    pub(crate) fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// Ends it.
    pub(crate) fn lose(&self, why: &str) {
        // The first reason is the one that counts.
        let _ = self.lost.set(why.to_owned());
        self.changed.notify_waiters();
    }

    /// The time that the newest question took to be answered.
    pub(crate) fn latency(&self) -> Option<Duration> {
        match self.latency_us.load(Ordering::Relaxed) {
            0 => None,
            us => Some(Duration::from_micros(us)),
        }
    }

    /// Resolves once somebody on this side ends it.
    pub(crate) async fn ended_here(&self) {
        self.until(|line| line.lost().is_some()).await;
    }

    /// Resolves once no flow is left.
    pub(crate) async fn rests(&self) {
        self.until(|line| line.flows() == 0).await;
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if holds(self) {
                return;
            }
            changed.await;
        }
    }

    /// Runs `connection` until it is over, which the other side may be silent about; says why.
    pub(crate) async fn run(
        &self,
        connection: impl Future<Output = Result<(), h2::Error>>,
        pings: Option<PingPong>,
        keep_alive: KeepAlive,
    ) -> String {
        let other = &self.other;
        let _over = Over(self);
        tokio::select! {
            ended = self.arrivals.drive(connection) => self.lose(&match ended {
                Ok(()) => format!("{other} ended the tunnel"),
                Err(error) => format!("{}: {error}", self.broke()),
            }),
            () = self.ask(pings, keep_alive) => {}
            () = self.ended_here() => {}
            () = self.see_all_off() => {}
        }
        self.lost().unwrap_or_default().to_owned()
    }

    /// Asks again and again; the tunnel is lost when no answer comes.
    async fn ask(&self, pings: Option<PingPong>, keep_alive: KeepAlive) {
        let Some(mut pings) = pings else {
            return std::future::pending().await;
        };
        loop {
            let asked = Instant::now();
            match timeout(keep_alive.patience, pings.ping(Ping::opaque())).await {
                Ok(Ok(_)) => {
                    let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
                    self.latency_us.store(took.max(1), Ordering::Relaxed);
                }
                // The connection itself says what is wrong with it.
                Ok(Err(_)) => return std::future::pending().await,
                // Before the connection is dropped, which tells its flows that it is over.
                Err(_elapsed) => {
                    let seconds = keep_alive.patience.as_secs();
                    return self.lose(&format!("{} has not answered for {seconds} s", self.other));
                }
            }
            sleep(keep_alive.every).await;
        }
    }
}

/// Drives the agent's side of a connection, and takes the flows that the gateway opens.
pub(crate) async fn accept<S>(
    mut connection: server::Connection<S, Bytes>,
    taken: mpsc::Sender<Incoming>,
    line: &Arc<Line>,
    drain: impl Future<Output = ()>,
) -> Result<(), h2::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tokio::pin!(drain);
    let mut draining = false;
    loop {
        // Without a place for another, none is asked for; the connection is driven all the same.
        let place = tokio::select! {
            place = taken.reserve() => place.ok(),
            () = &mut drain, if !draining => {
                draining = true;
                connection.graceful_shutdown();
                continue;
            }
            closed = std::future::poll_fn(|cx| connection.poll_closed(cx)) => return closed,
        };
        let next = tokio::select! {
            next = connection.accept() => next,
            () = &mut drain, if !draining => {
                draining = true;
                connection.graceful_shutdown();
                continue;
            }
        };
        let Some(next) = next else { return Ok(()) };
        let (request, mut respond) = next?;
        match place {
            Some(place) => {
                if let Some(flow) = acceptor::take(request, &mut respond, line) {
                    place.send(flow);
                }
            }
            // Nobody takes flows any more.
            None => respond.send_reset(Reason::REFUSED_STREAM),
        }
    }
}
