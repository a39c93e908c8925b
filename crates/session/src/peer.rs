//! One of the two sockets of a relay, with what was read of it and not yet worked on.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use sallyport_listen::Drain;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// The smallest and the largest read.
const MIN_READ: usize = 2 * 1024;
const MAX_READ: usize = 128 * 1024;

pub(crate) struct Peer<S> {
    pub(crate) wire: S,
    pub(crate) input: BytesMut,
    read_size: usize,
    /// The most bytes that waited here since the buffers were last given back.
    peak: usize,
    pub(crate) eof: bool,
    drain: Drain,
}

impl<S: AsyncRead + Unpin> Peer<S> {
    pub(crate) fn new(wire: S) -> Self {
        Self {
            wire,
            input: BytesMut::new(),
            read_size: MIN_READ,
            peak: 0,
            eof: false,
            drain: Drain::default(),
        }
    }

    /// # Cancel safety
    /// The read future either completes within this poll or has taken nothing.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        self.input.reserve(self.read_size);
        let room = self.input.capacity() - self.input.len();
        let polled = pin!(self.wire.read_buf(&mut self.input)).poll(cx);
        if let Poll::Ready(Ok(n)) = polled
            && n >= room
        {
            self.read_size = (self.read_size * 2).min(MAX_READ);
        }
        polled
    }

    pub(crate) fn note_peak(&mut self) {
        self.peak = self.peak.max(self.input.len());
    }

    /// Whether more waited here than a session at rest needs room for.
    pub(crate) fn was_large(&self) -> bool {
        self.peak > 2 * MIN_READ
    }

    /// Gives the memory of long messages back, whatever is still to be worked on.
    pub(crate) fn fit(&mut self) {
        self.input = BytesMut::from(&*self.input);
    }

    /// Gives the memory of a long result back once the session rests.
    pub(crate) fn shrink(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.read_size = MIN_READ;
            self.peak = 0;
        }
    }
}

impl<S: AsyncWrite + Unpin> Peer<S> {
    /// Writes as much of `buffer` as the socket takes. True when it took some.
    pub(crate) fn poll_write(&mut self, buffer: &mut BytesMut, cx: &mut Context<'_>) -> std::io::Result<bool> {
        self.drain.poll(&mut self.wire, buffer, cx)
    }

    /// Pushes what was written and has not reached the socket.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> std::io::Result<bool> {
        self.poll_write(&mut BytesMut::new(), cx)
    }

    /// Whether all that was written has reached the socket.
    pub(crate) fn is_flushed(&self) -> bool {
        self.drain.is_done()
    }
}
