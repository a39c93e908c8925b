//! From requests that differ to what they have in common: everything that does not matter is made plain.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use smol_str::SmolStr;

use super::change::{Change, HELD, change};
use super::finding::{Found, Witness};
use super::phrase;
use crate::act::{ActionName, Resource, SubjectKind, Value};
use crate::search::{Asked, Assignment, Hunt, Matter, Model, Pool, matters, shrunk};

/// How many differences are shown as they were found, when there is no time to make their requests smaller.
const MOST_LARGE: usize = 20;

/// What differs and where, once for each smallest request.
pub(super) fn found(
    model: &Model<'_>,
    flips: &[(Assignment, Change)],
    actions: &[ActionName],
    hunt: &mut Hunt,
) -> Vec<Found> {
    let mut smallest: HashSet<(Assignment, Change)> = HashSet::new();
    let mut list = Vec::new();
    let mut large = 0;
    for (assignment, change) in flips {
        let small = if hunt.over() {
            large += 1;
            assignment.clone()
        } else {
            shrunk(model, assignment, &|other| {
                differs(model, other).as_ref() == Some(change)
            })
        };
        if large > MOST_LARGE {
            break;
        }
        if smallest.insert((small.clone(), change.clone())) {
            list.extend(describe(model, &small, change, actions));
        }
    }
    list
}

fn differs(model: &Model<'_>, assignment: &[usize]) -> Option<Change> {
    change(&model.answer(assignment, 0)?, &model.answer(assignment, 1)?)
}

/// Asks something that no pool has.
struct Probe<'m, 'a> {
    model: &'m Model<'a>,
    wanted: &'m Change,
    asked: Asked,
    targets: [Resource; 2],
}

impl Probe<'_, '_> {
    fn same(&self, asked: &Asked, targets: [&Resource; 2]) -> bool {
        let [old, new] = targets;
        let mut sides = self.model.sides.iter();
        let answers = sides.next().zip(sides.next());
        let answers = answers.map(|(before, after)| (asked.ask(before, old), asked.ask(after, new)));
        answers.and_then(|(before, after)| change(&before, &after)).as_ref() == Some(self.wanted)
    }

    fn here(&self, asked: &Asked) -> bool {
        let [old, new] = &self.targets;
        self.same(asked, [old, new])
    }

    fn at(&self, target: &Resource) -> bool {
        let mut asked = self.asked.clone();
        if asked.class.is_some() {
            asked.facts.insert(
                "target".into(),
                Value::Entity("Target".into(), target.name.as_str().into()),
            );
        }
        self.same(&asked, [target, target])
    }

    /// The groups whose members see no difference.
    fn outside(&self) -> Vec<String> {
        let mut groups = BTreeSet::new();
        for pool in &self.model.pools {
            if let Pool::Subjects(list) = pool {
                groups.extend(list.iter().flat_map(|subject| &subject.groups));
            }
        }
        let unlike = |group: &&String| {
            let mut asked = self.asked.clone();
            let fresh = !asked.who.groups.contains(group);
            asked.who.groups.push((*group).clone());
            fresh && !self.here(&asked)
        };
        groups.into_iter().filter(unlike).cloned().collect()
    }

    fn place(&self) -> phrase::Place {
        let [old, here] = &self.targets;
        if old != here {
            return phrase::Place::Named(here.name.clone());
        }
        let bare = Resource {
            name: "some-target".to_owned(),
            environment: None,
            tags: Vec::new(),
            ..here.clone()
        };
        if self.at(&bare) {
            return phrase::Place::Outside(
                self.environments()
                    .into_iter()
                    .filter(|name| {
                        !self.at(&Resource {
                            environment: Some(name.clone()),
                            ..bare.clone()
                        })
                    })
                    .collect(),
            );
        }
        let within = Resource {
            environment: here.environment.clone(),
            ..bare.clone()
        };
        if let Some(environment) = here.environment.as_ref().filter(|_| self.at(&within)) {
            return phrase::Place::Environment(environment.clone());
        }
        let tagged = |environment: &Option<String>| {
            let tag = here.tags.iter().find(|tag| {
                let tags = vec![(*tag).clone()];
                self.at(&Resource {
                    environment: environment.clone(),
                    tags,
                    ..bare.clone()
                })
            });
            tag.cloned()
        };
        if let Some(tag) = tagged(&None) {
            return phrase::Place::Tag(None, tag);
        }
        match tagged(&here.environment) {
            Some(tag) => phrase::Place::Tag(here.environment.clone(), tag),
            None => phrase::Place::Named(here.name.clone()),
        }
    }

    fn environments(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for pool in &self.model.pools {
            if let Pool::Places(list) = pool {
                let all = list.iter().flat_map(|place| &place.sides);
                names.extend(all.filter_map(|side| side.environment.clone()));
            }
        }
        names
    }
}

fn describe(model: &Model<'_>, small: &Assignment, wanted: &Change, actions: &[ActionName]) -> Option<Found> {
    let (asked, after) = (model.asked(small, 0), model.asked(small, 1));
    let targets = [asked.target.clone(), after.target.clone()];
    let (before, now) = (model.answer(small, 0)?, model.answer(small, 1)?);
    let probe = Probe {
        model,
        wanted,
        asked,
        targets,
    };
    let mut all = probe.asked.clone();
    let alike = |action: &&ActionName| {
        all.action = (*action).clone();
        probe.here(&all)
    };
    let actions: BTreeSet<ActionName> = actions.iter().filter(alike).cloned().collect();
    let mut program = probe.asked.clone();
    program.who.kind = SubjectKind::Machine;
    let conditions = conditions(model, small, &probe);
    let any_class = probe.asked.class.is_some() && {
        let mut other = probe.asked.clone();
        other.class = Some(SmolStr::new_static("some-other-class"));
        probe.here(&other)
    };
    let [old, new] = &probe.targets;
    Some(Found {
        change: wanted.clone(),
        who: phrase::who(&probe.asked.who, &probe.outside(), probe.here(&program)),
        place: probe.place(),
        conditions: conditions.values().flatten().cloned().collect(),
        class: probe.asked.class.clone().filter(|_| !any_class),
        reveals: probe.asked.class.is_some(),
        witness: Witness {
            who: probe.asked.who.clone(),
            target: new.clone(),
            target_before: (old != new).then(|| old.clone()),
            action: actions.first().cloned()?,
            class: probe.asked.class.clone(),
            facts: conditions
                .into_keys()
                .map(|name| {
                    let value = probe.asked.facts.get(&name).map(phrase::plain);
                    (name, value.unwrap_or(serde_json::Value::Null))
                })
                .collect(),
            before,
            after: now,
            asked: after,
        },
        actions,
    })
}

/// The facts that matter, with words where they are not plain, or where it matters that somebody was not asked.
fn conditions(model: &Model<'_>, small: &Assignment, probe: &Probe<'_, '_>) -> BTreeMap<SmolStr, Option<String>> {
    let keeps = |other: &Assignment| differs(model, other).as_ref() == Some(probe.wanted);
    // That nobody was asked yet goes without saying where somebody is.
    let waits = [&probe.wanted.before, &probe.wanted.after]
        .iter()
        .any(|words| words.starts_with(HELD));
    let said = |matter: Matter| match matter.turning {
        None => (
            matter.name.clone(),
            Some(phrase::condition(&matter.name, matter.value.as_ref())),
        ),
        Some(_) if waits && matter.name != "task" => (matter.name, None),
        Some(turning) => (matter.name.clone(), phrase::absence(&matter.name, turning.as_ref())),
    };
    matters(model, small, &keeps).into_iter().map(said).collect()
}
