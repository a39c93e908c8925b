//! The gateway's end: it lets the agent in, opens flows, and does with them what it is told.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use rustls::ServerConfig;
use rustls_pki_types::ServerName;
use sallyport_identity::agents::{
    AgentAct, AgentAuthority, AgentWitness, Agents, AgentsConfig, Enrolment, HostDescription, JoinProof, JoinRequest,
    NewKey, SERVER_NAME, join_client_config,
};
use sallyport_identity::messages::Sealed;
use sallyport_listen::{ServerTls, ServerTlsOptions, Wire};
use sallyport_store::Store;
use sallyport_tunnel::{
    Announced, Answer, Fleet, Hello, KeepAlive, Member, TLS_BUFFER, TUNNEL_ALPN, Tunnel, Wide, head, websocket,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Way;
use crate::ask::Wanted;
use crate::load::{Load, Order};

const NAME: &str = "bench";

/// The one target that there is.
fn target() -> Announced {
    Announced {
        name: NAME.into(),
        protocol: NAME.into(),
    }
}

/// Serves its standard input.
pub(crate) async fn run(way: Way, dir: PathBuf, ip: IpAddr) -> Result<()> {
    let authority = AgentAuthority::load_or_create(&dir.join("authority"))?;
    let mut opener = match way {
        Way::Tcp => {
            println!("-");
            Opener::Dial(None, None)
        }
        Way::Tls => {
            println!("-");
            let config = join_client_config(authority.pin(), &[])?;
            Opener::Dial(None, Some(Arc::new(config).into()))
        }
        Way::Tunnel | Way::WebSocket => Opener::Fleet(listen(way, &dir, ip, authority).await?),
    };
    let mut orders = orders();
    let mut load = Load::default();
    while let Some(order) = orders.recv().await {
        let order = serde_json::from_str(&order?)?;
        let result = match order {
            Order::Dial(agent) => {
                opener.dial(agent);
                serde_json::Value::Null
            }
            Order::Agents(connections) => {
                opener.joined(connections).await;
                serde_json::Value::Null
            }
            Order::Open { flows, wanted } => {
                for _ in 0..flows {
                    load.add(opener.open(wanted).await?);
                }
                serde_json::Value::Null
            }
            order @ (Order::Down { .. }
            | Order::Up { .. }
            | Order::Echo { .. }
            | Order::Slow { .. }
            | Order::Beside { .. }
            | Order::Stuff
            | Order::Close) => load.run(order).await?,
        };
        println!("{result}");
    }
    Ok(())
}

/// The lines of the standard input, which ends with whoever started us.
fn orders() -> mpsc::Receiver<std::io::Result<String>> {
    let (sender, orders) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    orders
}

/// How flows are opened.
enum Opener {
    /// A connection each.
    Dial(Option<SocketAddr>, Option<TlsConnector>),
    /// By the agents that are connected.
    Fleet(Arc<Fleet>),
}

impl Opener {
    fn dial(&mut self, agent: SocketAddr) {
        match self {
            Self::Dial(at, _) => *at = Some(agent),
            Self::Fleet(_) => {}
        }
    }

    /// Waits until an agent has so many connections.
    async fn joined(&self, connections: usize) {
        if let Self::Fleet(fleet) = self {
            while fleet.list().first().map_or(0, |agent| agent.connections) < connections {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn open(&self, wanted: Wanted) -> Result<Wire> {
        let opening = serde_json::to_vec(&wanted)?;
        match self {
            Self::Dial(at, tls) => {
                let at = at.context("nobody to dial")?;
                let wire = Wire::new(TcpStream::connect(at).await?)?;
                let mut wire = match tls {
                    Some(tls) => Wire::over(tls.connect(ServerName::try_from(SERVER_NAME)?, wire).await?, at),
                    None => wire,
                };
                head::write_raw(&mut wire, &opening).await?;
                match head::read(&mut wire).await? {
                    Answer::Done => Ok(wire),
                    Answer::Failed { why, .. } | Answer::Unable { why } => bail!("{why}"),
                }
            }
            Self::Fleet(fleet) => {
                let (flow, member, _) = fleet.open(NAME, &target(), &opening, None).await?;
                Ok(Wire::over(flow, member.address))
            }
        }
    }
}

/// Lets an agent join, whose enrolment is in `dir` then, and takes its connections.
async fn listen(way: Way, dir: &Path, ip: IpAddr, authority: AgentAuthority) -> Result<Arc<Fleet>> {
    let store = Store::open(&dir.join("store.db")).await?;
    let agents = Agents::open(AgentsConfig::default(), authority, store, Arc::new(Nobody)).await?;
    join(&agents, &dir.join("agent")).await?;
    let (certificate, key) = ServerTls::ensure_self_signed(dir, &[ip.to_string()])?;
    let outer = ServerTls::load(ServerTlsOptions {
        certificate,
        key,
        ..ServerTlsOptions::default()
    })?;
    let door = Arc::new(Door {
        fleet: Arc::new(Fleet::default()),
        tunnel: Arc::new(agents.authority().server_config(&[TUNNEL_ALPN])?),
        http: (way == Way::WebSocket).then(|| outer.speaking(&[b"http/1.1"])),
        agents,
    });
    let listener = TcpListener::bind((ip, 0)).await?;
    println!("{}", listener.local_addr()?);
    let fleet = Arc::clone(&door.fleet);
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await?;
            let door = Arc::clone(&door);
            tokio::spawn(async move { Box::pin(door.serve(Wire::new(stream)?, peer)).await });
        }
        #[expect(unreachable_code, reason = "what the loop's errors are")]
        anyhow::Ok(())
    });
    Ok(fleet)
}

async fn join(agents: &Agents, dir: &Path) -> Result<()> {
    let token = agents.issue_join_token(NAME, None, NAME).await?.token;
    let key = NewKey::generate()?;
    let request = JoinRequest {
        agent: None,
        proof: JoinProof::Token {
            token: Sealed(token.text().clone()),
        },
        csr: key.csr(),
        host: HostDescription::of_this_machine(),
    };
    let joined = agents.join(&request).await?;
    Enrolment::join(dir, "https://gateway", token.pin(), &key, &joined.into())?;
    Ok(())
}

/// Nothing that is done here is written down.
#[derive(Debug)]
struct Nobody;

impl AgentWitness for Nobody {
    fn witness(&self, _: &AgentAct<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// What every connection of an agent needs.
struct Door {
    agents: Agents,
    fleet: Arc<Fleet>,
    tunnel: Arc<ServerConfig>,
    http: Option<Arc<ServerConfig>>,
}

impl Door {
    async fn serve(&self, wire: Wire, peer: SocketAddr) -> Result<()> {
        let tunnel = TlsAcceptor::from(Arc::clone(&self.tunnel));
        match &self.http {
            None => self.keep(tunnel.accept(Wide::new(wire)).await?, peer).await,
            Some(http) => {
                let outer = TlsAcceptor::from(Arc::clone(http)).accept(Wide::new(wire)).await?;
                let stream = websocket::accept(outer, Bytes::new(), std::time::Duration::from_secs(10)).await?;
                self.keep(tunnel.accept(stream).await?, peer).await
            }
        }
    }

    async fn keep<S>(&self, mut stream: TlsStream<S>, peer: SocketAddr) -> Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let identity = self
            .agents
            .identify(stream.get_ref().1.peer_certificates().unwrap_or_default())?;
        stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
        let (tunnel, run) = Tunnel::begin(stream, KeepAlive::default(), NAME).await?;
        let member = Member {
            name: identity.name,
            instance: identity.instance,
            address: peer,
        };
        let hello = Hello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: NAME.to_owned(),
            targets: vec![target()],
        };
        let _seat = self.fleet.enrol(member, hello, tunnel);
        tokio::spawn(run).await?;
        Ok(())
    }
}
