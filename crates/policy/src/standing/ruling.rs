//! What becomes of one act, and what would have become of it if everything were enforced.

use super::{Present, Standing, lifetime};
use crate::act::{Act, ActionName, Situation};
use crate::decision::{Decision, HoldSpec, Lifetime, Outcome, RuleId};
use crate::narrow::Verdict;
use crate::rules::Rule;

/// How often a held command is decided again with more approvals, to find all that it needs.
const MAX_HOLD_ROUNDS: usize = 8;

/// Which rules are in force.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Force {
    /// Those that do not only observe.
    Declared,
    /// All of them.
    All,
}

impl Force {
    fn of(self, verdict: Verdict) -> Verdict {
        match self {
            Self::Declared => verdict,
            Self::All => verdict.enforced(),
        }
    }
}

impl Standing {
    pub(super) fn decide_act(&self, act: &Act, situation: &Situation) -> Decision {
        let (narrow, verdict) = match self.judge(act, None, situation, &Present::in_(situation)) {
            Ok(judged) => judged,
            Err(why) => return Decision::refused(why, Lifetime::Never),
        };
        let cache = lifetime(&narrow.reads, situation);
        let lenient = self.observes && may_be_observed(&act.action) && verdict.broken.is_empty();
        if !lenient && !verdict.is_observed() {
            return self.ruling(act, situation, &verdict, cache, Force::Declared);
        }
        let decision = if lenient {
            Decision::allowed(Vec::new(), cache)
        } else {
            self.ruling(act, situation, &verdict, cache, Force::Declared)
        };
        let would = self.ruling(act, situation, &verdict.enforced(), cache, Force::All);
        if lenient && would.outcome == Outcome::Allow {
            return would;
        }
        decision.observing(would)
    }

    /// The answer that a verdict comes to.
    fn ruling(&self, act: &Act, situation: &Situation, verdict: &Verdict, cache: Lifetime, force: Force) -> Decision {
        if !verdict.broken.is_empty() {
            return self.broken(verdict);
        }
        if verdict.allows() {
            let permits = self.rules_at(&verdict.permits);
            let grants = permits.flat_map(|rule| rule.annotations.grants.iter().cloned());
            return Decision {
                grants: grants.collect(),
                ..Decision::allowed(self.ids(&verdict.permits), cache)
            };
        }
        if verdict.forbids.is_empty() {
            let (action, target) = (&act.action.name, &self.target_name);
            return Decision::refused(format!("no rule permits `{action}` on `{target}`"), cache);
        }
        let rules = self.ids(&verdict.forbids);
        let mut forbids = self.rules_at(&verdict.forbids);
        match self.hold(act, situation, verdict, force) {
            Some(hold) => Decision {
                outcome: Outcome::Hold,
                message: Some(self.message(verdict, true).unwrap_or_else(|| waiting_for(&hold))),
                hold: Some(hold),
                ..refusal(rules, cache)
            },
            None => Decision {
                message: self.message(verdict, false).or_else(|| plain(&rules)),
                ends_session: forbids.any(|rule| rule.annotations.ends_session),
                ..refusal(rules, cache)
            },
        }
    }

    fn broken(&self, verdict: &Verdict) -> Decision {
        let rules = self.ids(&verdict.broken);
        let names: Vec<String> = rules.iter().map(|id| format!("`{id}`")).collect();
        let message = format!("these rules cannot be evaluated here: {}", names.join(", "));
        Decision {
            message: Some(message),
            ..refusal(rules, Lifetime::Never)
        }
    }

    /// What a refused act would need to be allowed, if approvals are all that is missing.
    fn hold(&self, act: &Act, situation: &Situation, refusal: &Verdict, force: Force) -> Option<HoldSpec> {
        let mut wanted = self.holds(refusal)?;
        for _ in 0..MAX_HOLD_ROUNDS {
            let mut present = Present::in_(situation);
            present
                .approved_by
                .extend(wanted.groups.iter().map(|a| a.group.to_string()));
            present.watched_by.extend(wanted.watch.iter().map(ToString::to_string));
            let (_, verdict) = self.judge(act, None, situation, &present).ok()?;
            let verdict = force.of(verdict);
            if !verdict.broken.is_empty() {
                return None;
            }
            if verdict.allows() {
                return Some(wanted);
            }
            let more = wanted.clone().merge(self.holds(&verdict)?);
            if more == wanted {
                return None;
            }
            wanted = more;
        }
        None
    }

    /// The message of the first rule that refused, by id, among those that hold or those that do not.
    fn message(&self, refusal: &Verdict, holding: bool) -> Option<String> {
        let fits = |rule: &&Rule| rule.annotations.hold.is_some() == holding && rule.annotations.message.is_some();
        let first = self
            .rules_at(&refusal.forbids)
            .filter(fits)
            .min_by_key(|rule| &rule.id)?;
        first.annotations.message.clone()
    }
}

/// On a target that only observes it is still decided who may be there, and what nobody understood is still refused.
fn may_be_observed(action: &ActionName) -> bool {
    *action != ActionName::connect() && *action != ActionName::unparsed()
}

/// A refusal by these rules, about which nothing else is said yet.
fn refusal(rules: Vec<RuleId>, cache: Lifetime) -> Decision {
    Decision {
        outcome: Outcome::Deny,
        ..Decision::allowed(rules, cache)
    }
}

fn plain(rules: &[RuleId]) -> Option<String> {
    rules.first().map(|id| format!("rule `{id}` forbids it"))
}

fn waiting_for(hold: &HoldSpec) -> String {
    let groups = hold.groups.iter().map(|a| match a.count {
        1 => format!("approval by `{}`", a.group),
        count => format!("approval by `{}` ({count} people)", a.group),
    });
    let watchers = hold.watch.iter().map(|group| format!("somebody of `{group}` to watch"));
    format!("waits for {}", groups.chain(watchers).collect::<Vec<_>>().join(" and "))
}
