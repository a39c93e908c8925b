//! A byte stream to a client or a target.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use rustls_pki_types::CertificateDer;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{client, server};

/// What TLS came to with the peer.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    /// The server name the client asked for (only on the server's side).
    pub sni: Option<String>,
    /// The application protocol agreed on.
    pub alpn: Option<Vec<u8>>,
    /// The certificates that the peer showed, its own first: the server's, or the client's if it showed any. They
    /// have been verified as far as the configuration asked.
    pub peer_certificates: Vec<CertificateDer<'static>>,
    /// The protocol version, like `TLSv1.3`.
    pub version: String,
    /// The cipher suite, like `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// Whether the peer's certificate chain was verified against configured authorities.
    pub verified: bool,
}

pub(crate) enum Stream {
    Tcp(TcpStream),
    Server(Box<server::TlsStream<TcpStream>>),
    Client(Box<client::TlsStream<TcpStream>>),
    Other(Box<dyn Duplex>),
}

/// What a wire can go over.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for S {}

/// A byte stream to a client or a target, with or without TLS.
///
/// # Cancel safety
/// Reading (`AsyncRead`, [`Wire::poll_read_into`], `read_buf`) loses nothing when dropped half way.
pub struct Wire {
    stream: Stream,
    unread: Bytes,
    peer: SocketAddr,
    tls: Option<Box<TlsInfo>>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tls = self.tls.as_ref().map(|tls| tls.version.as_str());
        f.debug_struct("Wire")
            .field("peer", &self.peer)
            .field("tls", &tls)
            .finish_non_exhaustive()
    }
}

/// How long a peer may be silent before it is asked whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 4;

/// Bytes of a peer that are read and thrown away so that it can read our last words.
const MAX_DRAINED: usize = 1 << 20;

impl Wire {
    /// A wire over a connected socket: no delay for small writes, keep-alive on.
    ///
    /// # Errors
    /// When the socket is not connected or does not take the options.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        let peer = stream.peer_addr()?;
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_RETRIES);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        Ok(Self {
            stream: Stream::Tcp(stream),
            unread: Bytes::new(),
            peer,
            tls: None,
        })
    }

    /// A wire over a socket of the standard library, registered with the current runtime.
    ///
    /// # Errors
    /// As [`Wire::new`].
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::new(TcpStream::from_std(stream)?)
    }

    /// A wire over a stream that is no socket, to whoever is at `peer`: a flow within another connection.
    pub fn over(stream: impl AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static, peer: SocketAddr) -> Self {
        Self {
            stream: Stream::Other(Box::new(stream)),
            unread: Bytes::new(),
            peer,
            tls: None,
        }
    }

    /// The other end's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// This end's address.
    ///
    /// # Errors
    /// When there is no socket, or it has none any more.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.tcp()?.local_addr()
    }

    /// The same wire, from `peer`: what a trusted proxy in front of us says of who connects.
    #[must_use]
    pub fn with_peer(mut self, peer: SocketAddr) -> Self {
        self.peer = peer;
        self
    }

    /// Whether the peer is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.peer.ip().to_canonical().is_loopback()
    }

    /// From now on the wire breaks when the peer has confirmed nothing of what was sent for so long.
    ///
    /// # Errors
    /// When the socket does not take the option.
    pub fn break_after(&self, silence: Duration) -> io::Result<()> {
        SockRef::from(self.tcp()?).set_tcp_user_timeout(Some(silence))
    }

    /// What TLS came to; `None` in clear.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_deref()
    }

    /// Puts bytes back that were read too far: they come first on the next read, in front of bytes put
    /// back before.
    pub fn unread(&mut self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        if self.unread.is_empty() {
            self.unread = bytes;
        } else if !bytes.is_empty() {
            let mut joined = BytesMut::from(bytes.as_ref());
            joined.extend_from_slice(&self.unread);
            self.unread = joined.freeze();
        }
    }

    /// How many bytes were put back and not read again.
    pub fn unread_len(&self) -> usize {
        self.unread.len()
    }

    /// The first byte to come, without reading it; `None` when the peer closed. Only before TLS.
    ///
    /// # Errors
    /// When the socket fails.
    ///
    /// # Cancel safety
    /// Nothing is read.
    pub async fn peek_byte(&self) -> io::Result<Option<u8>> {
        if let Some(byte) = self.unread.first() {
            return Ok(Some(*byte));
        }
        let mut byte = [0];
        let count = self.tcp()?.peek(&mut byte).await?;
        Ok((count > 0).then_some(byte[0]))
    }

    /// Reads what there is into the free room of `buf` (some is made if there is none).
    /// `Ready(Ok(0))` means that the peer closed.
    ///
    /// # Errors
    /// When the stream fails.
    pub fn poll_read_into(&mut self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<io::Result<usize>> {
        pin!(self.read_buf(buf)).poll(cx)
    }

    /// Tells the peer its last words and closes, in such a way that the peer can read them: what it is
    /// still sending is read and thrown away for at most `patience`, else the system would answer it
    /// with a reset that can overtake our words.
    pub async fn farewell(mut self, words: &[u8], patience: Duration) {
        // The peer may be gone already; there is nobody left to tell that to.
        let _gone = timeout(patience, async {
            self.write_all(words).await?;
            self.shutdown().await?;
            let mut drained = 0;
            let mut sink = BytesMut::with_capacity(4096);
            while drained < MAX_DRAINED {
                sink.clear();
                match self.read_buf(&mut sink).await? {
                    0 => break,
                    count => drained += count,
                }
            }
            io::Result::Ok(())
        })
        .await;
    }

    fn tcp(&self) -> io::Result<&TcpStream> {
        match &self.stream {
            Stream::Tcp(tcp) => Ok(tcp),
            Stream::Server(tls) => Ok(tls.get_ref().0),
            Stream::Client(tls) => Ok(tls.get_ref().0),
            Stream::Other(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The socket, when the wire is in clear.
    pub(crate) fn into_tcp(self) -> Option<(TcpStream, SocketAddr)> {
        match self.stream {
            Stream::Tcp(tcp) => Some((tcp, self.peer)),
            Stream::Server(_) | Stream::Client(_) | Stream::Other(_) => None,
        }
    }

    pub(crate) fn with_tls(stream: Stream, peer: SocketAddr, tls: TlsInfo) -> Self {
        Self {
            stream,
            unread: Bytes::new(),
            peer,
            tls: Some(Box::new(tls)),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.unread.is_empty() {
            let count = this.unread.len().min(buf.remaining());
            buf.put_slice(&this.unread.split_to(count));
            return Poll::Ready(Ok(()));
        }
        match &mut this.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Server(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
            Stream::Client(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
            Stream::Other(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Stream::Server(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
            Stream::Client(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
            Stream::Other(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Stream::Server(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, bufs),
            Stream::Client(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, bufs),
            Stream::Other(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Server(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
            Stream::Client(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
            Stream::Other(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Server(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
            Stream::Client(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
            Stream::Other(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use socket2::SockRef;
    use tokio::net::{TcpListener, TcpStream};

    use super::{KEEPALIVE_IDLE, Wire};

    /// pa-033: a peer that vanished without a word is noticed, on both legs.
    #[tokio::test]
    async fn sockets_ask_after_silent_peers_and_do_not_delay_small_writes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        for stream in [client.unwrap(), accepted.unwrap().0] {
            let wire = Wire::new(stream).unwrap();
            let socket = SockRef::from(wire.tcp().unwrap());
            assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        }
    }
}
