//! Which facts the rules read: what a cached decision depends on, and what nobody has to find out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use smol_str::SmolStr;

use crate::act::ActionName;

/// The context attributes that something reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// The context is used as a whole: any attribute may matter.
    everything: bool,
    attributes: BTreeSet<SmolStr>,
}

impl Reads {
    pub(crate) fn has(&self, attribute: &str) -> bool {
        self.everything || self.attributes.contains(attribute)
    }

    /// As if something read all of it.
    pub(crate) fn all() -> Self {
        Self {
            everything: true,
            attributes: BTreeSet::new(),
        }
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.everything |= other.everything;
        self.attributes.extend(other.attributes.iter().cloned());
    }

    /// What a rule reads, from its JSON form. A use of `context` that is not an attribute access or a `has`
    /// counts as reading everything.
    pub(crate) fn of_rule(rule: &Json) -> Self {
        let mut reads = Self::default();
        reads.walk(rule);
        reads
    }

    fn walk(&mut self, node: &Json) {
        match node {
            Json::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Json::Object(fields) => {
                for (key, value) in fields {
                    if matches!(key.as_str(), "." | "has") && self.note_access(value) {
                        continue;
                    }
                    if key == "Var" && value == "context" {
                        self.everything = true;
                    }
                    self.walk(value);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }

    /// Notes `{"left": {"Var": "context"}, "attr": …}`; false when it is another access.
    fn note_access(&mut self, access: &Json) -> bool {
        let on_context = access
            .get("left")
            .and_then(|left| left.get("Var"))
            .is_some_and(|var| var == "context");
        match access.get("attr") {
            Some(Json::String(name)) if on_context => {
                self.attributes.insert(name.into());
                true
            }
            // `context has a.b` lists the path; only its first step is an attribute of the context.
            Some(Json::Array(path)) if on_context => match path.first() {
                Some(Json::String(name)) => {
                    self.attributes.insert(name.into());
                    true
                }
                Some(_) | None => false,
            },
            Some(_) | None => false,
        }
    }
}

/// What the rules of a bundle read from the facts and the situation, per action.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    by_action: BTreeMap<ActionName, Reads>,
}

impl Needs {
    pub(crate) fn new(by_action: BTreeMap<ActionName, Reads>) -> Self {
        Self { by_action }
    }

    /// Whether any rule reads this attribute of the context, on whatever action.
    #[must_use]
    pub fn reads(&self, attribute: &str) -> bool {
        self.by_action.values().any(|reads| reads.has(attribute))
    }

    /// Whether any rule that can apply to this action reads this attribute.
    #[must_use]
    pub fn reads_on(&self, action: &ActionName, attribute: &str) -> bool {
        self.by_action.get(action).is_some_and(|reads| reads.has(attribute))
    }

    /// Whether any rule reads one of these attributes, on whatever action.
    #[must_use]
    pub fn reads_any(&self, attributes: &[&str]) -> bool {
        attributes.iter().any(|attribute| self.reads(attribute))
    }

    /// Whether any rule reads the time.
    #[must_use]
    pub fn time(&self) -> bool {
        self.reads("now")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use cedar_policy::Policy;

    fn reads(text: &str) -> Reads {
        Reads::of_rule(&Policy::parse(None, text).unwrap().to_json().unwrap())
    }

    #[test]
    fn attributes_are_found_wherever_they_stand() {
        let found = reads(
            r#"forbid (principal, action, resource) when {
                 context has task && context.task like "OPS-*" && principal.id == "x"
                 && (if context.now < datetime("2027-01-01") then context["tool"] == "a" else [context.a].contains(1))
               } unless { context.approved_by.contains(Group::"dba") && context.deep.er == 1 };"#,
        );
        let names: Vec<&str> = found.attributes.iter().map(SmolStr::as_str).collect();
        assert_eq!(names, ["a", "approved_by", "deep", "now", "task", "tool"]);
        assert!(!found.everything);
    }

    #[test]
    fn the_context_as_a_whole_is_everything() {
        assert!(reads("permit (principal, action, resource) when { context == {a: 1} };").has("anything"));
        assert!(reads("permit (principal, action, resource) when { {c: context}.c.now == 1 };").has("now"));
        assert!(!reads("permit (principal, action, resource) when { \"context\" == \"now\" };").has("now"));
    }

    #[test]
    fn a_path_after_has_counts_its_first_step() {
        assert!(reads("permit (principal, action, resource) when { context has a.b };").has("a"));
    }
}
