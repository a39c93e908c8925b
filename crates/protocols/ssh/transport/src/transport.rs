//! The machine: what may come next, and what it means.

mod exchange;
mod identification;
mod receive;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};

use crate::error::TransportError;
use crate::host::{HostKey, HostTrust};
use crate::keys::{PublicKey, SignatureAlgorithm};
use crate::message;
use crate::negotiate::{Agreed, Algorithms, Preferences, REKEY_BYTES_MAX, Side};
use crate::packet::{Opener, PAYLOAD_MAX, Sealer, Usage};
use crate::wire;

use exchange::{ExpectInit, ExpectMethod, ExpectNewKeys};
use identification::ExpectIdentification;
use receive::Received;

/// After how many packets in one direction keys are replaced (RFC 4344 section 3.1).
const REKEY_PACKETS: u64 = 1 << 31;

/// The most bytes that are held back during a key exchange. All windows of a connection's channels together may be
/// under way then, so it is not small.
const HELD_MAX: usize = 64 * 1024 * 1024;

/// What a server is, for all of its connections.
#[derive(Debug, Default)]
pub struct ServerConfig {
    /// The keys that it shows, the best first. Without any, every connection fails.
    pub keys: Vec<HostKey>,
    /// The name of the software, such as `Sallyport_1.0`.
    pub software: String,
    /// The algorithms.
    pub preferences: Preferences,
}

/// What one connection of a client is.
#[derive(Debug, Default)]
pub struct ClientConfig {
    /// What is taken for proof that it is the right host.
    pub trust: HostTrust,
    /// The name of the software, such as `Sallyport_1.0`.
    pub software: String,
    /// The algorithms.
    pub preferences: Preferences,
}

/// One step of a connection: what [`Transport::read`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// All of the input is used up as far as it goes: more is needed.
    More,
    /// A message for the caller. `payload` is where it is in the input, decrypted, its number first. Before the
    /// next call the caller takes `whole` bytes off the head of the input.
    Packet {
        /// Where the message is; never empty.
        payload: Range<usize>,
        /// How many bytes of the input the packet is.
        whole: usize,
    },
    /// The first key exchange is done: messages can be sent. Comes once.
    Ready,
    /// The peer ended the connection.
    Disconnected {
        /// RFC 4253 section 11.1 has the numbers.
        reason: u32,
        /// The peer's words, without control characters; they are not to be trusted.
        text: String,
    },
}

enum Role {
    Server(Arc<ServerConfig>),
    Client(Box<ClientConfig>),
}

impl Role {
    fn side(&self) -> Side {
        match self {
            Self::Server(_) => Side::Server,
            Self::Client(_) => Side::Client,
        }
    }

    fn peer(&self) -> Side {
        match self {
            Self::Server(_) => Side::Client,
            Self::Client(_) => Side::Server,
        }
    }

    fn preferences(&self) -> &Preferences {
        match self {
            Self::Server(config) => &config.preferences,
            Self::Client(config) => &config.preferences,
        }
    }
}

/// What the peer may say next.
enum State {
    Identification(ExpectIdentification),
    /// This side's part of a key exchange has begun, if it is the peer's turn.
    Init(ExpectInit),
    Method(Box<ExpectMethod>),
    NewKeys(Box<ExpectNewKeys>),
    /// No key exchange is under way.
    Open,
    Closed,
}

/// What the first key exchange settled for the connection.
struct Session {
    id: Vec<u8>,
    strict: bool,
    /// What the latest key exchange agreed on.
    agreed: Agreed,
    /// What the host showed, and the key in it. Only a client has them, which has checked them.
    host: Option<(Vec<u8>, PublicKey)>,
}

/// One side of an SSH connection, from the first byte on.
///
/// It does no input and output and knows no time: bytes that arrived go into [`read`](Self::read), and what has to
/// go to the peer is appended to `out`, a buffer that the caller sends on.
pub struct Transport {
    role: Role,
    state: State,
    opener: Opener,
    sealer: Sealer,
    own_identification: Vec<u8>,
    peer_identification: Vec<u8>,
    session: Option<Session>,
    ready: bool,
    /// Between this side's KEXINIT and its NEWKEYS nothing else may be sent.
    holding: bool,
    /// What the caller sent meanwhile: payloads, each with its length before it.
    held: BytesMut,
    authenticated: bool,
    ignored: u32,
    peer_algorithms: Option<Vec<SignatureAlgorithm>>,
    /// Somebody else is the end of the host's encryption, and keys are no matter here.
    carried: bool,
}

impl Transport {
    /// A server's side. Its identification and offer are written to `out` at once.
    pub fn server(config: Arc<ServerConfig>, out: &mut BytesMut) -> Result<Self, TransportError> {
        let own = identification::own(&config.software);
        let mut transport = Self::new(Role::Server(config), own, out);
        let init = transport.send_init(true, out)?;
        transport.state = State::Identification(ExpectIdentification::new(Side::Client, Some(init)));
        Ok(transport)
    }

