//! Logging in to a target: the part of a session that happens beside it, in this process or in an agent's.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sallyport_credential::Hold;
use sallyport_listen::Wire;
use sallyport_target::{Lease, OtherProtocol, Target};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

/// There is no login at the target. Free of secrets.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// It did not let us in. The client is told only that the target is not available.
    #[error("{0}")]
    Failed(String),
    /// It did not let us in, for a reason that the client is told.
    #[error("{0}")]
    Told(String),
    /// It was not reached from here. The client is told as little.
    #[error("{0}")]
    Unreached(String),
    /// No agent is there that could log in, or all that are there are busy. The client is told which.
    #[error("{0}")]
    Unserved(String),
}

impl DialError {
    /// The same of any error that says no secret.
    pub fn of(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// How a protocol logs in to targets. One code for both places where that happens: the gateway's own process, and an
/// agent that hands the gateway a flow over which it goes on.
pub trait Login: Send + Sync + 'static {
    /// What is needed to log in.
    type Lease: TryFrom<Lease, Error = OtherProtocol> + Send + Sync;
    /// What a session wants beside that. No secret is in it.
    type Order: Serialize + DeserializeOwned + Send + Sync;
    /// What is done at a target beside its sessions, such as cancelling what one of them does.
    type Errand: Serialize + DeserializeOwned + Send + Sync;
    /// A target that has let us in.
    type Upstream: Send;
    /// The protocol's name in `targets.toml`.
    const NAME: &'static str;

    /// Reaches the target and logs in. What keeps the lease's credential goes into the upstream.
    fn log_in(
        &self,
        lease: Self::Lease,
        order: &Self::Order,
        whom: &Whom,
    ) -> impl Future<Output = Result<Self::Upstream, DialError>> + Send;

    /// Takes out what keeps the credential of a login. If it was made for the session, it ends when this is dropped.
    fn hold(upstream: &mut Self::Upstream) -> Option<Hold>;

    /// Reaches the target and does what is asked, which needs no credential.
    fn run(&self, lease: &Self::Lease, errand: &Self::Errand) -> impl Future<Output = Result<(), DialError>> + Send;

    /// The agent's side of a flow: tells what the login came to, and carries what follows until one side ends.
    fn hand_over(&self, upstream: Self::Upstream, flow: Wire) -> impl Future<Output = std::io::Result<()>> + Send;

    /// The gateway's side of a flow: what [`Login::hand_over`] tells.
    fn take_over(
        &self,
        flow: Wire,
        order: &Self::Order,
    ) -> impl Future<Output = Result<Self::Upstream, DialError>> + Send;
}

/// Waits until a credential that was made for a session is over although the session goes on; for ever, if it was not.
///
/// # Cancel safety
/// It may be dropped and called again.
pub async fn lost(hold: &mut Option<Hold>) {
    match hold {
        Some(hold) => hold.lost().await,
        None => std::future::pending().await,
    }
}

/// What a session is told whose credential is over.
pub const LOST: &str = "the user that was made for this session at the target has ended";

/// For whom a login is, so that targets can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Whom {
    /// The session.
    pub session: Uuid,
    /// The principal.
    pub principal: String,
}

/// What the gateway asks an agent for, in JSON at the head of a flow. What is not known is passed over, so that an
/// older agent understands a newer gateway.
#[derive(Debug, Serialize, Deserialize)]
pub struct Opening<O, E> {
    /// The target's name.
    pub target: String,
    /// The protocol that it is thought to speak.
    pub protocol: String,
    /// The database or the account there.
    pub place: String,
    /// For whom it is.
    pub whom: Whom,
    /// What is wanted.
    pub what: Wanted<O, E>,
}

/// What is wanted of a target.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted<O, E> {
    /// A login, over which the flow goes on.
    Login(O),
    /// Something that is done beside sessions; the flow ends with it.
    Errand(E),
}

/// An agent that serves a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServedBy {
    /// The name that it joined under.
    pub name: SmolStr,
    /// Which one of that name.
    pub instance: Uuid,
    /// The machine that it says it runs on.
    pub host: String,
}

/// A future that can be kept.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The agents that are connected.
pub trait Agents: Send + Sync {
    /// Opens a flow at an agent called `name` that has `target`, which speaks `protocol`: at `prefer` if that one is there, else where there
    /// is least to do. The flow stands behind the agent's word that it did what `opening` asks for.
    fn open<'a>(
        &'a self,
        name: &'a str,
        target: &'a str,
        protocol: &'static str,
        opening: Vec<u8>,
        prefer: Option<Uuid>,
    ) -> Pending<'a, Result<(Wire, ServedBy), DialError>>;
}

