//! What of a bundle only observes.

use smol_str::SmolStr;

use crate::bundle::Bundle;
use crate::decision::RuleId;
use crate::problem::Problem;

/// The rules and targets that are not enforced: what they would refuse or hold is noted, and goes on.
#[derive(Debug, Clone, Default)]
pub struct Observing {
    /// Rules with `@enforce("false")`, in the order of their files.
    pub rules: Vec<RuleId>,
    /// Targets with `enforce = false`, by name.
    pub targets: Vec<SmolStr>,
    /// A sentence for each of them, with its place: something to know about, not a mistake.
    pub notes: Vec<Problem>,
}

impl Observing {
    /// Whether everything is enforced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.targets.is_empty()
    }
}

impl Bundle {
    /// What only observes.
    #[must_use]
    pub fn observing(&self) -> Observing {
        let mut observing = Observing::default();
        for rule in self.rules().rules.iter().filter(|rule| rule.annotations.observes) {
            let message = format!("rule `{}` only observes: what it would refuse or hold goes on", rule.id);
            observing.rules.push(rule.id.clone());
            observing.notes.push(rule.remark(self.all_files(), message));
        }
        for (name, note) in self.places().observing(self.all_files()) {
            observing.targets.push(name.clone());
            observing.notes.push(note);
        }
        observing
    }
}
