//! Putting the gateway together and running it. Wiring only: every part decides for itself.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::{Either, select};
use sallyport_identity::Identities;
use sallyport_identity::agents::{AgentAuthority, Agents};
use sallyport_ledger::{Durability, Journal, RecordingKey, RecordingStore};
use sallyport_listen::{Listener, ServerTls, ServerTlsOptions, Workers};
use sallyport_mask::{Detector, MaskKey};
use sallyport_policy::Loader;
use sallyport_postgres::{Dialer, Postgres, SWEEP_EVERY};
use sallyport_review::Reviews;
use sallyport_session::{House, Protocol, Reason, Refusal, Rooms, Sessions, Targets, serve};
use sallyport_ssh::Ssh;
use sallyport_store::Store;
use sallyport_tunnel::Fleet;
use secrecy::SecretSlice;

use sallyport_api::Api;

use crate::agents::{self, AgentDoor, Behind, ConnectedAgents};
use crate::config::Config;
use crate::descriptors;
use crate::names::{Asks, TargetsBehind};
use crate::policy::{PolicyInForce, PolicySource};
use crate::ports::{ApiJournal, Condition, DeviceLogins, LiveSessions, Recorded};
use crate::reviewing::{ToJournal, ToReviewers};
use crate::ssh_hosts::HostsBehind;

/// Connections that may wait in the operating system.
const BACKLOG: u32 = 4096;

/// How long users that were made for sessions may take to be ended once the gateway stops.
const DRAIN: Duration = Duration::from_secs(15);

/// A gateway that listens.
pub(crate) struct Gateway {
    /// Everything that sessions share.
    pub(crate) house: Arc<House>,
    /// Where the API listens.
    pub(crate) api_address: SocketAddr,
    /// Where PostgreSQL clients connect.
    pub(crate) postgres_address: SocketAddr,
    /// Where SSH clients connect.
    pub(crate) ssh_address: Option<SocketAddr>,
    /// Where agents connect.
    pub(crate) agents_address: Option<SocketAddr>,
    postgres: (Listener, Arc<Postgres>),
    ssh: Option<(Listener, Arc<Ssh>)>,
    api: (Listener, axum::Router, Option<Arc<ServerTls>>),
    agents: Option<(AgentDoor, Arc<Agents>)>,
    tls: ServerTls,
    workers: Workers,
    policy: Arc<PolicySource>,
    grace: Duration,
}

/// What the loader of bundles knows: the protocols' schemas and the detectors that exist.
pub(crate) fn loader() -> Loader {
    Loader::new(&crate::protocols::schemas()).detectors(Detector::ALL.iter().map(ToString::to_string))
}

