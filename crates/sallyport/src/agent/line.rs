//! The connections to one gateway: joined once, kept, and dialled again when they break.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures_util::future::{Either, select};
use rustls::ClientConfig;
use sallyport_identity::agents::{
    Enrolment, HostDescription, JoinReply, JoinRequest, NewKey, Pin, RenewRequest, join_client_config,
};
use sallyport_tunnel::{
    Acceptor, Announced, Flow, FromAgent, FromGateway, Hello, Incoming, JOIN_ALPN, Joined, KeepAlive, TUNNEL_ALPN, head,
};
use time::OffsetDateTime;
use tokio::io::{ReadHalf, WriteHalf, split};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::beside::Beside;
use super::config::GatewayConfig;
use super::reach::reach;

/// How long the gateway may take over an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first pause before a gateway is dialled again, and the longest; between them it doubles. Half of it is chance,
/// so that agents that lost their gateway together do not all come back together.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A connection that lasted so long was a good one.
const LASTED: Duration = Duration::from_secs(60);
/// How often a certificate that could not be renewed is asked for again.
const RENEW_AGAIN: Duration = Duration::from_secs(60);

/// What an agent has something to say about.
enum Happened {
    /// Its targets are others.
    Changed,
    /// Its certificate is to be renewed.
    Due,
    /// It is asked to stop.
    Stopped,
}

/// The way to one gateway.
pub(super) struct Line {
    gateway: GatewayConfig,
    directory: PathBuf,
    enrolment: Mutex<Enrolment>,
    beside: Arc<Beside>,
    announced: watch::Receiver<Vec<Announced>>,
}

impl Line {
    /// With what is in `directory`; if nothing is that is good, the agent joins.
    ///
    /// # Errors
    /// When it cannot join.
    pub(super) async fn open(
        gateway: GatewayConfig,
        directory: &Path,
        beside: Arc<Beside>,
        announced: watch::Receiver<Vec<Announced>>,
    ) -> anyhow::Result<Self> {
        let known = Enrolment::open(directory)?;
        let good = known.filter(|enrolment| enrolment.expires() > OffsetDateTime::now_utc());
        let enrolment = match good.filter(|enrolment| is_pinned(&gateway, enrolment)) {
            Some(enrolment) => enrolment,
            None => join(&gateway, directory).await?,
        };
        tracing::info!(agent = %enrolment.name(), instance = %enrolment.instance(), gateway = %gateway.url.authority(),
            "the agent has joined");
        Ok(Self {
            gateway,
            directory: directory.to_owned(),
            enrolment: Mutex::new(enrolment),
            beside,
            announced,
        })
    }

    /// How many connections are kept.
    pub(super) fn connections(&self) -> usize {
        self.gateway.connections
    }

