//! What was found, put together so that a person can read it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};
use smol_str::SmolStr;

use super::change::{Change, Kind};
use super::phrase::{self, Place};
use crate::act::{ActionName, Resource, Subject};
use crate::bundle::Bundle;
use crate::problem::single_line;
use crate::search::{Answer, Asked};

/// One difference.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// Of which kind.
    pub kind: Kind,
    /// What changes, for people.
    pub sentence: String,
    /// The actions that it concerns; empty when it is not about actions.
    #[serde(serialize_with = "names")]
    pub actions: BTreeSet<ActionName>,
    /// A request that shows it; absent when the files themselves say it.
    pub witness: Option<Box<Witness>>,
}

/// A request that is answered otherwise before and after, with nothing remarkable in it but what matters.
#[derive(Debug, Clone, Serialize)]
pub struct Witness {
    /// Who.
    pub who: Subject,
    /// Where, as the new bundle describes the target.
    pub target: Resource,
    /// How the old bundle describes it, if otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_before: Option<Resource>,
    /// What.
    #[serde(serialize_with = "name")]
    pub action: ActionName,
    /// Of which class a value is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<SmolStr>,
    /// The facts that matter; null when it matters that it is absent.
    pub facts: BTreeMap<SmolStr, serde_json::Value>,
    /// What the old bundle answers.
    pub before: Answer,
    /// What the new bundle answers.
    pub after: Answer,
    /// The whole request as the new bundle sees it, with one action of several that are answered alike.
    #[serde(skip)]
    pub asked: Asked,
}

pub(crate) fn name<S: Serializer>(action: &ActionName, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(action)
}

fn names<S: Serializer>(actions: &BTreeSet<ActionName>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(actions.iter().map(ToString::to_string))
}

/// A difference that was found for some actions.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) change: Change,
    pub(super) who: String,
    pub(super) place: Place,
    pub(super) conditions: Vec<String>,
    pub(super) class: Option<SmolStr>,
    pub(super) reveals: bool,
    pub(super) witness: Witness,
    pub(super) actions: BTreeSet<ActionName>,
}

/// What is alike but for the action is one difference.
pub(super) fn merged(found: Vec<Found>, schema: &Bundle) -> Vec<Difference> {
    let mut list: Vec<Found> = Vec::new();
    for one in found {
        let like = |other: &&mut Found| {
            other.change == one.change
                && other.who == one.who
                && other.place == one.place
                && other.conditions == one.conditions
                && other.class == one.class
                && other.reveals == one.reveals
                // Connecting is a thing of its own, and has words of its own.
                && other.actions.contains(&ActionName::connect()) == one.actions.contains(&ActionName::connect())
        };
        match list.iter_mut().find(like) {
            Some(other) => other.actions.extend(one.actions),
            None => list.push(one),
        }
    }
    let difference = |found: Found| Difference {
        kind: found.change.kind,
        sentence: single_line(&phrase::sentence(&found, schema)),
        actions: found.actions,
        witness: Some(Box::new(found.witness)),
    };
    list.into_iter().map(difference).collect()
}
