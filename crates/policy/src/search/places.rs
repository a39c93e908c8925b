//! The targets that are tried: those of `targets.toml`, and some that a rule means though none is there yet.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use smol_str::SmolStr;

use super::literals::Literals;
use super::picks::MOST;
use crate::act::Resource;
use crate::bundle::Bundle;

/// A target as each of the compared bundles describes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// One for each bundle, all by the same name.
    pub(crate) sides: Vec<Resource>,
}

impl Place {
    fn same(resource: &Resource, sides: usize) -> Self {
        Self {
            sides: vec![resource.clone(); sides],
        }
    }

    /// Whether the bundles describe it otherwise.
    pub(crate) fn moved(&self) -> bool {
        self.sides.windows(2).any(|pair| pair.first() != pair.last())
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    target: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    #[serde(default)]
    protocol: String,
    environment: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

/// The targets of a bundle by name.
pub(crate) fn targets(bundle: &Bundle) -> BTreeMap<String, Resource> {
    // The bundle was loaded, so the file can be read.
    let text = bundle.file("targets.toml").unwrap_or_default();
    let file: File = toml::from_str(text).unwrap_or(File { target: Vec::new() });
    let resource = |target: Target| {
        let (protocol, environment, mut tags) = (target.protocol, target.environment, target.tags);
        tags.sort();
        let name = target.name;
        (
            name.clone(),
            Resource {
                name,
                protocol,
                environment,
                tags,
            },
        )
    };
    file.target.into_iter().map(resource).collect()
}

/// The known targets as all sides describe them; one that a side lacks is there as the other has it.
pub(crate) fn known(sides: &[&Bundle]) -> Vec<Place> {
    let each: Vec<BTreeMap<String, Resource>> = sides.iter().map(|side| targets(side)).collect();
    let names: BTreeSet<&String> = each.iter().flat_map(BTreeMap::keys).collect();
    let place = |name: &String| {
        let some = each.iter().find_map(|side| side.get(name))?;
        let sides = each.iter().map(|side| side.get(name).unwrap_or(some).clone()).collect();
        Some(Place { sides })
    };
    names.into_iter().filter_map(place).collect()
}

/// What is tried for an action: of the targets that speak its protocol, where it is known, one of each kind and those
/// that rules name; one in each environment and with each tag that rules name; and one that is nowhere.
pub(super) fn tried(
    known: &[Place],
    protocols: Option<&BTreeSet<SmolStr>>,
    literals: &Literals,
    sides: usize,
) -> Vec<Place> {
    let none = BTreeSet::new();
    let ids = |kind: &str| literals.entities.get(kind).unwrap_or(&none);
    let speaks = |place: &&Place| {
        let of = |resource: &Resource| protocols.is_none_or(|list| list.contains(resource.protocol.as_str()));
        place.sides.iter().any(of)
    };
    let mut fitting: Vec<&Place> = known.iter().filter(speaks).collect();
    if fitting.is_empty() {
        fitting = known.iter().collect();
    }
    let (mut places, mut kinds) = (Vec::new(), BTreeSet::new());
    for place in fitting {
        let Some(first) = place.sides.first() else { continue };
        let kind = (first.protocol.clone(), first.environment.clone(), first.tags.clone());
        let named = ids("Target").contains(first.name.as_str()) || literals.strings.contains(first.name.as_str());
        if kinds.insert(kind) || place.moved() || named {
            places.push(place.clone());
        }
    }
    let protocol = protocols
        .and_then(|list| list.first())
        .map(ToString::to_string)
        .unwrap_or_default();
    let made = |name: &str, environment: Option<&SmolStr>, tag: Option<&SmolStr>| Resource {
        name: name.to_owned(),
        protocol: protocol.clone(),
        environment: environment.map(ToString::to_string),
        tags: tag.map(ToString::to_string).into_iter().collect(),
    };
    let mut add = |resource: Resource| places.push(Place::same(&resource, sides));
    add(made("some-target", None, None));
    for environment in ids("Environment") {
        add(made("some-target", Some(environment), None));
        ids("Tag")
            .iter()
            .for_each(|tag| add(made("some-target", Some(environment), Some(tag))));
    }
    ids("Tag")
        .iter()
        .for_each(|tag| add(made("some-target", None, Some(tag))));
    for name in ids("Target")
        .iter()
        .chain(&literals.strings)
        .filter(|name| !name.is_empty())
    {
        if !known
            .iter()
            .any(|place| place.sides.iter().any(|side| side.name == *name))
        {
            add(made(name, None, None));
            add(Resource {
                protocol: name.to_string(),
                ..made("some-target", None, None)
            });
        }
    }
    places.truncate(MOST);
    places
}
