//! The machine between the client and the target of one SFTP channel.

mod answers;
mod flights;
mod greeting;
mod handle_ask;
mod handles;
mod on_handle;
mod on_path;
mod op;
mod verb;
mod verify;

use std::collections::{BTreeMap, HashSet, VecDeque};

use bytes::{Buf, Bytes, BytesMut};

use crate::error::SftpError;
use crate::out::{AskId, Cause, Ended, Out, Outcome, Refused, Verdict};
use crate::wire::{Extensions, Frame, Request, again, code, kind, next_frame, status};
use flights::{Flight, Flights, Sent};
use greeting::Greeting;
use handle_ask::HandleAsk;
use handles::Handles;
use op::Op;

/// What one channel may take. Nothing grows beyond these.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest packet in bytes, without its length field.
    pub packet: usize,
    /// The longest request in bytes that is not a `WRITE`.
    pub request: usize,
    /// Requests of the client that are not answered; at 65,000 at most. Beyond it the client is not read.
    pub requests: usize,
    /// Requests among them that wait for a verdict of their own or for the answer to it.
    pub paths: usize,
    /// Open files and directories. Beyond it opening fails.
    pub handles: usize,
    /// Bytes of requests that wait because a question about their handle is open. Beyond it the client is not read.
    pub waiting: usize,
    /// Bytes that are kept for the digests of files that go through out of order, of all handles.
    pub early: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet: 256 * 1024,
            request: 32 * 1024,
            requests: 2048,
            paths: 256,
            handles: 1024,
            waiting: 1024 * 1024,
            early: 4 * 1024 * 1024,
        }
    }
}

/// How far the channel is.
enum Stage {
    /// The client has said nothing.
    Init,
    /// The target was greeted and has not answered.
    Greeted,
    /// Requests are taken.
    Open,
    /// A side broke the protocol.
    Broken,
}

/// One SFTP channel.
pub struct Sftp {
    limits: Limits,
    stage: Stage,
    /// What the target can do.
    known: Extensions,
    greeting: Greeting,
    /// Ids of the client's requests that are not answered.
    ids: HashSet<u32>,
    flights: Flights,
    handles: Handles,
    /// Requests with verdicts of their own, in the client's order.
    ops: VecDeque<Op>,
    /// Questions about handles.
    asks: BTreeMap<u64, HandleAsk>,
    /// Numbers requests and questions.
    next: u64,
    /// Bytes of requests that wait for their handle.
    waiting: usize,
    /// What is left of `limits.early`.
    room: usize,
    /// What goes through files is told.
    contents: bool,
    /// Files are measured before they are opened.
    measures: bool,
}

