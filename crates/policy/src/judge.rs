//! A whole command before a bundle: what it does, and what its result shows.

use serde::Serialize;
use smol_str::SmolStr;

use crate::act::{Act, Resource, Situation, Subject};
use crate::bundle::Bundle;
use crate::decision::{Decision, Lifetime, Outcome, Reveal, View};

/// What is known of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Meaning {
    /// What it does; each act must be allowed.
    pub acts: Vec<Act>,
    /// The classes of what its result may show: none of them may be withheld.
    pub shows: Vec<SmolStr>,
    /// The classes of values that its result may carry where none can be masked: each must be seen in the clear.
    pub carries: Vec<SmolStr>,
    /// It was understood, and nothing in it runs.
    pub empty: bool,
    /// What the parser said of a command that it does not understand.
    pub unparsed: Option<String>,
}

/// A command that does this, and shows nothing.
impl From<Vec<Act>> for Meaning {
    fn from(acts: Vec<Act>) -> Self {
        Self {
            acts,
            ..Self::default()
        }
    }
}

impl Bundle {
    /// Decides a command as a gateway does: its acts, and what its result shows.
    #[must_use]
    pub fn judge(&self, who: &Subject, target: &Resource, command: &Meaning, situation: &Situation) -> Decision {
        if command.empty {
            return Decision {
                outcome: Outcome::Allow,
                message: None,
                ..Decision::refused("", Lifetime::Forever)
            };
        }
        let decision = self.decide(who, target, &command.acts, situation);
        if decision.outcome != Outcome::Allow {
            return decision;
        }
        let shown = command.shows.iter().map(|class| (class, false));
        let carried = command.carries.iter().map(|class| (class, true));
        for (class, in_the_clear) in shown.chain(carried) {
            let disclosure = self.reveal(who, target, class, View::Plain, situation);
            let refused = match disclosure.reveal {
                Reveal::Clear => false,
                Reveal::Mask(_) => in_the_clear,
                Reveal::Withhold => true,
            };
            if refused {
                let why = if in_the_clear { ", which cannot be masked" } else { "" };
                let cache = decision.cache.and(disclosure.cache);
                let message = format!("the result carries `{class}` data{why}");
                return Decision {
                    rules: disclosure.rules,
                    ..Decision::refused(message, cache)
                };
            }
        }
        decision
    }
}
