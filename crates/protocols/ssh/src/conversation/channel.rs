//! One channel, with its two ends: the client's and the target's.

use std::collections::VecDeque;

use bytes::Bytes;
use sallyport_session::{AskId, Effects, Side, Spent, WireError};

use super::files::Files;
use super::guard::Guard;
use super::link::{Authority, Link};
use super::listing::Listing;
use super::running::Running;
use crate::connection::{ClientOpen, ClientRequest, DataHead, Overrun, Packet, Pty, Receiving, Sending, window};
use crate::facts::Carries;

/// Environment variables that a client may give to one command.
const MAX_VARIABLES: usize = 64;
/// Bytes of all of them.
const MAX_ENVIRONMENT: usize = 32 * 1024;

/// What a client asked for before it said what is to run.
#[derive(Debug, Default, Clone)]
pub(crate) struct Setup {
    pub(crate) pty: Option<Pty>,
    pub(crate) environment: Vec<(String, String)>,
    /// Forwarding of the client's agent was asked for and permitted, by the decision of this number.
    pub(crate) agent: Option<u64>,
    /// Policy is asked for it.
    pub(crate) agent_asked: Option<AskId>,
    /// What is to run once that is decided, and whether the client wants to be told.
    pub(crate) waiting: Option<(Start, bool)>,
}

impl Setup {
    /// Takes a variable; false when there are too many.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> bool {
        let size: usize = self.environment.iter().map(|(n, v)| n.len() + v.len()).sum();
        if self.environment.len() >= MAX_VARIABLES || size + name.len() + value.len() > MAX_ENVIRONMENT {
            return false;
        }
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        true
    }
}

/// What a session channel is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    Exec(Bytes),
    Shell,
    Subsystem(String),
}

impl Start {
    /// What a request begins, if it begins something.
    pub(crate) fn of(request: &ClientRequest<'_>) -> Option<Self> {
        match request {
            ClientRequest::Exec(line) => Some(Self::Exec(Bytes::copy_from_slice(line))),
            ClientRequest::Shell => Some(Self::Shell),
            ClientRequest::Subsystem(name) => Some(Self::Subsystem((*name).to_owned())),
            ClientRequest::Pty(_)
            | ClientRequest::Env { .. }
            | ClientRequest::AgentForwarding
            | ClientRequest::X11
            | ClientRequest::WindowChange(_)
            | ClientRequest::Signal(_)
            | ClientRequest::Break(_)
            | ClientRequest::EndOfWrite
            | ClientRequest::KeepAlive
            | ClientRequest::Unknown => None,
        }
    }
}

/// Where a channel is in its life.
pub(crate) enum State {
    /// The client asked for it, and policy has not decided.
    Asked(AskId),
    /// The target was asked to open it.
    Opening,
    /// A session channel on which nothing runs yet.
    Idle(Setup),
    /// Policy is asked what it may run.
    Deciding(Box<Deciding>),
    /// What policy permitted runs.
    Running(Box<Running>),
    /// A shell whose lines the gateway reads: each that is permitted runs by itself.
    Guarded(Box<Guard>),
    /// A question of the gateway's own to the host, for a guarded shell.
    Listing(Box<Listing>),
    /// Nothing will run on it: refused, or over.
    Over,
}

/// What policy is asked about on a session channel.
pub(crate) struct Deciding {
    pub(crate) ask: AskId,
    pub(crate) setup: Setup,
    pub(crate) start: Start,
    pub(crate) carries: Carries,
    /// The client wants to be told.
    pub(crate) want_reply: bool,
}

/// Data that waits for a window.
#[derive(Debug)]
struct Chunk {
    stream: u32,
    data: Bytes,
}

/// One end of a channel.
#[derive(Debug)]
pub(crate) struct End {
    /// The peer's number of the channel, once it is known.
    pub(crate) number: Option<u32>,
    /// What the peer may send us.
    receiving: Receiving,
    /// What we may send the peer.
    pub(crate) sending: Sending,
    /// Bytes that the peer sent and that it was not granted anew.
    pending: usize,
    /// INVARIANT: what the other end may send bounds it, for that is granted anew only as this goes.
    queue: VecDeque<Chunk>,
    /// Bytes in the queue.
    queued: usize,
    /// No data follows the queue.
    eof: Sent,
    /// The channel is closed behind the queue.
    close: Sent,
    /// The peer sends no more data.
    pub(crate) ended: bool,
    /// The peer has closed it.
    pub(crate) closed: bool,
}

/// Whether a last word is still owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    No,
    Owed,
    Yes,
}

impl End {
    /// An end whose peer has not said anything of it.
    pub(crate) fn unknown(at: usize) -> Self {
        Self {
            number: None,
            receiving: Receiving::new(window(at)),
            sending: Sending::default(),
            pending: 0,
            queue: VecDeque::new(),
            queued: 0,
            eof: Sent::No,
            close: Sent::No,
            ended: false,
            closed: false,
        }
    }

