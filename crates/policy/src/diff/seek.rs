//! Looking for requests that two bundles answer otherwise.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cedar_policy::{Effect, EntityUid};
use smol_str::SmolStr;

use super::change::{Change, change};
use super::finding::Found;
use crate::act::ActionName;
use crate::bundle::Bundle;
use crate::rules::Rule;
use crate::schema::name_of;
use crate::search::{Answer, Assignment, Care, Ground, Hunt, Model, Place, Room, met};

/// How many of the rules that permit are combined with one that forbids.
const MOST_PERMITS: usize = 12;
/// How many differences of one set of actions are looked at closely, and how many of those that the same rules make.
const MOST_FOUND: usize = 400;
const MOST_ALIKE: usize = 12;

/// Two bundles, and what they have in common.
pub(super) struct Pair<'a> {
    sides: [&'a Bundle; 2],
    ground: Ground<'a>,
    /// Of each side, the rules that the other side has not.
    changed: [BTreeSet<usize>; 2],
    /// Targets or classes lie elsewhere, so that the same rules can say something else.
    pub(super) moved: bool,
}

impl<'a> Pair<'a> {
    pub(super) fn new(
        old: &'a Bundle,
        new: &'a Bundle,
        known: &'a [Place],
        protocols: &'a BTreeMap<ActionName, BTreeSet<SmolStr>>,
    ) -> Self {
        let within = |bundle: &Bundle| bundle.classify().classes.clone();
        let moved = known.iter().any(Place::moved) || within(old) != within(new);
        Self {
            sides: [old, new],
            ground: Ground { known, protocols },
            changed: [missing(old, new), missing(new, old)],
            moved,
        }
    }

    /// Whether the same rules apply to the actions, so that they are answered alike.
    pub(super) fn settled(&self, actions: &[EntityUid]) -> bool {
        let touched = |(side, changed): (&&Bundle, &BTreeSet<usize>)| {
            let rules = side.rules();
            let at = actions.first().and_then(|action| rules.bucket_of(&name_of(action)));
            let bucket = at.and_then(|at| rules.buckets.get(at));
            bucket.is_some_and(|bucket| bucket.rules.iter().any(|rule| changed.contains(rule)))
        };
        !self.moved && !self.sides.iter().zip(&self.changed).any(touched)
    }

    /// Looks for differences; what is found of the first action is asked of the others too.
    pub(super) fn seek(&self, actions: &[EntityUid], hunt: &mut Hunt) -> Vec<Found> {
        let Some(first) = actions.first().filter(|_| !hunt.over()) else {
            return Vec::new();
        };
        let changed = |side: usize, rule: usize| {
            self.moved || self.changed.get(side).is_some_and(|changed| changed.contains(&rule))
        };
        let model = Model::new(&self.sides, first, &self.ground, &changed);
        let mut seen = HashSet::new();
        let mut flips: Vec<(Assignment, Change)> = Vec::new();
        let mut often: HashMap<String, usize> = HashMap::new();
        let mut look = |assignment: &Assignment| {
            let (Some(before), Some(after)) = (model.answer(assignment, 0), model.answer(assignment, 1)) else {
                return;
            };
            if let Some(change) = change(&before, &after) {
                let asked = model.asked(assignment, 0);
                let cause = format!(
                    "{change:?}{:?}{:?}{:?}",
                    rules(&before),
                    rules(&after),
                    asked.who.groups
                );
                let count = often.entry(cause).or_default();
                *count += 1;
                if *count <= MOST_ALIKE && flips.len() < MOST_FOUND {
                    flips.push((assignment.clone(), change));
                }
            }
        };
        for rooms in seeds(&model) {
            hunt.visit(&model, &rooms, &mut seen, &mut look);
        }
        hunt.draw(&model, &[Room::whole(&model.pools)], &mut seen, &mut look);
        let names: Vec<ActionName> = actions.iter().map(name_of).collect();
        super::shrink::found(&model, &flips, &names, hunt)
    }
}

