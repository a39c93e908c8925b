//! Why an act is decided as it is: every rule that is about its action, and what it came to.

use std::collections::BTreeMap;

use cedar_policy::Effect;
use serde::Serialize;
use smol_str::SmolStr;

use crate::act::{Act, Situation, Value};
use crate::decision::RuleId;
use crate::rules::Rule;
use crate::standing::Standing;

/// What a rule came to for one act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Came {
    /// It applies: it permits or forbids.
    Applies,
    /// It is about other principals.
    OtherPrincipal,
    /// It is about other places.
    OtherResource,
    /// Its condition does not hold.
    ConditionFails,
    /// It would apply, and only observes.
    Observes,
    /// It cannot be evaluated, so that the act is refused.
    Broken,
}

/// One rule that is about an act's action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// The rule.
    pub rule: RuleId,
    /// Whether it permits; otherwise it forbids.
    pub permits: bool,
    /// What it came to.
    pub came: Came,
    /// What its condition reads, as it was here.
    pub reads: BTreeMap<SmolStr, String>,
    /// The rule's text.
    pub text: String,
}

impl Standing {
    /// Every rule that is about the act's action, in the order of the bundle.
    ///
    /// # Errors
    /// When policy does not know the action, or the act cannot be expressed.
    pub fn consider(&self, act: &Act, situation: &Situation) -> Result<Vec<Considered>, String> {
        let (bucket, verdict) = self.verdict(act, situation)?;
        let considered = bucket.iter().filter_map(|at| Some((*at, self.rule(*at)?)));
        Ok(considered
            .map(|(at, rule)| Considered {
                rule: rule.id.clone(),
                permits: rule.policy.effect() == Effect::Permit,
                came: self.came(at, rule, &verdict),
                reads: reads(rule, act, situation),
                text: rule.policy.to_string(),
            })
            .collect())
    }

    fn came(&self, at: usize, rule: &Rule, verdict: &crate::narrow::Verdict) -> Came {
        if verdict.observed.contains(&at) || verdict.observed_broken.contains(&at) {
            Came::Observes
        } else if verdict.broken.contains(&at) {
            Came::Broken
        } else if verdict.forbids.contains(&at) || verdict.permits.contains(&at) {
            Came::Applies
        } else if !self.is_principal(rule) {
            Came::OtherPrincipal
        } else if !self.is_place(rule) {
            Came::OtherResource
        } else {
            Came::ConditionFails
        }
    }
}

/// What a rule reads of an act and its situation, in words.
fn reads(rule: &Rule, act: &Act, situation: &Situation) -> BTreeMap<SmolStr, String> {
    let mut read = BTreeMap::new();
    for (name, value) in act.context.iter().filter(|(name, _)| rule.reads.has(name)) {
        read.insert(name.clone(), words(value));
    }
    let groups = |groups: &std::collections::BTreeSet<String>| list(groups.iter().map(String::as_str));
    let situated = [
        ("task", situation.task.clone()),
        ("source", situation.source.map(|source| source.to_string())),
        ("now", Some(situation.now.to_string())),
        ("approved_by", Some(groups(&situation.approved_by))),
        ("watched_by", Some(groups(&situation.watched_by))),
    ];
    for (name, value) in situated.into_iter().filter(|(name, _)| rule.reads.has(name)) {
        read.insert(name.into(), value.unwrap_or_else(|| "absent".to_owned()));
    }
    read
}

/// A fact's value in words.
fn words(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::String(text) => format!("{text:?}"),
        Value::Strings(items) | Value::Entities(_, items) => list(items.iter().map(SmolStr::as_str)),
        Value::Entity(_, id) => id.to_string(),
        Value::Ip(address) => address.to_string(),
        Value::Time(time) => time.to_string(),
    }
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}