    /// A client's side. Its identification is written to `out` at once; its offer follows the server's, because it
    /// depends on whether the server keeps to strict key exchange. That costs no time: the client's next message
    /// has to wait for the server's offer anyway.
    pub fn client(config: ClientConfig, out: &mut BytesMut) -> Self {
        let own = identification::own(&config.software);
        Self::new(Role::Client(Box::new(config)), own, out)
    }

    /// Either side of a stream that carries the messages of a connection without their encryption, between whoever
    /// logged in to a host and whoever goes on with it. It is ready at once, both sides say no more than messages,
    /// and the stream itself must be protected.
    #[must_use]
    pub fn carried() -> Self {
        let mut transport = Self::new(Role::Client(Box::default()), Vec::new(), &mut BytesMut::new());
        transport.state = State::Open;
        transport.opener = Opener::carried();
        transport.sealer = Sealer::carried();
        transport.ready = true;
        transport.authenticated = true;
        transport.carried = true;
        transport
    }

    fn new(role: Role, own: Vec<u8>, out: &mut BytesMut) -> Self {
        out.put_slice(&own);
        out.put_slice(b"\r\n");
        Self {
            state: State::Identification(ExpectIdentification::new(role.peer(), None)),
            role,
            opener: Opener::new(),
            sealer: Sealer::new(),
            own_identification: own,
            peer_identification: Vec::new(),
            session: None,
            ready: false,
            holding: false,
            held: BytesMut::new(),
            authenticated: false,
            ignored: 0,
            peer_algorithms: None,
            carried: false,
        }
    }