impl Gateway {
    /// Opens the state, loads the policy and binds the listeners.
    ///
    /// # Errors
    /// When any part of it cannot be had; nothing is served then.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let state = &config.state_dir;
        crate::state::prepare(state)?;
        let keys = state.join("keys");
        let recording_key = RecordingKey::load_or_create(&keys.join("recording.key"))?;
        let durability = Durability::from(config.recording);
        let journal = Arc::new(journal(state, &recording_key, durability)?);
        let policy = Arc::new(PolicySource::open(config, &journal).await?);
        let sessions = Arc::new(Sessions::default());
        crate::policy::watch(&policy, &journal, &sessions);
        let store = Store::open(&state.join("sallyport.db")).await?;
        let identities = Arc::new(identities(config, &keys, &store, &journal).await?);
        let witness = Arc::new(ToJournal(Arc::clone(&journal)));
        let reviews = Reviews::open(&store, config.review.settings()?, witness).await?;
        let tls = server_tls(config)?;
        let mask_key = mask_key(&keys.join("mask.key"))?;
        let fleet = Arc::new(Fleet::default());
        let house = House {
            policy: Arc::clone(&policy.watcher),
            identities,
            recordings: RecordingStore::open(state, recording_key, durability)?,
            journal,
            reviewing: Arc::new(ToReviewers::new(reviews.clone())),
            sessions,
            version: env!("CARGO_PKG_VERSION"),
            targets: Targets::new(config.broker()),
            rooms: Rooms::new(config.limits.long_messages()),
            agents: Arc::new(Behind(Arc::clone(&fleet))),
        };
        let (limits, api_limits) = descriptors::share(
            descriptors::raise(),
            config.limits.workers,
            config.limits.listener(),
            sallyport_listen::Limits::default(),
        );
        let house = Arc::new(house);
        let postgres = postgres(config, &house, &tls, &mask_key)?;
        let postgres = (listen(config.listen.postgres, limits)?, postgres);
        let (ssh, hosts) = ssh(config, &keys, &house, limits, mask_key)?;
        let agents = agents(config, &keys, &store, &house, &fleet, (&tls, api_limits)).await?;
        let api = listen(config.listen.api, api_limits)?;
        let api_tls = (!config.listen.api.ip().is_loopback()).then(|| Arc::new(tls.clone()));
        let behind = agents.as_ref().map(|(_, agents)| ConnectedAgents {
            agents: Arc::clone(agents),
            fleet,
            house: Arc::clone(&house),
        });
        let mut speakers: Vec<Arc<dyn Asks>> = vec![Arc::clone(&postgres.1) as _];
        speakers.extend(ssh.iter().map(|(_, ssh)| Arc::clone(ssh) as Arc<dyn Asks>));
        let targets = TargetsBehind::new(&house, speakers);
        let behind = (hosts, targets, behind);
        let router = sallyport_api::router(Arc::new(api_state(&house, &policy, &reviews, behind, config)?));
        Ok(Self {
            house,
            api_address: api.local_addr(),
            api: (api, router, api_tls),
            postgres_address: postgres.0.local_addr(),
            ssh_address: ssh.as_ref().map(|(listener, _)| listener.local_addr()),
            agents_address: agents.as_ref().map(|(door, _)| door.local_addr()),
            agents,
            postgres,
            ssh,
            tls,
            workers: Workers::start(NonZeroUsize::new(config.limits.workers))?,
            policy,
            grace: Duration::from_secs(config.limits.shutdown_grace_s),
        })
    }

    /// Serves until `stop` resolves; then lets open sessions finish within the grace.
    ///
    /// # Errors
    /// When the listening socket fails.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (stopping, mut stopped) = tokio::sync::watch::channel(false);
        let (api, router, tls) = self.api;
        let serving = tokio::spawn(async move {
            let stopped = async move { drop(stopped.wait_for(|s| *s).await) };
            if let Err(error) = sallyport_api::serve(api, tls, router, stopped).await {
                tracing::error!(%error, "the API has ended");
            }
        });
        let maintaining = tokio::spawn({
            let identities = Arc::clone(&self.house.identities);
            async move { identities.maintain().await }
        });
        let counting = tokio::spawn(crate::metrics::keep());
        let serving_agents = self.agents.map(|(door, agents)| {
            let maintaining = tokio::spawn(async move { agents.maintain().await });
            (tokio::spawn(door.run()), maintaining)
        });
        let renewing = tokio::spawn({
            let tls = self.tls.clone();
            async move { tls.keep_current().await }
        });
        let following = tokio::spawn(crate::policy::follow(self.policy));
        let sweeping = tokio::spawn(sweep(Arc::clone(&self.house), Arc::clone(&self.postgres.1)));
        let door = Door {
            house: Arc::clone(&self.house),
            workers: &self.workers,
        };
        let (postgres, ssh) = (self.postgres, self.ssh);
        let accepting = async {
            let postgres = door.admit(postgres.0, postgres.1);
            match ssh {
                Some((listener, protocol)) => {
                    let (postgres, ssh) = (pin!(postgres), pin!(door.admit(listener, protocol)));
                    let ended = select(postgres, ssh).await;
                    ended.factor_first().0
                }
                None => postgres.await,
            }
        };
        if let Either::Left((failed, _)) = select(pin!(accepting), pin!(stop)).await {
            failed?;
        }
        let sessions = &self.house.sessions;
        sessions.close_when_idle();
        if tokio::time::timeout(self.grace, sessions.empty()).await.is_err() {
            let refusal = Refusal::new(Reason::Unavailable, "the gateway is shutting down").with_hint("connect again");
            sessions.end_all(&refusal);
        }
        // Whoever keeps a credential runs where its session did.
        self.house.targets.broker().drained(DRAIN).await;
        // What is left after its end was asked for is aborted.
        let _ = tokio::time::timeout(Duration::from_secs(5), self.workers.drain()).await;
        if let Some((door, agents)) = serving_agents {
            door.abort();
            agents.abort();
        }
        following.abort();
        sweeping.abort();
        maintaining.abort();
        counting.abort();
        renewing.abort();
        stopping.send_replace(true);
        let _ = serving.await;
        Ok(())
    }
}

