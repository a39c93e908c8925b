//! Looking for a request that refutes a property.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;

use cedar_policy::{Effect, EntityUid};
use smol_str::SmolStr;

use super::file::{self, Outcome, Property};
use super::region::region;
use super::{Counterexample, Finding, Proof};
use crate::act::ActionName;
use crate::bundle::Bundle;
use crate::decision::{self, Reveal};
use crate::diff::{plain, protocols};
use crate::problem::Problem;
use crate::schema::{SchemaFragment, name_of};
use crate::search::{
    Answer, Assignment, Budget, Care, Ground, Hunt, Matter, Model, Room, alike, known, matters, met, shrunk,
};

/// How many of the rules that permit are combined with those that forbid.
const MOST_PERMITS: usize = 24;

/// The bundle whose properties they are, and its region: the sides of a model.
const BUNDLE: usize = 0;
const REGION: usize = 1;

/// Looks for requests that refute the properties of a bundle, which was loaded with these fragments. The budget's time
/// is for all of them together.
///
/// # Errors
/// With everything that is wrong with `properties.toml`.
pub fn prove(bundle: &Bundle, fragments: &[SchemaFragment], budget: Budget) -> Result<Vec<Proof>, Vec<Problem>> {
    let (properties, regions) = understood(bundle)?;
    let protocols = protocols(fragments).map_err(|problem| vec![problem])?;
    let (start, count) = (Instant::now(), properties.len());
    let share = |(at, (property, region)): (usize, (&Property, &Bundle))| {
        let left = budget.time.saturating_sub(start.elapsed());
        let time = left / u32::try_from(count - at).unwrap_or(u32::MAX);
        let hunt = Hunt::new(Budget { time, ..budget });
        one(property, bundle, region, &protocols, hunt)
    };
    Ok(properties.iter().zip(&regions).enumerate().map(share).collect())
}

