//! Weaker annotations: fewer people asked, more of a value shown, a session that goes on.

use serde_json::{Value as Json, json};
use smol_str::SmolStr;

use super::tree::supposing;
use crate::annotations::Annotations;
use crate::decision::{Approvals, HoldSpec};
use crate::mask;

/// A rule whose annotations, and conditions where they go with them, were changed.
pub(super) struct Noted {
    pub(super) rule: Json,
    pub(super) what: String,
}

/// Every weaker rule that differs by what one annotation asks for.
pub(super) fn weaker(rule: &Json, annotations: &Annotations) -> Vec<Noted> {
    let mut found = Vec::new();
    if let Some(hold) = &annotations.hold {
        fewer(rule, hold, &mut found);
        let asked = hold.groups.iter().map(|approvals| &approvals.group);
        if hold.groups.len() > 1 {
            found.extend(asked.filter_map(|group| without_asking(rule, hold, group)));
        }
        if hold.watch.len() > 1 {
            found.extend(hold.watch.iter().filter_map(|group| without_watcher(rule, hold, group)));
        }
    }
    if let Some(strategy) = &annotations.mask
        && let Some(next) = mask::next_weaker(strategy)
    {
        let what = format!("masked by `{next}` instead of `{strategy}`");
        found.push(noted(rule, &[("mask", Some(next))], what));
    }
    if annotations.ends_session {
        found.push(noted(rule, &[("ends", None)], "without ending the session".to_owned()));
    }
    found
}

fn fewer(rule: &Json, hold: &HoldSpec, found: &mut Vec<Noted>) {
    for (at, approvals) in hold.groups.iter().enumerate().filter(|(_, a)| a.count > 1) {
        let mut groups = hold.groups.clone();
        let count = approvals.count - 1;
        if let Some(place) = groups.get_mut(at) {
            place.count = count;
        }
        let what = format!("asking {count} instead of {} of `{}`", approvals.count, approvals.group);
        found.push(noted(rule, &asking(&groups), what));
    }
}

fn without_asking(rule: &Json, hold: &HoldSpec, group: &SmolStr) -> Option<Noted> {
    let groups: Vec<Approvals> = hold.groups.iter().filter(|a| a.group != *group).cloned().collect();
    let what = format!("without asking `{group}`");
    let mut noted = noted(rule, &asking(&groups), what);
    suppose(&mut noted.rule, "approved_by", group).then_some(noted)
}

fn without_watcher(rule: &Json, hold: &HoldSpec, group: &SmolStr) -> Option<Noted> {
    let rest: Vec<&str> = hold.watch.iter().filter(|w| *w != group).map(SmolStr::as_str).collect();
    let what = format!("without anybody of `{group}` to watch");
    let mut noted = noted(rule, &[("moderate", Some(rest.join(",").into()))], what);
    suppose(&mut noted.rule, "watched_by", group).then_some(noted)
}

/// The annotations that ask these groups.
fn asking(groups: &[Approvals]) -> [(&'static str, Option<SmolStr>); 2] {
    let each: Vec<String> = groups.iter().map(|a| format!("{}:{}", a.group, a.count)).collect();
    [("hold", Some(each.join(",").into())), ("approvals", None)]
}

fn noted(rule: &Json, changes: &[(&str, Option<SmolStr>)], what: String) -> Noted {
    let mut rule = rule.clone();
    if let Some(annotations) = rule.get_mut("annotations").and_then(Json::as_object_mut) {
        for (key, value) in changes {
            match value {
                Some(value) => annotations.insert((*key).to_owned(), json!(value)),
                None => annotations.remove(*key),
            };
        }
    }
    Noted { rule, what }
}

/// The conditions as if people of the group were always there; false when that makes no difference, because the rule asks in
/// a way that is not known here.
fn suppose(rule: &mut Json, attribute: &str, group: &str) -> bool {
    let Some(conditions) = rule.get_mut("conditions").and_then(Json::as_array_mut) else {
        return false;
    };
    let before = conditions.clone();
    let each = std::mem::take(conditions);
    for mut condition in each {
        let body = condition.get("body").and_then(|body| supposing(body, attribute, group));
        // What always holds says nothing, as a `when`; as an `unless` it would undo the rule, and stays as it was.
        let is_when = condition.get("kind").is_some_and(|kind| kind == "when");
        match (body, is_when) {
            (Some(body), _) => {
                if let Some(place) = condition.get_mut("body") {
                    *place = body;
                }
                conditions.push(condition);
            }
            (None, true) => {}
            (None, false) => conditions.push(condition),
        }
    }
    *conditions != before
}
