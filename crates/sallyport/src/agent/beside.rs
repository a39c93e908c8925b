//! What an agent does for a flow: it logs in to a target of its own, and carries what follows.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use futures_util::future::{Either, select};
use sallyport_identity::HostLogins;
use sallyport_listen::Wire;
use sallyport_session::{DialError, LOST, Login, Opening, Wanted, Whom, lost};
use sallyport_target::{Broker, Catalogue, Target};
use sallyport_tunnel::{Announced, Answer, Flow, head};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

/// How long the gateway may take to say what a flow is for.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a target may take over what was sent before the gateway gave a session up.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The targets beside an agent, and how they are logged in to.
pub(crate) struct Beside {
    file: PathBuf,
    targets: Mutex<Catalogue>,
    /// The file is the agent's owner's, who may have it run commands.
    broker: Broker,
    postgres: sallyport_postgres::Dialer,
    ssh: sallyport_ssh::Dialer,
}

/// The head of a flow, as far as it is the same for all protocols.
#[derive(Deserialize)]
struct Asked {
    target: String,
    protocol: String,
}

impl Beside {
    /// With the targets of `file`; what must be remembered is in `state`, and `authority` signs for logins at SSH hosts.
    ///
    /// # Errors
    /// When the file cannot be read or makes no sense.
    pub(crate) fn open(file: PathBuf, state: &Path, authority: HostLogins) -> anyhow::Result<Self> {
        let broker = Broker::new(true);
        let targets = Mutex::new(read(&file, &broker)?);
        let postgres = sallyport_postgres::Dialer::default().with_roles(state, broker.background())?;
        Ok(Self {
            file,
            targets,
            broker,
            postgres,
            ssh: sallyport_ssh::Dialer::new(Some(Arc::new(authority))),
        })
    }

    /// Reads the file again. True when what is announced changed.
    ///
    /// # Errors
    /// When it makes no sense; what was read before stays.
    pub(crate) fn reload(&self) -> anyhow::Result<bool> {
        let (before, targets) = (self.announced(), read(&self.file, &self.broker)?);
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
        Ok(self.announced() != before)
    }

    /// Ends roles of sessions that were left behind at targets, by a crash or while a server was away.
    pub(crate) async fn sweep(&self) {
        loop {
            let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.postgres.sweep(targets.targets()).await;
            tokio::time::sleep(sallyport_postgres::SWEEP_EVERY).await;
        }
    }

    /// What fetches the targets' credentials.
    pub(crate) fn broker(&self) -> &Broker {
        &self.broker
    }

    /// What the gateway is told of the targets.
    pub(crate) fn announced(&self) -> Vec<Announced> {
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let announce = |target: &Arc<Target>| Announced {
            name: target.name.clone(),
            protocol: target.protocol().into(),
        };
        targets.targets().iter().map(announce).collect()
    }

    /// Does what a flow is for. `gateway` is where it comes from.
    pub(crate) async fn serve(&self, mut flow: Flow, gateway: SocketAddr) {
        let Ok(Ok(opening)) = timeout(PATIENCE, head::read_raw(&mut flow)).await else {
            return;
        };
        let asked: Asked = match serde_json::from_slice(&opening) {
            Ok(asked) => asked,
            Err(error) => return tracing::warn!(%error, "the gateway asks for something that makes no sense"),
        };
        let target = {
            let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
            targets.get(&asked.target).cloned()
        };
        let target = target.filter(|target| target.protocol() == asked.protocol);
        let Some(target) = target else {
            let why = format!(
                "the agent has no target `{}` that speaks {}",
                asked.target, asked.protocol
            );
            tracing::warn!(%gateway, why, "the gateway asks for what is not here");
            return answer(flow, Answer::Unable { why }).await;
        };
        match target.protocol() {
            "ssh" => serve(&self.ssh, &target, &opening, flow, gateway).await,
            _ => serve(&self.postgres, &target, &opening, flow, gateway).await,
        }
    }
}

