//! Mutants: the bundle with one thing changed that some case should notice. A rule that can be weakened without a
//! failing case is a rule that somebody can weaken without anybody seeing it.
//!
//! Mutants are made on Cedar's own tree (the JSON form of a rule), and only those are given that would load as a bundle.
//! They keep the digest of the bundle that they were made from, and are never to be put in force.

mod notes;
mod scope;
mod survivors;
mod tree;

use std::sync::Arc;

use cedar_policy::{Effect, Validator};
use serde_json::{Value as Json, json};
use smol_str::SmolStr;

use self::scope::Actions;
use self::tree::Aim;
use crate::bundle::Bundle;
use crate::classify_file::Cut;
use crate::decision::RuleId;
use crate::problem::Problem;
use crate::rules::Rule;

pub use survivors::{Mutation, Survivor};

/// What a mutant does differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It lets something through that the bundle refuses, holds or masks.
    Weaker,
    /// It refuses something that the bundle lets through: a limit of a `forbid` is gone.
    Stricter,
}

/// A bundle with one thing changed.
#[derive(Debug)]
pub struct Mutant {
    /// The changed bundle. Its digest is that of the bundle that it was made from.
    pub bundle: Bundle,
    /// The rule that was changed; `None` when it is an entry of `classify.toml`.
    pub rule: Option<RuleId>,
    /// Whether it lets more through, or less.
    pub change: Change,
    /// What was changed, one sentence, at the place of the rule or the entry.
    pub note: Problem,
    /// The target whose commands are understood anew, or all of them: only where the classification was changed.
    anew: Option<Option<SmolStr>>,
}

/// A rule with one thing changed, in Cedar's JSON form; `None` when the rule is gone.
struct Changed {
    body: Option<Json>,
    change: Change,
    what: String,
    /// Only the set of actions was changed: the same set again would be the same rule.
    of_actions: bool,
}

impl Changed {
    fn new(body: Json, change: Change, what: String) -> Self {
        Self {
            body: Some(body),
            change,
            what,
            of_actions: false,
        }
    }
}

impl Bundle {
    /// Every mutant, one after the other, in the order of the rules and then of `classify.toml`. Each is made when it is
    /// asked for.
    ///
    /// Of a `forbid`: the rule removed; an element of a list, an action or a branch left out of what it is about; an
    /// exception made wider; fewer people asked or watching; more shown of a masked value; the session kept open. Of a
    /// `permit`: a condition dropped, a scope opened. Of `classify.toml`: an entry removed that protects something.
    /// [`Change::Stricter`] are the mutants of a `forbid` that lose one of its limits.
    ///
    /// Numbers and texts that rules compare with are not changed, no group of actions is narrowed to one of its members, and
    /// of a condition with more than 1,000 places the first 1,000 are changed.
    pub fn mutants(&self) -> impl Iterator<Item = Mutant> {
        let actions = Actions::of(&self.rules().schema);
        let validator = Arc::new(Validator::new(self.rules().schema.as_ref().clone()));
        let of_rules = self.rules().rules.iter().enumerate().flat_map(move |(at, rule)| {
            let validator = Arc::clone(&validator);
            changes(rule, &actions)
                .into_iter()
                .filter_map(move |changed| self.mutant(at, rule, changed, &validator))
        });
        let of_classes = self.classify().cuts().into_iter();
        of_rules.chain(of_classes.filter_map(|cut| self.reclassified(cut)))
    }

    fn mutant(&self, at: usize, rule: &Rule, changed: Changed, validator: &Validator) -> Option<Mutant> {
        let other = match changed.body {
            None => None,
            Some(body) => Some(rule.with_body(body, &self.rules().schema, validator)?),
        };
        if changed.of_actions && other.as_ref().is_some_and(|other| other.actions == rule.actions) {
            return None;
        }
        let message = format!("rule `{}` {}", rule.id, changed.what);
        Some(Mutant {
            bundle: self.but(Some(self.rules().replacing(at, other)), None),
            rule: Some(rule.id.clone()),
            change: changed.change,
            note: rule.remark(self.all_files(), message),
            anew: None,
        })
    }

    fn reclassified(&self, cut: Cut) -> Option<Mutant> {
        let text = self.file("classify.toml").unwrap_or_default();
        let (file, note) = self.classify().without(cut, text)?;
        Some(Mutant {
            bundle: self.but(None, Some(file)),
            rule: None,
            change: Change::Weaker,
            note,
            anew: Some(self.classify().target_of(cut).cloned()),
        })
    }
}

/// Every change of one rule, whether it loads or not.
fn changes(rule: &Rule, known: &Actions) -> Vec<Changed> {
    let Ok(body) = rule.policy.to_json() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let aims = match rule.policy.effect() {
        Effect::Permit => vec![(Change::Weaker, Aim::More)],
        Effect::Forbid => {
            found.push(Changed {
                body: None,
                change: Change::Weaker,
                what: "removed".to_owned(),
                of_actions: false,
            });
            vec![(Change::Weaker, Aim::Less), (Change::Stricter, Aim::More)]
        }
    };
    for (change, aim) in aims {
        of_scope(&body, change, aim, known, &mut found);
        of_conditions(&body, change, aim, &mut found);
    }
    let noted = notes::weaker(&body, &rule.annotations).into_iter();
    found.extend(noted.map(|noted| Changed::new(noted.rule, Change::Weaker, noted.what)));
    found
}

fn of_scope(body: &Json, change: Change, aim: Aim, known: &Actions, found: &mut Vec<Changed>) {
    let replaced = |key: &str, part: Json| {
        let mut body = body.clone();
        if let Some(place) = body.get_mut(key) {
            *place = part;
        }
        body
    };
    for key in ["principal", "resource"] {
        if aim == Aim::More
            && let Some(edit) = body.get(key).and_then(|scope| scope::opened(scope, key))
        {
            found.push(Changed::new(replaced(key, edit.expression), change, edit.what));
        }
    }
    let edits = body.get("action").map(|scope| scope::actions(scope, aim, known));
    for edit in edits.into_iter().flatten() {
        found.push(Changed {
            of_actions: true,
            ..Changed::new(replaced("action", edit.expression), change, edit.what)
        });
    }
}

fn of_conditions(body: &Json, change: Change, aim: Aim, found: &mut Vec<Changed>) {
    let conditions = body.get("conditions").and_then(Json::as_array);
    for (at, condition) in conditions.into_iter().flatten().enumerate() {
        let Some(expression) = condition.get("body") else {
            continue;
        };
        let unless = condition["kind"] == "unless";
        let kind = if unless { "unless" } else { "when" };
        let replaced = |expression: Option<Json>| {
            let mut body = body.clone();
            if let Some(conditions) = body.get_mut("conditions").and_then(Json::as_array_mut) {
                match (expression, conditions.get_mut(at)) {
                    (Some(expression), Some(place)) => *place = json!({ "kind": kind, "body": expression }),
                    (None, Some(_)) => drop(conditions.remove(at)),
                    (_, None) => {}
                }
            }
            body
        };
        // A `when` of several parts loses them one by one.
        let whole = unless || tree::chain(expression, "&&").len() == 1;
        if aim == Aim::More && whole {
            let what = format!("without `{kind} {{ {} }}`", tree::text(expression));
            found.push(Changed::new(replaced(None), change, what));
        }
        let inner = if unless { aim.turned() } else { aim };
        for edit in tree::edits(expression, inner) {
            let what = format!("{} in its `{kind}`", edit.what);
            found.push(Changed::new(replaced(Some(edit.expression)), change, what));
        }
    }
}
