//! Services that are played: real HTTP on loopback, with answers as their vendors document them.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod vault;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, Response},
};
use bytes::Bytes;
use futures_util::stream;
use sallyport_credential::{Background, Credentials, Environment, Options, Stores};
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as a form.
    pub fn form(&self) -> Vec<(String, String)> {
        let is_form = self.header("content-type") == "application/x-www-form-urlencoded";
        let url = url::Url::parse(&format!("http://x/?{}", String::from_utf8_lossy(&self.body))).unwrap();
        let pairs = url
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        if is_form { pairs.collect() } else { Vec::new() }
    }
}

/// What a service does.
pub enum Said {
    Status(u16, String),
    To(String),
    /// Says yes, and goes on for ever.
    Endless,
    /// Takes the request and says nothing.
    Nothing,
}

impl Said {
    pub fn ok(body: &serde_json::Value) -> Self {
        Self::Status(200, body.to_string())
    }

    pub fn no(status: u16) -> Self {
        Self::Status(status, r#"{"errors":["CANARY-of-an-error-body"]}"#.to_owned())
    }
}

/// A service, until it is dropped.
pub struct Played {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    count: watch::Receiver<usize>,
    task: AbortHandle,
}

impl Drop for Played {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Played {
    pub async fn start(say: impl Fn(&Seen) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::at(listener, say)
    }

    pub fn at(listener: TcpListener, say: impl Fn(&Seen) -> Said + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let (router, seen, count) = router(say);
        let serve = async move { axum::serve(listener, router).await.unwrap() };
        let task = tokio::spawn(serve).abort_handle();
        Self {
            address,
            seen,
            count,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests have come that are like this.
    pub async fn until(&self, many: usize, like: impl Fn(&Seen) -> bool) {
        let mut count = self.count.clone();
        let enough = |_: &usize| self.seen().iter().filter(|seen| like(seen)).count() >= many;
        let waited = tokio::time::timeout(std::time::Duration::from_secs(30), count.wait_for(enough));
        waited.await.unwrap().unwrap();
    }

    pub fn count(&self, like: impl Fn(&Seen) -> bool) -> usize {
        self.seen().iter().filter(|seen| like(seen)).count()
    }
}

type Shared = Arc<Mutex<Vec<Seen>>>;

fn router(say: impl Fn(&Seen) -> Said + Send + Sync + 'static) -> (Router, Shared, watch::Receiver<usize>) {
    let seen = Shared::default();
    let (came, count) = watch::channel(0);
    let (say, noted, came) = (Arc::new(say), Arc::clone(&seen), Arc::new(came));
    let router = Router::new().fallback(move |request: Request<Body>| {
        let (say, noted, came) = (Arc::clone(&say), Arc::clone(&noted), Arc::clone(&came));
        async move {
            let (parts, body) = request.into_parts();
            let one = Seen {
                method: parts.method.to_string(),
                path: parts.uri.to_string(),
                headers: parts.headers,
                body: axum::body::to_bytes(body, 1 << 20).await.unwrap(),
            };
            let said = say(&one);
            noted.lock().unwrap().push(one);
            came.send_modify(|count| *count += 1);
            answer(said).await
        }
    });
    (router, seen, count)
}

async fn answer(said: Said) -> Response<Body> {
    let response = Response::builder();
    match said {
        Said::Status(status, body) => response.status(status).body(body.into()),
        Said::To(place) => response.status(307).header("location", place).body(Body::empty()),
        Said::Endless => {
            let piece = Bytes::from(vec![b' '; 64 * 1024]);
            let pieces = stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
            response.body(Body::from_stream(pieces))
        }
        Said::Nothing => std::future::pending().await,
    }
    .unwrap()
}

/// The same over TLS.
pub async fn start_tls(
    issued: &sallyport_testbed::Issued,
    say: impl Fn(&Seen) -> Said + Send + Sync + 'static,
) -> (SocketAddr, Shared) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = rustls::pki_types::pem::PemObject::pem_slice_iter(issued.certificate.as_bytes());
    let key = rustls::pki_types::pem::PemObject::from_pem_slice(issued.key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (router, seen, _) = router(say);
    tokio::spawn(async move { axum::serve(TlsListener { listener, acceptor }, router).await.unwrap() });
    (address, seen)
}

struct TlsListener {
    listener: TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // A client that does not trust us hangs up.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Credentials as a file says them.
pub fn credentials(stores: &str, environment: &[(&str, &str)]) -> Credentials {
    with(stores, environment, |_| {})
}

pub fn with(stores: &str, environment: &[(&str, &str)], change: impl FnOnce(&mut Options)) -> Credentials {
    let stores: Stores = toml::from_str(stores).unwrap();
    let mut options = Options {
        environment: Environment::given(environment.iter().copied()),
        background: Background::default(),
        ..Options::default()
    };
    change(&mut options);
    Credentials::new(&stores, options).unwrap()
}

/// A source as a target says it.
pub fn source(text: &str) -> sallyport_credential::Source {
    #[derive(serde::Deserialize)]
    struct Target {
        credential: sallyport_credential::Source,
    }
    toml::from_str::<Target>(&format!("credential = {{ {text} }}"))
        .unwrap()
        .credential
}
