//! The relay: the one driver that runs every [`Conversation`].
//!
//! It is a single poll function over both sockets, the hold, and the signals; nothing in it waits inside a handler.
//! Each round records first, then writes to the target, then to the client, and only then reads more.

mod holds;
mod long;
mod policy;
mod watched;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sallyport_ledger::Event;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

use crate::bell::Bell;
use crate::conversation::{AskId, Conversation, Side, WireError};
use crate::effects::{Effects, Finish};
use crate::gate::Gate;
use crate::hold::{Hold, Waiting};
use crate::peer::Peer;
use crate::record::Written;
use crate::refusal::{Reason, Refusal};
use crate::room::Room;
use crate::signals::Signals;

/// Bytes that may wait for a slow reader before its sender is no longer read.
const MAX_WAITING: usize = 256 * 1024;
/// Bytes of a client kept while its messages wait for the target; beyond it the client is no longer read.
const MAX_STALLED_INPUT: usize = 64 * 1024;
/// Bytes of a client kept behind a held command, which may wait for hours. Its client is read all that time, so that
/// its leaving is seen; one that sends more than this gives the command up.
const MAX_HELD_INPUT: usize = 1024 * 1024;
/// Rounds before other sessions of this worker get their turn.
const ROUNDS_PER_TURN: usize = 32;
/// How long a response may wait in memory before it is handed to the operating system.
const RECORD_LAG: Duration = Duration::from_millis(100);
/// How long the last words of a session may wait for peers that do not read.
const LINGER: Duration = Duration::from_secs(5);

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The client left.
    Client,
    /// The target closed the connection.
    Target,
    /// The gateway ended it.
    Gateway(Refusal),
    /// A peer broke the protocol.
    Broken(String),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client => f.write_str("the client left"),
            Self::Target => f.write_str("the target closed the connection"),
            Self::Gateway(refusal) => f.write_str(&refusal.message),
            Self::Broken(what) => f.write_str(what),
        }
    }
}

/// Relays until one side ends. The gate comes back for the recording's seal.
///
/// Not `async`, and boxed: a future keeps room for its arguments beside what they were moved into.
pub fn relay<C, K, T>(
    conversation: C,
    client: K,
    target: T,
    gate: Gate,
    signals: Signals,
) -> impl Future<Output = (Ending, Gate)>
where
    C: Conversation,
    K: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut relay = Box::new(Relay::new(conversation, client, target, gate, signals));
    async move {
        let ending = poll_fn(|cx| relay.poll(cx)).await;
        relay.conversation.over(&mut relay.out);
        relay.out.record(relay.gate.record());
        for seq in relay.conversation.unfinished() {
            let detail = Finish::Unknown.as_json();
            relay.gate.record().note(Event::Ended { seq, detail });
        }
        (ending, relay.gate)
    }
}

struct Relay<C, K, T> {
    conversation: C,
    client: Peer<K>,
    target: Peer<T>,
    out: Effects,
    gate: Gate,
    holds: Vec<(AskId, Box<Hold>)>,
    signals: Signals,
    /// Resolves when somebody begins or ceases to watch.
    audience: Waiting<u64>,
    /// Rings when a signal has something to say.
    bell: Bell,
    interrupted: Option<Waiting<()>>,
    /// Runs out while nobody watches what must be watched.
    unwatched: Option<Pin<Box<Sleep>>>,
    lag: Option<Pin<Box<Sleep>>>,
    /// Runs out while the conversation keeps something back for more to come.
    patience: Option<Pin<Box<Sleep>>>,
    /// Runs out while the last words wait to be read.
    linger: Option<Pin<Box<Sleep>>>,
    ending: Option<Ending>,
    /// Why the session ends as soon as it rests.
    closing: Option<Refusal>,
    /// Memory for long messages.
    room: Room,
}

