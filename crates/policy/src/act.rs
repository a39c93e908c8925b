//! What is judged: who, on which target, doing which acts, in which situation.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use time::OffsetDateTime;

/// Whether a principal is a person or a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// Cedar's `User`.
    User,
    /// Cedar's `Machine`.
    Machine,
}

/// A principal as policy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// Person or program.
    pub kind: SubjectKind,
    /// The identity, the same for all of this principal's sessions.
    pub id: String,
    /// Names of the groups it belongs to.
    pub groups: Vec<String>,
}

/// A target as policy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// The target's name in the catalogue.
    pub name: String,
    /// Which protocol it speaks, for example `postgres`.
    pub protocol: String,
    /// Where it lives, for example `production`.
    pub environment: Option<String>,
    /// Free labels.
    pub tags: Vec<String>,
}

/// A Cedar action: `Sql::Action::"drop"` is `("Sql", "drop")`, `Action::"connect"` is `("", "connect")`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ActionName {
    /// The namespace; empty for the base actions.
    pub namespace: SmolStr,
    /// The action's id within the namespace.
    pub name: SmolStr,
}

impl ActionName {
    /// An action of a protocol's namespace.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// `Action::"connect"`: opening a session.
    #[must_use]
    pub fn connect() -> Self {
        Self::new("", "connect")
    }

    /// `Action::"unparsed"`: a command that was not understood.
    #[must_use]
    pub fn unparsed() -> Self {
        Self::new("", "unparsed")
    }

    /// `Action::"reveal"`: seeing values of a class.
    #[must_use]
    pub fn reveal() -> Self {
        Self::new("", "reveal")
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "Action::\"{}\"", self.name)
        } else {
            write!(f, "{}::Action::\"{}\"", self.namespace, self.name)
        }
    }
}

/// The facts of an act by name; shared, because the acts of one command usually carry the same facts.
pub type Attributes = Arc<[(SmolStr, Value)]>;

/// One thing that a command does. A command is allowed when all of its acts are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Act {
    /// Which action.
    pub action: ActionName,
    /// What the protocol's schema fragment declares for that action's context. The attributes that
    /// [`Situation`] carries (`task`, `now`, `source`, `approved_by`, `watched_by`) are added by the evaluation.
    pub context: Attributes,
}

impl Act {
    /// An act with its facts.
    #[must_use]
    pub fn new(action: ActionName, context: impl Into<Attributes>) -> Self {
        Self {
            action,
            context: context.into(),
        }
    }
}

/// A fact's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Cedar's `Bool`.
    Bool(bool),
    /// Cedar's `Long`.
    Long(i64),
    /// Cedar's `String`.
    String(SmolStr),
    /// Cedar's `Set<String>`.
    Strings(BTreeSet<SmolStr>),
    /// One entity: its type as the schema names it (`Target`, `Kubernetes::Namespace`), and its id.
    Entity(SmolStr, SmolStr),
    /// A set of entities of one type, by id.
    Entities(SmolStr, BTreeSet<SmolStr>),
    /// Cedar's `ipaddr`.
    Ip(IpAddr),
    /// Cedar's `datetime` (milliseconds).
    Time(OffsetDateTime),
}

impl Value {
    /// A set of strings.
    pub fn strings<S: Into<SmolStr>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::Strings(items.into_iter().map(Into::into).collect())
    }

    /// A set of entities of one type.
    pub fn entities<S: Into<SmolStr>>(kind: &str, ids: impl IntoIterator<Item = S>) -> Self {
        Self::Entities(kind.into(), ids.into_iter().map(Into::into).collect())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Long(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

/// Everything around an act that is not a fact of the command itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// The task that the session carries.
    pub task: Option<String>,
    /// The time of the decision. Rules see it in whole seconds, so that a decision which reads the time
    /// holds until the next second begins.
    pub now: OffsetDateTime,
    /// Where the client connects from.
    pub source: Option<IpAddr>,
    /// Groups whose approval of exactly this command has been given (in the number the hold asked for).
    pub approved_by: BTreeSet<String>,
    /// Groups of the other people who watch the session at this moment.
    pub watched_by: BTreeSet<String>,
}

impl Situation {
    /// A situation with nothing but the time.
    #[must_use]
    pub fn at(now: OffsetDateTime) -> Self {
        Self {
            task: None,
            now,
            source: None,
            approved_by: BTreeSet::new(),
            watched_by: BTreeSet::new(),
        }
    }
}

/// Parses `Sql::drop`, `Sql::Action::"drop"` and `connect`: how people write actions on a command line.
impl FromStr for ActionName {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.replace('"', "");
        let (namespace, name) = plain.rsplit_once("::").unwrap_or(("", plain.as_str()));
        let namespace = namespace.strip_suffix("Action").unwrap_or(namespace);
        Ok(Self::new(namespace.trim_end_matches("::"), name))
    }
}
