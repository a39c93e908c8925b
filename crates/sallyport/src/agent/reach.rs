//! Reaching a gateway: directly, or by WebSocket where that fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use sallyport_identity::agents::SERVER_NAME;
use sallyport_listen::{Roots, Verification};
use sallyport_tunnel::websocket::{Carrier, Dialer, Proxy};
use sallyport_tunnel::{Road, TLS_BUFFER, Wide};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::config::{GatewayConfig, Transport};

/// How long reaching the gateway may take.
const PATIENCE: Duration = Duration::from_secs(20);

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
    let stream = secured(Road::Left(Wide::new(stream)), tls).await?;
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
    let address = match road.get_ref() {
        Carrier::Left(stream) => stream.peer_addr()?,
        Carrier::Right(stream) => stream.get_ref().0.peer_addr()?,
    };
    let secured = secured(Road::Right(Box::new(road)), tls);
    let stream = tokio::time::timeout(PATIENCE, secured)
        .await
        .context("the gateway does not answer")??;
    Ok(Reached { stream, address })
}

async fn secured(road: Road, tls: Arc<ClientConfig>) -> anyhow::Result<TlsStream<Road>> {
    let name = ServerName::try_from(SERVER_NAME)?;
    let connected = TlsConnector::from(tls).connect(name, road).await;
    let mut stream = connected.context("the gateway does not show that it is the one that was joined")?;
    stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
    Ok(stream)
}
