//! Holds go to the reviews; acts of reviewers go to the journal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use sallyport_identity::{Kind, Principal};
use sallyport_ledger::{Entry, Journal};
use sallyport_policy::SubjectKind;
use sallyport_review::{
    Act, Binding, CommandDigest, Held, Impact, Need, Outcome, Pending, Reviews, Witness, WitnessError,
};
use sallyport_session::{
    Asking, Audience, Estimate, Granted, HoldInfo, HoldOutcome, Opened, Reason, Refusal, Reviewing, Waiting,
};

/// Takes held commands to the people who may approve them.
#[derive(Debug)]
pub(crate) struct ToReviewers {
    reviews: Reviews,
}

impl ToReviewers {
    /// To these reviews.
    pub(crate) fn new(reviews: Reviews) -> Self {
        Self { reviews }
    }
}

impl Reviewing for ToReviewers {
    fn open(&self, asking: Asking) -> Waiting<Opened> {
        let reviews = self.reviews.clone();
        Box::pin(async move { open(&reviews, asking).await.unwrap_or_else(Opened::Refused) })
    }
}

async fn open(reviews: &Reviews, asking: Asking) -> Result<Opened, Refusal> {
    let standing = &asking.standing;
    let digest = CommandDigest::of(&Binding {
        statement: &asking.text,
        parameters: &asking.parameters,
        state: &asking.state,
        principal: &standing.subject.id,
        target: &standing.target.name,
        database: &standing.database,
        task: standing.task.as_deref(),
        policy_digest: asking.policy_digest(),
    });
    let (who, target, task) = (&standing.subject.id, &standing.target.name, standing.task.as_deref());
    let grant = reviews
        .take_grant(&digest, who, target, task, asking.policy_digest())
        .await;
    if let Some(grant) = grant.map_err(unavailable)? {
        return Ok(Opened::Granted(granted(grant)));
    }
    let info_rules = asking.rules.clone();
    let held = held(&asking, digest);
    let groups: Vec<String> = held.needs.iter().map(|need| need.group.clone()).collect();
    let (watch, session) = (held.watch.clone(), held.session.clone());
    let approvals = !groups.is_empty();
    let pending = reviews.request(held).await.map_err(unavailable)?;
    let request = pending.id().to_owned();
    if let Some(estimate) = asking.estimate() {
        tokio::spawn(show_impact(reviews.clone(), request.clone(), estimate));
    }
    let info = HoldInfo {
        request,
        groups,
        watch: watch.clone(),
        session,
        rules: info_rules,
        message: asking.message,
    };
    let waiting = Awaited {
        reviews: reviews.clone(),
        pending,
        audience: asking.audience,
        watch: watch.into_iter().collect(),
        approvals,
        patience: asking.spec.timeout.unwrap_or(PATIENCE),
    };
    Ok(Opened::Open(info, Box::pin(waiting.outcome())))
}

/// How long an approved command waits for somebody to watch it, if its rule does not say.
const PATIENCE: Duration = Duration::from_secs(600);

/// A command that waits for approvals, for people who watch its session, or for both.
struct Awaited {
    reviews: Reviews,
    pending: Pending,
    audience: Arc<Audience>,
    /// The groups of which somebody must watch.
    watch: BTreeSet<String>,
    /// Whether approvals are needed too.
    approvals: bool,
    patience: Duration,
}

impl Awaited {
    async fn outcome(mut self) -> HoldOutcome {
        let request = self.pending.id().to_owned();
        if self.watch.is_empty() {
            return outcome(self.pending.outcome().await, &request);
        }
        let attended = self.audience.attended(self.watch.clone());
        let decided = match select(attended, Box::pin(self.pending.outcome())).await {
            Either::Left(((), decided)) if self.approvals => Some(decided.await),
            Either::Left(((), _)) => None,
            Either::Right((decided, attended)) => {
                let approved = matches!(decided, Outcome::Approved(_));
                if approved && tokio::time::timeout(self.patience, attended).await.is_err() {
                    return unwatched(&request);
                }
                Some(decided)
            }
        };
        let Some(decided) = decided else {
            let watchers = self.audience.watchers_of(&self.watch);
            return watched(&self.reviews, &request, watchers).await;
        };
        match outcome(decided, &request) {
            HoldOutcome::Granted(granted) => HoldOutcome::Granted(Granted {
                watchers: self.audience.watchers_of(&self.watch),
                ..granted
            }),
            HoldOutcome::Refused(refusal) if refusal.reason == Reason::Expired => unwatched(&request),
            refused @ HoldOutcome::Refused(_) => refused,
        }
    }
}

