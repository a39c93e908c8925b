//! The policy as the API sees it.

use std::sync::{Arc, Mutex, PoisonError};

use sallyport_api::ports::{
    BundleFiles, BundleLoaded, BundlesError, Policy, PolicyLastError, PolicyProblem, PolicyStatus, PullError, Pulling,
    WebhookProof,
};
use sallyport_policy::{Arrival, KeptError, LoadError, Problem, Reloaded};
use sallyport_policy_git::{Proof, Trouble};
use time::OffsetDateTime;

use super::PolicySource;

/// How far back it is looked for when a bundle came into force.
const ARRIVALS: usize = 10_000;

/// The policy in force, and what is wrong with the newest if it is not.
pub(crate) struct PolicyInForce {
    source: Arc<PolicySource>,
    seen: Arc<Mutex<Seen>>,
}

/// What became of the last change.
struct Seen {
    loaded: OffsetDateTime,
    /// Of a directory that is not a valid bundle now.
    rejected: Option<(OffsetDateTime, Arc<LoadError>)>,
}

impl PolicyInForce {
    /// Follows `source` from now on.
    pub(crate) fn new(source: Arc<PolicySource>) -> Self {
        let seen = Arc::new(Mutex::new(Seen {
            loaded: OffsetDateTime::now_utc(),
            rejected: None,
        }));
        let slot = Arc::clone(&seen);
        source.watcher.subscribe(move |reloaded| {
            let now = OffsetDateTime::now_utc();
            let mut seen = slot.lock().unwrap_or_else(PoisonError::into_inner);
            match reloaded {
                Reloaded::Loaded { .. } => (seen.loaded, seen.rejected) = (now, None),
                Reloaded::Rejected(report) => seen.rejected = Some((now, Arc::clone(report))),
            }
        });
        Self { source, seen }
    }

    /// Whether the newest policy was rejected, so that an older one is in force.
    pub(crate) fn is_rejected(&self) -> bool {
        match self.trouble() {
            Some((_, trouble)) => trouble.kind.is_refusal(),
            None => self.seen().rejected.is_some(),
        }
    }

    /// Whether it is not known which policy is the newest.
    pub(crate) fn is_unknown(&self) -> bool {
        self.trouble().is_some_and(|(_, trouble)| !trouble.kind.is_refusal())
    }

    fn trouble(&self) -> Option<(OffsetDateTime, Trouble)> {
        self.source.follower.as_ref()?.status().trouble
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_error(&self) -> Option<(String, PolicyLastError)> {
        if let Some((since, trouble)) = self.trouble() {
            let parts = PolicyLastError {
                kind: trouble.kind.as_str().to_owned(),
                since,
                commit: trouble.commit.clone(),
                message: trouble.message.clone(),
                problems: trouble.problems.iter().map(problem).collect(),
            };
            return Some((trouble.to_string(), parts));
        }
        let (since, report) = self.seen().rejected.clone()?;
        let parts = PolicyLastError {
            kind: "invalid".to_owned(),
            since,
            commit: None,
            message: "the bundle is not valid".to_owned(),
            problems: report.problems.iter().map(problem).collect(),
        };
        Some((report.to_string(), parts))
    }
}

fn problem(problem: &Problem) -> PolicyProblem {
    let (line, column) = problem.position.unzip();
    PolicyProblem {
        file: problem.file.clone(),
        line,
        column,
        message: problem.message.clone(),
        help: problem.help.clone(),
    }
}

impl Policy for PolicyInForce {
    fn status(&self) -> PolicyStatus {
        let bundle = self.source.watcher.current();
        let branch = self.source.follower.as_ref().map(|follower| follower.status());
        let (error, last_error) = self.last_error().unzip();
        PolicyStatus {
            digest: bundle.digest().to_owned(),
            commit: bundle.commit().map(ToOwned::to_owned),
            generation: self.source.watcher.generation(),
            error,
            source: self.source.name.clone(),
            branch: branch.as_ref().map(|status| status.branch.clone()),
            loaded: Some(self.seen().loaded),
            fetched: branch.as_ref().and_then(|status| status.fetched),
            committed: branch.as_ref().map(|status| status.committed),
            last_error,
        }
    }

    fn pull(&self) -> Pulling {
        let source = Arc::clone(&self.source);
        Box::pin(async move {
            if let Some(follower) = &source.follower {
                let pulled = follower.pull().await;
                return pulled.map_err(|trouble| PullError(format!("{}: {trouble}", trouble.kind)));
            }
            let watcher = Arc::clone(&source.watcher);
            match tokio::task::spawn_blocking(move || watcher.reload()).await {
                Ok(Some(Reloaded::Rejected(report))) => Err(PullError(report.to_string())),
                Ok(Some(Reloaded::Loaded { .. }) | None) => Ok(()),
                Err(error) => Err(PullError(error.to_string())),
            }
        })
    }

    fn awaits(&self, proof: WebhookProof<'_>) -> bool {
        let secret = self.source.follower.as_ref().and(self.source.webhook.as_ref());
        secret.is_some_and(|secret| secret.may_accept(shown(proof)))
    }

    fn webhook(&self, proof: WebhookProof<'_>, body: &[u8]) -> bool {
        let (Some(follower), Some(secret)) = (&self.source.follower, &self.source.webhook) else {
            return false;
        };
        let good = secret.accepts(shown(proof), body);
        if good {
            follower.wake();
        }
        good
    }

    fn bundles(&self, limit: usize) -> Result<Vec<BundleLoaded>, BundlesError> {
        let arrivals = self.source.kept.arrivals(limit).map_err(|error| refused(&error))?;
        Ok(arrivals.into_iter().map(loaded).collect())
    }

    fn bundle(&self, prefix: &str) -> Result<BundleFiles, BundlesError> {
        let kept = &self.source.kept;
        let found = kept.find(prefix).and_then(|digest| {
            let files = kept.files(&digest)?;
            let arrivals = kept.arrivals(ARRIVALS)?;
            Ok((digest, files, arrivals))
        });
        let (digest, files, arrivals) = found.map_err(|error| refused(&error))?;
        let its = arrivals.into_iter().filter(|arrival| arrival.digest == digest);
        Ok(BundleFiles {
            loaded: its.map(loaded).collect(),
            digest,
            files,
        })
    }
}

fn shown(proof: WebhookProof<'_>) -> Proof<'_> {
    match proof {
        WebhookProof::Signature(text) => Proof::Signature(text),
        WebhookProof::Token(text) => Proof::Token(text),
    }
}

fn loaded(arrival: Arrival) -> BundleLoaded {
    let Arrival {
        at,
        digest,
        commit,
        source,
    } = arrival;
    BundleLoaded {
        at,
        digest,
        commit,
        source,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what else there is, or will be, is the gateway's own trouble"
)]
fn refused(error: &KeptError) -> BundlesError {
    let detail = error.to_string();
    match error {
        KeptError::Unknown(_) => BundlesError::NotFound(detail),
        KeptError::NoDigest(_) | KeptError::Ambiguous(_) => BundlesError::NoDigest(detail),
        _ => BundlesError::Unreadable(detail),
    }
}
