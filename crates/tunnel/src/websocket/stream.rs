//! A byte stream over binary messages.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::{SENT_BYTES, TAKEN_BYTES};

/// A byte stream in the binary messages of a WebSocket. Where a message begins or ends means nothing.
///
/// It ends when the peer closes the WebSocket as it should (RFC 6455, section 7.1.2). Whatever else ends it is an error, so
/// that nothing that was cut off passes for whole. There are no half-closed WebSockets: [`AsyncWrite::poll_shutdown`] has
/// the peer end its own direction, too, and with it what the peer has not sent yet. The connection itself stays until the
/// peer has answered, or this is dropped.
///
/// Of what is written no more than one message is kept, until it has gone: a peer that does not read stops the writer. Of
/// what is read one message is kept. Pings are answered while it is read from.
///
/// # Cancel safety
/// As for any stream: bytes are taken when a poll says so, and never in between.
#[derive(Debug)]
pub struct ByteStream<S> {
    socket: WebSocketStream<S>,
    /// The rest of the message that is being read.
    unread: Bytes,
    reading: Reading,
    /// Whether this end has closed it.
    closing: bool,
}

/// What reading comes to, once the message at hand has been read.
#[derive(Debug)]
enum Reading {
    /// Another message.
    Goes,
    /// The end.
    Ended,
    /// The same error again and again: a stream that failed must not seem to have ended.
    Failed(Fault),
}

/// What ended a stream before its time, and whose doing it was.
#[derive(Debug, Clone, thiserror::Error)]
enum Fault {
    #[error("the peer sent a text message, and a tunnel has none")]
    Text,
    #[error("the peer sent a message of more than {TAKEN_BYTES} bytes")]
    TooLong,
    #[error("the peer broke the rules of WebSocket: {0}")]
    Protocol(String),
    #[error("the peer closed the tunnel with code {code}: {reason:?}")]
    Closed { code: u16, reason: String },
    #[error("the peer was gone before the tunnel was closed")]
    Gone,
    #[error("the tunnel is closed")]
    AfterClosing,
    #[error("the connection broke: {why}")]
    Broken { kind: io::ErrorKind, why: String },
}

impl<S: AsyncRead + AsyncWrite + Unpin> ByteStream<S> {
    pub(super) fn new(socket: WebSocketStream<S>) -> ByteStream<S> {
        ByteStream {
            socket,
            unread: Bytes::new(),
            reading: Reading::Goes,
            closing: false,
        }
    }

    /// The connection that carries it.
    pub fn get_ref(&self) -> &S {
        self.socket.get_ref()
    }

    /// Takes one message up, whatever it is.
    fn take(&mut self, message: Message, cx: &mut Context<'_>) {
        match message {
            Message::Binary(bytes) => self.unread = bytes,
            // Answered by now, or on the way.
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(close) => {
                self.reading = ended(close);
                // Sends the answer, as far as it goes at once.
                let _ = self.poll_room(cx);
            }
            Message::Text(_) => self.fail(Fault::Text, cx),
            // Only ever sent.
            Message::Frame(_) => self.fail(Fault::Protocol("a bare frame".to_owned()), cx),
        }
    }

    /// Nothing is read any more, and the peer is told why, as far as that goes at once.
    fn fail(&mut self, fault: Fault, cx: &mut Context<'_>) {
        let code = match &fault {
            Fault::Text => Some(CloseCode::Unsupported),
            Fault::TooLong => Some(CloseCode::Size),
            Fault::Protocol(_) => Some(CloseCode::Protocol),
            Fault::Closed { .. } | Fault::Gone | Fault::AfterClosing | Fault::Broken { .. } => None,
        };
        if let Some(code) = code {
            let _ = self.send(close(code));
            let _ = self.poll_room(cx);
        }
        self.reading = Reading::Failed(fault);
    }

    /// Waits until what was written before has gone, so that there is room for a message.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(to_io)
    }

    /// Takes a message when there is room.
    fn send(&mut self, message: Message) -> io::Result<()> {
        Pin::new(&mut self.socket).start_send(message).map_err(to_io)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ByteStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if !this.unread.is_empty() {
                let length = this.unread.len().min(buf.remaining());
                buf.put_slice(&this.unread.split_to(length));
                return Poll::Ready(Ok(()));
            }
            match &this.reading {
                Reading::Goes => {}
                Reading::Ended => return Poll::Ready(Ok(())),
                Reading::Failed(fault) => return Poll::Ready(Err(fault.clone().into())),
            }
            match ready!(Pin::new(&mut this.socket).poll_next(cx)) {
                Some(Ok(message)) => this.take(message, cx),
                Some(Err(error)) => this.fail(fault(error), cx),
                None => this.fail(Fault::Gone, cx),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ByteStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let whole: usize = bufs.iter().map(|buf| buf.len()).sum();
        let length = whole.min(SENT_BYTES);
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_room(cx))?;
        let mut message = BytesMut::with_capacity(length);
        for buf in bufs {
            let room = length - message.len();
            message.extend_from_slice(buf.get(..room).unwrap_or(buf));
        }
        self.send(Message::Binary(message.freeze()))?;
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_room(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_room(cx))?;
        if !self.closing {
            self.closing = true;
            // When the peer has closed it already, there is nothing to say.
            let _ = self.send(close(CloseCode::Normal));
            ready!(self.poll_room(cx))?;
        }
        match self.reading {
            // The peer still has to answer, and some proxies end both directions when one ends.
            Reading::Goes => Poll::Ready(Ok(())),
            Reading::Ended | Reading::Failed(_) => Pin::new(self.socket.get_mut()).poll_shutdown(cx),
        }
    }
}

fn close(code: CloseCode) -> Message {
    let reason = Utf8Bytes::default();
    Message::Close(Some(CloseFrame { code, reason }))
}

/// What it means that the peer closes.
fn ended(close: Option<CloseFrame>) -> Reading {
    let Some(close) = close else {
        return Reading::Ended;
    };
    match u16::from(close.code) {
        // Normal, and going away.
        1000 | 1001 => Reading::Ended,
        code => Reading::Failed(Fault::Closed {
            code,
            reason: close.reason.to_string(),
        }),
    }
}

fn to_io(error: Error) -> io::Error {
    fault(error).into()
}

fn fault(error: Error) -> Fault {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(ProtocolError::SendAfterClosing) => {
            Fault::AfterClosing
        }
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Fault::Gone,
        Error::Capacity(_) => Fault::TooLong,
        Error::Io(error) => Fault::Broken {
            kind: error.kind(),
            why: error.to_string(),
        },
        error @ (Error::Tls(_)
        | Error::Protocol(_)
        | Error::WriteBufferFull(_)
        | Error::Utf8(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_)) => Fault::Protocol(error.to_string()),
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        let kind = match &fault {
            Fault::Text | Fault::TooLong | Fault::Protocol(_) => io::ErrorKind::InvalidData,
            Fault::Closed { .. } => io::ErrorKind::ConnectionAborted,
            Fault::Gone => io::ErrorKind::UnexpectedEof,
            Fault::AfterClosing => io::ErrorKind::BrokenPipe,
            Fault::Broken { kind, .. } => *kind,
        };
        io::Error::new(kind, fault)
    }
}
