//! Rules that do nothing beside the others: what can never apply, what is refused anyway, what is permitted anyway.

use std::sync::Arc;

use std::collections::BTreeSet;

use cedar_policy::Effect;

use super::atoms::World;
use super::shapes::Shapes;
use crate::bundle::Bundle;
use crate::code::Code;
use crate::mask;
use crate::places::Places;
use crate::problem::Problem;
use crate::rules::{Rule, place};

/// What is found by comparing a bundle's rules with each other.
pub(super) fn find(bundle: &Bundle, places: Option<&Places>) -> Vec<Problem> {
    let world = World {
        classes: bundle.classes(),
        places,
    };
    let rules = &bundle.rules().rules;
    let mut look = Look {
        bundle,
        rules,
        shapes: Shapes::new(bundle.rules(), world),
    };
    (0..rules.len()).filter_map(|at| look.at(at)).collect()
}

struct Look<'a> {
    bundle: &'a Bundle,
    rules: &'a [Arc<Rule>],
    shapes: Shapes<'a>,
}

impl Look<'_> {
    /// The worst that is to be said of one rule.
    fn at(&mut self, at: usize) -> Option<Problem> {
        let (rule, shape) = (self.rules.get(at)?, self.shapes.rules.get(at)?);
        if shape.by_kind.is_empty() {
            let what = "can never apply: what it asks for excludes itself".to_owned();
            return Some(self.say(rule, Code::CONTRADICTION, &what));
        }
        let about_targets = shape.about_targets;
        let found = match rule.policy.effect() {
            Effect::Permit => self.permit(at, rule),
            Effect::Forbid => self.forbid(at, rule),
        };
        found.or_else(|| self.no_target(at, rule, about_targets))
    }

    fn permit(&mut self, at: usize, rule: &Rule) -> Option<Problem> {
        if let Some(other) = self.first(at, |look, other, b| is_refusal(b) && look.shapes.is_covered(at, other)) {
            let what = format!("permits nothing: `{}` forbids all that it permits", other.id);
            return Some(self.say(rule, Code::OVERRULED_PERMIT, &what));
        }
        let other = self.first(at, |look, other, b| {
            b.policy.effect() == Effect::Permit
                && rule.annotations.grants.is_subset(&b.annotations.grants)
                && look.shapes.is_covered(at, other)
                && !(at < other
                    && b.annotations.grants.is_subset(&rule.annotations.grants)
                    && look.shapes.is_covered(other, at))
        })?;
        let what = format!("is pointless: `{}` permits all that it permits", other.id);
        Some(self.say(rule, Code::POINTLESS_PERMIT, &what))
    }

    fn forbid(&mut self, at: usize, rule: &Rule) -> Option<Problem> {
        if rule.annotations.hold.is_some()
            && let Some(problem) = self.hold(at, rule)
        {
            return Some(problem);
        }
        let other = self.first(at, |look, other, b| {
            adds_nothing(rule, b)
                && look.shapes.is_covered(at, other)
                && !(at < other && adds_nothing(b, rule) && look.shapes.is_covered(other, at))
        })?;
        let does = match (&rule.annotations.hold, &rule.annotations.mask) {
            (Some(_), _) => "holds",
            (None, Some(_)) => "masks",
            (None, None) => "forbids",
        };
        let what = format!("is pointless: `{}` has the same effect on all that it {does}", other.id);
        Some(self.say(rule, Code::POINTLESS_FORBID, &what))
    }

    /// Whether anybody could ever release what the rule holds.
    fn hold(&mut self, at: usize, rule: &Rule) -> Option<Problem> {
        let spec = rule.annotations.hold.as_ref()?;
        let group = |name: &str| format!("Group::{:?}", name);
        let approve = spec
            .groups
            .iter()
            .map(|approvals| ("approved_by", group(&approvals.group)));
        let watch = spec.watch.iter().map(|name| ("watched_by", group(name)));
        let asked: Vec<(&str, String)> = approve.chain(watch).collect();
        let asked: BTreeSet<(&str, &str)> = asked
            .iter()
            .map(|(attribute, name)| (*attribute, name.as_str()))
            .collect();
        // Somebody who uses the context as a whole may mean the approvals by it.
        let whole = rule.reads.has("");
        if !whole && !self.shapes.may_be_released(at, &asked) {
            let what = "holds what no approval could release: it forbids with the approval as without".to_owned();
            return Some(self.say(rule, Code::HOLD_WITHOUT_RELEASE, &what));
        }
        if let Some(other) = self.first(at, |look, other, b| is_refusal(b) && look.shapes.is_covered(at, other)) {
            let what = format!("holds nothing: `{}` refuses all that it would hold", other.id);
            return Some(self.say(rule, Code::HOLD_OVERRULED, &what));
        }
        let permits = |b: &Rule| b.policy.effect() == Effect::Permit;
        if self
            .first(at, |look, other, b| permits(b) && look.shapes.may_meet(at, other))
            .is_none()
        {
            let what = "holds nothing: no rule permits anything of it, approved or not".to_owned();
            return Some(self.say(rule, Code::HOLD_OF_NOTHING, &what));
        }
        None
    }

    fn no_target(&self, at: usize, rule: &Rule, about_targets: bool) -> Option<Problem> {
        let said_already = self
            .bundle
            .warnings()
            .iter()
            .any(|known| known.rule() == Some(&rule.id));
        if !about_targets || said_already || self.shapes.may_reach_a_target(at) {
            return None;
        }
        let what = "applies to none of the targets in targets.toml".to_owned();
        Some(self.say(rule, Code::NO_TARGET, &what))
    }

    /// The first other rule of which this is so.
    fn first(&mut self, at: usize, mut fits: impl FnMut(&mut Self, usize, &Rule) -> bool) -> Option<&'_ Rule> {
        let rules = self.rules;
        let mut others = rules.iter().enumerate().filter(|(other, _)| *other != at);
        others
            .find(|(other, rule)| fits(self, *other, rule))
            .map(|(_, rule)| rule.as_ref())
    }

    fn say(&self, rule: &Rule, code: Code, what: &str) -> Problem {
        let text = self.bundle.file(&rule.file).unwrap_or("");
        let message = format!("rule `{}` {what}", rule.id);
        Problem::at(&rule.file, text, place(&rule.policy), message)
            .coded(code)
            .of_rule(&rule.id)
    }
}

/// Whether a rule refuses, and nothing else.
fn is_refusal(rule: &Rule) -> bool {
    let (forbids, a) = (rule.policy.effect() == Effect::Forbid, &rule.annotations);
    forbids && a.hold.is_none() && a.mask.is_none() && !a.observes
}

/// Whether a rule that forbids does nothing where another one applies too.
fn adds_nothing(rule: &Rule, beside: &Rule) -> bool {
    if beside.policy.effect() != Effect::Forbid {
        return false;
    }
    let (a, b) = (&rule.annotations, &beside.annotations);
    if a.observes != b.observes {
        return false;
    }
    let says_nothing = a.message.is_none() || a.message == b.message;
    let strictness = |mask: &str| mask::strictness(mask).unwrap_or(u16::MAX);
    match (&a.hold, &a.mask) {
        (Some(hold), _) => b.hold.as_ref() == Some(hold) && says_nothing,
        (None, Some(mask)) => match &b.mask {
            Some(other) => strictness(other) >= strictness(mask) && says_nothing,
            None => is_refusal(beside),
        },
        (None, None) => is_refusal(beside) && says_nothing && (b.ends_session || !a.ends_session),
    }
}
