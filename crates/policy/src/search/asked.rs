//! A whole request and what a bundle answers to it.

use std::collections::BTreeMap;

use serde::Serialize;
use smol_str::SmolStr;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::act::{Act, ActionName, Resource, Situation, Subject, Value};
use crate::bundle::Bundle;
use crate::decision::{Decision, Disclosure, View};

/// When nothing else is asked for: noon of a Monday.
pub(crate) const NOON: OffsetDateTime = datetime!(2026-01-05 12:00 UTC);

/// One request: somebody who wants to do something, or a value that would be shown to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Who.
    pub who: Subject,
    /// Where.
    pub target: Resource,
    /// What.
    pub action: ActionName,
    /// Of which class a value would be shown; `Some` exactly for `reveal`.
    pub class: Option<SmolStr>,
    /// Everything in the context by name: the facts that the schema declares, `task`, `now` and so on.
    pub facts: BTreeMap<SmolStr, Value>,
}

/// What a bundle says to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a command.
    Decision(Decision),
    /// To the question how a value is shown.
    Disclosure(Disclosure),
}

impl Asked {
    /// The act by itself.
    #[must_use]
    pub fn act(&self) -> Act {
        let ours = |name: &str| matches!(name, "task" | "now" | "source" | "approved_by" | "watched_by");
        let facts = self.facts.iter().filter(|(name, _)| !ours(name));
        let list: Vec<(SmolStr, Value)> = facts.map(|(name, value)| (name.clone(), value.clone())).collect();
        Act::new(self.action.clone(), list)
    }

    /// What is around the act.
    #[must_use]
    pub fn situation(&self) -> Situation {
        let groups = |name: &str| match self.facts.get(name) {
            Some(Value::Entities(_, ids)) => ids.iter().map(ToString::to_string).collect(),
            _ => std::collections::BTreeSet::new(),
        };
        let mut situation = Situation::at(NOON);
        if let Some(Value::String(task)) = self.facts.get("task") {
            situation.task = Some(task.to_string());
        }
        if let Some(Value::Time(now)) = self.facts.get("now") {
            situation.now = *now;
        }
        if let Some(Value::Ip(source)) = self.facts.get("source") {
            situation.source = Some(*source);
        }
        situation.approved_by = groups("approved_by");
        situation.watched_by = groups("watched_by");
        situation
    }

    /// Asks a bundle, for which the target may be another one by the same name.
    #[must_use]
    pub fn ask(&self, bundle: &Bundle, target: &Resource) -> Answer {
        let situation = self.situation();
        match &self.class {
            Some(class) => {
                let full = self.facts.get("full_screen") == Some(&Value::Bool(true));
                let view = if full { View::FullScreen } else { View::Plain };
                Answer::Disclosure(bundle.reveal(&self.who, target, class, view, &situation))
            }
            None => Answer::Decision(bundle.decide(&self.who, target, &[self.act()], &situation)),
        }
    }
}