/// The way to a target for one session, and for what is done there on its behalf.
pub struct Door<L> {
    inner: Arc<Inner<L>>,
}

impl<L> Clone for Door<L> {
    fn clone(&self) -> Self {
        let inner = Arc::clone(&self.inner);
        Self { inner }
    }
}

struct Inner<L> {
    login: Arc<L>,
    target: Arc<Target>,
    place: SmolStr,
    whom: Whom,
    agents: Arc<dyn Agents>,
    /// The agent that the newest login went through: others may know the target by another address.
    served: Mutex<Option<ServedBy>>,
    /// The agent that the session goes through.
    settled: OnceLock<Option<ServedBy>>,
}

impl<L> fmt::Debug for Door<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("target", &self.inner.target.name)
            .field("place", &self.inner.place)
            .finish_non_exhaustive()
    }
}

impl<L: Login> Door<L> {
    /// The way to `place` within `target`.
    pub fn new(login: Arc<L>, target: Arc<Target>, place: SmolStr, whom: Whom, agents: Arc<dyn Agents>) -> Self {
        let served = Mutex::default();
        let inner = Arc::new(Inner {
            login,
            target,
            place,
            whom,
            agents,
            served,
            settled: OnceLock::new(),
        });
        Self { inner }
    }

    /// The target.
    pub fn target(&self) -> &Arc<Target> {
        &self.inner.target
    }

    /// The database or the account there.
    pub fn place(&self) -> &SmolStr {
        &self.inner.place
    }

    /// The agent that the session goes through, if one does; before there is a session, the one of the newest login.
    pub fn served_by(&self) -> Option<ServedBy> {
        let newest = || self.inner.served.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.inner.settled.get().cloned().unwrap_or_else(newest)
    }

    /// The session has its login: whatever else is asked for goes to the same agent as long as that is there.
    pub(crate) fn settle(&self) {
        // A session logs in once.
        let _ = self.inner.settled.set(self.served_by());
    }

    /// Which server the door leads to, as far as that is known here: the address, or the agents that know it.
    pub fn leads_to(&self) -> String {
        match (self.inner.target.address(), self.inner.target.agent()) {
            (Some(address), _) => address.to_string(),
            (None, Some(agent)) => format!("agent {agent}"),
            (None, None) => String::new(),
        }
    }

    /// Logs in.
    ///
    /// # Errors
    /// When there is no login; whether an agent or this process tried makes no difference.
    pub async fn log_in(&self, order: L::Order) -> Result<L::Upstream, DialError> {
        let inner = &*self.inner;
        match inner.target.agent() {
            None => {
                // Boxed: it is large, and over before the session begins.
                let lease = Box::pin(inner.target.lease(&inner.place))
                    .await
                    .map_err(DialError::of)?;
                let lease = L::Lease::try_from(lease).map_err(DialError::of)?;
                inner.login.log_in(lease, &order, &inner.whom).await
            }
            Some(agent) => {
                let what = Wanted::<&L::Order, &L::Errand>::Login(&order);
                let flow = self.ask(agent, what).await?;
                inner.login.take_over(flow, &order).await
            }
        }
    }

    /// Has something done at the target beside its sessions.
    ///
    /// # Errors
    /// When it was not done, or it is not known whether it was.
    pub async fn run(&self, errand: L::Errand) -> Result<(), DialError> {
        let inner = &*self.inner;
        match inner.target.agent() {
            None => {
                let lease = inner.target.route(&inner.place).map_err(DialError::of)?;
                let lease = L::Lease::try_from(lease).map_err(DialError::of)?;
                inner.login.run(&lease, &errand).await
            }
            Some(agent) => self.ask(agent, Wanted::Errand(&errand)).await.map(drop),
        }
    }

    async fn ask(&self, agent: &str, what: Wanted<&L::Order, &L::Errand>) -> Result<Wire, DialError> {
        let inner = &*self.inner;
        let opening = Opening {
            target: inner.target.name.to_string(),
            protocol: L::NAME.to_owned(),
            place: inner.place.to_string(),
            whom: inner.whom.clone(),
            what,
        };
        let opening = serde_json::to_vec(&opening).map_err(DialError::of)?;
        let prefer = self.served_by().map(|by| by.instance);
        let asked = inner.agents.open(agent, &inner.target.name, L::NAME, opening, prefer);
        let (flow, by) = asked.await?;
        *inner.served.lock().unwrap_or_else(PoisonError::into_inner) = Some(by);
        Ok(flow)
    }
}