    /// The peer's numbers, as it opened or confirmed the channel.
    pub(crate) fn known(&mut self, number: u32, window: u32, max_packet: u32) {
        self.number = Some(number);
        self.sending = Sending::new(window, max_packet);
    }

    /// Whether nothing more will be said to the peer nor heard of it.
    pub(crate) fn is_over(&self) -> bool {
        self.closed && self.close == Sent::Yes
    }

    /// Whether data can still be sent: what came before an end that is only owed is sent before it.
    pub(crate) fn is_open(&self) -> bool {
        self.number.is_some() && self.eof != Sent::Yes && self.close == Sent::No && !self.closed
    }

    /// Whether the peer still listens: one that has closed its end does until we have closed ours.
    pub(crate) fn can_hear(&self) -> bool {
        self.number.is_some() && self.close != Sent::Yes
    }

    /// The peer sent `len` bytes of data.
    pub(crate) fn received(&mut self, len: usize) -> Result<(), Overrun> {
        self.pending += len;
        self.receiving.received(len)
    }

    /// Sends as much of `data` as the peer's window takes, and queues the rest.
    pub(crate) fn send(
        &mut self,
        stream: u32,
        mut data: &[u8],
        link: &mut Link,
        by: Authority,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        if !self.is_open() {
            // Nobody is there to take it: it needs no memory.
            return Ok(());
        }
        while self.queue.is_empty() && !data.is_empty() {
            let room = self.sending.room(data.len());
            if room == 0 {
                break;
            }
            let (now, later) = data.split_at(room);
            self.packet(stream, now, link, by, out)?;
            data = later;
        }
        self.keep(stream, data);
        Ok(())
    }

    /// Keeps `data` until [`End::flush`].
    pub(crate) fn keep(&mut self, stream: u32, data: &[u8]) {
        if !data.is_empty() {
            self.queued += data.len();
            let data = Bytes::copy_from_slice(data);
            self.queue.push_back(Chunk { stream, data });
        }
    }

    /// Sends what the window takes of what waits, and the last words behind it.
    pub(crate) fn flush(&mut self, link: &mut Link, by: Authority, out: &mut Effects) -> Result<(), WireError> {
        while let Some(mut chunk) = self.queue.pop_front() {
            let room = self.sending.room(chunk.data.len());
            let now = chunk.data.split_to(room);
            if room > 0 {
                self.packet(chunk.stream, &now, link, by, out)?;
                self.queued -= room;
            }
            if !chunk.data.is_empty() {
                self.queue.push_front(chunk);
                if room == 0 {
                    return Ok(());
                }
            }
        }
        let Some(channel) = self.number else { return Ok(()) };
        if self.eof == Sent::Owed {
            self.eof = Sent::Yes;
            if self.close != Sent::Yes {
                link.packet(&Packet::Eof { channel }, by, out)?;
            }
        }
        if self.close == Sent::Owed {
            self.close = Sent::Yes;
            link.packet(&Packet::Close { channel }, by, out)?;
        }
        Ok(())
    }

    /// No data follows what was given so far.
    pub(crate) fn end_data(&mut self) {
        if self.eof == Sent::No {
            self.eof = Sent::Owed;
        }
    }

    /// Takes back that no data follows. Whether that was owed.
    pub(crate) fn take_end_data(&mut self) -> bool {
        let owed = self.eof == Sent::Owed;
        if owed {
            self.eof = Sent::No;
        }
        owed
    }

    /// The channel is to be closed behind what was given so far.
    pub(crate) fn end(&mut self) {
        if self.close == Sent::No {
            self.close = Sent::Owed;
        }
    }

    /// What waits is of no use any more.
    pub(crate) fn forget(&mut self) {
        self.queue.clear();
        self.queued = 0;
    }

    /// Bytes that wait for the peer's window.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// The whole of what waits, in order, leaving nothing.
    pub(crate) fn take_queue(&mut self) -> Vec<Bytes> {
        self.queued = 0;
        self.queue.drain(..).map(|chunk| chunk.data).collect()
    }

    fn packet(
        &mut self,
        stream: u32,
        data: &[u8],
        link: &mut Link,
        by: Authority,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let Some(channel) = self.number else { return Ok(()) };
        let head = DataHead::new(channel, stream, data.len());
        self.sending.sent(data.len());
        link.send(&[head.as_bytes(), data], by, out)
    }

    /// Grants anew what the peer sent, but for `held` bytes that still need memory.
    fn grant(&mut self, held: usize, link: &mut Link, out: &mut Effects) -> Result<(), WireError> {
        let gone = self.pending.saturating_sub(held);
        self.pending -= gone;
        let (Some(channel), Some(bytes)) = (self.number, self.receiving.consumed(gone)) else {
            return Ok(());
        };
        if self.closed || self.close == Sent::Yes {
            return Ok(());
        }
        link.packet(&Packet::WindowAdjust { channel, bytes }, Authority::Own, out)
    }
}

/// What is owed to whom for a request that the target has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The client waits for it.
    Client,
    /// Nobody waits: the gateway wanted to know.
    Nobody,
    /// It is the start of what runs; `client` says whether the client waits for it.
    Start { client: bool },
    /// The target has got what was typed before the question of this number.
    Heard(u32),
}

