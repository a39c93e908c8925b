//! Differences in plain sentences.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::change::Kind;
use super::finding::Found;
use crate::act::{ActionName, Subject, SubjectKind, Value};
use crate::bundle::Bundle;
use crate::schema::name_of;
use crate::search::SOMEBODY;

/// The most names that a sentence lists.
const MOST_NAMES: usize = 6;

/// Where a difference is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Everywhere but in these environments.
    Outside(Vec<String>),
    Environment(String),
    /// On what has a tag, of one environment perhaps.
    Tag(Option<String>, String),
    Named(String),
}

impl Place {
    fn words(&self) -> String {
        match self {
            Self::Outside(names) if names.is_empty() => "on any target".to_owned(),
            Self::Outside(names) => format!("on targets outside {}", listed(names, "and")),
            Self::Environment(name) => format!("on `{name}` targets"),
            Self::Tag(None, tag) => format!("on targets tagged `{tag}`"),
            Self::Tag(Some(environment), tag) => format!("on `{environment}` targets tagged `{tag}`"),
            Self::Named(name) => format!("on `{name}`"),
        }
    }
}

/// Names in backticks; the last ones are counted if there are many.
pub(crate) fn listed<S: AsRef<str>>(names: &[S], last: &str) -> String {
    let mut quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    if quoted.len() > MOST_NAMES {
        let more = quoted.len() - MOST_NAMES + 1;
        quoted.truncate(MOST_NAMES - 1);
        quoted.push(format!("{more} more"));
    }
    match quoted.split_last() {
        Some((end, start)) if !start.is_empty() => format!("{} {last} {end}", start.join(", ")),
        Some((end, _)) => end.clone(),
        None => String::new(),
    }
}

/// The people whom a smallest request stands for.
pub(super) fn who(who: &Subject, outside: &[String], programs_too: bool) -> String {
    let program = who.kind == SubjectKind::Machine;
    let mut text = match (who.id.as_str(), who.groups.as_slice()) {
        (SOMEBODY, []) if program => "programs".to_owned(),
        (SOMEBODY, []) if programs_too => "anybody".to_owned(),
        (SOMEBODY, []) => "any person".to_owned(),
        (SOMEBODY, groups) if program => format!("programs of {}", listed(groups, "and")),
        (SOMEBODY, groups) => format!("members of {}", listed(groups, "and")),
        (id, []) if program => format!("the program `{id}`"),
        (id, []) => format!("`{id}`"),
        (id, groups) => format!("`{id}`, as a member of {},", listed(groups, "and")),
    };
    if !outside.is_empty() {
        text.push_str(&format!(" outside {}", listed(outside, "and")));
    }
    text
}

/// A fact that is not plain.
pub(super) fn condition(name: &str, value: Option<&Value>) -> String {
    match (name, value) {
        ("task", Some(Value::String(task))) => format!("for the task `{task}`"),
        ("approved_by", Some(Value::Entities(_, groups))) => {
            format!("with approval by {}", listed(&groups.iter().collect::<Vec<_>>(), "and"))
        }
        ("watched_by", Some(Value::Entities(_, groups))) => {
            format!("while {} watch", listed(&groups.iter().collect::<Vec<_>>(), "and"))
        }
        ("now", Some(value)) => format!("at {}", bare(value)),
        ("source", Some(value)) => format!("from {}", bare(value)),
        (_, None) => format!("without `{name}`"),
        (_, Some(Value::Bool(true))) => format!("when `{name}`"),
        (_, Some(Value::Strings(items) | Value::Entities(_, items))) => {
            format!("when `{name}` has {}", listed(&items.iter().collect::<Vec<_>>(), "and"))
        }
        (_, Some(value)) => format!("when `{name}` is {}", bare(value)),
    }
}

/// A plain fact that must stay so, where people would ask: the value is one with which the difference is gone.
pub(super) fn absence(name: &str, turning: Option<&Value>) -> Option<String> {
    match (name, turning) {
        ("task", Some(_)) => Some("without a task".to_owned()),
        ("approved_by", Some(Value::Entities(_, groups))) => {
            let groups: Vec<&SmolStr> = groups.iter().collect();
            Some(format!("without approval by {}", listed(&groups, "and")))
        }
        ("watched_by", Some(_)) => Some("while nobody watches".to_owned()),
        _ => None,
    }
}

/// A value as JSON, without its type.
pub(crate) fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Long(value) => (*value).into(),
        Value::String(text) | Value::Entity(_, text) => text.as_str().into(),
        Value::Strings(items) | Value::Entities(_, items) => items.iter().map(SmolStr::as_str).collect(),
        Value::Ip(address) => address.to_string().into(),
        Value::Time(_) => bare(value).into(),
    }
}

fn bare(value: &Value) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    match value {
        Value::Time(time) => time.format(format).unwrap_or_default(),
        Value::Ip(address) => address.to_string(),
        Value::String(text) | Value::Entity(_, text) => format!("`{text}`"),
        Value::Bool(_) | Value::Long(_) | Value::Strings(_) | Value::Entities(..) => plain(value).to_string(),
    }
}

