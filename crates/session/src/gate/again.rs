//! What was permitted is judged again when another policy is in force.

use std::collections::BTreeSet;

use sallyport_policy::{Outcome, Situation};
use time::OffsetDateTime;

use super::Gate;
use super::watched::unwatched;
use crate::command::Command;
use crate::refusal::Refusal;

impl Gate {
    /// The session begins with this command, the first that is asked.
    pub(crate) fn admits(&mut self, command: Command) {
        self.admission = Some(command);
    }

    /// Whether the session may still be, under the policy in force.
    pub(crate) fn reconsider_session(&self) -> Option<Refusal> {
        const FIRST: u64 = 1;
        self.admission
            .as_ref()
            .and_then(|command| self.reconsider(FIRST, command))
    }

    /// Whether a command that runs would still be permitted, with the approvals that it had: the refusal if not.
    pub(crate) fn reconsider(&self, seq: u64, command: &Command) -> Option<Refusal> {
        let approved_by = self.granted.get(&seq).into_iter().flatten().cloned().collect();
        let situation = Situation {
            approved_by,
            ..self.situation()
        };
        let (subject, target) = (&self.standing.subject, &self.standing.target);
        let decision = self.bundle.decide(subject, target, &command.shape.acts, &situation);
        (decision.outcome != Outcome::Allow).then(|| unwatched(&decision, self.refusal(command, &decision)))
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
