//! Proving properties that the search did not refute.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::file::{self, Outcome, Property};
use super::region::region;
use super::{Finding, Proof, prove};
use crate::bundle::Bundle;
use crate::search::alike;
use crate::symbolic::{Certainty, Question, Solver, ask};

/// Proves what the solver can of the properties that the search did not refute, within this time for all of them.
pub fn certain(bundle: &Bundle, proofs: &mut [Proof], solver: &Solver, time: Duration) {
    let (start, count) = (Instant::now(), proofs.len());
    let properties = file::read(bundle).unwrap_or_default();
    for (at, proof) in proofs.iter_mut().enumerate() {
        let property = properties.iter().find(|property| property.raw.name == proof.name);
        let Some(property) = property.filter(|_| matches!(proof.finding, Finding::NotRefuted)) else {
            continue;
        };
        let left = time.saturating_sub(start.elapsed()) / u32::try_from(count - at).unwrap_or(u32::MAX);
        let certainty = one(property, bundle, solver, left);
        proof.finding = if certainty.is_whole() {
            Finding::Proven
        } else {
            Finding::NotRefuted
        };
        proof.open = certainty.open;
    }
}

fn one(property: &Property, bundle: &Bundle, solver: &Solver, time: Duration) -> Certainty {
    let Ok(region) = region(property, bundle) else {
        return Certainty::default();
    };
    if !is_of_the_solver(property, &region) {
        let why = "the solver decides only that nothing is allowed, or shown in the clear".to_owned();
        return Certainty {
            proven: 0,
            open: vec![why],
        };
    }
    let sets = alike(&[bundle, &region]).into_iter();
    let spoken_of = sets.filter_map(|actions| actions.into_iter().find(|action| prove::speaks_of(&region, action)));
    let actions: Vec<_> = spoken_of.collect();
    ask(Question::Disjoint, [bundle, &region], &actions, solver, time)
}

/// Whether the property is that nothing is allowed. That nothing is held either follows where it speaks of every state of
/// approvals and watchers alike: what is held would be allowed in one of them.
fn is_of_the_solver(property: &Property, region: &Bundle) -> bool {
    let excludes = |outcomes: &[Outcome]| property.excluded == outcomes.iter().copied().collect::<BTreeSet<_>>();
    excludes(&[Outcome::Allow])
        || excludes(&[Outcome::Clear])
        || excludes(&[Outcome::Allow, Outcome::Hold]) && !region.needs().reads_any(&["approved_by", "watched_by"])
}