/// Ends roles of sessions that were left behind at targets, by a crash or while a server was away.
async fn sweep(house: Arc<House>, postgres: Arc<Postgres>) {
    loop {
        let targets = house.targets.all(&house.policy);
        postgres.login().sweep(targets.targets()).await;
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

/// Where clients come in, whatever they speak.
struct Door<'w> {
    house: Arc<House>,
    workers: &'w Workers,
}

impl Door<'_> {
    /// Serves every client that `listener` accepts.
    ///
    /// # Errors
    /// When the socket fails; otherwise it goes on until it is dropped.
    async fn admit<P: Protocol>(&self, listener: Listener, protocol: Arc<P>) -> std::io::Result<()> {
        loop {
            let accepted = listener.accept().await?;
            let (protocol, house) = (Arc::clone(&protocol), Arc::clone(&self.house));
            self.workers.spawn(async move {
                match accepted.into_wire() {
                    // Boxed: the future of a whole session is large.
                    Ok((wire, handshake)) => Box::pin(serve(&*protocol, wire, handshake, &house)).await,
                    Err(error) => tracing::debug!(%error, "a connection was gone before it was greeted"),
                }
            });
        }
    }
}

/// PostgreSQL, where targets can have roles for single sessions.
fn postgres(config: &Config, house: &House, tls: &ServerTls, mask_key: &MaskKey) -> anyhow::Result<Arc<Postgres>> {
    let background = house.targets.broker().background();
    let dialer = Dialer::default().with_roles(&config.state_dir, background)?;
    let postgres = Postgres::new(Some(tls.clone()), mask_key.clone()).with_dialer(dialer);
    Ok(Arc::new(postgres.with_max_message(config.limits.max_message())))
}

/// People type tokens and passphrases while they log in by SSH.
fn unhurried(limits: sallyport_listen::Limits) -> sallyport_listen::Limits {
    const PATIENCE: Duration = Duration::from_secs(120);
    sallyport_listen::Limits {
        handshake_timeout: limits.handshake_timeout.max(PATIENCE),
        ..limits
    }
}

fn listen(address: SocketAddr, limits: sallyport_listen::Limits) -> anyhow::Result<Listener> {
    Listener::bind(address, BACKLOG, limits).with_context(|| format!("cannot listen on {address}"))
}

fn journal(state: &Path, key: &RecordingKey, durability: Durability) -> anyhow::Result<Journal> {
    let (journal, recovery) = Journal::open(state, key, durability)?;
    if recovery.torn_bytes > 0 {
        tracing::warn!(
            bytes = recovery.torn_bytes,
            "the journal's last entry was cut by a crash; it is put aside"
        );
    }
    Ok(journal)
}

/// Who is who; with authorities for SSH certificates where there is SSH.
async fn identities(config: &Config, keys: &Path, store: &Store, journal: &Arc<Journal>) -> anyhow::Result<Identities> {
    let identities = Identities::open(config.identity.clone(), store.clone()).await?;
    let identities = identities.with_witness(Arc::new(DeviceLogins(Arc::clone(journal))));
    Ok(match config.listen.ssh {
        Some(_) => identities.with_ssh(crate::ssh_keys::authorities(keys)?),
        None => identities,
    })
}

/// A socket, and who speaks SSH there.
type SshListener = (Listener, Arc<Ssh>);

