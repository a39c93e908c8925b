//! Code of users that runs because a relation is read or written.

use std::sync::Arc;

use smol_str::SmolStr;

use super::Binder;
use super::dml::Event;
use crate::catalog::Relation;

impl Binder<'_> {
    /// The rules for an event, and the row security policies, that call users' code.
    pub(super) fn attached_code(&mut self, relation: &Relation, event: char) {
        for rule in relation.rules.iter().filter(|r| r.event == event) {
            self.facts.code.insert(SmolStr::new(format!(
                "rule {}.{}",
                relation.name, rule.name
            )));
        }
        if relation.row_security {
            for policy in relation.attached.iter().filter(|c| c.kind == "policy") {
                self.run_code(policy.function);
            }
        }
    }

    /// Triggers, rules, checks, defaults and indexes of a relation and its children.
    pub(super) fn written_code(&mut self, relation: &Arc<Relation>, event: Event) {
        let mut family = self.descendants(relation);
        family.push(Arc::clone(relation));
        for member in family {
            self.attached_code(&member, event.rule());
            for trigger in member
                .triggers
                .iter()
                .filter(|t| t.bits & event.trigger_bit() != 0)
            {
                self.run_code(trigger.function);
            }
            let applies = |kind: &str| match event {
                Event::Insert | Event::Update => matches!(kind, "check" | "default" | "index"),
                Event::Delete | Event::Truncate => false,
            };
            for code in member.attached.iter().filter(|c| applies(&c.kind)) {
                self.run_code(code.function);
            }
        }
    }
}