fn rules(answer: &Answer) -> Vec<&str> {
    let list = match answer {
        Answer::Decision(decision) => &decision.rules,
        Answer::Disclosure(disclosure) => &disclosure.rules,
    };
    list.iter().map(|rule| rule.as_str()).collect()
}

/// The rules of one bundle that another has not, whatever their names, messages and order.
fn missing(of: &Bundle, from: &Bundle) -> BTreeSet<usize> {
    let mut there: HashMap<String, usize> = HashMap::new();
    for rule in &from.rules().rules {
        *there.entry(essence(rule)).or_default() += 1;
    }
    let mut missing = BTreeSet::new();
    for (at, rule) in of.rules().rules.iter().enumerate() {
        match there.get_mut(&essence(rule)) {
            Some(count) if *count > 0 => *count -= 1,
            Some(_) | None => {
                missing.insert(at);
            }
        }
    }
    missing
}

/// What a rule means by itself.
fn essence(rule: &Rule) -> String {
    let notes = &rule.annotations;
    let (effect, condition) = (rule.policy.effect(), rule.policy.as_ref().condition());
    let (hold, mask, ends, grants) = (&notes.hold, &notes.mask, notes.ends_session, &notes.grants);
    let observes = notes.observes;
    format!("{effect}|{condition}|{hold:?}|{mask:?}|{ends}|{grants:?}|{observes}")
}

/// Rooms in which a changed rule may be seen to have changed.
fn seeds(model: &Model<'_>) -> Vec<Vec<Room>> {
    let mut seeds = Vec::new();
    let whole = vec![Room::whole(&model.pools)];
    for side in 0..2 {
        let clauses = model.clauses.get(side).map_or(&[][..], Vec::as_slice);
        for (at, clause) in clauses.iter().enumerate().filter(|(_, clause)| clause.changed) {
            let applies = met(whole.clone(), &model.ways(side, at, true, Care::Each));
            let other = model.clauses.get(1 - side).map_or(&[][..], Vec::as_slice);
            let twin = |at: usize| other.get(at).is_some_and(|c| c.changed && c.effect == clause.effect);
            let alone = model.without(applies.clone(), 1 - side, &twin);
            for rooms in [applies, alone] {
                match clause.effect {
                    Effect::Permit => permits(model, side, &rooms, &mut seeds),
                    Effect::Forbid => forbids(model, side, &rooms, &mut seeds),
                }
                seeds.push(rooms);
            }
        }
    }
    seeds
}

/// A permit shows where nothing forbids, or nothing but holds, and where the other bundle permits nothing.
fn permits(model: &Model<'_>, side: usize, rooms: &[Room], seeds: &mut Vec<Vec<Room>>) {
    let is = |side: usize, at: usize, effect: Effect, plain: bool| {
        let clause = model.clauses.get(side).and_then(|clauses| clauses.get(at));
        clause.is_some_and(|clause| clause.effect == effect && (clause.plain || !plain))
    };
    for plain in [false, true] {
        let free = model.without(rooms.to_vec(), side, &|at| is(side, at, Effect::Forbid, plain));
        let alone = model.without(free.clone(), 1 - side, &|at| is(1 - side, at, Effect::Permit, false));
        seeds.extend([alone, free]);
    }
}

/// A forbid shows where something permits and nothing else forbids, or nothing but holds.
fn forbids(model: &Model<'_>, side: usize, rooms: &[Room], seeds: &mut Vec<Vec<Room>>) {
    let other = 1 - side;
    let clauses = model.clauses.get(other).map_or(&[][..], Vec::as_slice);
    let is = |at: usize, plain: bool| {
        clauses
            .get(at)
            .is_some_and(|clause| clause.effect == Effect::Forbid && (clause.plain || !plain))
    };
    let permitting = clauses
        .iter()
        .enumerate()
        .filter(|(_, clause)| clause.effect == Effect::Permit);
    for (at, _) in permitting.take(MOST_PERMITS) {
        let permitted = met(rooms.to_vec(), &model.ways(other, at, true, Care::Enough));
        for plain in [false, true] {
            seeds.push(model.without(permitted.clone(), other, &|at| is(at, plain)));
        }
    }
}
