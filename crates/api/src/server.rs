//! Serving the API on a socket.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::future::{Either, select};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use sallyport_listen::{Accepted, Listener, ServerTls, accept_tls};

use crate::extract::Peer;

/// How long a client may take over the head of a request, and may say nothing between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of the head of a request.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// How long a client may confirm nothing of what it was sent, or take nothing: who watches a session from a network that is
/// gone does not watch it any more.
const UNHEARD: Duration = Duration::from_secs(60);
/// How long requests may go on after the end was asked for.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why the API is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Tokens would cross a network in clear.
    #[error("the API would be served without TLS at {0}, which is not loopback: give it a certificate")]
    Clear(SocketAddr),
    /// The socket failed.
    #[error("the API cannot accept connections: {0}")]
    Socket(#[from] std::io::Error),
}

/// Serves `router` (see [`crate::router`]) until `shutdown` is ready; requests that are under way then are given a
/// few seconds. Without `tls`, only on loopback.
///
/// # Errors
/// When the address is not loopback and there is no TLS, or when the socket fails.
pub async fn serve(
    listener: Listener,
    tls: Option<Arc<ServerTls>>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let address = listener.local_addr();
    if tls.is_none() && !address.ip().is_loopback() {
        return Err(ServeError::Clear(address));
    }
    let service = TowerToHyperService::new(router);
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = match select(pin!(listener.accept()), shutdown.as_mut()).await {
            Either::Left((accepted, _)) => accepted?,
            Either::Right(((), _)) => break,
        };
        tokio::spawn(connection(accepted, tls.clone(), service.clone(), graceful.watcher()));
    }
    drop(listener);
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests to the API were cut off by the shutdown");
    }
    Ok(())
}

async fn connection(
    accepted: Accepted,
    tls: Option<Arc<ServerTls>>,
    service: TowerToHyperService<Router>,
    watcher: Watcher,
) {
    let peer = accepted.peer();
    let Ok((wire, handshake)) = accepted.into_wire() else {
        return;
    };
    if let Err(error) = wire.break_after(UNHEARD) {
        return tracing::debug!(%peer, %error, "a client of the API is gone already");
    }
    let wire = match tls {
        None => wire,
        Some(tls) => match handshake.within(accept_tls(wire, &tls)).await {
            Ok(Ok(wire)) => wire,
            Ok(Err(error)) => {
                return tracing::debug!(%peer, %error, "no TLS with a client of the API");
            }
            Err(error) => return tracing::debug!(%peer, %error, "no TLS with a client of the API"),
        },
    };
    let Ok(_permit) = handshake.into_session() else {
        return;
    };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(wire), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%peer, %error, "a connection to the API failed");
    }
}
