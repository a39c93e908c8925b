//! The WebSocket transport with peers that others wrote, through a real proxy, and with peers that misbehave.

mod framing;
mod hostile;
mod peers;
mod proxied;
mod refusals;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sallyport_tunnel::websocket::{ByteStream, Carrier, Dialer, GatewayUrl, Rewound, accept};
use tokio::net::{TcpListener, TcpStream};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Enough for anything that happens at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client's TLS that trusts this authority (PEM), or nobody.
fn trusting(authority: Option<&str>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    if let Some(authority) = authority {
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    Ok(Arc::new(config.with_no_client_auth()))
}

fn dialer(url: &str, authority: Option<&str>) -> Result<Dialer> {
    Ok(Dialer::new(GatewayUrl::parse(url)?, trusting(authority)?))
}

async fn listen() -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

type ServerEnd = ByteStream<Rewound<TcpStream>>;

/// Both ends of a tunnel, over TCP.
async fn pair() -> Result<(ByteStream<Carrier>, ServerEnd)> {
    let (listener, address) = listen().await?;
    let dialer = dialer(&format!("http://{address}"), None)?;
    let server = async {
        let (stream, _) = listener.accept().await?;
        Result::Ok(accept(stream, Bytes::new(), PATIENCE).await?)
    };
    let client = async { Result::Ok(dialer.dial().await?) };
    tokio::try_join!(client, server)
}
