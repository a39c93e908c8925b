//! What changes between two bundles by meaning: not lines, but requests that are answered otherwise.

#[cfg(feature = "symbolic")]
mod certain;
mod change;
mod finding;
mod grounds;
mod phrase;
mod seek;
mod settings;
mod shrink;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use smol_str::SmolStr;

#[cfg(feature = "symbolic")]
pub use certain::nothing_newly_allowed;
pub use change::Kind;
pub use finding::{Difference, Witness};

pub(crate) use finding::name;
pub(crate) use phrase::plain;

use crate::act::ActionName;
use crate::bundle::Bundle;
use crate::problem::Problem;
use crate::schema::{SchemaFragment, action_names};
use crate::search::{Budget, Effort, Hunt, alike, known};

/// The differences of two bundles, the gravest kind first.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// What was found.
    pub differences: Vec<Difference>,
    /// What was done to find it.
    pub effort: Effort,
}

/// Which protocols have an action, by the names of the fragments that declare it.
pub(crate) fn protocols(fragments: &[SchemaFragment]) -> Result<BTreeMap<ActionName, BTreeSet<SmolStr>>, Problem> {
    let mut protocols: BTreeMap<ActionName, BTreeSet<SmolStr>> = BTreeMap::new();
    for fragment in fragments {
        for action in action_names(fragment)? {
            protocols.entry(action).or_default().insert(fragment.name.clone());
        }
    }
    Ok(protocols)
}

/// Compares two bundles that were loaded with these fragments. What the files say of targets and classes is compared
/// wholly; what the rules say, by a search.
///
/// # Errors
/// When a fragment is not a schema.
pub fn compare(
    old: &Bundle,
    new: &Bundle,
    fragments: &[SchemaFragment],
    budget: Budget,
) -> Result<Comparison, Problem> {
    let protocols = protocols(fragments)?;
    let sides = [old, new];
    let places = known(&sides);
    let mut hunt = Hunt::new(budget);
    let mut found = Vec::new();
    let pair = seek::Pair::new(old, new, &places, &protocols);
    for actions in alike(&sides) {
        if pair.settled(&actions) {
            hunt.effort.alike += actions.len();
            continue;
        }
        hunt.effort.actions += actions.len();
        found.extend(pair.seek(&actions, &mut hunt));
    }
    let mut differences = grounds::differences(old, new, &places);
    differences.extend(finding::merged(found, old));
    differences.sort_by(|a, b| (a.kind, &a.sentence).cmp(&(b.kind, &b.sentence)));
    Ok(Comparison {
        differences,
        effort: hunt.effort,
    })
}
