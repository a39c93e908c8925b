//! The agent's side of a flow whose results are masked here.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use bytes::BytesMut;
use sallyport_listen::{Drain, Wire};

use super::machine::MAX_WHOLE;
use super::{REPORT, Up, Veil, VeilError, encode};

/// Bytes that may wait for one side before the other is no longer read.
const MAX_WAITING: usize = 256 * 1024;

/// Room for one read.
const READ: usize = 32 * 1024;

/// Carries messages both ways, masked, until one side ends. What cannot be masked ends it.
pub(crate) async fn carry(target: Wire, gateway: Wire) -> io::Result<()> {
    let mut carrier = Box::new(Carrier {
        veil: Veil::default(),
        target: End::new(target),
        gateway: End::new(gateway),
        reported: 0,
        failed: None,
    });
    poll_fn(|cx| carrier.poll(cx)).await
}

struct Carrier {
    veil: Veil,
    target: End,
    gateway: End,
    /// How far the gateway knows that it has been read.
    reported: u64,
    failed: Option<String>,
}

struct End {
    wire: Wire,
    /// Bytes that have been read.
    received: u64,
    input: BytesMut,
    output: BytesMut,
    drain: Drain,
    over: bool,
}

impl End {
    fn new(wire: Wire) -> Self {
        Self {
            wire,
            received: 0,
            input: BytesMut::new(),
            output: BytesMut::new(),
            drain: Drain::default(),
            over: false,
        }
    }

    /// Reads what there is. True when something came, or the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.over {
            return Ok(false);
        }
        self.input.reserve(READ);
        match self.wire.poll_read_into(cx, &mut self.input) {
            Poll::Pending => Ok(false),
            Poll::Ready(read) => {
                let count = read?;
                self.received += count as u64;
                self.over = count == 0;
                Ok(true)
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        self.drain.poll(&mut self.wire, &mut self.output, cx)
    }

    /// Whether nothing waits any more, here or below.
    fn is_drained(&self) -> bool {
        self.output.is_empty() && self.drain.is_done()
    }
}

impl Carrier {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let moved = self.round(cx)?;
            // What the target said last may still wait for its plan.
            let told = self.target.over && (self.target.input.is_empty() || !self.veil.waits());
            let over = self.failed.is_some() || told || (self.gateway.over && self.target.is_drained());
            if over && self.gateway.is_drained() {
                return Poll::Ready(match self.failed.take() {
                    Some(why) => Err(io::Error::other(why)),
                    None => Ok(()),
                });
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    fn round(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        if self.failed.is_none() {
            // A plan that is waited for stands behind what the target does not take yet.
            if self.target.output.len() < MAX_WAITING || self.veil.waits() {
                moved |= self.gateway.poll_read(cx)?;
            }
            // What is held back for a plan is not added to; nor is what waits for a gateway that does not read.
            if self.gateway.output.len() < MAX_WAITING && !self.veil.waits() {
                moved |= self.target.poll_read(cx)?;
            }
            if moved && let Err(error) = self.mask() {
                self.fail(&error);
            }
        }
        moved |= self.target.poll_write(cx)?;
        self.report();
        Ok(moved | self.gateway.poll_write(cx)?)
    }

    /// Tells the gateway how much of what it said has been taken.
    fn report(&mut self) {
        let waiting = self.gateway.input.len() + self.target.output.len();
        let taken = self.gateway.received - waiting as u64;
        if taken - self.reported >= REPORT && self.failed.is_none() && self.veil.is_between_messages() {
            encode(&Up::Taken { bytes: taken }, &mut self.gateway.output);
            self.reported = taken;
        }
    }

    fn mask(&mut self) -> Result<(), VeilError> {
        self.veil
            .take_from_gateway(&mut self.gateway.input, &mut self.target.output)?;
        if self.target.output.len() > MAX_WHOLE {
            return Err(VeilError::TooMuch);
        }
        self.veil
            .take_from_target(&mut self.target.input, &mut self.gateway.output)
    }

    fn fail(&mut self, error: &VeilError) {
        let why = error.to_string();
        encode(&Up::Failed { why: why.clone() }, &mut self.gateway.output);
        self.target.output.clear();
        self.failed = Some(why);
    }
}