/// The properties, and what each speaks of.
fn understood(bundle: &Bundle) -> Result<(Vec<Property>, Vec<Bundle>), Vec<Problem>> {
    let properties = file::read(bundle)?;
    let (mut regions, mut problems) = (Vec::new(), Vec::new());
    for property in &properties {
        match region(property, bundle) {
            Ok(region) => regions.push(region),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if problems.is_empty() {
        Ok((properties, regions))
    } else {
        Err(problems)
    }
}

/// What is wrong with the properties of a bundle.
pub(crate) fn mistakes(bundle: &Bundle) -> Vec<Problem> {
    understood(bundle).err().unwrap_or_default()
}

fn one(
    property: &Property,
    bundle: &Bundle,
    region: &Bundle,
    protocols: &BTreeMap<ActionName, BTreeSet<SmolStr>>,
    mut hunt: Hunt,
) -> Proof {
    let sides = [bundle, region];
    let places = known(&sides);
    let ground = Ground {
        known: &places,
        protocols,
    };
    let spoken_of = Cell::new(false);
    let mut refuted = None;
    for actions in alike(&sides) {
        let Some(first) = actions.first().filter(|action| speaks_of(region, action)) else {
            continue;
        };
        if hunt.over() {
            break;
        }
        hunt.effort.actions += actions.len();
        let model = Model::new(&sides, first, &ground, &|_, _| false);
        if let Some(found) = refute(property, &model, &mut hunt, &spoken_of) {
            refuted = Some(Box::new(found));
            break;
        }
    }
    let finding = match refuted {
        Some(counterexample) => Finding::Refuted(counterexample),
        None if spoken_of.get() => Finding::NotRefuted,
        None if hunt.effort.cut_short => Finding::NotTried,
        None => Finding::SpeaksOfNothing,
    };
    Proof {
        name: property.raw.name.clone(),
        finding,
        effort: hunt.effort,
        open: Vec::new(),
    }
}

pub(super) fn speaks_of(region: &Bundle, action: &EntityUid) -> bool {
    let rules = region.rules();
    let bucket = rules.bucket_of(&name_of(action)).and_then(|at| rules.buckets.get(at));
    bucket.is_some_and(|bucket| !bucket.rules.is_empty())
}

/// What an answer comes to.
fn outcome(answer: &Answer) -> Outcome {
    match answer {
        Answer::Decision(decision) => match decision.outcome {
            decision::Outcome::Allow => Outcome::Allow,
            decision::Outcome::Hold => Outcome::Hold,
            decision::Outcome::Deny => Outcome::Deny,
        },
        Answer::Disclosure(disclosure) => match disclosure.reveal {
            Reveal::Clear => Outcome::Clear,
            Reveal::Mask(_) => Outcome::Mask,
            Reveal::Withhold => Outcome::Withhold,
        },
    }
}

fn refute(property: &Property, model: &Model<'_>, hunt: &mut Hunt, spoken_of: &Cell<bool>) -> Option<Counterexample> {
    let within = |assignment: &Assignment| {
        let answer = model.answer(assignment, REGION);
        answer.is_some_and(|answer| matches!(outcome(&answer), Outcome::Allow | Outcome::Clear))
    };
    let refutes = |assignment: &Assignment| {
        let answer = model.answer(assignment, BUNDLE);
        answer.is_some_and(|answer| property.excluded.contains(&outcome(&answer)))
    };
    let inside = met(
        vec![Room::whole(&model.pools)],
        &model.ways(REGION, 0, true, Care::Each),
    );
    let mut seen = HashSet::new();
    let mut found: Option<Assignment> = None;
    let mut look = |assignment: &Assignment| {
        if found.is_none() && within(assignment) {
            spoken_of.set(true);
            found = refutes(assignment).then(|| assignment.clone());
        }
    };
    for rooms in seeds(property, model, &inside) {
        hunt.visit(model, &rooms, &mut seen, &mut look);
    }
    hunt.draw(model, &inside, &mut seen, &mut look);
    let found = found?;
    let answer = outcome(&model.answer(&found, BUNDLE)?);
    let keeps = |other: &Assignment| {
        within(other)
            && model
                .answer(other, BUNDLE)
                .is_some_and(|other| outcome(&other) == answer)
    };
    let small = shrunk(model, &found, &keeps);
    counterexample(model, &small, matters(model, &small, &keeps))
}

fn counterexample(model: &Model<'_>, small: &Assignment, matter: Vec<Matter>) -> Option<Counterexample> {
    let asked = model.asked(small, BUNDLE);
    let fact = |matter: Matter| {
        (
            matter.name,
            matter.value.as_ref().map_or(serde_json::Value::Null, plain),
        )
    };
    Some(Counterexample {
        who: asked.who.clone(),
        target: asked.target.clone(),
        action: asked.action.clone(),
        class: asked.class.clone(),
        facts: matter.into_iter().map(fact).collect(),
        answer: model.answer(small, BUNDLE)?,
        asked,
    })
}

/// Rooms of what the property speaks of in which an excluded outcome may come about.
fn seeds(property: &Property, model: &Model<'_>, inside: &[Room]) -> Vec<Vec<Room>> {
    let mut seeds = vec![inside.to_vec()];
    let clauses = model.clauses.get(BUNDLE).map_or(&[][..], Vec::as_slice);
    let of = |effect: Effect| (0..clauses.len()).filter(move |at| clauses.get(*at).is_some_and(|c| c.effect == effect));
    let applying = |rooms: &[Room], at: usize| met(rooms.to_vec(), &model.ways(BUNDLE, at, true, Care::Each));
    let forbids = |at: usize, plain: bool| {
        clauses
            .get(at)
            .is_some_and(|clause| clause.effect == Effect::Forbid && (clause.plain || !plain))
    };
    let open = property.excluded.contains(&Outcome::Allow) || property.excluded.contains(&Outcome::Clear);
    let waits = property.excluded.contains(&Outcome::Hold) || property.excluded.contains(&Outcome::Mask);
    let shut = property.excluded.contains(&Outcome::Deny) || property.excluded.contains(&Outcome::Withhold);
    for permit in of(Effect::Permit).take(MOST_PERMITS) {
        let permitted = applying(inside, permit);
        if open {
            seeds.push(model.without(permitted.clone(), BUNDLE, &|at| forbids(at, false)));
        }
        if waits {
            let free = model.without(permitted, BUNDLE, &|at| forbids(at, true));
            let soft = of(Effect::Forbid).filter(|at| !forbids(*at, true));
            seeds.extend(soft.map(|at| applying(&free, at)));
        }
    }
    if shut {
        let permits = |at: usize| clauses.get(at).is_some_and(|clause| clause.effect == Effect::Permit);
        seeds.push(model.without(inside.to_vec(), BUNDLE, &permits));
        seeds.extend(of(Effect::Forbid).map(|at| applying(inside, at)));
    }
    seeds
}
