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
    /// In which of the bundles rules only observe there.
    observes: Vec<bool>,
}

impl Place {
    fn same(resource: &Resource, sides: usize) -> Self {
        Self {
            sides: vec![resource.clone(); sides],
            observes: vec![false; sides],
        }
    }

    /// Whether the bundles describe it otherwise.
    pub(crate) fn moved(&self) -> bool {
        let otherwise = |pair: &[bool]| pair.first() != pair.last();
        self.sides.windows(2).any(|pair| pair.first() != pair.last()) || self.observes.windows(2).any(otherwise)
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
        Some(Place {
            sides: each.iter().map(|side| side.get(name).unwrap_or(some).clone()).collect(),
            observes: sides.iter().map(|side| side.places().observes(name)).collect(),
        })
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
    let mut places = existing(known, protocols, literals);
    let protocol = protocols.and_then(|list| list.first());
    let made = made(protocol.map_or("", SmolStr::as_str), literals);
    let missing = made.filter(|made| {
        let named = known.iter().flat_map(|place| &place.sides);
        !named.into_iter().any(|side| side.name == made.name)
    });
    places.extend(missing.map(|resource| Place::same(&resource, sides)));
    places.truncate(MOST);
    places
}

/// Of the targets that there are, one of each kind, those that moved, and those that rules name.
fn existing(known: &[Place], protocols: Option<&BTreeSet<SmolStr>>, literals: &Literals) -> Vec<Place> {
    let speaks = |place: &&Place| {
        let of = |resource: &Resource| protocols.is_none_or(|list| list.contains(resource.protocol.as_str()));
        place.sides.iter().any(of)
    };
    let mut fitting: Vec<&Place> = known.iter().filter(speaks).collect();
    if fitting.is_empty() {
        fitting = known.iter().collect();
    }
    let mut kinds = BTreeSet::new();
    let mut worth = |place: &&Place| {
        let Some(first) = place.sides.first() else { return false };
        let name = first.name.as_str();
        let ids = literals.entities.get("Target");
        let named = ids.is_some_and(|ids| ids.contains(name)) || literals.strings.contains(name);
        let kind = (first.protocol.clone(), first.environment.clone(), first.tags.clone());
        kinds.insert((kind, place.observes.clone())) || place.moved() || named
    };
    fitting.into_iter().filter(|place| worth(place)).cloned().collect()
}

/// Targets that may come: nowhere, where rules speak of, by the names and with the protocols that they compare with.
fn made(protocol: &str, literals: &Literals) -> impl Iterator<Item = Resource> {
    let none = BTreeSet::new();
    let ids = |kind: &str| literals.entities.get(kind).unwrap_or(&none);
    let plain = Resource {
        name: "some-target".to_owned(),
        protocol: protocol.to_owned(),
        environment: None,
        tags: Vec::new(),
    };
    let mut list = vec![plain.clone()];
    let environments = ids("Environment")
        .iter()
        .map(|name| Some(name.to_string()))
        .chain([None]);
    for environment in environments {
        let tags = ids("Tag").iter().map(|tag| vec![tag.to_string()]).chain([Vec::new()]);
        list.extend(tags.map(|tags| Resource {
            environment: environment.clone(),
            tags,
            ..plain.clone()
        }));
    }
    for text in ids("Target")
        .iter()
        .chain(&literals.strings)
        .filter(|text| !text.is_empty())
    {
        list.push(Resource {
            name: text.to_string(),
            ..plain.clone()
        });
        list.push(Resource {
            protocol: text.to_string(),
            ..plain.clone()
        });
    }
    list.into_iter()
}
