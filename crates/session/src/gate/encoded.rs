//! A decision as a recording holds it.

use std::collections::BTreeSet;

use sallyport_policy::{Decision, Outcome, RuleId};
use serde::Serialize;
use smol_str::SmolStr;

use super::Gate;

impl Gate {
    /// What a recording holds of a decision, in JSON: what is as usual, and as the recording's header says of the policy,
    /// is left out.
    pub(super) fn encode(&self, decision: &Decision, request: Option<&str>) -> Vec<u8> {
        let same_digest = *self.bundle.digest() == *self.opened_under;
        let of_header = same_digest && self.bundle.commit() == self.opened_at.as_deref();
        let recorded = Recorded {
            outcome: decision.outcome,
            rules: &decision.rules,
            message: decision.message.as_deref(),
            ends_session: decision.ends_session,
            policy: (!of_header).then(|| self.bundle.digest()),
            commit: self.bundle.commit().filter(|_| !of_header),
            request,
            grants: &decision.grants,
        };
        // Strings and flags: there is nothing in them that JSON cannot say.
        serde_json::to_vec(&recorded).unwrap_or_default()
    }
}

/// A decision as a recording holds it.
#[derive(Serialize)]
struct Recorded<'a> {
    outcome: Outcome,
    rules: &'a [RuleId],
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ends_session: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    grants: &'a BTreeSet<SmolStr>,
}
