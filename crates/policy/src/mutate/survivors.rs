//! Which mutants no case notices.

use std::collections::BTreeSet;

use cedar_policy::Effect;

use super::{Change, Mutant};
use crate::act::Resource;
use crate::bundle::Bundle;
use crate::cases::Case;
use crate::code::Code;
use crate::decision::{Outcome, RuleId};
use crate::judge::Meaning;
use crate::problem::Problem;

/// The most mutants that are tried.
const MAX_MUTANTS: usize = 50_000;

/// What came of running cases against mutants.
#[derive(Debug, Clone, Default)]
pub struct Mutation {
    /// How many mutants were tried.
    pub tried: usize,
    /// Those that no case noticed.
    pub survivors: Vec<Survivor>,
    /// How many cases could notice nothing, because they fail already, or their command is not understood.
    pub failing: usize,
    /// There are more mutants than are tried.
    pub cut_off: bool,
}

/// A mutant that no case noticed.
#[derive(Debug, Clone)]
pub struct Survivor {
    /// The rule that was changed; `None` when it is an entry of `classify.toml`.
    pub rule: Option<RuleId>,
    /// Whether the mutant lets more through, or less.
    pub change: Change,
    /// What was changed, with its place, and what a case could say to notice it.
    pub note: Problem,
}

/// A case that passes, and what it showed.
struct Passing<'a> {
    case: &'a Case,
    target: Resource,
    meaning: Meaning,
    rules: BTreeSet<RuleId>,
    /// Not only the rules that decided have a say: it would be another outcome if people were there, or all were enforced.
    open: bool,
}

impl Bundle {
    /// Runs the cases against every mutant. `target` finds a target by name; `understand` says what a command is under
    /// the classification of the bundle that it is given, and is asked again for a case only by mutants whose
    /// classification is another.
    pub fn survivors(
        &self,
        cases: &[Case],
        target: impl Fn(&str) -> Option<Resource>,
        mut understand: impl FnMut(&Self, &Case, &Resource) -> Result<Meaning, String>,
    ) -> Mutation {
        let mut passing = Vec::new();
        for case in cases {
            passing.extend(self.passing(case, &target, &mut understand));
        }
        let mut mutation = Mutation {
            failing: cases.len() - passing.len(),
            ..Mutation::default()
        };
        for mutant in self.mutants() {
            if mutation.tried == MAX_MUTANTS {
                mutation.cut_off = true;
                break;
            }
            mutation.tried += 1;
            if !self.is_noticed(&mutant, &passing, &mut understand) {
                mutation.survivors.push(survivor(mutant));
            }
        }
        mutation
    }

    fn passing<'a>(
        &self,
        case: &'a Case,
        target: impl Fn(&str) -> Option<Resource>,
        understand: &mut impl FnMut(&Self, &Case, &Resource) -> Result<Meaning, String>,
    ) -> Option<Passing<'a>> {
        let target = target(&case.target)?;
        let meaning = self.meaning(case, &target, understand).ok()?;
        let decided = self.decide_case(case, &target, &meaning);
        let open = decided.decision.outcome == Outcome::Hold || decided.decision.observed.is_some();
        decided.wrong.is_empty().then_some(Passing {
            case,
            target,
            meaning,
            rules: decided.rules,
            open,
        })
    }

    fn meaning(
        &self,
        case: &Case,
        target: &Resource,
        understand: &mut impl FnMut(&Self, &Case, &Resource) -> Result<Meaning, String>,
    ) -> Result<Meaning, String> {
        match &case.command {
            Some(_) => understand(self, case, target),
            None => Ok(case.connecting()),
        }
    }

    fn is_noticed(
        &self,
        mutant: &Mutant,
        passing: &[Passing<'_>],
        understand: &mut impl FnMut(&Self, &Case, &Resource) -> Result<Meaning, String>,
    ) -> bool {
        let (through, others): (Vec<&Passing<'_>>, Vec<_>) = passing
            .iter()
            .partition(|passing| mutant.rule.as_ref().is_some_and(|rule| passing.rules.contains(rule)));
        // A rule that forbids less cannot change what it had no part in.
        let bounded = mutant.change == Change::Weaker && self.forbids(mutant.rule.as_ref());
        let others = others.into_iter().filter(|passing| !bounded || passing.open);
        through.into_iter().chain(others).any(|passing| match &mutant.anew {
            None => fails(mutant, passing, &passing.meaning),
            Some(Some(target)) if *target != passing.case.target => false,
            Some(_) => match mutant.bundle.meaning(passing.case, &passing.target, understand) {
                Ok(meaning) => fails(mutant, passing, &meaning),
                Err(_) => true,
            },
        })
    }

    fn forbids(&self, id: Option<&RuleId>) -> bool {
        let rule = self.rules().rules.iter().find(|rule| Some(&rule.id) == id);
        rule.is_some_and(|rule| rule.policy.effect() == Effect::Forbid)
    }
}

fn fails(mutant: &Mutant, passing: &Passing<'_>, command: &Meaning) -> bool {
    let decided = mutant.bundle.decide_case(passing.case, &passing.target, command);
    !decided.wrong.is_empty()
}

fn survivor(mutant: Mutant) -> Survivor {
    let help = match (mutant.rule.is_some(), mutant.change) {
        (true, Change::Weaker) => {
            "add a case that this part of the rule decides; `hold`, `ends` and `mask` of a case say what more is expected"
        }
        (true, Change::Stricter) => "add a case that is allowed because of this part of the rule",
        (false, _) => "add a case that depends on the entry, or whose `classes` name it",
    };
    Survivor {
        rule: mutant.rule,
        change: mutant.change,
        note: mutant.note.coded(Code::UNNOTICED).with_help(Some(help.to_owned())),
    }
}
