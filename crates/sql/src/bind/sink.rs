//! Code of users that runs because a relation is read or written.

use std::sync::Arc;

use smol_str::SmolStr;

use super::Binder;
use super::dml::Event;
use crate::catalog::{Follower, Relation};
use crate::facts::{ColumnName, Hazard};

impl Binder<'_> {
    /// The rules for an event, and the row security policies, that call users' code.
    pub(super) fn attached_code(&mut self, relation: &Relation, event: char) {
        for rule in relation.rules.iter().filter(|r| r.event == event) {
            self.facts
                .code
                .insert(SmolStr::new(format!("rule {}.{}", relation.name, rule.name)));
        }
        if relation.row_security {
            for policy in relation.attached.iter().filter(|c| c.kind == "policy") {
                self.run_code(policy.function);
            }
        }
    }

    /// Columns of the server's views that hold data of tables, or texts of statements.
    pub(super) fn revealing_columns(&mut self) {
        let reveals = |c: &ColumnName| match c.relation.name.as_str() {
            "pg_stats" | "pg_stats_ext" | "pg_stats_ext_exprs" => {
                matches!(
                    c.column.as_str(),
                    "most_common_vals" | "histogram_bounds" | "most_common_elems" | "range_bounds_histogram"
                )
            }
            "pg_statistic" | "pg_statistic_ext_data" => {
                c.column.starts_with("stavalues") || c.column.starts_with("stxd")
            }
            "pg_stat_activity" | "pg_stat_statements" => c.column == "query",
            "pg_prepared_statements" | "pg_cursors" => c.column == "statement",
            "pg_backend_memory_contexts" => true,
            _ => false,
        };
        if self.facts.uses.iter().any(|u| reveals(&u.column)) {
            self.hazard(Hazard::Statistics);
        }
    }

    /// Triggers, rules, checks, defaults and indexes of a relation, its children, and the tables
    /// whose foreign keys follow it.
    pub(super) fn written_code(&mut self, relation: &Arc<Relation>, event: Event) {
        let mut seen: Vec<(u32, Event)> = vec![(relation.id, event)];
        let mut next = 0;
        self.code_of_writing(relation, event);
        while let Some(&(id, event)) = seen.get(next) {
            next += 1;
            let followers = self.names.catalog.inner.followers.get(&id).into_iter().flatten();
            let reached: Vec<(u32, Event)> = followers
                .filter_map(|f| Some((f.relation, f.event_after(event)?)))
                .collect();
            for (id, event) in reached {
                let Some(follower) = self.names.catalog.inner.relations.get(&id).cloned() else {
                    continue;
                };
                if relation.id != 0 && !seen.contains(&(id, event)) {
                    seen.push((id, event));
                    self.facts.writes.insert(follower.name.clone());
                    self.code_of_writing(&follower, event);
                }
            }
        }
    }

    fn code_of_writing(&mut self, relation: &Arc<Relation>, event: Event) {
        let mut family = self.descendants(relation);
        family.push(Arc::clone(relation));
        for member in family {
            self.attached_code(&member, event.rule());
            for trigger in member.triggers.iter().filter(|t| t.bits & event.trigger_bit() != 0) {
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

impl Follower {
    /// What happens to the referencing table when the referenced one sees this event.
    fn event_after(&self, event: Event) -> Option<Event> {
        let action = match event {
            Event::Delete => self.on_delete,
            Event::Update => self.on_update,
            Event::Insert | Event::Truncate => return None,
        };
        match action {
            'c' if event == Event::Delete => Some(Event::Delete),
            'c' | 'n' | 'd' => Some(Event::Update),
            _ => None,
        }
    }
}
