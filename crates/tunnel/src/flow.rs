//! One flow: bytes both ways, each with its own window.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::driver::Line;
use crate::incoming::{Inbox, Read, WHY};
use crate::outgoing::{MAX_BLOCK, Unsent};

/// A stream of bytes to the other side of the tunnel. When it is dropped before both directions ended, the other side
/// gets what was written, and then learns that the flow was given up.
pub struct Flow {
    sender: Arc<Sender>,
    inbox: Arc<Inbox>,
    /// What has come and was not read.
    unread: Bytes,
    /// How much room of the window `unread` took when it came.
    taken: usize,
    ended: bool,
    last_words: LastWords,
    unsent: Arc<Unsent>,
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

/// The half that writes, of which more than one may wish to know what becomes of it.
struct Sender {
    /// There until the flow is dropped.
    stream: Mutex<Option<SendStream<Bytes>>>,
    told: Arc<Told>,
    /// Wakes all in `told`.
    waker: Waker,
}

/// A stream of HTTP/2 wakes one that asked about its sending half.
#[derive(Default)]
struct Told {
    writer: AtomicWaker,
    watcher: AtomicWaker,
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.writer.wake();
        self.watcher.wake();
    }
}

impl Sender {
    fn new(stream: SendStream<Bytes>) -> Self {
        let told = Arc::new(Told::default());
        Self {
            stream: Mutex::new(Some(stream)),
            waker: Arc::clone(&told).into(),
            told,
        }
    }

    fn stream(&self) -> MutexGuard<'_, Option<SendStream<Bytes>>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the flow is over for its writer before its time.
    fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        self.told.watcher.register(cx.waker());
        match self.stream().as_mut() {
            Some(stream) => stream.poll_reset(&mut Context::from_waker(&self.waker)).map(drop),
            None => Poll::Ready(()),
        }
    }
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow")
            .field("stream", &self.sender.stream().as_ref().map(SendStream::stream_id))
            .finish_non_exhaustive()
    }
}

impl Flow {
    /// Counts as a flow of `line`, until it is dropped and everything was sent.
    pub(crate) fn new(send: SendStream<Bytes>, receive: RecvStream, line: Arc<Line>) -> Self {
        line.begin();
        Self {
            sender: Arc::new(Sender::new(send)),
            inbox: Inbox::new(receive, &line.arrivals),
            unread: Bytes::new(),
            taken: 0,
            ended: false,
            last_words: LastWords::default(),
            unsent: Arc::default(),
            line,
        }
    }

    /// With which a flow that another owns can be given a reason to end with.
    pub fn last_words(&self) -> LastWords {
        self.last_words.clone()
    }

    /// Resolves once the other side has given the flow up, or the tunnel is lost, or this is dropped. Who reads learns
    /// of it after everything that came before; this is for those who may be waiting for something else, with bytes
    /// before them that they cannot get rid of. There is one at a time.
    pub fn gone(&self) -> impl Future<Output = ()> + Send + use<> {
        let sender = Arc::clone(&self.sender);
        std::future::poll_fn(move |cx| sender.poll_gone(cx))
    }

    /// What is told of an error: why the whole tunnel is lost, if it is.
    fn lost(&self, reason: Option<Reason>) -> io::Error {
        let why = match (self.line.lost(), reason) {
            (Some(why), _) => why.to_owned(),
            (None, Some(Reason::CANCEL | Reason::NO_ERROR)) => return io::ErrorKind::ConnectionReset.into(),
            (None, _) => self.line.broke(),
        };
        io::Error::new(io::ErrorKind::ConnectionAborted, why)
    }

    /// What is told of a stream that takes nothing any more.
    fn over(&self, stream: &mut SendStream<Bytes>) -> io::Error {
        match stream.poll_reset(&mut Context::from_waker(&self.sender.waker)) {
            Poll::Ready(Err(error)) => self.lost(error.reason()),
            Poll::Ready(Ok(_)) | Poll::Pending if self.line.lost().is_some() => self.lost(None),
            // The other side gave the flow up.
            Poll::Ready(Ok(_)) | Poll::Pending => io::ErrorKind::BrokenPipe.into(),
        }
    }

    fn poll_fill(&mut self, cx: &Context<'_>) -> Poll<io::Result<bool>> {
        if self.unread.is_empty() {
            if self.line.lost().is_some() {
                // Nobody may be driving the connection any more.
                self.inbox.fill();
            }
            match ready!(self.inbox.poll_read(cx)) {
                Read::Bytes(bytes) => {
                    self.taken = bytes.len();
                    self.unread = bytes;
                }
                Read::Ended => return Poll::Ready(Ok(false)),
                Read::Said(why) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, why))),
                Read::Broke(reason) => return Poll::Ready(Err(self.lost(reason))),
            }
        }
        Poll::Ready(Ok(true))
    }

    fn give_back_if_read(&mut self) {
        if self.unread.is_empty() && self.taken > 0 {
            self.inbox.give_back(self.taken);
            self.taken = 0;
            self.unread = Bytes::new();
        }
    }

    /// How much of `wanted` bytes can be written: there is room in the window, and in line.
    fn poll_room(&self, cx: &Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let mut stream = self.sender.stream();
        let Some(stream) = stream.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        stream.reserve_capacity(wanted.min(MAX_BLOCK));
        let mut room = stream.capacity();
        if room == 0 {
            self.sender.told.writer.register(cx.waker());
            room = match ready!(stream.poll_capacity(&mut Context::from_waker(&self.sender.waker))) {
                Some(Ok(room)) => room,
                Some(Err(error)) => return Poll::Ready(Err(self.lost(error.reason()))),
                None => return Poll::Ready(Err(self.over(stream))),
            };
        }
        let room = room.min(wanted).min(MAX_BLOCK);
        ready!(self.line.outgoing.poll_room(cx, &self.unsent, room));
        Poll::Ready(Ok(room))
    }

    fn send(&self, bytes: &[u8], last: bool) -> io::Result<()> {
        let block = self.line.outgoing.block(&self.unsent, bytes);
        let mut stream = self.sender.stream();
        let stream = stream.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stream.send_data(block, last).map_err(|error| self.lost(error.reason()))
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
        let room = ready!(this.poll_room(cx, buf.len()))?;
        let part = buf.get(..room).unwrap_or(buf);
        this.send(part, false)?;
        Poll::Ready(Ok(part.len()))
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
        Poll::Ready(this.send(&[], true))
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let mut send = self.sender.stream().take();
        if let (Some(send), Some(why)) = (&mut send, self.last_words.0.get().filter(|_| !self.ended))
            && let Ok(why) = HeaderValue::from_str(why)
        {
            let trailers = [(HeaderName::from_static(WHY), why)];
            // A stream that is lost already has a reason.
            let _ = send.send_trailers(trailers.into_iter().collect());
        }
        self.sender.told.watcher.wake();
        if let (Some(send), Some(receive)) = (send, self.inbox.close()) {
            self.line.leave(send, receive, &self.unsent);
        }
    }
}