/// A channel.
pub(crate) struct Channel {
    pub(crate) client: End,
    pub(crate) target: End,
    pub(crate) state: State,
    /// Requests that the target has yet to answer, in order.
    pub(crate) replies: VecDeque<Reply>,
    /// Where a forwarded connection leads, until it is open.
    pub(crate) forward: Option<ClientOpen>,
    /// A peer was asked to open its end and has not answered.
    pub(crate) awaiting: bool,
    /// The client's agent is lent to what runs here, by the decision of this number.
    pub(crate) agent: Option<u64>,
}

impl Channel {
    /// One with our number `at`.
    pub(crate) fn new(at: usize, state: State) -> Self {
        Self {
            client: End::unknown(at),
            target: End::unknown(at),
            state,
            replies: VecDeque::new(),
            forward: None,
            awaiting: false,
            agent: None,
        }
    }

    pub(crate) fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Target => &self.target,
        }
    }

    /// Whether a peer still has to say its number of the channel.
    pub(crate) fn is_opening(&self) -> bool {
        !self.client.closed && !self.target.closed && (self.client.number.is_none() || self.target.number.is_none())
    }

    /// Whether this side may name it.
    pub(crate) fn is_known_to(&self, side: Side) -> bool {
        let awaited = side == Side::Target && self.awaiting;
        awaited || self.end(side).number.is_some() || self.is_opening()
    }

    /// Both peers may send anew what went on its way.
    pub(crate) fn grant(&mut self, client: &mut Link, target: &mut Link, out: &mut Effects) -> Result<(), WireError> {
        let inside = match &self.state {
            State::Running(running) => running.keeps(),
            State::Guarded(guard) => guard.keeps(),
            State::Asked(_)
            | State::Opening
            | State::Idle(_)
            | State::Deciding(_)
            | State::Listing(_)
            | State::Over => 0,
        };
        self.client.grant(self.target.queued + inside, client, out)?;
        self.target.grant(self.client.queued + inside, target, out)
    }

    /// What is sent to the target on this channel goes by the permit of what runs on it.
    pub(crate) fn authority(&self) -> Authority {
        match self.spent() {
            Some(spent) => Authority::Of(spent),
            None => Authority::Own,
        }
    }

    pub(crate) fn spent(&self) -> Option<Spent> {
        match &self.state {
            State::Running(running) => Some(running.spent),
            State::Guarded(guard) => Some(guard.spent()),
            State::Listing(listing) => listing.spent(),
            State::Asked(_) | State::Opening | State::Idle(_) | State::Deciding(_) | State::Over => None,
        }
    }

    /// The commands that run on it: in a guarded or gated shell that itself, and the line.
    pub(crate) fn commands(&self) -> Vec<Spent> {
        match &self.state {
            State::Running(running) => running.commands(),
            State::Guarded(guard) => guard.commands(),
            State::Listing(listing) => listing.spent().into_iter().collect(),
            State::Asked(_) | State::Opening | State::Idle(_) | State::Deciding(_) | State::Over => Vec::new(),
        }
    }

    /// The decision by which the client's agent is lent to it.
    pub(crate) fn agent_decision(&self) -> Option<u64> {
        match &self.state {
            State::Idle(setup) => setup.agent,
            State::Deciding(deciding) => deciding.setup.agent,
            State::Running(_)
            | State::Guarded(_)
            | State::Listing(_)
            | State::Asked(_)
            | State::Opening
            | State::Over => self.agent,
        }
    }

    /// The requests of a protocol of files that run on it.
    pub(crate) fn files(&self) -> impl Iterator<Item = Spent> {
        let running = match &self.state {
            State::Running(running) => running.files(),
            State::Guarded(_)
            | State::Listing(_)
            | State::Asked(_)
            | State::Opening
            | State::Idle(_)
            | State::Deciding(_)
            | State::Over => None,
        };
        running.into_iter().flat_map(Files::running)
    }

    /// Whether nothing runs on it: a guarded shell that waits for a line is at rest.
    pub(crate) fn is_idle(&self) -> bool {
        match &self.state {
            State::Running(_) | State::Listing(_) => false,
            State::Guarded(guard) => guard.running().is_none(),
            State::Asked(_) | State::Opening | State::Idle(_) | State::Deciding(_) | State::Over => true,
        }
    }

    /// Whether both ends are through with it.
    pub(crate) fn is_over(&self) -> bool {
        let over = |end: &End| end.is_over() || end.number.is_none();
        let undecided = match &self.state {
            State::Opening | State::Asked(_) => true,
            State::Listing(listing) => listing.is_undecided(),
            State::Idle(_) | State::Deciding(_) | State::Running(_) | State::Guarded(_) | State::Over => false,
        };
        !self.awaiting && !undecided && over(&self.client) && over(&self.target)
    }
}

impl From<Overrun> for WireError {
    fn from(Overrun: Overrun) -> Self {
        // Both peers are told the same; which one it was is said by whoever reads its message.
        Self::client("more data than the window allows")
    }
}