/// Where clients of SSH come in, if they do, and the hosts behind.
fn ssh(
    config: &Config,
    keys: &Path,
    house: &Arc<House>,
    limits: sallyport_listen::Limits,
    mask_key: MaskKey,
) -> anyhow::Result<(Option<SshListener>, HostsBehind)> {
    let hosts = HostsBehind::new(Arc::clone(house));
    let Some(address) = config.listen.ssh else {
        return Ok((None, hosts));
    };
    let shown = crate::ssh_keys::server(keys)?;
    let listener = listen(address, unhurried(limits))?;
    let hosts = hosts.with_ssh(listener.local_addr(), &shown);
    let ssh = Ssh::new(shown, Arc::clone(&house.identities), mask_key);
    Ok((Some((listener, Arc::new(ssh))), hosts))
}

/// Where agents come in, if they do, and who may be one.
async fn agents(
    config: &Config,
    keys: &Path,
    store: &Store,
    house: &Arc<House>,
    fleet: &Arc<Fleet>,
    (tls, limits): (&ServerTls, sallyport_listen::Limits),
) -> anyhow::Result<Option<(AgentDoor, Arc<Agents>)>> {
    let Some(address) = config.listen.agents else {
        return Ok(None);
    };
    let authority = AgentAuthority::load_or_create(&keys.join("agents"))?;
    let witness = Arc::new(agents::ToJournal(Arc::clone(&house.journal)));
    let agents = Agents::open(config.agents.clone(), authority, store.clone(), witness).await?;
    let agents = Arc::new(agents);
    let listener = listen(address, limits)?;
    let (journal, fleet) = (Arc::clone(&house.journal), Arc::clone(fleet));
    let door = AgentDoor::new(listener, tls, Arc::clone(&agents), fleet, journal)?;
    Ok(Some((door, agents)))
}

/// The gateway as the API sees it.
fn api_state(
    house: &House,
    policy: &Arc<PolicySource>,
    reviews: &Reviews,
    (hosts, targets, agents): (HostsBehind, TargetsBehind, Option<ConnectedAgents>),
    config: &Config,
) -> anyhow::Result<Api> {
    let metrics = crate::metrics::install()?;
    crate::policy::tell_observing(&house.policy.current());
    let policy = Arc::new(PolicyInForce::new(Arc::clone(policy)));
    let (directory, reviews) = (config.state_dir.join("recordings"), reviews.clone());
    let health = Condition {
        policy: Arc::clone(&policy),
        recordings: directory,
        reviews: reviews.clone(),
        journal: Arc::clone(&house.journal),
    };
    let recordings = Recorded {
        recordings: house.recordings.clone(),
        journal: Arc::clone(&house.journal),
    };
    Ok(Api {
        identities: Arc::clone(&house.identities),
        reviews,
        sessions: Arc::new(LiveSessions {
            sessions: Arc::clone(&house.sessions),
            recordings: recordings.clone(),
        }),
        recordings: Arc::new(recordings),
        policy,
        ssh: Arc::new(hosts),
        targets: Arc::new(targets),
        agents: agents.map(|agents| Arc::new(agents) as Arc<dyn sallyport_api::ports::Agents>),
        journal: Arc::new(ApiJournal(Arc::clone(&house.journal))),
        health: Arc::new(health),
        metrics: Arc::new(metrics),
        access: config.access(),
    })
}

fn server_tls(config: &Config) -> anyhow::Result<ServerTls> {
    let (certificate, key) = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        (None, None) => ServerTls::ensure_self_signed(&config.state_dir.join("tls"), &[])?,
        _ => anyhow::bail!("`tls.certificate` and `tls.key` belong together: give both or none"),
    };
    Ok(ServerTls::load(ServerTlsOptions {
        certificate,
        key,
        client_authorities: config.tls.client_authorities.clone(),
        client_crl: config.tls.client_crl.clone(),
        alpn: vec![sallyport_postgres::greet::ALPN.to_vec()],
    })?)
}

/// The key that makes keyed masks stable, in a file of a recording key's form: 32 random bytes, mode 0600.
fn mask_key(path: &Path) -> anyhow::Result<MaskKey> {
    RecordingKey::load_or_create(path)?;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(MaskKey::new(&SecretSlice::from(text.trim().as_bytes().to_vec())))
}