/// Nothing but somebody who watches was missing.
async fn watched(reviews: &Reviews, request: &str, watchers: Vec<String>) -> HoldOutcome {
    match reviews.watched(request, &watchers.join(", ")).await {
        Ok(()) => HoldOutcome::Granted(Granted {
            request: request.to_owned(),
            approvers: Vec::new(),
            groups: Vec::new(),
            watchers,
        }),
        Err(error) => HoldOutcome::Refused(unavailable(error)),
    }
}

fn unwatched(request: &str) -> HoldOutcome {
    let message = format!("nobody came to watch in time (request {request})");
    let hint = "ask again when somebody can";
    HoldOutcome::Refused(Refusal::new(Reason::Expired, message).with_hint(hint))
}

/// Reviewers see the request at once, and what the command would do as soon as the target has said.
async fn show_impact(reviews: Reviews, request: String, estimate: Waiting<Option<Estimate>>) {
    let Some(Estimate { plan, rows }) = estimate.await else {
        return;
    };
    if let Err(error) = reviews
        .set_impact(
            &request,
            &Impact {
                plan,
                estimated_rows: rows,
            },
        )
        .await
    {
        // It was decided meanwhile.
        tracing::debug!(%error, request, "the impact of a command came too late");
    }
}

fn held(asking: &Asking, digest: CommandDigest) -> Held {
    let standing = &asking.standing;
    let needs = asking
        .spec
        .groups
        .iter()
        .map(|a| Need {
            group: a.group.to_string(),
            count: a.count,
        })
        .collect();
    Held {
        session: asking.session.to_string(),
        principal: Principal {
            id: standing.subject.id.as_str().into(),
            kind: match standing.subject.kind {
                SubjectKind::User => Kind::User,
                SubjectKind::Machine => Kind::Machine,
            },
            groups: standing.subject.groups.iter().map(|g| g.as_str().into()).collect(),
            person: standing.person.clone(),
            issuer: "session".into(),
        },
        target: standing.target.name.clone(),
        database: Some(standing.database.to_string()),
        task: standing.task.clone(),
        statement: String::from_utf8_lossy(&asking.text).into_owned(),
        parameters: asking.readable.clone(),
        digest,
        policy_digest: asking.policy_digest().to_owned(),
        rules: asking.rules.clone(),
        message: asking.message.clone(),
        needs,
        watch: asking.spec.watch.iter().map(ToString::to_string).collect(),
        impact: None,
        wait: asking.spec.timeout,
        request_ttl: None,
        grant_ttl: asking.spec.expires,
    }
}

fn outcome(outcome: Outcome, request: &str) -> HoldOutcome {
    let refusal = match outcome {
        Outcome::Approved(grant) => return HoldOutcome::Granted(granted(grant)),
        Outcome::Denied { by, reason } => {
            let words = reason.map(|r| format!(": {r}")).unwrap_or_default();
            Refusal::new(Reason::ReviewerDenied, format!("{by} denied request {request}{words}"))
        }
        Outcome::TimedOut => {
            let message = format!("nobody has decided request {request} yet");
            let hint = "it stays open: once it is approved, running the same statement again passes, once";
            Refusal::new(Reason::Expired, message).with_hint(hint)
        }
        Outcome::Expired => Refusal::new(Reason::Expired, format!("request {request} expired without a decision")),
        Outcome::Withdrawn { reason } => {
            let words = reason.map(|r| format!(": {r}")).unwrap_or_default();
            Refusal::new(Reason::Withdrawn, format!("request {request} was withdrawn{words}"))
        }
        Outcome::Failed(error) => unavailable(error),
    };
    HoldOutcome::Refused(refusal)
}

fn granted(grant: sallyport_review::Grant) -> Granted {
    Granted {
        request: grant.request,
        approvers: grant.approvals.iter().map(|a| a.reviewer.clone()).collect(),
        groups: grant.groups.into_iter().collect(),
        watchers: Vec::new(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn unavailable(error: sallyport_review::ReviewError) -> Refusal {
    tracing::warn!(%error, "a review could not be opened or ended");
    Refusal::new(
        Reason::Unavailable,
        format!("this needs an approval, and none can be asked for: {error}"),
    )
}

/// Writes the acts of reviewers into the journal before they take effect (I9).
#[derive(Debug)]
pub(crate) struct ToJournal(pub(crate) Arc<Journal>);

impl Witness for ToJournal {
    fn witness(&self, act: &Act) -> Result<(), WitnessError> {
        let details = serde_json::to_value(act).map_err(|e| WitnessError(e.to_string()))?;
        let actor = act.by.as_deref().unwrap_or("gateway");
        let entry = Entry::now(format!("request.{}", act.kind.as_str()), actor, details);
        self.0.record(&entry).map(drop).map_err(|e| WitnessError(e.to_string()))
    }
}