impl Sftp {
    /// A channel on which nobody has said anything.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            stage: Stage::Init,
            known: Extensions::default(),
            greeting: Greeting::default(),
            ids: HashSet::with_capacity(limits.requests.min(256)),
            flights: Flights::default(),
            handles: Handles::default(),
            ops: VecDeque::new(),
            asks: BTreeMap::new(),
            next: 0,
            waiting: 0,
            room: limits.early,
            contents: false,
            measures: false,
        }
    }

    /// From now on the target is asked for the size of each file before it is opened ([`Ask::size`](crate::Ask::size)), or
    /// not any more.
    pub const fn measure(&mut self, measures: bool) {
        self.measures = measures;
    }

    /// The same, and what goes through files is told ([`Out::contents`]).
    #[must_use]
    pub const fn telling_contents(mut self) -> Self {
        self.contents = true;
        self
    }

    /// Takes what the client sent. Whole packets are consumed while [`Self::wants_client`]; the rest stays in `bytes`,
    /// and is looked at when this is called again, also without new bytes.
    ///
    /// # Errors
    /// When the client broke the protocol. The channel must be closed; `out` is to be delivered first.
    pub fn from_client(&mut self, bytes: &mut BytesMut, out: &mut Out) -> Result<(), SftpError> {
        let mut used = 0;
        let result = loop {
            if !self.wants_client() {
                break Ok(());
            }
            match next_frame(bytes.get(used..).unwrap_or_default(), self.limits.packet) {
                Ok(Some(frame)) => {
                    used += frame.wire_len();
                    if let Err(error) = self.request(&frame, out) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(what) => break Err(SftpError::client(what)),
            }
        };
        bytes.advance(used.min(bytes.len()));
        self.broken_if(result)
    }

    /// Takes what the target sent. Whole packets are consumed; the rest stays in `bytes`.
    ///
    /// # Errors
    /// When the target broke the protocol. The channel must be closed; `out` is to be delivered first.
    pub fn from_target(&mut self, bytes: &mut BytesMut, out: &mut Out) -> Result<(), SftpError> {
        if matches!(self.stage, Stage::Broken) {
            return Ok(());
        }
        let mut used = 0;
        let result = loop {
            match next_frame(bytes.get(used..).unwrap_or_default(), self.limits.packet) {
                Ok(Some(frame)) => {
                    used += frame.wire_len();
                    if let Err(error) = self.reply(&frame, out) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(what) => break Err(SftpError::target(what)),
            }
        };
        bytes.advance(used.min(bytes.len()));
        self.broken_if(result)
    }

    /// The answer to a question. Once the channel is broken or over it has no effect.
    ///
    /// # Errors
    /// When there is no such question: the fault of who calls.
    pub fn answer(&mut self, ask: AskId, verdict: &Verdict, out: &mut Out) -> Result<(), SftpError> {
        if matches!(self.stage, Stage::Broken) {
            return Ok(());
        }
        if let Some(held) = self.asks.remove(&ask.0) {
            let result = self.answer_on_handle(ask, held, verdict, out);
            return self.broken_if(result);
        }
        let result = self.answer_on_path(ask, verdict, out);
        self.broken_if(result)
    }

    /// Whether the client's bytes are taken now. If not, they are once the target or a verdict made room.
    #[must_use]
    pub fn wants_client(&self) -> bool {
        match self.stage {
            Stage::Init => true,
            Stage::Greeted | Stage::Broken => false,
            Stage::Open => {
                self.ids.len() < self.limits.requests
                    && self.ops.len() < self.limits.paths
                    && self.waiting < self.limits.waiting
            }
        }
    }

    /// Whether nothing is owed to anybody.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.ids.is_empty() && self.flights.is_empty()
    }

    /// The channel is over: what was transferred through handles that nobody closed is told, and that nobody knows how
    /// the requests came out that the target has not answered.
    pub fn over(&mut self, out: &mut Out) {
        self.stage = Stage::Broken;
        self.handles.end(&mut self.room, out);
        let on_paths = self.ops.drain(..).filter(|op| op.is_permitted()).map(|op| op.ask());
        let on_handles = self.flights.end().filter_map(|sent| sent.flight.judged());
        let unknown = |ask| Ended {
            ask,
            outcome: Outcome::Unknown,
        };
        out.ended.extend(on_paths.chain(on_handles).map(unknown));
        self.asks.clear();
    }

    fn broken_if(&mut self, result: Result<(), SftpError>) -> Result<(), SftpError> {
        if result.is_err() {
            self.stage = Stage::Broken;
        }
        result
    }

    fn request(&mut self, frame: &Frame<'_>, out: &mut Out) -> Result<(), SftpError> {
        if matches!(self.stage, Stage::Init) {
            return self.init(frame, out);
        }
        if frame.kind != kind::WRITE && frame.body.len() > self.limits.request {
            return Err(SftpError::client("a request is longer than is allowed"));
        }
        let request = Request::parse(frame).map_err(SftpError::client)?;
        let (id, _) = frame.id().map_err(|_| SftpError::client("a request without an id"))?;
        if !self.ids.insert(id) {
            return Err(SftpError::client("a request has the id of one that is not answered"));
        }
        match request {
            Request::Path { verb, first, second } => self.on_path(id, verb, first, second, out)?,
            Request::Limits => self.ask_limits(id, out)?,
            Request::Unknown { name } => {
                let text = format!("extension {}", crate::path::shown(name.get(..256).unwrap_or(name)));
                self.refuse(
                    id,
                    code::OP_UNSUPPORTED,
                    text,
                    "the gateway does not know this extension",
                    out,
                );
            }
            Request::Close { .. }
            | Request::Read { .. }
            | Request::Write { .. }
            | Request::FStat { .. }
            | Request::FSetStat { .. }
            | Request::ReadDir { .. }
            | Request::FStatVfs { .. }
            | Request::FSync { .. }
            | Request::Copy { .. } => self.on_handle(id, frame, &request, out)?,
        }
        Ok(())
    }

    /// Answers a request with a status, without the target.
    fn say(&mut self, id: u32, code: u32, message: &[u8], out: &mut Out) {
        status(&mut out.to_client, id, code, message);
        self.ids.remove(&id);
    }

    /// The machine itself refuses a request.
    fn refuse(&mut self, id: u32, code: u32, text: String, why: &'static str, out: &mut Out) {
        self.say(id, code, why.as_bytes(), out);
        out.refused.push(Refused { text, why });
    }

    /// Hands the target's answer to the client under the client's id.
    fn pass(&mut self, id: u32, kind: u8, rest: &[u8], out: &mut Out) {
        again(&mut out.to_client, kind, id, rest);
        self.ids.remove(&id);
    }

    /// Hands a packet to the target under an id of the machine's own.
    fn send(
        &mut self,
        client: u32,
        flight: Flight,
        cause: Cause,
        out: &mut Out,
        write: impl FnOnce(&mut BytesMut, u32) -> usize,
    ) -> Result<(), SftpError> {
        let sent = Sent { client, flight };
        let id = self
            .flights
            .add(sent)
            .ok_or(SftpError::gateway("more requests are outstanding than have ids"))?;
        let len = write(&mut out.to_target, id);
        out.caused(cause, len);
        Ok(())
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// A packet's type and body.
fn keep(frame: &Frame<'_>) -> Bytes {
    let mut packet = BytesMut::with_capacity(frame.body.len() + 1);
    packet.extend_from_slice(&[frame.kind]);
    packet.extend_from_slice(frame.body);
    packet.freeze()
}