/// `Sql::delete`.
pub(crate) fn short(action: &ActionName) -> String {
    match action.namespace.as_str() {
        "" => action.name.to_string(),
        namespace => format!("{namespace}::{}", action.name),
    }
}

/// Actions, as groups where these have no other members, the largest first.
pub(crate) fn actions(actions: &BTreeSet<ActionName>, schema: &Bundle) -> String {
    let mut groups = groups(schema);
    if let Some(words) = all_but(actions, &groups) {
        return words;
    }
    groups.retain(|(_, members)| members.is_subset(actions));
    groups.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    let (mut left, mut names) = (actions.clone(), Vec::new());
    for (name, members) in groups {
        if members.iter().all(|member| left.contains(member)) {
            left.retain(|action| !members.contains(action));
            names.push(short(&name));
        }
    }
    names.extend(left.iter().map(short));
    listed(&names, "and")
}

/// The groups of actions with the actions in them, of those with more than one.
fn groups(schema: &Bundle) -> Vec<(ActionName, BTreeSet<ActionName>)> {
    let rules = schema.rules();
    let validator: &cedar_policy_core::validator::ValidatorSchema = rules.schema.as_ref().as_ref();
    let mut groups = Vec::new();
    for id in validator.action_ids() {
        let below = id.descendants().map(|uid| name_of(&uid.clone().into()));
        let members: BTreeSet<ActionName> = below.filter(|name| rules.bucket_of(name).is_some()).collect();
        if members.len() > 1 {
            groups.push((name_of(&id.name().clone().into()), members));
        }
    }
    groups
}

/// One group without those that are in another, where that is all.
fn all_but(actions: &BTreeSet<ActionName>, groups: &[(ActionName, BTreeSet<ActionName>)]) -> Option<String> {
    let mut whole = groups
        .iter()
        .filter(|(_, members)| actions.len() > 1 && actions.is_subset(members));
    whole.find_map(|(name, members)| {
        let rest: BTreeSet<&ActionName> = members.difference(actions).collect();
        let is_rest = |(_, others): &&(ActionName, BTreeSet<ActionName>)| {
            !rest.is_empty() && members.intersection(others).eq(rest.iter().copied())
        };
        let (but, _) = groups.iter().find(is_rest)?;
        Some(format!("`{}` but for `{}`", short(name), short(but)))
    })
}

pub(super) fn sentence(found: &Found, schema: &Bundle) -> String {
    let (who, place) = (&found.who, found.place.words());
    let mut tail = format!(" {place}");
    for condition in &found.conditions {
        tail.push_str(&format!(", {condition}"));
    }
    let (before, after) = (&found.change.before, &found.change.after);
    if found.reveals {
        let class = found
            .class
            .as_ref()
            .map_or_else(|| "any class".to_owned(), |class| format!("`{class}`"));
        return format!("{class} is now {after} for {who}{tail} (was {before})");
    }
    let connects = found.actions.iter().eq([&ActionName::connect()]);
    let verb = if connects {
        "connect".to_owned()
    } else {
        format!("run {}", actions(&found.actions, schema))
    };
    let many = ["members", "programs"].iter().any(|word| who.starts_with(word));
    let (s, are) = if many { ("", "are") } else { ("s", "is") };
    let (keep, lose) = if many { ("keep", "lose") } else { ("keeps", "loses") };
    let tries = if many { "try" } else { "tries" };
    match found.change.kind {
        Kind::NewlyAllowed => format!("{who} may now {verb}{tail} (was {before})"),
        Kind::NoLongerHeld => format!("{who} may now {verb}{tail} without waiting (was {before})"),
        Kind::RefusedToHeld => format!("{who} may now ask to {verb}{tail}: {after} (was {before})"),
        Kind::OtherReviewers => format!("when {who} want{s} to {verb}{tail}, it is now {after} (was {before})"),
        Kind::NewlyRefused => format!("{who} may no longer {verb}{tail} (was {before})"),
        Kind::NewlyHeld => format!("{who} now wait{s} to {verb}{tail}: {after} (was {before})"),
        Kind::HeldToRefused => format!("{who} may no longer ask to {verb}{tail}: {after} (was {before})"),
        Kind::SessionGoesOn => format!("{who} who {tries} to {verb}{tail} now {keep} the session (was {before})"),
        Kind::SessionEnds => format!("{who} who {tries} to {verb}{tail} now {lose} the session (was {before})"),
        Kind::RolesGained | Kind::RolesLost => format!("{who} who {verb}{s}{tail} {are} now {after} (was {before})"),
        Kind::WeakerMasks
        | Kind::StrongerMasks
        | Kind::LessClassified
        | Kind::MoreClassified
        | Kind::TrustedCode
        | Kind::DistrustedCode
        | Kind::Observing
        | Kind::Targets => format!("{who}, {verb}{tail}: now {after} (was {before})"),
    }
}
