//! The answer to "may they?", and how the answers to a command's acts become one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use time::OffsetDateTime;

/// A rule's `@id`, unique within its bundle.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(pub SmolStr);

impl RuleId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happens to the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is forwarded.
    Allow,
    /// It is refused.
    Deny,
    /// It waits for the people of [`Decision::hold`].
    Hold,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Hold => "hold",
        })
    }
}

/// How many members of a group must approve.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Approvals {
    /// The group's name.
    pub group: SmolStr,
    /// How many different people of it, at least 1.
    pub count: u32,
}

/// Whom a held command waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldSpec {
    /// All of these approvals are needed. Sorted by group, each group once.
    pub groups: Vec<Approvals>,
    /// `@moderate`: somebody of each of these groups must watch the session.
    pub watch: BTreeSet<SmolStr>,
    /// `@timeout`: how long the client is kept waiting; the gateway's own default when absent.
    pub timeout: Option<Duration>,
    /// `@expires`: how long an approval may be used once it is given; the gateway's own default when absent.
    pub expires: Option<Duration>,
}

impl HoldSpec {
    /// Both must be satisfied: the union of the groups, the higher counts, the shorter times.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let mut groups: BTreeMap<SmolStr, u32> = BTreeMap::new();
        for Approvals { group, count } in self.groups.into_iter().chain(other.groups) {
            let most = groups.entry(group).or_insert(count);
            *most = (*most).max(count);
        }
        Self {
            groups: groups
                .into_iter()
                .map(|(group, count)| Approvals { group, count })
                .collect(),
            watch: self.watch.into_iter().chain(other.watch).collect(),
            timeout: shorter(self.timeout, other.timeout),
            expires: shorter(self.expires, other.expires),
        }
    }
}

fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

/// How long an answer stays right for the same bundle, subject, target, task, source and act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as none of those changes.
    Forever,
    /// Until this moment, exclusively: a rule that could apply reads the time.
    Until(OffsetDateTime),
    /// For this one time: an approval took part in it, a rule asks who watches, or it could not be evaluated.
    Never,
}

impl Lifetime {
    /// The shorter of the two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, _) | (_, Self::Never) => Self::Never,
            (Self::Until(a), Self::Until(b)) => Self::Until(a.min(b)),
            (Self::Until(t), Self::Forever) | (Self::Forever, Self::Until(t)) => Self::Until(t),
            (Self::Forever, Self::Forever) => Self::Forever,
        }
    }

    /// Whether an answer with this lifetime may be given again at `now`.
    #[must_use]
    pub fn covers(self, now: OffsetDateTime) -> bool {
        match self {
            Self::Forever => true,
            Self::Until(end) => now < end,
            Self::Never => false,
        }
    }
}

/// The answer for a whole command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// What happens.
    pub outcome: Outcome,
    /// The rules that made it so, sorted: the permits of an `Allow`, the forbids of a `Deny` or `Hold`.
    /// Empty when no permit matched.
    pub rules: Vec<RuleId>,
    /// For the person: the `@message` of the first such rule, or a sentence that names the rule or the
    /// action that nothing permits. `None` for `Allow`.
    pub message: Option<String>,
    /// Whom it waits for; `Some` exactly for `Hold`.
    pub hold: Option<HoldSpec>,
    /// A rule that refuses says `@ends("session")`: what the client sends next assumes that this took effect.
    pub ends_session: bool,
    /// The roles at the target that the permits of an `Allow` grant to the session's own role, all of theirs together.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub grants: BTreeSet<SmolStr>,
    /// What it would have been if what only observes were in force; `None` when the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<Box<Observed>>,
    /// How long the answer may be reused.
    #[serde(skip)]
    pub cache: Lifetime,
}

/// What a decision would have been if the rules that only observe (`@enforce("false")`), and all rules on a target that
/// only observes (`enforce = false`), were in force. It changes nothing: it is recorded, counted and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Observed {
    /// What would have happened.
    pub outcome: Outcome,
    /// The rules that would have made it so, sorted. Empty when no permit matched.
    pub rules: Vec<RuleId>,
    /// What the person would have been told.
    pub message: Option<String>,
    /// Whom it would have waited for.
    pub hold: Option<HoldSpec>,
    /// Whether the session would have ended.
    pub ends_session: bool,
}

