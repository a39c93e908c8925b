//! The agent's side of a flow: the packets of a host's connection, without their encryption, between host and gateway.
//!
//! What arrives on one side is worked on only while little waits for the other, so neither can make this one's memory
//! grow; during a key exchange with the host the gateway waits.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use sallyport_listen::{Drain, Wire};
use sallyport_ssh_transport::{Step, Transport, TransportError};

use super::Upstream;

/// Bytes that may wait for one side before the other is no longer read.
const MAX_WAITING: usize = 256 * 1024;
/// Room for one read.
const READ: usize = 32 * 1024;
/// The reason of a disconnect when the other side is gone (RFC 4253, section 11.1).
const CONNECTION_LOST: u32 = 10;

/// Carries packets until one side ends; the other is told.
pub(super) async fn carry(upstream: Upstream, flow: Wire) -> std::io::Result<()> {
    let mut carrier = Box::new(Carrier {
        host: End::new(upstream.wire, upstream.transport),
        gateway: End::new(flow, Transport::carried()),
    });
    poll_fn(|cx| carrier.poll(cx)).await
}

struct Carrier {
    host: End,
    gateway: End,
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
            let moved = move_packets(&mut self.host, &mut self.gateway, cx)?
                | move_packets(&mut self.gateway, &mut self.host, cx)?
                | self.host.poll_write(cx)?
                | self.gateway.poll_write(cx)?;
            let over = self.host.over || self.gateway.over;
            if over && self.host.is_drained() && self.gateway.is_drained() {
                return Poll::Ready(Ok(()));
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }
}

/// Reads of `from` what `to` can take. True when something was.
fn move_packets(from: &mut End, to: &mut End, cx: &mut Context<'_>) -> std::io::Result<bool> {
    let mut moved = false;
    while !from.over && !to.over && to.takes() {
        match from.transport.read(&mut from.input, &mut from.output) {
            Ok(Step::Packet { payload, whole }) => {
                let payload = from.input.get(payload).unwrap_or_default();
                to.transport.send(&[payload], &mut to.output).map_err(broken)?;
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

fn end(from: &mut End, to: &mut End, reason: u32, text: &str) {
    from.over = true;
    to.transport.disconnect(reason, text, &mut to.output);
}

fn broken(error: TransportError) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, error)
}
