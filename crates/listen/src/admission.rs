//! Who may come in: limits for connections that have not said who they are, and for sessions.
//!
//! A connection is first a *handshake* and, once it is known who it is, a *session*. Handshakes end by a
//! deadline. When there are too many, the oldest is ended to make room: somebody who opens thousands of
//! connections and says nothing only pushes out their own, while a client that speaks is through in
//! milliseconds.

use std::{
    collections::{BTreeMap, HashMap},
    future::{Future, poll_fn},
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::Wire;

/// Who has said nothing for so long makes room for others when the process has no file descriptors left.
const SPOKEN: Duration = Duration::from_millis(250);

/// How many connections are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at the same time.
    pub sessions: usize,
    /// Connections at the same time that have not yet become sessions.
    pub handshakes: usize,
    /// How long a connection may take to become a session.
    pub handshake_timeout: Duration,
    /// Connections at the same time from one address, handshakes and sessions together.
    pub per_source: usize,
}

impl Default for Limits {
    /// 10,000 sessions, 1,000 handshakes of at most 15 s, no limit of its own for one address.
    fn default() -> Self {
        Self {
            sessions: 10_000,
            handshakes: 1_000,
            handshake_timeout: Duration::from_secs(15),
            per_source: usize::MAX,
        }
    }
}

/// There are as many sessions as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {limit} sessions already, which is the limit")]
pub struct Full {
    /// The limit.
    pub limit: usize,
}

/// Why a handshake was ended before it was finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeEnd {
    /// It took too long.
    #[error("the handshake took longer than {}", human(.0))]
    Deadline(Duration),
    /// It was the oldest of too many.
    #[error("there were too many unfinished handshakes, and this was the oldest")]
    Crowded,
}

fn human(duration: &Duration) -> String {
    format!("{duration:?}")
}

/// The count of who is in. Shared by listener and permits.
#[derive(Debug)]
pub(crate) struct Gatekeeper {
    limits: Limits,
    sessions: AtomicUsize,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    next: u64,
    /// Each with when it began.
    handshakes: BTreeMap<u64, (Instant, Arc<Notify>)>,
    sources: HashMap<IpAddr, usize>,
}

impl Gatekeeper {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            sessions: AtomicUsize::new(0),
            pending: Mutex::default(),
        })
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.sessions.load(Ordering::Relaxed), self.pending().handshakes.len())
    }

    /// Ends the oldest handshake, if it has had the time that a client who speaks needs.
    pub(crate) fn make_room(&self) {
        let mut pending = self.pending();
        if let Some(oldest) = pending.handshakes.first_entry()
            && oldest.get().0.elapsed() >= SPOKEN
        {
            oldest.remove().1.notify_one();
        }
    }

    /// Lets a connection begin; `None` when its address has too many.
    pub(crate) fn admit(self: &Arc<Self>, peer: SocketAddr) -> Option<Handshake> {
        let source = peer.ip().to_canonical();
        let mut pending = self.pending();
        let count = pending.sources.entry(source).or_default();
        if *count >= self.limits.per_source {
            return None;
        }
        *count = count.saturating_add(1);
        if pending.handshakes.len() >= self.limits.handshakes
            && let Some((_, (_, oldest))) = pending.handshakes.pop_first()
        {
            oldest.notify_one();
        }
        let number = pending.next;
        pending.next = number.wrapping_add(1);
        let ended = Arc::new(Notify::new());
        pending.handshakes.insert(number, (Instant::now(), ended.clone()));
        drop(pending);
        let place = Place {
            keeper: self.clone(),
            source,
        };
        let deadline = Instant::now() + self.limits.handshake_timeout;
        Some(Handshake {
            place,
            turn: Turn {
                keeper: self.clone(),
                number,
            },
            ended,
            deadline,
        })
    }
}

/// One connection of a source; given back when dropped.
#[derive(Debug)]
struct Place {
    keeper: Arc<Gatekeeper>,
    source: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut pending = self.keeper.pending();
        if let Some(count) = pending.sources.get_mut(&self.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                pending.sources.remove(&self.source);
            }
        }
    }
}

/// A place in the queue of handshakes; given back when dropped.
#[derive(Debug)]
struct Turn {
    keeper: Arc<Gatekeeper>,
    number: u64,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.keeper.pending().handshakes.remove(&self.number);
    }
}

/// The right to find out who a connection is.
#[derive(Debug)]
pub struct Handshake {
    place: Place,
    turn: Turn,
    ended: Arc<Notify>,
    deadline: Instant,
}

impl Handshake {
    /// Until when the connection must have become a session.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Runs a part of the handshake, for as long as the handshake may go on.
    ///
    /// # Errors
    /// A [`HandshakeEnd`] when it ran out of time or of room; `work` is dropped then.
    pub async fn within<F: Future>(&self, work: F) -> Result<F::Output, HandshakeEnd> {
        let mut work = pin!(work);
        let mut deadline = pin!(sleep_until(self.deadline));
        let mut crowded = pin!(self.ended.notified());
        poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if crowded.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(HandshakeEnd::Crowded));
            }
            if deadline.as_mut().poll(cx).is_ready() {
                let limit = self.turn.keeper.limits.handshake_timeout;
                return Poll::Ready(Err(HandshakeEnd::Deadline(limit)));
            }
            Poll::Pending
        })
        .await
    }

    /// Makes it a session: it is known who it is.
    ///
    /// # Errors
    /// [`Full`] when there are as many sessions as there may be; the handshake is given back with it so
    /// that the client can still be told.
    pub fn into_session(self) -> Result<SessionPermit, (Full, Self)> {
        let keeper = self.turn.keeper.clone();
        let limit = keeper.limits.sessions;
        let more = |count: usize| (count < limit).then(|| count.saturating_add(1));
        if keeper
            .sessions
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_err()
        {
            return Err((Full { limit }, self));
        }
        Ok(SessionPermit {
            _place: self.place,
            keeper,
        })
    }
}

/// The right to be a session; given back when dropped.
#[derive(Debug)]
pub struct SessionPermit {
    _place: Place,
    keeper: Arc<Gatekeeper>,
}

impl Drop for SessionPermit {
    fn drop(&mut self) {
        self.keeper.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that has been let in, not yet bound to a runtime: it can be handed to a worker.
#[derive(Debug)]
pub struct Accepted {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) handshake: Handshake,
}

impl Accepted {
    /// The other end's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The wire, on the current runtime, and the right to greet it.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub fn into_wire(self) -> io::Result<(Wire, Handshake)> {
        Ok((Wire::from_std(self.stream)?, self.handshake))
    }
}
