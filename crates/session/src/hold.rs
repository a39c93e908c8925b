//! A held command: a value that the driver polls, never a nested wait.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use sallyport_policy::{Bundle, Decision, HoldSpec};
use serde_json::json;
use uuid::Uuid;

use crate::audience::Audience;
use crate::command::{Command, Shape};
use crate::conversation::HoldInfo;
use crate::gate::Standing;
use crate::impact::{Estimate, Impact};
use crate::meters::Open;
use crate::refusal::Refusal;

/// What reviewers are asked, and what a grant will be bound to (I4).
#[derive(Debug, Clone)]
pub struct Asking {
    /// The session that waits.
    pub session: Uuid,
    /// Who asks, for what target and task.
    pub standing: Standing,
    /// The command's number in its session.
    pub seq: u64,
    /// The exact bytes of the statement.
    pub text: Bytes,
    /// The parameters as the protocol sent them.
    pub parameters: Bytes,
    /// What else decides what the command means: search path, user, parser settings, statements that it runs by name.
    pub state: Bytes,
    /// The parameters in words.
    pub readable: Vec<String>,
    /// The rules that hold it.
    pub rules: Vec<String>,
    /// The first rule's message.
    pub message: Option<String>,
    /// Whom to ask.
    pub spec: HoldSpec,
    /// What is known of the statement.
    pub shape: Arc<Shape>,
    /// Who watches the session.
    pub audience: Arc<Audience>,
    impact: Option<Arc<dyn Impact>>,
    policy_digest: String,
}

impl Asking {
    #[expect(clippy::too_many_arguments, reason = "all of them are what is asked")]
    pub(crate) fn new(
        session: Uuid,
        standing: &Standing,
        bundle: &Bundle,
        decision: &Decision,
        command: &Command,
        seq: u64,
        impact: Option<Arc<dyn Impact>>,
        audience: Arc<Audience>,
    ) -> Self {
        let watch = decision.hold.iter().flat_map(|hold| &hold.watch);
        audience.ask(watch.map(ToString::to_string));
        Self {
            session,
            standing: standing.clone(),
            seq,
            text: command.text.clone(),
            parameters: command.parameters.clone(),
            state: command.state.clone(),
            readable: command.words(),
            rules: decision.rules.iter().map(ToString::to_string).collect(),
            message: decision.message.clone(),
            spec: decision.hold.clone().unwrap_or_else(|| HoldSpec {
                groups: Vec::new(),
                watch: BTreeSet::new(),
                timeout: None,
                expires: None,
            }),
            shape: Arc::clone(&command.shape),
            audience,
            impact,
            policy_digest: bundle.digest().to_owned(),
        }
    }

    /// Asks the target what the command would do. `None` when that cannot be asked without running some of it.
    #[must_use]
    pub fn estimate(&self) -> Option<Waiting<Option<Estimate>>> {
        self.impact.as_ref()?.estimate(self)
    }

    /// The digest of the bundle that held the command.
    #[must_use]
    pub fn policy_digest(&self) -> &str {
        &self.policy_digest
    }
}

/// What an approval gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The request's id.
    pub request: String,
    /// The people who approved.
    pub approvers: Vec<String>,
    /// The groups in whose name they did.
    pub groups: Vec<String>,
    /// The people who had to watch the session, and do.
    pub watchers: Vec<String>,
}

/// How a hold ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldOutcome {
    /// Enough people approved exactly this command.
    Granted(Granted),
    /// They did not.
    Refused(Refusal),
}

impl HoldOutcome {
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Granted(g) if g.approvers.is_empty() && !g.watchers.is_empty() => json!({
                "outcome": "watched", "request": g.request, "approved_by": g.watchers,
            }),
            Self::Granted(g) => json!({
                "outcome": "approved", "request": g.request, "approved_by": g.approvers, "groups": g.groups,
            }),
            Self::Refused(refusal) => {
                json!({ "outcome": "refused", "reason": refusal.reason, "message": refusal.message })
            }
        }
    }
}

/// A future that the driver owns.
pub type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What opening a review gives.
pub enum Opened {
    /// A grant for exactly this command was already there; it is spent now.
    Granted(Granted),
    /// The request is open; the future is its outcome.
    Open(HoldInfo, Waiting<HoldOutcome>),
    /// No request could be opened.
    Refused(Refusal),
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Granted(_) => "Granted",
            Self::Open(..) => "Open",
            Self::Refused(_) => "Refused",
        })
    }
}

/// Where holds go: to people. Dropping what waits for an outcome withdraws the request.
pub trait Reviewing: Send + Sync {
    /// Takes a grant for exactly this command, or opens a request. Neither before it is polled.
    fn open(&self, asking: Asking) -> Waiting<Opened>;
}

enum State {
    Opening(Waiting<Opened>),
    Waiting(Waiting<HoldOutcome>),
    Over,
}

/// A command that waits for people.
pub struct Hold {
    seq: u64,
    command: Command,
    decision: Arc<Decision>,
    asking: Box<Asking>,
    state: State,
    _open: Open,
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hold")
            .field("seq", &self.seq)
            .field("rules", &self.decision.rules)
            .finish_non_exhaustive()
    }
}

/// What a hold has to say.
#[derive(Debug, PartialEq, Eq)]
pub enum HoldStep {
    /// A request is open: tell the person who waits.
    Opened(HoldInfo),
    /// It ended.
    Ended(HoldOutcome),
}

impl Hold {
    pub(crate) fn new(
        seq: u64,
        command: Command,
        decision: Arc<Decision>,
        asking: Asking,
        reviewing: &dyn Reviewing,
        open: Open,
    ) -> Self {
        let state = State::Opening(reviewing.open(asking.clone()));
        Self {
            seq,
            command,
            decision,
            asking: Box::new(asking),
            state,
            _open: open,
        }
    }

    /// The number of the held command in its session.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The next step of the hold.
    pub fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<HoldStep> {
        match &mut self.state {
            State::Opening(opening) => match opening.as_mut().poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Opened::Open(info, waiting)) => {
                    self.state = State::Waiting(waiting);
                    Poll::Ready(HoldStep::Opened(info))
                }
                Poll::Ready(Opened::Granted(grant)) => self.end(HoldOutcome::Granted(grant)),
                Poll::Ready(Opened::Refused(refusal)) => self.end(HoldOutcome::Refused(refusal)),
            },
            State::Waiting(waiting) => match waiting.as_mut().poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(outcome) => self.end(outcome),
            },
            State::Over => Poll::Pending,
        }
    }

    fn end(&mut self, outcome: HoldOutcome) -> Poll<HoldStep> {
        self.state = State::Over;
        Poll::Ready(HoldStep::Ended(outcome))
    }

    pub(crate) fn into_parts(self) -> (u64, Command, Asking) {
        (self.seq, self.command, *self.asking)
    }
}