fn read(file: &Path, broker: &Broker) -> anyhow::Result<Catalogue> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let base = file.parent().unwrap_or(Path::new("."));
    Ok(Catalogue::parse_for_agent(
        &text,
        &file.display().to_string(),
        base,
        broker,
    )?)
}

/// Tells what came of it, where nothing follows.
async fn answer(mut flow: Flow, answer: Answer) {
    if head::write(&mut flow, &answer).await.is_ok() {
        let _ = flow.shutdown().await;
    }
}

async fn serve<L: Login>(login: &L, target: &Target, opening: &[u8], flow: Flow, gateway: SocketAddr) {
    let opening: Opening<L::Order, L::Errand> = match serde_json::from_slice(opening) {
        Ok(opening) => opening,
        Err(error) => {
            let why = format!("the agent does not understand what is asked: {error}");
            return answer(flow, Answer::Unable { why }).await;
        }
    };
    match opening.what {
        Wanted::Login(order) => {
            let lease = target.lease(&opening.place).await.map_err(|error| error.to_string());
            let lease = lease.and_then(|lease| L::Lease::try_from(lease).map_err(|error| error.to_string()));
            let lease = match lease {
                Ok(lease) => lease,
                Err(why) => {
                    tracing::error!(error = %why, target = %target.name, "no credential for a target");
                    return answer(flow, Answer::Unable { why }).await;
                }
            };
            match login.log_in(lease, &order, &opening.whom).await {
                Ok(upstream) => carry(login, target, upstream, &opening.whom, (flow, gateway)).await,
                Err(error) => {
                    let session = opening.whom.session;
                    tracing::error!(%error, %session, target = %target.name, "no login at a target");
                    answer(flow, failed(error)).await;
                }
            }
        }
        Wanted::Errand(errand) => {
            let lease = target.route(&opening.place).map_err(DialError::of);
            let ran = match lease.and_then(|lease| L::Lease::try_from(lease).map_err(DialError::of)) {
                Ok(lease) => login.run(&lease, &errand).await,
                Err(error) => Err(error),
            };
            answer(flow, ran.map_or_else(failed, |()| Answer::Done)).await;
        }
    }
}

/// Carries what follows a login until it is over, or what was logged in with is.
async fn carry<L: Login>(
    login: &L,
    target: &Target,
    mut upstream: L::Upstream,
    whom: &Whom,
    (mut flow, gateway): (Flow, SocketAddr),
) {
    let (session, principal) = (whom.session, &whom.principal);
    tracing::info!(%session, %principal, target = %target.name, "logged in");
    // Dropped at the end, which ends a credential that was made for the session.
    let mut hold = L::hold(&mut upstream);
    if head::write(&mut flow, &Answer::Done).await.is_err() {
        return;
    }
    let (last_words, gone) = (flow.last_words(), flow.gone());
    // What came before has still to be handed over, and the target may take none of it: then nobody would ask the flow,
    // and its end would not be noticed.
    let late = async {
        gone.await;
        sleep(LAST_WORDS).await;
    };
    let handed = async {
        match select(pin!(login.hand_over(upstream, Wire::over(flow, gateway))), pin!(late)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => Err(std::io::ErrorKind::ConnectionReset.into()),
        }
    };
    let error = match select(pin!(handed), pin!(lost(&mut hold))).await {
        Either::Left((ended, _)) => ended.err().map(|error| error.to_string()),
        Either::Right(((), _)) => {
            last_words.set(LOST);
            Some(LOST.to_owned())
        }
    };
    tracing::info!(%session, target = %target.name, error, "the session is over");
}

/// Another agent may reach what this one does not.
fn failed(error: DialError) -> Answer {
    match error {
        DialError::Unreached(why) | DialError::Unserved(why) => Answer::Unable { why },
        DialError::Failed(why) => Answer::Failed { why, told: false },
        DialError::Told(why) => Answer::Failed { why, told: true },
    }
}
