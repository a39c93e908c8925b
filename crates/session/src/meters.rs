//! What the spine counts for Prometheus. Handles are taken once per session, so a command costs a few additions.

use std::time::Instant;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use sallyport_policy::{Decision, Outcome};

use crate::driver::Ending;

/// The meters of one session's gate.
pub(crate) struct Meters {
    allowed: Counter,
    denied: Counter,
    held: Counter,
    observed_denied: Counter,
    observed_held: Counter,
    approved: Counter,
    refused: Counter,
    decision: Histogram,
    holds: Gauge,
}

impl Meters {
    pub(crate) fn of(target: &str) -> Self {
        let commands =
            |outcome| counter!("sallyport_commands_total", "target" => target.to_owned(), "outcome" => outcome);
        let observed = |outcome| counter!("sallyport_commands_observed_total", "target" => target.to_owned(), "outcome" => outcome);
        let holds = |outcome| counter!("sallyport_holds_total", "target" => target.to_owned(), "outcome" => outcome);
        Self {
            allowed: commands("allow"),
            denied: commands("deny"),
            held: commands("hold"),
            observed_denied: observed("deny"),
            observed_held: observed("hold"),
            approved: holds("approved"),
            refused: holds("refused"),
            decision: histogram!("sallyport_decision_seconds"),
            holds: gauge!("sallyport_holds_open"),
        }
    }

    /// A command was decided.
    pub(crate) fn command(&self, decision: &Decision) {
        match decision.outcome {
            Outcome::Allow => &self.allowed,
            Outcome::Deny => &self.denied,
            Outcome::Hold => &self.held,
        }
        .increment(1);
        match decision.observed.as_ref().map(|observed| observed.outcome) {
            Some(Outcome::Deny) => self.observed_denied.increment(1),
            Some(Outcome::Hold) => self.observed_held.increment(1),
            Some(Outcome::Allow) | None => {}
        }
    }

    /// A hold ended.
    pub(crate) fn hold_ended(&self, approved: bool) {
        if approved { &self.approved } else { &self.refused }.increment(1);
    }

    /// A decision was made that was not remembered.
    pub(crate) fn decided(&self, since: Instant) {
        self.decision.record(since.elapsed());
    }

    /// One more hold is open, until the value is dropped.
    pub(crate) fn hold(&self) -> Open {
        Open::new(self.holds.clone())
    }
}

/// Counts something as open until it is dropped.
pub(crate) struct Open(Gauge);

impl Open {
    fn new(gauge: Gauge) -> Self {
        gauge.increment(1);
        Self(gauge)
    }

    /// One more session is open.
    pub(crate) fn session(target: &str) -> Self {
        Self::new(gauge!("sallyport_sessions_open", "target" => target.to_owned()))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// What the first words of a connection came to.
pub(crate) fn handshake(outcome: &'static str) {
    counter!("sallyport_handshakes_total", "outcome" => outcome).increment(1);
}

/// A session is over.
pub(crate) fn session_over(target: &str, ending: &Ending) {
    let ending = match ending {
        Ending::Client => "client",
        Ending::Target => "target",
        Ending::Gateway(_) => "gateway",
        Ending::Broken(_) => "broken",
    };
    counter!("sallyport_sessions_total", "target" => target.to_owned(), "ending" => ending).increment(1);
}
