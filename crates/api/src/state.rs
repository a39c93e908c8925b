//! What the routes share.

use std::sync::Arc;

use sallyport_identity::{Identities, Principal};
use sallyport_review::{Reviews, Visibility};

use crate::ports::{Agents, Entry, Health, Journal, Metrics, Policy, Recordings, Session, Sessions, Ssh, Targets};
use crate::problem::Problem;

/// Everything that the API is made of; the binary puts it together.
pub struct Api {
    /// Who is there.
    pub identities: Arc<Identities>,
    /// Held commands.
    pub reviews: Reviews,
    /// Sessions that go on.
    pub sessions: Arc<dyn Sessions>,
    /// Sessions that are recorded.
    pub recordings: Arc<dyn Recordings>,
    /// The policy in force.
    pub policy: Arc<dyn Policy>,
    /// The targets.
    pub targets: Arc<dyn Targets>,
    /// The gateway's SSH.
    pub ssh: Arc<dyn Ssh>,
    /// Agents beside targets, where they can connect.
    pub agents: Option<Arc<dyn Agents>>,
    /// Where administrative acts are written down.
    pub journal: Arc<dyn Journal>,
    /// Whether the gateway does its work.
    pub health: Arc<dyn Health>,
    /// The metrics.
    pub metrics: Arc<dyn Metrics>,
    /// Who may do what here.
    pub access: Access,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// Who may do what by way of the API. Approving is not among it: that takes the groups that the rule names.
#[derive(Clone, Debug)]
pub struct Access {
    /// Members see every request and every session, and replay every recording.
    pub auditors: Vec<String>,
    /// Members also end sessions of others, as do those whom a session is moderated by.
    pub admins: Vec<String>,
    /// Whether people may replay their own sessions.
    pub replay_own: bool,
    /// Whether `/metrics` asks for no login. Fit for loopback.
    pub open_metrics: bool,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            auditors: vec!["auditors".to_owned()],
            admins: vec!["admins".to_owned()],
            replay_own: true,
            open_metrics: true,
        }
    }
}

impl Access {
    pub(crate) fn is_admin(&self, principal: &Principal) -> bool {
        self.admins.iter().any(|group| principal.is_in(group))
    }

    pub(crate) fn sees_everything(&self, principal: &Principal) -> bool {
        self.is_admin(principal) || self.auditors.iter().any(|group| principal.is_in(group))
    }

    pub(crate) fn visibility<'a>(&self, principal: &'a Principal) -> Visibility<'a> {
        if self.sees_everything(principal) {
            Visibility::All
        } else {
            Visibility::For(principal)
        }
    }

    pub(crate) fn sees_session(&self, principal: &Principal, session: &Session) -> bool {
        self.sees_everything(principal) || is_own(principal, session) || moderates(principal, session)
    }

    pub(crate) fn may_end(&self, principal: &Principal, session: &Session) -> bool {
        self.is_admin(principal) || is_own(principal, session) || moderates(principal, session)
    }

    pub(crate) fn may_watch(&self, principal: &Principal, session: &Session) -> bool {
        self.may_replay(principal, session) || moderates(principal, session)
    }

    pub(crate) fn may_replay(&self, principal: &Principal, session: &Session) -> bool {
        self.sees_everything(principal) || (self.replay_own && is_own(principal, session))
    }
}

fn is_own(principal: &Principal, session: &Session) -> bool {
    session.principal == principal.id.as_str() && session.person == principal.person.as_str()
}

/// Whether the session needed somebody like `principal` to watch it.
fn moderates(principal: &Principal, session: &Session) -> bool {
    session.moderators.iter().any(|group| principal.is_in(group))
}

impl Api {
    /// Writes an act down, or refuses it.
    pub(crate) async fn record(self: &Arc<Self>, entry: Entry) -> Result<(), Problem> {
        let api = Arc::clone(self);
        let kind = entry.act.kind();
        let recorded = blocking(move || api.journal.record(&entry)).await?;
        recorded.map_err(|error| {
            tracing::error!(%error, act = kind, "the journal cannot be written");
            Problem::unavailable("the act could not be written to the journal, so it did not happen")
        })
    }
}

/// Runs `work` where it may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a task of the API failed");
        Problem::internal()
    })
}
