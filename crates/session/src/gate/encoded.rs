//! A decision as a recording holds it.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use sallyport_policy::{Decision, Observed, Outcome, RuleId};
use serde::Serialize;
use smol_str::SmolStr;

use super::Gate;
use crate::command::Shape;
use crate::hold::Granted;

impl Gate {
    /// What a recording holds of a decision, in JSON: what is as usual, and as the recording's header says of the policy,
    /// is left out.
    ///
    /// `as` is the number under which the recording has the facts that were judged: they are written with the first decision
    /// that has it ([`Gate::note_decision`]).
    pub(super) fn encode(&mut self, shape: &Shape, decision: &Decision, granted: Option<&Granted>) -> Vec<u8> {
        let number = self.numbers.of(shape);
        let same_digest = *self.bundle.digest() == *self.opened_under;
        let of_header = same_digest && self.bundle.commit() == self.opened_at.as_deref();
        let recorded = Recorded {
            outcome: decision.outcome,
            rules: &decision.rules,
            message: decision.message.as_deref(),
            ends_session: decision.ends_session,
            policy: (!of_header).then(|| self.bundle.digest()),
            commit: self.bundle.commit().filter(|_| !of_header),
            request: granted.map(|granted| granted.request.as_str()),
            approved_by: granted.map_or(&[], |granted| &granted.groups),
            grants: &decision.grants,
            observed: decision.observed.as_deref().map(Would::of),
            number,
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
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    approved_by: &'a [String],
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    grants: &'a BTreeSet<SmolStr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed: Option<Would<'a>>,
    #[serde(rename = "as")]
    number: u32,
}

/// What it would have been if what only observes were in force.
#[derive(Serialize)]
struct Would<'a> {
    outcome: Outcome,
    rules: &'a [RuleId],
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ends_session: bool,
}

impl<'a> Would<'a> {
    fn of(observed: &'a Observed) -> Self {
        Self {
            outcome: observed.outcome,
            rules: &observed.rules,
            message: observed.message.as_deref(),
            ends_session: observed.ends_session,
        }
    }
}

/// The numbers under which a recording has facts. Facts that policy cannot tell apart have the same.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    known: FxHashMap<[u8; 16], u32>,
    last: u32,
    /// Those that have not been written with their facts.
    unwritten: Vec<u32>,
}

/// Numbers kept per session; beyond it facts get new ones.
const KEPT_NUMBERS: usize = 256;

impl Numbers {
    fn of(&mut self, shape: &Shape) -> u32 {
        let digest = shape.recorded().digest;
        if let Some(number) = self.known.get(&digest) {
            return *number;
        }
        if self.known.len() >= KEPT_NUMBERS {
            self.known.clear();
            self.unwritten.clear();
        }
        self.last += 1;
        self.unwritten.push(self.last);
        self.known.insert(digest, self.last);
        self.last
    }

    /// Whether the facts of a shape are to be written now, once.
    fn take_unwritten(&mut self, shape: &Shape) -> bool {
        if self.unwritten.is_empty() {
            return false;
        }
        let number = self.known.get(&shape.recorded().digest);
        let at = self.unwritten.iter().position(|unwritten| Some(unwritten) == number);
        at.map(|at| self.unwritten.swap_remove(at)).is_some()
    }
}

impl Gate {
    /// Notes a decision, with the facts that it is about and with what may be seen, where the recording does not have them yet,
    /// and with the groups of those who watch now.
    pub(super) fn note_decision(&mut self, seq: u64, shape: &Shape, json: &[u8]) {
        let facts = self.numbers.take_unwritten(shape);
        let reveals = std::mem::replace(&mut self.reveals_written, true);
        let watched_by = self.audience().watched_by_any();
        let more = facts || !reveals || !watched_by.is_empty();
        let Some(fields) = json.strip_suffix(b"}").filter(|_| more) else {
            self.record.note_decision(seq, json);
            return;
        };
        let mut whole = fields.to_vec();
        if facts {
            whole.push(b',');
            whole.extend_from_slice(&shape.recorded().fields);
        }
        // Classes, words and names: there is nothing in them that JSON cannot say.
        if !reveals {
            whole.extend_from_slice(b",\"reveals\":");
            whole.extend(serde_json::to_vec(&self.reveals.recorded()).unwrap_or_default());
        }
        if !watched_by.is_empty() {
            whole.extend_from_slice(b",\"watched_by\":");
            whole.extend(serde_json::to_vec(&watched_by).unwrap_or_default());
        }
        whole.push(b'}');
        self.record.note_decision(seq, &whole);
    }
}
