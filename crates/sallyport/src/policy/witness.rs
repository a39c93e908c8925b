//! What is written down about the policy: each that came into force, and each change of what is wrong (I8, I9).

use std::path::Path;
use std::sync::Arc;

use sallyport_ledger::{Entry, Journal, Receipt};
use sallyport_policy::{Bundle, Reloaded};
use sallyport_policy_git::{Event, Trouble};
use sallyport_session::Sessions;
use serde_json::{Value, json};

use super::PolicySource;

const BY: &str = "gateway";

/// Writes down that a bundle comes into force, before it does: no decision may rest on one that the journal does not name.
///
/// # Errors
/// When that cannot be written, in words.
pub(super) fn write_down(
    journal: &Journal,
    bundle: &Bundle,
    source: &str,
    directory: Option<&Path>,
) -> Result<(), String> {
    let mut details = json!({ "digest": bundle.digest(), "commit": bundle.commit(), "source": source });
    if let (Some(directory), Some(details)) = (directory, details.as_object_mut()) {
        details.insert("directory".to_owned(), json!(directory));
    }
    let written = journal.record(&Entry::now("policy.load", BY, details));
    written.and_then(Receipt::wait).map_err(|error| error.to_string())
}

/// Writes down what is wrong with the policy later. Open sessions learn of a change.
pub(crate) fn watch(source: &PolicySource, journal: &Arc<Journal>, sessions: &Arc<Sessions>) {
    let (keeper, sessions) = (Arc::clone(journal), Arc::clone(sessions));
    source.watcher.subscribe(move |reloaded| match reloaded {
        Reloaded::Loaded { bundle, .. } => {
            count("loaded");
            sessions.policy_changed();
            tell_observing(bundle);
        }
        Reloaded::Rejected(report) => {
            count("rejected");
            tracing::error!(error = %report, "the changed policy is not valid; the one before stays in force");
            record(&keeper, "policy.reject", json!({ "error": report.to_string() }));
        }
    });
    if let Some(follower) = &source.follower {
        // What was wrong at the start was told to nobody yet.
        if let Some((_, trouble)) = follower.status().trouble {
            tell(journal, &first(trouble));
        }
        let journal = Arc::clone(journal);
        follower.subscribe(move |event| tell(&journal, event));
    }
}

/// Shows how much of the policy in force only observes: meant for a while, and forgotten easily.
pub(crate) fn tell_observing(bundle: &Bundle) {
    let observing = bundle.observing();
    let gauge = |kind: &'static str| metrics::gauge!("sallyport_policy_observing", "kind" => kind);
    gauge("rule").set(observing.rules.len() as f64);
    gauge("target").set(observing.targets.len() as f64);
    for note in &observing.notes {
        tracing::warn!(%note, "not enforced");
    }
}

fn first(trouble: Trouble) -> Event {
    if trouble.kind.is_refusal() {
        Event::Refused(trouble)
    } else {
        Event::Failed(trouble)
    }
}

fn tell(journal: &Journal, event: &Event) {
    match event {
        Event::Refused(trouble) => {
            count("rejected");
            tracing::error!(error = %trouble, kind = %trouble.kind, "the newest policy is refused; the one before stays in force");
            record(journal, "policy.reject", words(trouble));
        }
        Event::Failed(trouble) => {
            tracing::warn!(error = %trouble, kind = %trouble.kind, "the policy's branch cannot be followed; the last good one stays in force");
            record(journal, "policy.unreachable", words(trouble));
        }
        Event::Recovered { commit } => {
            tracing::info!(commit, "the policy's branch is followed again");
            record(journal, "policy.recovered", json!({ "commit": commit }));
        }
    }
}

fn words(trouble: &Trouble) -> Value {
    json!({ "kind": trouble.kind.as_str(), "commit": trouble.commit, "error": trouble.to_string() })
}

fn count(outcome: &'static str) {
    metrics::counter!("sallyport_policy_loads_total", "outcome" => outcome).increment(1);
}

fn record(journal: &Journal, kind: &str, details: Value) {
    let entry = Entry::now(kind, BY, details);
    if let Err(error) = journal.record(&entry).and_then(Receipt::wait) {
        tracing::error!(%error, "an administrative act could not be recorded");
    }
}
