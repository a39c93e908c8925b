//! Policy as code: Cedar rules in a directory decide what a principal may do on a target, what must wait
//! for people, and which values are masked.
//!
//! A [`Bundle`] is one immutable, validated state of that directory; [`Watcher`] keeps the newest valid one.
//! Protocols bring their own actions and facts as [`SchemaFragment`]s; this crate only knows the base
//! vocabulary (`User`, `Machine`, `Group`, `Target`, `Environment`, `Tag`, `Classification`, `Task`, and the
//! actions `connect`, `reveal` and `unparsed`).
//!
//! Everything here fails closed: a rule that cannot be evaluated, an action that the schema does not
//! declare and a command without any action are refused.

mod act;
mod annotations;
mod bundle;
mod cases;
mod classify;
mod classify_file;
mod code;
mod decision;
mod diff;
mod explain;
mod files;
mod git;
mod given;
mod judge;
mod kept;
mod lint;
mod mask;
mod mutate;
mod narrow;
mod needs;
mod observing;
mod places;
mod problem;
mod properties;
mod recorded;
mod rules;
mod schema;
mod search;
mod standing;
#[cfg(feature = "symbolic")]
mod symbolic;
#[cfg(feature = "testing")]
pub mod testing;
mod watcher;

pub use act::{Act, ActionName, Attributes, Resource, Situation, Subject, SubjectKind, Value};
pub use bundle::{Bundle, Loader};
pub use cases::{Case, CaseReport};
pub use classify::{Classification, ColumnName, Detected, ProtectedPath, Trust};
pub use code::{Code, Severity};
pub use decision::{Approvals, Decision, Disclosure, HoldSpec, Lifetime, Observed, Outcome, Reveal, RuleId, View};
#[cfg(feature = "symbolic")]
pub use diff::nothing_newly_allowed;
pub use diff::{Comparison, Difference, Kind as DifferenceKind, Witness, compare};
pub use explain::{Came, Considered};
pub use given::{Bounds, digest_of, is_part, is_within};
pub use judge::Meaning;
pub use kept::{Arrival, Kept, KeptError};
pub use lint::Checked;
pub use mask::{MaskSyntaxError, stricter};
pub use mutate::{Change, Mutant, Mutation, Survivor};
pub use needs::Needs;
pub use observing::Observing;
pub use problem::{LoadError, Problem};
#[cfg(feature = "symbolic")]
pub use properties::certain;
pub use properties::{Counterexample, Finding, Proof, prove};
pub use recorded::{acts_from_json, acts_to_json};
pub use schema::{BASE_SCHEMA, SchemaFragment, action_names, group_names};
pub use search::{Answer, Asked, Budget, Effort};
pub use standing::Standing;
#[cfg(feature = "symbolic")]
pub use symbolic::{Certainty, Solver};
pub use watcher::{Keep, Reloaded, Watcher};
