//! One flow: bytes both ways, each with its own window.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::drive::Line;

/// The most that one write takes.
const MAX_WRITE: usize = 64 * 1024;

/// A stream of bytes to the other side of the tunnel. When it is dropped before both directions ended, the other side
/// gets what was written, and then learns that the flow was given up.
pub struct Flow {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// What has come and was not read.
    unread: Bytes,
    /// How much room of the window `unread` took when it came.
    taken: usize,
    ended: bool,
    line: Arc<Line>,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow")
            .field("stream", &self.send.stream_id())
            .finish_non_exhaustive()
    }
}

impl Flow {
    /// Counts as a flow of `line`, until it is dropped.
    pub(crate) fn new(send: SendStream<Bytes>, receive: RecvStream, line: Arc<Line>) -> Self {
        line.begin();
        Self {
            send,
            receive,
            unread: Bytes::new(),
            taken: 0,
            ended: false,
            line,
        }
    }

    /// What is told of an error: why the whole tunnel is lost, if it is.
    fn lost(&self, error: &h2::Error) -> io::Error {
        let why = match (self.line.lost(), error.reason()) {
            (Some(why), _) => why.to_owned(),
            (None, Some(Reason::CANCEL | Reason::NO_ERROR)) => return io::ErrorKind::ConnectionReset.into(),
            (None, _) => self.line.broke(),
        };
        io::Error::new(io::ErrorKind::ConnectionAborted, why)
    }

    /// What is told of a stream that takes no more.
    fn closed(&mut self, cx: &mut Context<'_>) -> io::Error {
        match self.send.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => self.lost(&reason.into()),
            Poll::Ready(Err(error)) => self.lost(&error),
            Poll::Pending => io::ErrorKind::BrokenPipe.into(),
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.unread.is_empty() {
            match ready!(self.receive.poll_data(cx)) {
                None => return Poll::Ready(Ok(false)),
                Some(Ok(bytes)) => {
                    self.taken = bytes.len();
                    self.unread = bytes;
                    self.give_back_if_read();
                }
                Some(Err(error)) => return Poll::Ready(Err(self.lost(&error))),
            }
        }
        Poll::Ready(Ok(true))
    }

    fn give_back_if_read(&mut self) {
        if self.unread.is_empty() && self.taken > 0 {
            // It fails when more is given back than was taken.
            let _ = self.receive.flow_control().release_capacity(self.taken);
            self.taken = 0;
            self.unread = Bytes::new();
        }
    }
}

impl AsyncRead for Flow {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if ready!(this.poll_fill(cx))? {
            let count = this.unread.len().min(buf.remaining());
            buf.put_slice(this.unread.get(..count).unwrap_or_default());
            this.unread.advance(count);
            this.give_back_if_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flow {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        this.send.reserve_capacity(buf.len().min(MAX_WRITE));
        let room = match this.send.capacity() {
            0 => match ready!(this.send.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                Some(Err(error)) => return Poll::Ready(Err(this.lost(&error))),
                None => return Poll::Ready(Err(this.closed(cx))),
            },
            room => room,
        };
        let part = buf.get(..room.min(buf.len())).unwrap_or(buf);
        match this.send.send_data(Bytes::copy_from_slice(part), false) {
            Ok(()) => Poll::Ready(Ok(part.len())),
            Err(error) => Poll::Ready(Err(this.lost(&error))),
        }
    }

    /// What was written is on its way: the connection sends by itself.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::replace(&mut this.ended, true) {
            return Poll::Ready(Ok(()));
        }
        match this.send.send_data(Bytes::new(), true) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(this.lost(&error))),
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // The stream is reset once what was written is sent, if it is not over both ways.
        self.line.end();
    }
}