impl Decision {
    /// An allow that nothing limits.
    #[must_use]
    pub fn allowed(rules: Vec<RuleId>, cache: Lifetime) -> Self {
        Self {
            outcome: Outcome::Allow,
            rules,
            message: None,
            hold: None,
            ends_session: false,
            grants: BTreeSet::new(),
            observed: None,
            cache,
        }
    }

    /// A refusal that no rule made.
    #[must_use]
    pub fn refused(message: impl Into<String>, cache: Lifetime) -> Self {
        Self {
            outcome: Outcome::Deny,
            rules: Vec::new(),
            message: Some(message.into()),
            hold: None,
            ends_session: false,
            grants: BTreeSet::new(),
            observed: None,
            cache,
        }
    }

    /// The answer for two acts of one command: a refusal beats a hold, a hold beats an allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self.observed.is_none() && other.observed.is_none() {
            return self.stricter(other);
        }
        let would = self.clone().enforced().stricter(other.clone().enforced());
        self.stricter(other).observing(would)
    }

    /// Notes what it would have been, if that is something else for whoever runs the command.
    #[must_use]
    pub(crate) fn observing(self, would: Self) -> Self {
        let cache = self.cache.and(would.cache);
        let same = would.outcome == self.outcome && would.hold == self.hold && would.ends_session == self.ends_session;
        let observed = (!same).then(|| {
            Box::new(Observed {
                outcome: would.outcome,
                rules: would.rules,
                message: would.message,
                hold: would.hold,
                ends_session: would.ends_session,
            })
        });
        Self {
            observed,
            cache,
            ..self
        }
    }

    /// As if everything that only observes were in force.
    fn enforced(self) -> Self {
        let Some(observed) = self.observed else {
            return self;
        };
        Self {
            outcome: observed.outcome,
            rules: observed.rules,
            message: observed.message,
            hold: observed.hold,
            ends_session: observed.ends_session,
            grants: BTreeSet::new(),
            observed: None,
            cache: self.cache,
        }
    }

    fn stricter(self, other: Self) -> Self {
        let cache = self.cache.and(other.cache);
        if self.outcome != other.outcome {
            let (strict, _) = if rank(self.outcome) > rank(other.outcome) {
                (self, other)
            } else {
                (other, self)
            };
            return Self { cache, ..strict };
        }
        let mut rules = self.rules;
        rules.extend(other.rules);
        rules.sort();
        rules.dedup();
        let hold = match (self.hold, other.hold) {
            (Some(a), Some(b)) => Some(a.merge(b)),
            (one, None) | (None, one) => one,
        };
        let mut grants = self.grants;
        grants.extend(other.grants);
        Self {
            outcome: self.outcome,
            rules,
            grants,
            message: self.message.or(other.message),
            hold,
            ends_session: self.ends_session || other.ends_session,
            observed: None,
            cache,
        }
    }
}

fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Allow => 0,
        Outcome::Hold => 1,
        Outcome::Deny => 2,
    }
}

/// How values of a class are shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reveal {
    /// As they are.
    Clear,
    /// Replaced by this strategy (`redact`, `keep-last(4)`, …; its syntax was checked when the bundle was loaded).
    Mask(SmolStr),
    /// Not at all.
    Withhold,
}

impl Reveal {
    /// The one that shows less: for a value that carries several classes.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Withhold, _) | (_, Self::Withhold) => Self::Withhold,
            (Self::Mask(a), Self::Mask(b)) => Self::Mask(crate::mask::stricter(a, b)),
            (Self::Mask(a), Self::Clear) | (Self::Clear, Self::Mask(a)) => Self::Mask(a),
            (Self::Clear, Self::Clear) => Self::Clear,
        }
    }
}

/// Where values of a class would be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// In a result, or in what a command says.
    Plain,
    /// In what a program draws in the alternate screen of a terminal.
    FullScreen,
}

/// The answer to `reveal` for one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disclosure {
    /// How values of the class are shown.
    pub reveal: Reveal,
    /// The rules that made it so, sorted; empty when no permit matched (the values are withheld).
    pub rules: Vec<RuleId>,
    /// How long the answer may be reused.
    #[serde(skip)]
    pub cache: Lifetime,
}

impl Disclosure {
    /// The answer for a value that carries both classes.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let cache = self.cache.and(other.cache);
        let reveal = self.reveal.clone().stricter(other.reveal.clone());
        let mut rules = Vec::new();
        if reveal == self.reveal {
            rules.extend(self.rules);
        }
        if reveal == other.reveal {
            rules.extend(other.rules);
        }
        rules.sort();
        rules.dedup();
        Self { reveal, rules, cache }
    }
}