    /// Works on the head of `input` until there is something for the caller, or more is needed; answers go to
    /// `out`. A message's payload stays in `input`, decrypted in place, until the caller has taken it off.
    ///
    /// What the peer sends may need an answer, also in messages that are no concern of the caller's: while much of
    /// `out` is not sent yet, do not read on, or a peer that takes nothing makes it grow.
    ///
    /// After an error the connection is over. A DISCONNECT that tells the peer why is in `out`; send it, then close.
    pub fn read(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Step, TransportError> {
        let step = self.advance(input, out);
        if let Err(error) = &step {
            self.fail(error, out);
        }
        step
    }

    /// Sends one packet whose payload is `parts` one after another: a service request or acceptance, or a message
    /// of authentication or of the connection.
    ///
    /// During a key exchange the payload is held back and goes out after it. The caller bounds how much that may
    /// become, by not sending while [`is_exchanging`](Self::is_exchanging); a peer that never goes on with a key
    /// exchange makes it at most 64 MiB, then this fails.
    pub fn send(&mut self, parts: &[&[u8]], out: &mut BytesMut) -> Result<(), TransportError> {
        if matches!(self.state, State::Closed) {
            return Err(TransportError::Closed);
        }
        if !self.ready {
            return Err(TransportError::NotReady);
        }
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let number = parts.iter().find_map(|part| part.first()).copied().unwrap_or(0);
        if length > PAYLOAD_MAX || !is_callers(number) {
            return Err(TransportError::NotSendable);
        }
        if self.holding {
            if self.held.len() + length > HELD_MAX {
                return Err(TransportError::Stalled);
            }
            self.held
                .put_u32(u32::try_from(length).map_err(|_| TransportError::NotSendable)?);
            parts.iter().for_each(|part| self.held.put_slice(part));
            return Ok(());
        }
        self.sealer.seal(parts, out)?;
        if self.is_due(self.sealer.usage()) {
            self.rekey(out)?;
        }
        Ok(())
    }

    /// Replaces the keys, which also happens by itself after a gigabyte. The caller has the clock and may ask for
    /// it every hour. Does nothing while a key exchange is under way.
    pub fn rekey(&mut self, out: &mut BytesMut) -> Result<(), TransportError> {
        match self.state {
            State::Open if self.carried => Ok(()),
            State::Open => {
                let strict = self.session.as_ref().is_some_and(|session| session.strict);
                let init = self.send_init(strict, out)?;
                self.state = State::Init(ExpectInit::again(init));
                Ok(())
            }
            State::Closed => Err(TransportError::Closed),
            State::Identification(_) | State::Init(_) | State::Method(_) | State::NewKeys(_) => Ok(()),
        }
    }

    /// Ends the connection: tells the peer why and takes nothing more. What was held back is dropped.
    pub fn disconnect(&mut self, reason: u32, text: &str, out: &mut BytesMut) {
        if !matches!(self.state, State::Closed) {
            let mut payload = Vec::with_capacity(text.len() + 16);
            payload.put_u8(message::DISCONNECT);
            wire::put_u32(&mut payload, reason);
            wire::put_string(&mut payload, text.as_bytes());
            wire::put_string(&mut payload, b"");
            // What cannot even be sealed is not said: the connection is over either way.
            let _ = self.sealer.seal(&[&payload], out);
            self.close();
        }
    }

    /// Says that the peer has logged in: from here on the bound on messages without a meaning does not hold.
    pub fn set_authenticated(&mut self) {
        self.authenticated = true;
    }

    /// The session's identifier, which signatures of authentication are over, once there is one.
    pub fn session_id(&self) -> Option<&[u8]> {
        self.session.as_ref().map(|session| session.id.as_slice())
    }

    /// Whether messages can be sent: the first key exchange is done and the connection is not over.
    pub fn is_ready(&self) -> bool {
        self.ready && !matches!(self.state, State::Closed)
    }

    /// Whether what is sent is held back until a key exchange is done.
    pub fn is_exchanging(&self) -> bool {
        self.holding
    }

    /// How many bytes are held back until a key exchange is done.
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// The algorithms that the server takes for signatures of a login (RFC 8308 section 3.1), if it said, as far
    /// as they are known here.
    pub fn peer_signature_algorithms(&self) -> Option<&[SignatureAlgorithm]> {
        self.peer_algorithms.as_deref()
    }

    /// What the latest key exchange agreed on, once there was one.
    pub fn algorithms(&self) -> Option<Algorithms> {
        self.session
            .as_ref()
            .map(|session| Algorithms::new(session.agreed, session.strict))
    }

    /// The peer's identification, such as `SSH-2.0-OpenSSH_9.2`; empty before it came. It is printable.
    pub fn peer_identification(&self) -> &str {
        std::str::from_utf8(&self.peer_identification).unwrap_or_default()
    }

    /// The key that the host proved to hold; for a client, after the first key exchange.
    pub fn host_key(&self) -> Option<&PublicKey> {
        self.session.as_ref()?.host.as_ref().map(|(_, key)| key)
    }

    fn advance(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Step, TransportError> {
        loop {
            match &mut self.state {
                State::Closed => return Err(TransportError::Closed),
                State::Identification(expect) => {
                    let Some(line) = expect.take(input)? else {
                        return Ok(Step::More);
                    };
                    let init = expect.init.take();
                    self.peer_identification = line;
                    self.state = State::Init(ExpectInit::first(init));
                }
                State::Init(_) | State::Method(_) | State::NewKeys(_) | State::Open => {
                    let Some(opened) = self.opener.open(input)? else {
                        return Ok(Step::More);
                    };
                    let payload = input.get(opened.payload.clone()).ok_or(TransportError::Packet)?;
                    match self.receive(payload, opened.sequence, out)? {
                        Received::Callers => {
                            if self.is_due(self.opener.usage()) {
                                self.rekey(out)?;
                            }
                            return Ok(Step::Packet {
                                payload: opened.payload,
                                whole: opened.whole,
                            });
                        }
                        Received::Own => input.advance(opened.whole),
                        Received::Step(step) => {
                            input.advance(opened.whole);
                            return Ok(step);
                        }
                    }
                }
            }
        }
    }

    fn is_due(&self, usage: Usage) -> bool {
        let bytes = self.role.preferences().rekey_bytes.min(REKEY_BYTES_MAX);
        self.ready && !self.holding && !self.carried && (usage.bytes >= bytes || usage.packets >= REKEY_PACKETS)
    }

    fn fail(&mut self, error: &TransportError, out: &mut BytesMut) {
        match self.state {
            State::Closed => {}
            // Whoever does not speak SSH reads a line, not a packet.
            State::Identification(_) => {
                out.put_slice(error.to_string().as_bytes());
                out.put_slice(b"\r\n");
                self.close();
            }
            State::Init(_) | State::Method(_) | State::NewKeys(_) | State::Open => {
                self.disconnect(error.reason(), &error.to_string(), out);
            }
        }
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.held.clear();
        self.holding = false;
    }
}

/// Says where the connection is, and no secrets.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("side", &self.role.side())
            .field("peer", &self.peer_identification())
            .field("ready", &self.is_ready())
            .field("exchanging", &self.holding)
            .finish_non_exhaustive()
    }
}

/// Whether the caller may send a message of this number.
fn is_callers(number: u8) -> bool {
    match number {
        message::IGNORE | message::UNIMPLEMENTED | message::DEBUG => true,
        message::SERVICE_REQUEST | message::SERVICE_ACCEPT | 50..=255 => true,
        0 | message::DISCONNECT | 7..=49 => false,
    }
}

#[cfg(test)]
#[path = "transport/tests.rs"]
mod tests;