    /// Keeps one connection until told to stop, and then until its last flow is over.
    pub(super) async fn keep(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut pause = FIRST_PAUSE;
        while !*stopped.borrow() {
            let since = Instant::now();
            let why = match Arc::clone(&self).connect(stopped.clone()).await {
                Ok(why) => why,
                Err(error) => format!("{error:#}"),
            };
            if *stopped.borrow() {
                return;
            }
            if since.elapsed() > LASTED {
                pause = FIRST_PAUSE;
            }
            let wait = pause.mul_f64(rand::random_range(0.5..1.0));
            tracing::warn!(why, gateway = %self.gateway.url.authority(), ?wait, "no connection to the gateway");
            if timeout(wait, stopped.wait_for(|stopped| *stopped)).await.is_ok() {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One connection, until it is over; says why.
    async fn connect(self: Arc<Self>, mut stopped: watch::Receiver<bool>) -> anyhow::Result<String> {
        let tls = self.enrolled().await?;
        let reaching = Box::pin(reach(&self.gateway, Arc::new(tls)));
        let reached = match select(reaching, pin!(stopped.wait_for(|stopped| *stopped))).await {
            Either::Left((reached, _)) => reached?,
            Either::Right(_) => return Ok("the agent stops".to_owned()),
        };
        let address = reached.address;
        let drain = {
            let mut stopped = stopped.clone();
            async move { drop(stopped.wait_for(|stopped| *stopped).await) }
        };
        let begun = Acceptor::begin(reached.stream, KeepAlive::default(), drain);
        let (mut acceptor, run) = timeout(PATIENCE, begun)
            .await
            .context("the gateway does not answer")??;
        let run = tokio::spawn(run);
        tracing::info!(gateway = %self.gateway.url.authority(), %address, "connected to the gateway");
        let mut tasks = JoinSet::new();
        while let Some(incoming) = acceptor.accept().await {
            while tasks.try_join_next().is_some() {}
            let line = Arc::clone(&self);
            match incoming {
                Incoming::Flow(flow) => tasks.spawn(async move { line.beside.serve(flow, address).await }),
                Incoming::Control(flow) => {
                    let stopped = stopped.clone();
                    tasks.spawn(async move { line.control(flow, stopped, address).await })
                }
            };
        }
        let why = run.await.unwrap_or_else(|error| error.to_string());
        // What is open has learned of it, and ends.
        while tasks.join_next().await.is_some() {}
        Ok(why)
    }

    /// For a connection as the agent; one whose certificate has ended joins again, if it still can.
    async fn enrolled(&self) -> anyhow::Result<ClientConfig> {
        let mut enrolment = self.enrolment.lock().await;
        if enrolment.expires() <= OffsetDateTime::now_utc() {
            *enrolment = join(&self.gateway, &self.directory).await?;
            tracing::info!(agent = %enrolment.name(), instance = %enrolment.instance(), "the agent has joined again");
        }
        Ok(enrolment.client_config(&[TUNNEL_ALPN])?)
    }

    /// Both sides talk about themselves.
    async fn control(&self, flow: Flow, stopped: watch::Receiver<bool>, gateway: SocketAddr) {
        let (read, write) = split(flow);
        let (replies, replied) = mpsc::channel(1);
        let (hearing, talking) = (pin!(hear(read, replies)), pin!(self.talk(write, replied, stopped)));
        let ended = select(hearing, talking).await.factor_first().0;
        if let Err(error) = ended {
            tracing::debug!(error = format!("{error:#}"), %gateway, "the talk with the gateway is over");
        }
    }

    async fn talk(
        &self,
        mut write: WriteHalf<Flow>,
        mut replied: mpsc::Receiver<FromGateway>,
        mut stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let mut announced = self.announced.clone();
        let targets = announced.borrow_and_update().clone();
        head::write(&mut write, &hello(targets)).await?;
        let mut renew_at = self.enrolment.lock().await.renew_at();
        loop {
            let until = (renew_at - OffsetDateTime::now_utc())
                .try_into()
                .unwrap_or(Duration::ZERO);
            let happened = {
                let (changed, due) = (pin!(announced.changed()), pin!(sleep(until)));
                let stops = pin!(stopped.wait_for(|stopped| *stopped));
                match select(stops, select(changed, due)).await {
                    Either::Left(_) => Happened::Stopped,
                    Either::Right((Either::Left((changed, _)), _)) => {
                        changed?;
                        Happened::Changed
                    }
                    Either::Right((Either::Right(_), _)) => Happened::Due,
                }
            };
            match happened {
                Happened::Changed => {
                    let targets = announced.borrow_and_update().clone();
                    head::write(&mut write, &hello(targets)).await?;
                }
                Happened::Due => {
                    renew_at = match self.renew(&mut write, &mut replied).await {
                        Ok(renew_at) => renew_at,
                        Err(error) => {
                            tracing::error!(error = format!("{error:#}"), "the agent's certificate was not renewed");
                            OffsetDateTime::now_utc() + RENEW_AGAIN
                        }
                    };
                }
                Happened::Stopped => {
                    head::write(&mut write, &FromAgent::Draining).await?;
                    return std::future::pending().await;
                }
            }
        }
    }

    /// Renews the certificate, unless another connection did meanwhile. Gives when to do it next.
    async fn renew(
        &self,
        write: &mut WriteHalf<Flow>,
        replied: &mut mpsc::Receiver<FromGateway>,
    ) -> anyhow::Result<OffsetDateTime> {
        let mut enrolment = self.enrolment.lock().await;
        if !enrolment.is_due(OffsetDateTime::now_utc()) {
            return Ok(enrolment.renew_at());
        }
        let key = NewKey::generate()?;
        let request = serde_json::to_value(RenewRequest { csr: key.csr() })?;
        // An answer that came too late is to another request.
        while replied.try_recv().is_ok() {}
        head::write(write, &FromAgent::Renew { request }).await?;
        let reply = timeout(PATIENCE, replied.recv())
            .await
            .context("the gateway does not answer")?;
        match reply.context("the gateway is gone")? {
            FromGateway::Renewed { reply } => {
                let reply: JoinReply = serde_json::from_value(reply)?;
                *enrolment = enrolment.renew(&key, &reply)?;
                tracing::info!(expires = %enrolment.expires(), "the agent's certificate was renewed");
                Ok(enrolment.renew_at())
            }
            FromGateway::NotRenewed { why } => bail!("{why}"),
            FromGateway::Welcome { .. } | FromGateway::Unknown => bail!("the gateway answers something else"),
        }
    }
}

/// Whether the gateway that was joined is the one that the configuration names now. A token that is used up still names it;
/// what cannot be read names none.
fn is_pinned(gateway: &GatewayConfig, enrolment: &Enrolment) -> bool {
    let named = gateway.joining.method().ok().flatten();
    named.is_none_or(|(_, pin)| pin == enrolment.pin())
}

fn hello(targets: Vec<Announced>) -> FromAgent {
    FromAgent::Hello(Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: HostDescription::of_this_machine().hostname,
        targets,
    })
}

/// Hears what the gateway says, and hands answers on.
async fn hear(mut read: ReadHalf<Flow>, replies: mpsc::Sender<FromGateway>) -> anyhow::Result<()> {
    loop {
        match head::read(&mut read).await? {
            FromGateway::Welcome { version } => tracing::info!(version, "the gateway's version"),
            FromGateway::Unknown => {}
            answer @ (FromGateway::Renewed { .. } | FromGateway::NotRenewed { .. }) => replies.send(answer).await?,
        }
    }
}

/// Joins, which uses the proof up.
async fn join(gateway: &GatewayConfig, directory: &Path) -> anyhow::Result<Enrolment> {
    let authority = gateway.url.authority();
    let Some((method, pin)) = gateway.joining.method()? else {
        bail!(
            "the agent has not joined `{authority}`, or its certificate has ended: give it a new join token, which \
             `sallyport agents token NAME` makes"
        );
    };
    let key = NewKey::generate()?;
    let request = JoinRequest {
        agent: gateway.name.as_deref().map(Into::into),
        proof: method.collect(&key, pin).await?,
        csr: key.csr(),
        host: HostDescription::of_this_machine(),
    };
    let reply = timeout(PATIENCE, ask_to_join(gateway, pin, &request)).await;
    let reply = reply.context("the gateway does not answer")??;
    Ok(Enrolment::join(directory, &authority, pin, &key, &reply)?)
}

async fn ask_to_join(gateway: &GatewayConfig, pin: Pin, request: &JoinRequest) -> anyhow::Result<JoinReply> {
    let tls = join_client_config(pin, &[JOIN_ALPN])?;
    let mut stream = reach(gateway, Arc::new(tls)).await?.stream;
    head::write(&mut stream, request).await?;
    match head::read(&mut stream).await? {
        Joined::Reply(reply) => Ok(reply),
        Joined::Refused { why } => bail!("the gateway does not let the agent join: {why}"),
    }
}
