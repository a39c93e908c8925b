//! What must be true of a bundle whatever its rules say: `properties.toml`, and looking for requests that refute it.

#[cfg(feature = "symbolic")]
mod certain;
mod file;
mod prove;
mod region;

use std::collections::BTreeMap;

use serde::Serialize;
use smol_str::SmolStr;

#[cfg(feature = "symbolic")]
pub use certain::certain;
pub(crate) use prove::mistakes;
pub use prove::prove;

use crate::act::{ActionName, Resource, Subject};
use crate::search::{Answer, Asked, Effort};

/// What came of one property.
#[derive(Debug, Clone, Serialize)]
pub struct Proof {
    /// The property's name.
    pub name: String,
    /// What was found.
    pub finding: Finding,
    /// What was done to find it.
    pub effort: Effort,
    /// Why a solver did not prove it, where one was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<String>,
}

/// Whether a property holds, as far as that is known.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// A request for which it does not hold.
    Refuted(Box<Counterexample>),
    /// Requests that it speaks of were tried, and none refutes it. That is no proof.
    NotRefuted,
    /// A solver proved it, for all requests and entities that the schema admits.
    Proven,
    /// No request was found that it speaks of: it says nothing about this bundle, or it does not say what was meant.
    SpeaksOfNothing,
    /// The time ended before anything was tried.
    NotTried,
}

/// A request that a property speaks of, with an answer that it excludes, and nothing remarkable in it but what matters.
#[derive(Debug, Clone, Serialize)]
pub struct Counterexample {
    /// Who.
    pub who: Subject,
    /// Where.
    pub target: Resource,
    /// What.
    #[serde(serialize_with = "crate::diff::name")]
    pub action: ActionName,
    /// Of which class a value is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<SmolStr>,
    /// The facts that matter; null when it matters that it is absent.
    pub facts: BTreeMap<SmolStr, serde_json::Value>,
    /// What the bundle answers.
    pub answer: Answer,
    /// The whole request.
    #[serde(skip)]
    pub asked: Asked,
}
