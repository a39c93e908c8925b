//! Reaching a gateway: directly, or by WebSocket where that fails.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::Context;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use sallyport_identity::agents::SERVER_NAME;
use sallyport_listen::{Roots, Verification};
use sallyport_tunnel::websocket::{ByteStream, Carrier, Dialer, Proxy};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::config::{GatewayConfig, Transport};

/// How long reaching the gateway may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the inner TLS goes over.
pub(super) enum Road {
    Direct(TcpStream),
    WebSocket(Box<ByteStream<Carrier>>),
}

/// A connection to a gateway, in the TLS of agents.
pub(super) struct Reached {
    /// The stream.
    pub(super) stream: TlsStream<Road>,
    /// Where it goes: the gateway, or the proxy before it.
    pub(super) address: SocketAddr,
}

/// Reaches the gateway and speaks `tls` with it.
///
/// # Errors
/// When neither way is open, or it does not show the right certificate.
pub(super) async fn reach(gateway: &GatewayConfig, tls: Arc<ClientConfig>) -> anyhow::Result<Reached> {
    let direct = || async {
        tokio::time::timeout(PATIENCE, direct(gateway, Arc::clone(&tls)))
            .await
            .context("the gateway does not answer")?
    };
    match gateway.transport {
        Transport::Direct => direct().await,
        Transport::Websocket => by_websocket(gateway, tls).await,
        Transport::Auto => match direct().await {
            Ok(reached) => Ok(reached),
            Err(error) => by_websocket(gateway, tls)
                .await
                .with_context(|| format!("directly: {error:#}; and by WebSocket")),
        },
    }
}

async fn direct(gateway: &GatewayConfig, tls: Arc<ClientConfig>) -> anyhow::Result<Reached> {
    let host = match gateway.url.host() {
        url::Host::Domain(name) => name.clone(),
        url::Host::Ipv4(ip) => ip.to_string(),
        url::Host::Ipv6(ip) => ip.to_string(),
    };
    let authority = gateway.url.authority();
    let stream = TcpStream::connect((host.as_str(), gateway.url.port()))
        .await
        .with_context(|| format!("`{authority}` cannot be reached"))?;
    stream.set_nodelay(true)?;
    let address = stream.peer_addr()?;
    let stream = secured(Road::Direct(stream), tls).await?;
    Ok(Reached { stream, address })
}

async fn by_websocket(gateway: &GatewayConfig, tls: Arc<ClientConfig>) -> anyhow::Result<Reached> {
    let proxy = match &gateway.proxy {
        Some(proxy) => Some(proxy.clone()),
        None => Proxy::from_environment(&gateway.url, |name| std::env::var(name).ok())?,
    };
    let roots = match &gateway.ca_file {
        Some(file) => Roots::File(file.clone()),
        None => Roots::System,
    };
    let host = gateway.url.host().to_string();
    let outer = sallyport_listen::ClientTls::new(Verification::Full, &roots, &host, None, &[])?;
    let road = Dialer::new(gateway.url.clone(), outer.config())
        .with_proxy(proxy)
        .dial()
        .await?;
    let address = road.get_ref().tcp().peer_addr()?;
    let secured = secured(Road::WebSocket(Box::new(road)), tls);
    let stream = tokio::time::timeout(PATIENCE, secured)
        .await
        .context("the gateway does not answer")??;
    Ok(Reached { stream, address })
}

async fn secured(road: Road, tls: Arc<ClientConfig>) -> anyhow::Result<TlsStream<Road>> {
    let name = ServerName::try_from(SERVER_NAME)?;
    let connected = TlsConnector::from(tls).connect(name, road).await;
    connected.context("the gateway does not show that it is the one that was joined")
}

impl AsyncRead for Road {
    fn poll_read(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Direct(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::WebSocket(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Road {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Direct(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::WebSocket(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Direct(stream) => Pin::new(stream).poll_flush(cx),
            Self::WebSocket(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Direct(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::WebSocket(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
