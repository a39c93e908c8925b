//! The agent's side of a flow whose results are masked here.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use sallyport_listen::Wire;
use tokio::io::AsyncWrite;

use super::{Up, Veil, VeilError, encode};

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
        failed: None,
    });
    poll_fn(|cx| carrier.poll(cx)).await
}

struct Carrier {
    veil: Veil,
    target: End,
    gateway: End,
    failed: Option<String>,
}

struct End {
    wire: Wire,
    input: BytesMut,
    output: BytesMut,
    over: bool,
}

impl End {
    fn new(wire: Wire) -> Self {
        Self {
            wire,
            input: BytesMut::new(),
            output: BytesMut::new(),
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
                self.over = read? == 0;
                Ok(true)
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        while !self.output.is_empty() {
            match Pin::new(&mut self.wire).poll_write(cx, &self.output) {
                Poll::Pending => return Ok(moved),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => self.output.advance(count),
                Poll::Ready(Err(error)) => return Err(error),
            }
            moved = true;
        }
        if moved && let Poll::Ready(Err(error)) = Pin::new(&mut self.wire).poll_flush(cx) {
            return Err(error);
        }
        Ok(moved)
    }
}

impl Carrier {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let moved = self.round(cx)?;
            // What the target said last may still wait for its plan.
            let told = self.target.over && (self.target.input.is_empty() || !self.veil.waits());
            let over = self.failed.is_some() || told || (self.gateway.over && self.target.output.is_empty());
            if over && self.gateway.output.is_empty() {
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
            if self.target.output.len() < MAX_WAITING {
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
        Ok(moved | self.target.poll_write(cx)? | self.gateway.poll_write(cx)?)
    }

    fn mask(&mut self) -> Result<(), VeilError> {
        self.veil
            .take_from_gateway(&mut self.gateway.input, &mut self.target.output)?;
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
