//! The agent's side of a flow: the packets of a host's connection, without their encryption, between host and gateway.
//!
//! What arrives on one side is worked on only while little waits for the other, so neither can make this one's memory
//! grow; during a key exchange with the host the gateway waits.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use sallyport_listen::{Drain, Wire};
use sallyport_ssh_transport::{Step, Transport, TransportError};

use tokio::time::{Sleep, sleep};

use super::Upstream;
use crate::conversation::patience;
use crate::veil::{self, Up, Veil, VeilError};

/// Bytes that may wait for one side before the other is no longer read.
const MAX_WAITING: usize = 256 * 1024;
/// Room for one read.
const READ: usize = 32 * 1024;
/// The reason of a disconnect when the other side is gone (RFC 4253, section 11.1).
const CONNECTION_LOST: u32 = 10;
/// The same when a side said what makes no sense, or what cannot be masked.
const PROTOCOL_ERROR: u32 = 2;

/// Carries packets until one side ends; the other is told. What the host says is masked on the way, if that was ordered.
pub(super) async fn carry(upstream: Upstream, flow: Wire) -> std::io::Result<()> {
    let mut gateway = End::new(flow, Transport::carried());
    if upstream.veiled {
        gateway.send(&[&veil::words(&Up::Veiled)]).map_err(broken)?;
    }
    let mut carrier = Box::new(Carrier {
        host: End::new(upstream.wire, upstream.transport),
        gateway,
        veil: upstream.veiled.then(Veil::default),
        silence: None,
    });
    poll_fn(|cx| carrier.poll(cx)).await
}

struct Carrier {
    host: End,
    gateway: End,
    veil: Option<Veil>,
    /// Runs while nothing moves and masks hold something back.
    silence: Option<Pin<Box<Sleep>>>,
}

/// One side: its stream, its transport, and what waits to be worked on and to be sent.
struct End {
    wire: Wire,
    transport: Transport,
    input: BytesMut,
    output: BytesMut,
    drain: Drain,
    over: bool,
}

impl End {
    fn new(wire: Wire, transport: Transport) -> Self {
        Self {
            wire,
            transport,
            input: BytesMut::new(),
            output: BytesMut::new(),
            drain: Drain::default(),
            over: false,
        }
    }

    /// Whether more can be given to it.
    fn takes(&self) -> bool {
        self.output.len() < MAX_WAITING && !self.transport.is_exchanging()
    }

    fn send(&mut self, parts: &[&[u8]]) -> Result<(), TransportError> {
        self.transport.send(parts, &mut self.output)
    }

    /// Writes what waits. True when something was.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> std::io::Result<bool> {
        self.drain.poll(&mut self.wire, &mut self.output, cx)
    }

    /// Whether nothing waits any more, here or below.
    fn is_drained(&self) -> bool {
        self.output.is_empty() && self.drain.is_done()
    }
}

impl Carrier {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        loop {
            let moved = self.move_packets(Way::ToGateway, cx)?
                | self.move_packets(Way::ToHost, cx)?
                | self.host.poll_write(cx)?
                | self.gateway.poll_write(cx)?;
            let over = self.host.over || self.gateway.over;
            if over && self.host.is_drained() && self.gateway.is_drained() {
                return Poll::Ready(Ok(()));
            }
            if moved {
                self.silence = None;
            } else if !self.poll_silence(cx)? {
                return Poll::Pending;
            }
        }
    }

    /// Lets go of what masks hold back, once nothing has moved for a while. True when something was.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> std::io::Result<bool> {
        let Some((veil, terminal)) = self
            .veil
            .as_mut()
            .and_then(|veil| veil.holds_text().map(|held| (veil, held)))
        else {
            return Ok(false);
        };
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(patience(terminal))));
        if silence.as_mut().poll(cx).is_pending() {
            return Ok(false);
        }
        self.silence = None;
        let gateway = &mut self.gateway;
        veil.quiet(&mut |parts| gateway.send(parts)).map_err(broken)?;
        Ok(true)
    }

    /// Reads of one side what the other can take. True when something was.
    fn move_packets(&mut self, way: Way, cx: &mut Context<'_>) -> std::io::Result<bool> {
        let (from, to) = match way {
            Way::ToGateway => (&mut self.host, &mut self.gateway),
            Way::ToHost => (&mut self.gateway, &mut self.host),
        };
        let mut moved = false;
        while !from.over && !to.over && to.takes() {
            match from.transport.read(&mut from.input, &mut from.output) {
                Ok(Step::Packet { payload, whole }) => {
                    if let Err(error) = pass(self.veil.as_mut(), way, payload, from, to) {
                        from.transport
                            .disconnect(PROTOCOL_ERROR, &error.to_string(), &mut from.output);
                        end(from, to, PROTOCOL_ERROR, &error.to_string());
                    }
                    from.input.advance(whole.min(from.input.len()));
                }
                Ok(Step::Ready) => {}
                Ok(Step::Disconnected { reason, text }) => end(from, to, reason, &text),
                Ok(Step::More) if from.output.len() >= MAX_WAITING => return Ok(moved),
                Ok(Step::More) => {
                    from.input.reserve(READ);
                    match from.wire.poll_read_into(cx, &mut from.input) {
                        Poll::Pending => return Ok(moved),
                        Poll::Ready(Ok(0)) => end(from, to, CONNECTION_LOST, "the connection was closed"),
                        Poll::Ready(Ok(_)) => {}
                        Poll::Ready(Err(error)) => return Err(error),
                    }
                }
                Err(error) => return Err(broken(error)),
            }
            moved = true;
        }
        Ok(moved)
    }
}

#[derive(Clone, Copy)]
enum Way {
    ToGateway,
    ToHost,
}

/// One payload of `from`, which is somewhere in its input.
fn pass(
    veil: Option<&mut Veil>,
    way: Way,
    payload: std::ops::Range<usize>,
    from: &mut End,
    to: &mut End,
) -> Result<(), VeilError> {
    let payload = from.input.get(payload).unwrap_or_default();
    let Some(veil) = veil else {
        return Ok(to.send(&[payload])?);
    };
    match way {
        Way::ToGateway => veil.take_from_host(payload, &mut |parts| to.send(parts)),
        Way::ToHost => {
            let (transport, output) = (&mut from.transport, &mut from.output);
            let words = veil.take_from_gateway(payload, &mut |parts| transport.send(parts, output))?;
            if !words {
                to.send(&[payload])?;
            }
            Ok(())
        }
    }
}

fn end(from: &mut End, to: &mut End, reason: u32, text: &str) {
    from.over = true;
    to.transport.disconnect(reason, text, &mut to.output);
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, error)
}
