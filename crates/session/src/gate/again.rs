//! What was permitted is judged again when another policy is in force.

use std::collections::BTreeSet;

use sallyport_policy::{Decision, Outcome, Situation};
use smol_str::SmolStr;
use time::OffsetDateTime;

use super::Gate;
use super::watched::unwatched;
use crate::command::Command;
use crate::refusal::{Reason, Refusal};

impl Gate {
    /// The session begins with this command, the first that is asked.
    pub(crate) fn admits(&mut self, command: Command) {
        self.admission = Some(command);
    }

    /// The roles at the target that the session gets, if it has a role of its own there.
    pub(crate) fn grants(&self) -> &BTreeSet<SmolStr> {
        &self.grants
    }

    /// What the session gets is decided with what lets it begin.
    pub(super) fn grant(&mut self, command: &Command, decision: &Decision) {
        let admits = |first: &Command| first.shape.id == command.shape.id;
        if self.admission.as_ref().is_some_and(admits) {
            self.grants.clone_from(&decision.grants);
        }
    }

    /// Whether the session may still be, under the policy in force, with what it was given.
    pub(crate) fn reconsider_session(&self) -> Option<Refusal> {
        const FIRST: u64 = 1;
        let command = self.admission.as_ref()?;
        let decision = self.again(FIRST, command);
        if decision.outcome == Outcome::Allow && !self.grants.is_subset(&decision.grants) {
            let message = "the policy does not grant any more what this session was given at the target";
            return Some(Refusal::new(Reason::Denied, message).with_hint("connect again"));
        }
        self.still(command, &decision)
    }

    /// Whether a command that runs would still be permitted, with the approvals that it had: the refusal if not.
    pub(crate) fn reconsider(&self, seq: u64, command: &Command) -> Option<Refusal> {
        self.still(command, &self.again(seq, command))
    }

    fn still(&self, command: &Command, decision: &Decision) -> Option<Refusal> {
        (decision.outcome != Outcome::Allow).then(|| unwatched(decision, self.refusal(command, decision)))
    }

    fn again(&self, seq: u64, command: &Command) -> Decision {
        let approved_by = self.granted.get(&seq).into_iter().flatten().cloned().collect();
        let situation = Situation {
            approved_by,
            ..self.situation()
        };
        let (subject, target) = (&self.standing.subject, &self.standing.target);
        self.bundle.decide(subject, target, &command.shape.acts, &situation)
    }

    /// How things stand now, without any approval.
    pub(super) fn situation(&self) -> Situation {
        Situation {
            task: self.standing.task.clone(),
            now: OffsetDateTime::now_utc(),
            source: self.standing.source,
            approved_by: BTreeSet::new(),
            watched_by: self.audience().watched_by(),
        }
    }
}
