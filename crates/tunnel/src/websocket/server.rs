//! The gateway's end: a request for the tunnel, on a connection whose TLS has been ended.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, http};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::{AcceptError, ByteStream, PATH, SUBPROTOCOL, bounds};

/// Serves a request for the tunnel: `read` is what has been read of it already, the rest comes from `stream`. What asks
/// for anything else is refused, in HTTP.
///
/// Browsers are refused (they say `Origin`), so that no page can reach a gateway by way of somebody's browser.
///
/// # Errors
/// When the request is another, or not there within `patience`; the connection is then no good for anything more.
///
/// # Cancel safety
/// A future that is dropped drops the connection.
pub async fn accept<S>(stream: S, read: Bytes, patience: Duration) -> Result<ByteStream<Rewound<S>>, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = Rewound { read, stream };
    match tokio::time::timeout(patience, Box::pin(upgrade(stream))).await {
        Ok(accepted) => accepted,
        Err(_) => Err(AcceptError::Timeout(patience)),
    }
}

async fn upgrade<S>(mut stream: Rewound<S>) -> Result<ByteStream<Rewound<S>>, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match accept_hdr_async_with_config(&mut stream, answer, Some(bounds())).await {
        // Nothing of what follows the request has been read: a client that does not wait for the answer is refused.
        Ok(_) => {
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(bounds())).await;
            Ok(ByteStream::new(socket))
        }
        // Answered by then.
        Err(Error::Http(response)) => {
            let status = response.status().as_u16();
            let why = response.into_body().unwrap_or_default();
            let why = String::from_utf8_lossy(&why).into_owned();
            Err(AcceptError::Refused { status, why })
        }
        Err(error) => Err(refuse(&mut stream, error).await),
    }
}

/// Looks at a request that is one for a WebSocket.
#[expect(clippy::result_large_err, reason = "the type that is asked for")]
fn answer(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    if request.uri().path() != PATH || request.uri().query().is_some() {
        return Err(no(StatusCode::NOT_FOUND, "there is no such tunnel"));
    }
    if request.headers().contains_key("Origin") {
        return Err(no(StatusCode::FORBIDDEN, "a tunnel is not for browsers"));
    }
    if !offers_tunnel(request.headers()) {
        return Err(no(
            StatusCode::BAD_REQUEST,
            "what shall run in the tunnel is not known here",
        ));
    }
    let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
    response.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol);
    Ok(response)
}

fn offers_tunnel(headers: &HeaderMap) -> bool {
    let offers = headers.get_all("Sec-WebSocket-Protocol").iter();
    let mut offers = offers
        .filter_map(|offer| offer.to_str().ok())
        .flat_map(|offer| offer.split(','));
    offers.any(|offer| offer.trim() == SUBPROTOCOL)
}

fn no(status: StatusCode, why: &str) -> ErrorResponse {
    let mut response = http::Response::new(Some(why.to_owned()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("Content-Type", HeaderValue::from_static("text/plain"));
    headers.insert("Content-Length", HeaderValue::from(why.len()));
    headers.insert("Connection", HeaderValue::from_static("close"));
    response
}

/// Answers what is no request for a WebSocket.
async fn refuse<S: AsyncWrite + Unpin>(stream: &mut S, error: Error) -> AcceptError {
    let lacks_upgrade = matches!(
        &error,
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
                | ProtocolError::MissingUpgradeWebSocketHeader
                | ProtocolError::MissingSecWebSocketVersionHeader
        )
    );
    if matches!(&error, Error::Protocol(ProtocolError::HandshakeIncomplete)) {
        return AcceptError::Broken(io::ErrorKind::UnexpectedEof.into());
    }
    let why = error.to_string();
    if let Error::Io(error) = error {
        return AcceptError::Broken(error);
    }
    let (status, head) = if lacks_upgrade {
        (
            426,
            "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
        )
    } else {
        (400, "400 Bad Request")
    };
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    // Whether the client still listens is its own affair.
    if stream.write_all(head.as_bytes()).await.is_ok() {
        let _ = stream.flush().await;
    }
    AcceptError::Refused { status, why }
}

/// A connection of which something has been read already.
#[derive(Debug)]
pub struct Rewound<S> {
    read: Bytes,
    stream: S,
}

impl<S> Rewound<S> {
    /// The connection.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let length = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