impl<C, K, T> Relay<C, K, T>
where
    C: Conversation,
    K: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    fn new(conversation: C, client: K, target: T, gate: Gate, signals: Signals) -> Self {
        let classification = gate.bundle().classification(&gate.standing().target.name);
        let needs_names = gate.needs_any(conversation.named_facts(), &classification);
        let out = Effects::new(classification, gate.generation(), needs_names);
        Self {
            conversation,
            client: Peer::new(client),
            target: Peer::new(target),
            out,
            holds: Vec::new(),
            room: signals.rooms.room(),
            audience: gate.audience().next_change(0),
            gate,
            signals,
            bell: Bell::new(),
            interrupted: None,
            unwatched: None,
            lag: None,
            patience: None,
            linger: None,
            ending: None,
            closing: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        for _ in 0..ROUNDS_PER_TURN {
            let moved = self.round(cx).unwrap_or_else(|ending| {
                self.ending.get_or_insert(ending);
                self.out.end();
                true
            });
            if self.out.is_over() && self.flushed(cx).is_ready() {
                return Poll::Ready(self.ending.take().unwrap_or(Ending::Client));
            }
            if self.room.is_taken() {
                self.leave_room();
            }
            if !moved {
                return self.pause(cx);
            }
            self.patience = None;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One round over everything that may be ready. True when something moved.
    fn round(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if self.out.is_over() {
            return Ok(self.poll_write_client(cx)? | self.poll_write_target(cx)?);
        }
        let mut moved = self.poll_signals(cx)?;
        if self.out.is_over() {
            return Ok(true);
        }
        moved |= self.poll_holds(cx)?;
        moved |= self.poll_read_client(cx)?;
        moved |= self.poll_write_target(cx)?;
        moved |= self.poll_read_target(cx)?;
        moved |= self.poll_write_client(cx)?;
        moved |= self.poll_write_target(cx)?;
        Ok(moved)
    }

    /// Nothing is ready: the record of what was shown must not wait for ever.
    fn pause(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        if self.gate.record().is_dirty() {
            let lag = self.lag.get_or_insert_with(|| Box::pin(tokio::time::sleep(RECORD_LAG)));
            if lag.as_mut().poll(cx).is_ready() {
                self.lag = None;
                if self.written(cx).is_err() {
                    cx.waker().wake_by_ref();
                }
                self.gate.record().rest();
                self.rest();
            }
        }
        if self.wait_quietly(cx) {
            cx.waker().wake_by_ref();
        }
        // The buffers change places, so what one held says nothing of how large it is now.
        if self.client.was_large() || self.target.was_large() {
            self.rest();
        }
        Poll::Pending
    }

    /// Lets the conversation say what it kept back, once both sides have been silent for as long as it asked for.
    fn wait_quietly(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(patience) = self.conversation.patience() else {
            self.patience = None;
            return false;
        };
        let sleep = self
            .patience
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.patience = None;
        self.conversation.quiet(&mut self.out);
        if let Err(ending) = self.settle() {
            self.ending.get_or_insert(ending);
            self.out.end();
        }
        true
    }

    /// Gives the buffers' memory back if nothing is owed to anybody.
    fn rest(&mut self) {
        if self.conversation.is_idle() && self.out.rest() {
            self.client.shrink();
            self.target.shrink();
        }
    }

    fn flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let client = (self.out.client().is_empty() && self.client.is_flushed()) || self.poll_write_client(cx).is_err();
        let target = (self.out.target_len() == 0 && self.target.is_flushed()) || self.poll_write_target(cx).is_err();
        if client && target {
            return Poll::Ready(());
        }
        let linger = self.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        linger.as_mut().poll(cx)
    }

    fn poll_signals(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if self.bell.has_rung(cx) {
            let cx = &mut self.bell.context();
            if let Poll::Ready(refusal) = self.signals.end.as_mut().poll(cx) {
                self.end_for(refusal);
                return Ok(true);
            }
            if self.closing.is_none()
                && let Poll::Ready(refusal) = self.signals.closing.as_mut().poll(cx)
            {
                self.closing = Some(refusal);
            }
            self.poll_policy()?;
            self.poll_audience()?;
        }
        self.poll_unwatched(cx)?;
        // A message that has come in part is not waited for, so that nobody can keep a gateway from ending.
        if let Some(refusal) = self.closing.take_if(|_| self.conversation.is_idle()) {
            self.end_for(refusal);
            return Ok(true);
        }
        if self.holds.is_empty() {
            return Ok(false);
        }
        let interrupt = Arc::clone(&self.signals.interrupt);
        let waiting = self
            .interrupted
            .get_or_insert_with(|| Box::pin(async move { interrupt.asked().await }));
        if waiting.as_mut().poll(cx).is_pending() {
            return Ok(false);
        }
        self.interrupted = None;
        let gave_up = self.conversation.interrupt(&mut self.out);
        if gave_up {
            // What the client had sent behind the command is not held back any more.
            self.advance_client()?;
        }
        Ok(gave_up)
    }

    fn poll_read_client(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let room = self.out.target_len() < MAX_WAITING && self.out.client().len() < MAX_WAITING;
        let stalled = self.holds.is_empty() && !self.conversation.wants_client();
        if self.client.eof
            || !room
            || self.unwatched.is_some()
            || (stalled && self.client.input.len() >= MAX_STALLED_INPUT)
        {
            return Ok(false);
        }
        if !self.has_room(Side::Client, cx)? {
            return Ok(false);
        }
        if !self.holds.is_empty() && self.client.input.len() > MAX_HELD_INPUT {
            return Err(self.end_for(too_much_behind_a_hold()));
        }
        match self.client.poll_read(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(_) | Ok(0)) => Err(self.client_left()),
            Poll::Ready(Ok(_)) => {
                self.client.note_peak();
                self.advance_client().map(|()| true)
            }
        }
    }

    /// Lets the conversation work on the client's bytes, answering its questions as far as they are decided at once.
    fn advance_client(&mut self) -> Result<(), Ending> {
        loop {
            self.gate.refresh();
            self.renew();
            let result = if self.unwatched.is_none() && self.conversation.wants_client() {
                self.conversation
                    .read(Side::Client, &mut self.client.input, &mut self.out)
            } else {
                Ok(())
            };
            let asked = self.settle()?;
            result.map_err(|error| self.broken(&error))?;
            if !asked {
                return Ok(());
            }
        }
    }

    fn poll_read_target(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let wanted = self.conversation.wants_target() && self.out.client().len() < MAX_WAITING;
        if !wanted || !self.has_room(Side::Target, cx)? {
            return Ok(false);
        }
        match self.target.poll_read(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => Err(self.target_left(None)),
            Poll::Ready(Err(error)) => Err(self.target_left(Some(&error))),
            Poll::Ready(Ok(_)) => {
                self.target.note_peak();
                if self.conversation.judges_target() {
                    self.gate.refresh();
                    self.renew();
                }
                let result = self
                    .conversation
                    .read(Side::Target, &mut self.target.input, &mut self.out);
                self.settle()?;
                result.map_err(|error| self.broken(&error))?;
                // What the target said may let the client's waiting bytes go on.
                if !self.client.input.is_empty() && self.conversation.wants_client() {
                    self.advance_client()?;
                }
                Ok(true)
            }
        }
    }

    fn renew(&mut self) {
        if self.gate.generation() != self.out.generation() {
            let classification = self.gate.bundle().classification(&self.gate.standing().target.name);
            let needs_names = self.gate.needs_any(self.conversation.named_facts(), &classification);
            self.out.renew(classification, self.gate.generation(), needs_names);
        }
    }

    /// Nothing of a response that could not be recorded is shown.
    fn record(&mut self) -> Result<(), Ending> {
        let recorded = self.out.first_shown();
        self.out.record(self.gate.record());
        self.gate.record().check().map_err(|refusal| {
            if let Some(recorded) = recorded {
                self.out.client().truncate(recorded);
            }
            self.unrecorded(refusal)
        })
    }

    fn poll_write_target(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let before = self.out.target_len();
        if before == 0 {
            let pushed = self.target.poll_flush(cx);
            return pushed.map_err(|error| self.target_left(Some(&error)));
        }
        let Some(written) = self.written(cx)? else {
            return Ok(false);
        };
        let moved = self.target.poll_write(self.out.target(&written), cx);
        self.out.note_left(before - self.out.target_len());
        moved.map_err(|error| self.target_left(Some(&error)))
    }

    fn poll_write_client(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if self.gate.record().has_decided() && self.written(cx)?.is_none() {
            return Ok(false);
        }
        self.client
            .poll_write(self.out.client(), cx)
            .map_err(|_| self.client_left())
    }

    /// Proof that what was noted is written; `None` while the disk has not taken it.
    fn written(&mut self, cx: &mut Context<'_>) -> Result<Option<Written>, Ending> {
        match self.gate.record().poll_written(cx) {
            Poll::Pending => Ok(None),
            Poll::Ready(Ok(written)) => Ok(Some(written)),
            Poll::Ready(Err(refusal)) => Err(self.unrecorded(refusal)),
        }
    }

    fn unrecorded(&mut self, refusal: Refusal) -> Ending {
        self.out.drop_target();
        self.end_for(refusal)
    }

    fn target_left(&mut self, error: Option<&std::io::Error>) -> Ending {
        self.out.drop_target();
        // What carries a flow says why it is lost; what a socket says helps nobody.
        let lost = error.filter(|error| error.kind() == std::io::ErrorKind::ConnectionAborted);
        let (refusal, ending) = match lost.and_then(|error| error.get_ref()) {
            Some(why) => {
                let refusal = Refusal::new(Reason::Unavailable, why.to_string())
                    .with_hint("what ran then may have been done or not; connect again");
                (refusal.clone(), Ending::Gateway(refusal))
            }
            None => {
                let refusal = Refusal::new(Reason::Unavailable, "the target closed the connection");
                (refusal, Ending::Target)
            }
        };
        if !self.out.is_over() {
            self.conversation.farewell(&refusal, &mut self.out);
            self.holds.clear();
            self.out.end();
            // The record's own failure would say no more than that the session is over.
            let _ = self.record();
        }
        ending
    }

    fn client_left(&mut self) -> Ending {
        self.client.eof = true;
        self.holds.clear();
        self.out.client().clear();
        Ending::Client
    }

    fn end_for(&mut self, refusal: Refusal) -> Ending {
        if !self.out.is_over() {
            self.conversation.farewell(&refusal, &mut self.out);
        }
        let ending = Ending::Gateway(refusal);
        self.ending.get_or_insert(ending.clone());
        self.holds.clear();
        self.out.end();
        ending
    }

    fn broken(&mut self, error: &WireError) -> Ending {
        Ending::Broken(error.to_string())
    }
}

fn too_much_behind_a_hold() -> Refusal {
    let message = format!("more than {MAX_HELD_INPUT} bytes were sent behind a command that waits for approval");
    Refusal {
        ends: true,
        ..Refusal::new(Reason::TooMuch, message).with_hint("send it alone, or wait for its answer before sending more")
    }
}
