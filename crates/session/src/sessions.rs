//! The sessions that are open now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

use crate::audience::Audience;
use crate::hold::Waiting;
use crate::refusal::{Reason, Refusal};

/// An open session, for lists.
#[derive(Debug, Clone, Serialize)]
pub struct SessionInfo {
    /// Its id, which is its recording's too.
    pub id: Uuid,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// Whose it is.
    pub principal: String,
    /// The same-person key of whose it is.
    #[serde(skip)]
    pub person: String,
    /// In which groups, when it began.
    pub groups: Vec<String>,
    /// The target.
    pub target: String,
    /// The database or the like within the target.
    pub database: String,
    /// The protocol.
    pub protocol: &'static str,
    /// Where the client is.
    pub client_address: String,
    /// The task that it carries.
    pub task: Option<String>,
    /// What the client says it is.
    pub client_tool: Option<String>,
    /// The name of the agents that log in to the target, unless the gateway itself does.
    pub agent: Option<String>,
    /// The digest of the policy when it began.
    pub policy_digest: String,
    /// The commit of the policy when it began.
    pub policy_commit: Option<String>,
}

#[derive(Debug)]
struct Live {
    info: Arc<SessionInfo>,
    end: watch::Sender<Option<Refusal>>,
    audience: Arc<Audience>,
}

/// The sessions that are open now.
#[derive(Debug, Default)]
pub struct Sessions {
    live: Mutex<HashMap<Uuid, Live>>,
    count: watch::Sender<usize>,
    closing: watch::Sender<bool>,
    /// Counts the policies that came into force.
    policies: watch::Sender<u64>,
}

/// A session's entry in the list; it leaves the list when this is dropped.
#[derive(Debug)]
pub struct Enrolled {
    sessions: Arc<Sessions>,
    id: Uuid,
    end: watch::Receiver<Option<Refusal>>,
    audience: Arc<Audience>,
}

impl Sessions {
    /// Adds a session.
    pub fn enrol(self: &Arc<Self>, info: SessionInfo) -> Enrolled {
        let (sender, end) = watch::channel(None);
        let id = info.id;
        let audience = Arc::new(Audience::default());
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.insert(
            id,
            Live {
                info: Arc::new(info),
                end: sender,
                audience: Arc::clone(&audience),
            },
        );
        self.count.send_replace(live.len());
        Enrolled {
            sessions: Arc::clone(self),
            id,
            end,
            audience,
        }
    }

    /// The open sessions, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<SessionInfo>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = live.values().map(|l| Arc::clone(&l.info)).collect();
        list.sort_by_key(|info| info.id);
        list
    }

    /// One open session.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<Arc<SessionInfo>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.get(&id).map(|l| Arc::clone(&l.info))
    }

    /// Who watches an open session.
    #[must_use]
    pub fn audience(&self, id: Uuid) -> Option<Arc<Audience>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.get(&id).map(|l| Arc::clone(&l.audience))
    }

    /// Ends a session at once. False when it is not open.
    pub fn kill(&self, id: Uuid, by: &str) -> bool {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let refusal = Refusal::new(Reason::Unavailable, format!("the session was ended by {by}"));
        live.get(&id).is_some_and(|l| l.end.send(Some(refusal)).is_ok())
    }

    /// Ends every session that is still open.
    pub fn end_all(&self, refusal: &Refusal) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        for session in live.values() {
            let _ = session.end.send(Some(refusal.clone()));
        }
    }

    /// From now on sessions end as soon as they are idle.
    pub fn close_when_idle(&self) {
        self.closing.send_replace(true);
    }

    /// Whether sessions are to end as soon as they are idle.
    #[must_use]
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Another policy is in force: what runs is judged again, without waiting for the next command.
    pub fn policy_changed(&self) {
        self.policies.send_modify(|count| *count += 1);
    }

    /// Resolves when another policy is in force. Gives what waits for the one after.
    pub fn next_policy(&self) -> Waiting<PolicyChange> {
        PolicyChange(self.policies.subscribe()).next()
    }

    /// Resolves when no session is open.
    pub async fn empty(&self) {
        let mut count = self.count.subscribe();
        let _ = count.wait_for(|n| *n == 0).await;
    }
}

/// Another policy came into force.
#[derive(Debug)]
pub struct PolicyChange(watch::Receiver<u64>);

impl PolicyChange {
    /// Resolves when the next one does.
    #[must_use]
    pub fn next(mut self) -> Waiting<Self> {
        Box::pin(async move {
            if self.0.changed().await.is_err() {
                // Nobody is left who could say so.
                std::future::pending::<()>().await;
            }
            self
        })
    }
}

impl Enrolled {
    /// Who watches the session.
    #[must_use]
    pub fn audience(&self) -> Arc<Audience> {
        Arc::clone(&self.audience)
    }

    /// Resolves when somebody ends the session.
    #[must_use]
    pub fn ended(&self) -> Waiting<Refusal> {
        let mut end = self.end.clone();
        Box::pin(async move {
            let refusal = match end.wait_for(Option::is_some).await {
                Ok(refusal) => refusal.clone(),
                Err(_) => None,
            };
            match refusal {
                Some(refusal) => refusal,
                None => std::future::pending().await,
            }
        })
    }
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        let mut live = self.sessions.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.remove(&self.id);
        self.sessions.count.send_replace(live.len());
    }
}
