//! Where agents come in: whom they meet is told by TLS, before a byte of anything else.
//!
//! One port serves three things, by the application protocol that a client names: the tunnel, which needs an agent's
//! certificate; joining, which gives one; and HTTP, in which a WebSocket carries either of the two.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use rustls::ServerConfig;
use sallyport_identity::agents::{Agents, JoinReply, JoinRequest};
use sallyport_ledger::{Entry, Journal};
use sallyport_listen::{Accepted, Handshake, Listener, ServerTls};
use sallyport_tunnel::{Fleet, JOIN_ALPN, Joined, TLS_BUFFER, TUNNEL_ALPN, Wide, head, websocket};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::tunnel::serve_tunnel;

/// What a WebSocket is asked for in.
const HTTP: &[u8] = b"http/1.1";
/// How long a WebSocket may take to be asked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who joins at the same time: a proof costs signatures that are checked.
const MAX_JOINING: usize = 8;

/// The port for agents.
pub(crate) struct AgentDoor {
    listener: Listener,
    inner: Arc<Inner>,
}

/// What every connection of it needs.
pub(crate) struct Inner {
    pub(super) agents: Arc<Agents>,
    pub(super) fleet: Arc<Fleet>,
    pub(super) journal: Arc<Journal>,
    tunnel: Arc<ServerConfig>,
    join: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
    joining: Semaphore,
}

/// What somebody came for.
enum Comer<S> {
    Agent(TlsStream<S>),
    Joining(TlsStream<S>),
}

impl AgentDoor {
    /// At `listener`; `tls` is what clients of HTTP are shown.
    ///
    /// # Errors
    /// When the authority cannot make its own certificate.
    pub(crate) fn new(
        listener: Listener,
        tls: &ServerTls,
        agents: Arc<Agents>,
        fleet: Arc<Fleet>,
        journal: Arc<Journal>,
    ) -> anyhow::Result<Self> {
        let authority = agents.authority();
        let inner = Inner {
            tunnel: Arc::new(authority.server_config(&[TUNNEL_ALPN])?),
            join: Arc::new(authority.join_server_config(&[JOIN_ALPN])?),
            http: tls.speaking(&[HTTP]),
            joining: Semaphore::new(MAX_JOINING),
            agents,
            fleet,
            journal,
        };
        Ok(Self {
            listener,
            inner: Arc::new(inner),
        })
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves everybody who comes.
    ///
    /// # Errors
    /// When the socket fails.
    pub(crate) async fn run(self) -> std::io::Result<()> {
        loop {
            let accepted = self.listener.accept().await?;
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move {
                let peer = accepted.peer();
                if let Err(error) = Box::pin(inner.serve(accepted)).await {
                    tracing::info!(error = format!("{error:#}"), %peer, "a connection to the port for agents came to nothing");
                }
            });
        }
    }
}

impl Inner {
    async fn serve(&self, accepted: Accepted) -> anyhow::Result<()> {
        let peer = accepted.peer();
        let (wire, handshake) = accepted.into_wire()?;
        let start = handshake.within(LazyConfigAcceptor::new(
            rustls::server::Acceptor::default(),
            Wide::new(wire),
        ));
        let start = start.await?.context("no TLS")?;
        if names(&start, TUNNEL_ALPN) || names(&start, JOIN_ALPN) {
            let comer = handshake.within(self.recognise(start)).await??;
            return Box::pin(self.welcome(comer, peer, handshake)).await;
        }
        // Within HTTP everything is as without it, once more.
        let inside = async {
            let stream = start
                .into_stream(Arc::clone(&self.http))
                .await
                .context("no TLS for HTTP")?;
            let stream = websocket::accept(stream, Bytes::new(), PATIENCE).await?;
            let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
            self.recognise(start.await.context("no TLS within the WebSocket")?)
                .await
        };
        let comer = handshake.within(Box::pin(inside)).await??;
        Box::pin(self.welcome(comer, peer, handshake)).await
    }

    async fn recognise<S>(&self, start: tokio_rustls::StartHandshake<S>) -> anyhow::Result<Comer<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if names(&start, TUNNEL_ALPN) {
            let mut stream = start
                .into_stream(Arc::clone(&self.tunnel))
                .await
                .context("no TLS for the tunnel")?;
            stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
            Ok(Comer::Agent(stream))
        } else if names(&start, JOIN_ALPN) {
            let stream = start
                .into_stream(Arc::clone(&self.join))
                .await
                .context("no TLS for joining")?;
            Ok(Comer::Joining(stream))
        } else {
            bail!("it asks for neither the tunnel nor to join")
        }
    }

    async fn welcome<S>(&self, comer: Comer<S>, peer: SocketAddr, handshake: Handshake) -> anyhow::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match comer {
            Comer::Agent(stream) => {
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
                let identity = self.agents.identify(chain)?;
                let Ok(_permit) = handshake.into_session() else {
                    bail!("there are too many connections of agents");
                };
                serve_tunnel(self, stream, identity, peer).await
            }
            Comer::Joining(stream) => tokio::time::timeout(PATIENCE, self.join(stream, peer)).await?,
        }
    }

    async fn join<S>(&self, mut stream: TlsStream<S>, peer: SocketAddr) -> anyhow::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let request: JoinRequest = head::read(&mut stream).await?;
        let _turn = self.joining.acquire().await?;
        let joined = self.agents.join(&request).await;
        let answer: Joined<JoinReply> = match joined {
            Ok(joined) => Joined::Reply(joined.into()),
            Err(error) => {
                let why = error.to_string();
                // Anybody may say anything of itself; the journal keeps what is short.
                let host = request.host.check().is_ok().then_some(&request.host);
                let details = json!({ "address": peer.to_string(), "reason": why, "host": host });
                record(&self.journal, Entry::now("agent.join.refused", "agent", details)).await;
                Joined::Refused { why }
            }
        };
        head::write(&mut stream, &answer).await?;
        stream.shutdown().await?;
        Ok(())
    }
}

fn names<S>(start: &tokio_rustls::StartHandshake<S>, protocol: &[u8]) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = start.client_hello();
    hello.alpn().is_some_and(|mut named| named.any(|name| name == protocol))
}

/// Writes an entry down; what it is about has happened already.
pub(super) async fn record(journal: &Journal, entry: Entry) {
    let written = match journal.record(&entry) {
        Ok(receipt) => receipt.await,
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        tracing::error!(%error, kind = entry.kind, "an entry of the journal could not be written");
    }
}
