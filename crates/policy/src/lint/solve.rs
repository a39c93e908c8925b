//! Whether a formula can be true at all. Only a proven `no` counts: where the search gets too long the answer is
//! `perhaps`, and nothing is said about the rule.

use std::collections::BTreeSet;

use super::atoms::{Atoms, World};
use super::formula::{AtomId, Formula};

/// How many steps one question may take.
const MAX_STEPS: usize = 20_000;

/// Whether the formula may be true in some situation.
pub(super) fn may_be_true(formula: &Formula, atoms: &Atoms, world: &World<'_>) -> bool {
    let mut names = BTreeSet::new();
    formula.atoms(&mut names);
    let mut search = Search {
        formula,
        atoms,
        world,
        order: names.into_iter().collect(),
        answers: Vec::new(),
        steps: 0,
    };
    search.goes_on()
}

struct Search<'a> {
    formula: &'a Formula,
    atoms: &'a Atoms,
    world: &'a World<'a>,
    order: Vec<AtomId>,
    /// Of the first atoms in the order.
    answers: Vec<bool>,
    steps: usize,
}

impl Search<'_> {
    fn goes_on(&mut self) -> bool {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return true;
        }
        let known = |atom: AtomId| {
            let at = self.order.binary_search(&atom).ok()?;
            self.answers.get(at).copied()
        };
        match self.formula.value(&known) {
            Some(value) => return value,
            None if self.answers.len() >= self.order.len() => return true,
            None => {}
        }
        for answer in [true, false] {
            if self.is_consistent(answer) {
                self.answers.push(answer);
                let found = self.goes_on();
                self.answers.pop();
                if found {
                    return true;
                }
            }
        }
        false
    }

    /// Whether the next atom may have this answer beside those before it.
    fn is_consistent(&self, answer: bool) -> bool {
        let next = self.order.get(self.answers.len()).and_then(|id| self.atoms.get(*id));
        let Some(next) = next else { return true };
        let before = self.order.iter().zip(&self.answers);
        let mut before = before.filter_map(|(id, answer)| Some((self.atoms.get(*id)?, *answer)));
        !before.any(|other| self.world.excludes(other, (next, answer)))
    }
}
