//! The requests that a property speaks of, as a Cedar rule that permits exactly them: so one language, one validator
//! and one evaluation serve rules and properties.

use std::str::FromStr;

use super::file::{FILE, Property, Raw};
use crate::act::{ActionName, SubjectKind};
use crate::bundle::Bundle;
use crate::files::Files;
use crate::problem::Problem;
use crate::schema::uid_of;

/// A bundle that allows what the property speaks of and nothing else.
pub(super) fn region(property: &Property, bundle: &Bundle) -> Result<Bundle, Vec<Problem>> {
    let rule = rule(property);
    let files: Files = [("rules/property.cedar".to_owned(), rule)].into();
    let text = bundle.file(FILE).unwrap_or_default();
    bundle.with_rules(&files).map_err(|problems| {
        let problem = |problem: Problem| {
            let message = format!("property `{}`: {}", property.raw.name, problem.message);
            Problem::at(FILE, text, property.span.clone(), message).with_help(problem.help)
        };
        problems.into_iter().map(problem).collect()
    })
}

fn rule(property: &Property) -> String {
    let raw = &property.raw;
    let principal = match raw.kind {
        None => "principal",
        Some(SubjectKind::User) => "principal is User",
        Some(SubjectKind::Machine) => "principal is Machine",
    };
    let (action, resource, place) = if property.reveals() {
        ("action == Action::\"reveal\"".to_owned(), "resource", "context.target")
    } else {
        (actions(raw), "resource is Target", "resource")
    };
    let mut rule = format!("@id(\"property\")\npermit ({principal}, {action}, {resource})\n");
    let within = [
        ("principal", "Group", raw.groups.all()),
        (place, "Target", raw.target.all()),
        (place, "Environment", raw.environment.all()),
        (place, "Tag", raw.tag.all()),
        ("resource", "Classification", raw.classes.all()),
    ];
    for (what, kind, names) in within {
        if !names.is_empty() {
            rule.push_str(&format!("when {{ {what} in [{}] }}\n", entities(kind, names)));
        }
    }
    let without = [
        (raw.without_approval, "context.approved_by.isEmpty()"),
        (raw.without_watcher, "context.watched_by.isEmpty()"),
        (raw.without_task, "!(context has task)"),
    ];
    for (_, condition) in without.iter().filter(|(wanted, _)| *wanted) {
        rule.push_str(&format!("when {{ {condition} }}\n"));
    }
    if !raw.unless_groups.all().is_empty() {
        let groups = entities("Group", raw.unless_groups.all());
        rule.push_str(&format!("unless {{ principal in [{groups}] }}\n"));
    }
    // Each on lines of its own, so that a comment at its end hides nothing.
    for (word, condition) in [("when", &raw.when), ("unless", &raw.unless)] {
        if let Some(condition) = condition {
            rule.push_str(&format!("{word} {{\n{condition}\n}}\n"));
        }
    }
    rule + ";\n"
}

fn actions(raw: &Raw) -> String {
    let names: Vec<String> = raw
        .actions
        .all()
        .iter()
        .map(|text| {
            let Ok(name) = ActionName::from_str(text);
            name.to_string()
        })
        .collect();
    if names.is_empty() {
        "action".to_owned()
    } else {
        format!("action in [{}]", names.join(", "))
    }
}

fn entities(kind: &str, names: &[String]) -> String {
    let list: Vec<String> = names
        .iter()
        .filter_map(|name| uid_of(kind, name))
        .map(|uid| uid.to_string())
        .collect();
    list.join(", ")
}
