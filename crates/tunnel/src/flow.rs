//! One flow: bytes both ways, each with its own window.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, HeaderValue};
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
    last_words: LastWords,
    line: Arc<Line>,
}

/// What a flow says of why it ends, to whoever has its other end.
#[derive(Clone, Debug, Default)]
pub struct LastWords(Arc<OnceLock<&'static str>>);

impl LastWords {
    /// Says why, once the flow is dropped; the first counts.
    pub fn set(&self, why: &'static str) {
        let _ = self.0.set(why);
    }
}

/// The trailer that carries it.
const WHY: &str = "sallyport-why";
/// The longest that is believed, in bytes.
const MAX_WHY: usize = 256;

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
            last_words: LastWords::default(),
            line,
        }
    }

    /// With which a flow that another owns can be given a reason to end with.
    pub fn last_words(&self) -> LastWords {
        self.last_words.clone()
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
                None => {
                    return Poll::Ready(match ready!(self.poll_why(cx)) {
                        Some(why) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, why)),
                        None => Ok(false),
                    });
                }
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

    /// What the other side says of why it ended the flow. It is shown to people.
    fn poll_why(&mut self, cx: &mut Context<'_>) -> Poll<Option<String>> {
        let Ok(Some(trailers)) = ready!(self.receive.poll_trailers(cx)) else {
            return Poll::Ready(None);
        };
        let why = trailers.get(WHY).and_then(|why| why.to_str().ok());
        let plain = |why: &&str| !why.is_empty() && why.len() <= MAX_WHY && !why.contains(|c: char| c.is_control());
        Poll::Ready(why.filter(plain).map(str::to_owned))
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
        if let Some(why) = self.last_words.0.get().filter(|_| !self.ended)
            && let Ok(why) = HeaderValue::from_str(why)
        {
            let trailers = [(HeaderName::from_static(WHY), why)];
            // A stream that is lost already has a reason.
            let _ = self.send.send_trailers(trailers.into_iter().collect());
        }
        // The stream is reset once what was written is sent, if it is not over both ways.
        self.line.end();
    }
}
