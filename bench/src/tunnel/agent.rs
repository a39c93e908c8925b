//! The agent's end: it is dialled like a target, or dials the gateway like an agent.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use sallyport_identity::agents::{AgentAuthority, Enrolment, SERVER_NAME};
use sallyport_listen::{ClientTls, Roots, Verification, Wire};
use sallyport_tunnel::websocket::{Dialer, GatewayUrl};
use sallyport_tunnel::{Acceptor, Incoming, KeepAlive, Road, TLS_BUFFER, TUNNEL_ALPN, Wide};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{Way, ask};

/// Serves until the process is ended.
pub(crate) async fn run(way: Way, dir: PathBuf, at: SocketAddr, connections: usize) -> Result<()> {
    match way {
        Way::Tcp => listen(at, None).await,
        Way::Tls => {
            let config = AgentAuthority::load_or_create(&dir.join("authority"))?.join_server_config(&[])?;
            listen(at, Some(Arc::new(config).into())).await
        }
        Way::Tunnel | Way::WebSocket => dial(way, &dir, at, connections).await,
    }
}

async fn listen(at: SocketAddr, tls: Option<TlsAcceptor>) -> Result<()> {
    let listener = TcpListener::bind(at).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        let tls = tls.clone();
        // A flow that breaks is its other end's affair.
        tokio::spawn(async move {
            let wire = Wire::new(stream)?;
            let wire = match tls {
                Some(tls) => Wire::over(tls.accept(wire).await?, peer),
                None => wire,
            };
            ask::serve(wire).await
        });
    }
}

async fn dial(way: Way, dir: &Path, at: SocketAddr, connections: usize) -> Result<()> {
    let enrolment = Enrolment::open(&dir.join("agent"))?.context("the agent has not joined")?;
    let tls = Arc::new(enrolment.client_config(&[TUNNEL_ALPN])?);
    for _ in 0..connections {
        let road = match way {
            Way::WebSocket => by_websocket(dir, at).await?,
            Way::Tcp | Way::Tls | Way::Tunnel => {
                let stream = TcpStream::connect(at).await?;
                stream.set_nodelay(true)?;
                Road::Left(Wide::new(stream))
            }
        };
        connect(road, Arc::clone(&tls), at).await?;
    }
    println!("up");
    std::future::pending().await
}

async fn by_websocket(dir: &Path, at: SocketAddr) -> Result<Road> {
    let roots = Roots::File(dir.join("server.crt"));
    let outer = ClientTls::new(Verification::Full, &roots, &at.ip().to_string(), None, &[])?;
    let dialer = Dialer::new(GatewayUrl::parse(&format!("https://{at}"))?, outer.config());
    Ok(Road::Right(Box::new(dialer.dial().await?)))
}

async fn connect(road: Road, tls: Arc<ClientConfig>, gateway: SocketAddr) -> Result<()> {
    let name = ServerName::try_from(SERVER_NAME)?;
    let mut stream = TlsConnector::from(tls).connect(name, road).await?;
    stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
    let (mut acceptor, run) = Acceptor::begin(stream, KeepAlive::default(), std::future::pending()).await?;
    tokio::spawn(run);
    tokio::spawn(async move {
        while let Some(incoming) = acceptor.accept().await {
            match incoming {
                Incoming::Flow(flow) => tokio::spawn(async move { ask::serve(Wire::over(flow, gateway)).await }),
                Incoming::Control(_) => continue,
            };
        }
    });
    Ok(())
}
