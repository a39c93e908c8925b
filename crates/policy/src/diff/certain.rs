//! Proving that nothing is newly allowed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::seek::Pair;
use crate::bundle::Bundle;
use crate::search::{alike, known};
use crate::symbolic::{Certainty, Question, Solver, ask};

/// Proves that whatever the new bundle allows, or shows in the clear, the old one does too. Actions to which the same
/// rules apply need no proof.
#[must_use]
pub fn nothing_newly_allowed(old: &Bundle, new: &Bundle, solver: &Solver, time: Duration) -> Certainty {
    let sides = [old, new];
    let (places, protocols) = (known(&sides), BTreeMap::new());
    let pair = Pair::new(old, new, &places, &protocols);
    if pair.moved {
        return Certainty {
            proven: 0,
            open: vec!["targets or classes lie elsewhere, so the same request is about other things".to_owned()],
        };
    }
    let sets = alike(&sides).into_iter().filter(|actions| !pair.settled(actions));
    // The rules treat the actions of a set alike, so one stands for all.
    let actions: Vec<_> = sets.filter_map(|actions| actions.into_iter().next()).collect();
    ask(Question::Implies, [new, old], &actions, solver, time)
}
