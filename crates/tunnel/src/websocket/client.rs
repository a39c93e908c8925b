//! The agent's end: how it reaches the gateway.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response, generate_key};
use tokio_tungstenite::tungstenite::http;
use tokio_util::either::Either;
use url::Host;

use super::{ByteStream, DialError, GatewayUrl, Proxy, SUBPROTOCOL, bounds};

/// How long it may take to reach a gateway, with everything on the way.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reaches one gateway, again and again.
#[derive(Debug, Clone)]
pub struct Dialer {
    gateway: GatewayUrl,
    proxy: Option<Proxy>,
    tls: Arc<ClientConfig>,
    patience: Duration,
}

impl Dialer {
    /// Reaches this gateway directly. `tls` says whom to trust for the outer TLS; its ALPN becomes `http/1.1`, since
    /// nothing else is spoken here.
    pub fn new(gateway: GatewayUrl, mut tls: Arc<ClientConfig>) -> Dialer {
        Arc::make_mut(&mut tls).alpn_protocols = vec![b"http/1.1".to_vec()];
        Dialer {
            gateway,
            proxy: None,
            tls,
            patience: PATIENCE,
        }
    }

    /// Goes through a proxy, if there is one.
    #[must_use]
    pub fn with_proxy(self, proxy: Option<Proxy>) -> Dialer {
        Dialer { proxy, ..self }
    }

    /// Gives up after this time instead of 20 s.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Dialer {
        Dialer { patience, ..self }
    }

    /// Connects, and asks for the tunnel.
    ///
    /// # Errors
    /// Which step failed, and what was said.
    ///
    /// # Cancel safety
    /// A future that is dropped leaves no connection behind.
    pub async fn dial(&self) -> Result<ByteStream<Carrier>, DialError> {
        match tokio::time::timeout(self.patience, Box::pin(self.reach())).await {
            Ok(reached) => reached,
            Err(_) => Err(DialError::Timeout(self.patience)),
        }
    }

    async fn reach(&self) -> Result<ByteStream<Carrier>, DialError> {
        let stream = match &self.proxy {
            // Whoever runs the proxy would see what is said.
            Some(_) if !self.gateway.is_tls() => {
                return Err(DialError::Address("through a proxy it must begin with `https://`"));
            }
            Some(proxy) => proxy.connect(&self.gateway).await?,
            None => tcp("the gateway", self.gateway.host(), self.gateway.port()).await?,
        };
        let carrier = if self.gateway.is_tls() {
            let connector = TlsConnector::from(self.tls.clone());
            let tls = connector.connect(self.gateway.server_name()?, stream).await;
            Carrier::Right(Box::new(tls.map_err(DialError::Tls)?))
        } else {
            Carrier::Left(stream)
        };
        let upgrade = client_async_with_config(self.request()?, carrier, Some(bounds()));
        let (socket, response) = upgrade.await.map_err(refused)?;
        // No extension was asked for, and one would change what the bytes mean.
        if response.headers().contains_key("Sec-WebSocket-Extensions") {
            return Err(DialError::Answer(
                "it has an extension that nobody asked for".to_owned(),
            ));
        }
        Ok(ByteStream::new(socket))
    }

    fn request(&self) -> Result<Request, DialError> {
        let request = http::Request::builder()
            .uri(self.gateway.websocket_uri())
            .header("Host", self.gateway.host_header())
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key())
            .header("Sec-WebSocket-Protocol", SUBPROTOCOL)
            .header("User-Agent", concat!("sallyport/", env!("CARGO_PKG_VERSION")))
            .body(());
        request.map_err(|_| DialError::Address("HTTP cannot ask for this host"))
    }
}

/// A connection to somebody.
pub(super) async fn tcp(whom: &'static str, host: &Host, port: u16) -> Result<TcpStream, DialError> {
    let connected = match host {
        Host::Domain(name) => TcpStream::connect((name.as_str(), port)).await,
        Host::Ipv4(ip) => TcpStream::connect((*ip, port)).await,
        Host::Ipv6(ip) => TcpStream::connect((*ip, port)).await,
    };
    let connected = connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    connected.map_err(|source| DialError::Connect {
        whom,
        authority: format!("{host}:{port}"),
        source,
    })
}

fn refused(error: Error) -> DialError {
    match error {
        Error::Http(response) => refusal(&response),
        Error::Io(source) => DialError::Broken {
            doing: "asking the gateway for the tunnel",
            source,
        },
        error @ (Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Tls(_)
        | Error::Capacity(_)
        | Error::Protocol(_)
        | Error::WriteBufferFull(_)
        | Error::Utf8(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::HttpFormat(_)) => DialError::Answer(error.to_string()),
    }
}

fn refusal(response: &Response) -> DialError {
    let status = response.status().as_u16();
    DialError::Refused { status }
}

/// The connection to the gateway, which may have come through a proxy: in the clear, to this machine only, or with TLS.
pub type Carrier = Either<TcpStream, Box<TlsStream<TcpStream>>>;
