//! What a bundle decides otherwise than it was decided.

use clap::ValueEnum;
use sallyport_policy::{Decision, Disclosure, Outcome, Reveal, RuleId};
use serde::Serialize;

/// In which way something is otherwise, in the words of `sallyport policy diff`. The gravest come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// What was refused is allowed.
    NewlyAllowed,
    /// What waited for people runs at once.
    NoLongerHeld,
    /// What was refused waits for people.
    RefusedToHeld,
    /// Values that were masked or withheld are shown, or shown more of.
    WeakerMasks,
    /// What was allowed waits for people.
    NewlyHeld,
    /// What was allowed is refused.
    NewlyRefused,
    /// What waited for people is refused.
    HeldToRefused,
    /// Values are masked or withheld that were shown, or less of them is shown.
    StrongerMasks,
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::NewlyAllowed,
        Self::NoLongerHeld,
        Self::RefusedToHeld,
        Self::WeakerMasks,
        Self::NewlyHeld,
        Self::NewlyRefused,
        Self::HeldToRefused,
        Self::StrongerMasks,
    ];

    /// The word that stands for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::NewlyAllowed => "newly-allowed",
            Self::NoLongerHeld => "no-longer-held",
            Self::RefusedToHeld => "refused-to-held",
            Self::WeakerMasks => "weaker-masks",
            Self::NewlyHeld => "newly-held",
            Self::NewlyRefused => "newly-refused",
            Self::HeldToRefused => "held-to-refused",
            Self::StrongerMasks => "stronger-masks",
        }
    }
}

/// One thing that is otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kind: Kind,
    /// The rules that make the difference: those that are stricter.
    pub(super) rules: Vec<RuleId>,
    /// What it was and what it is, in words.
    pub(super) how: String,
}

impl Change {
    /// Between the outcome of a command then and today.
    pub(super) fn of_outcome(before: Outcome, rules: &[RuleId], after: &Decision) -> Option<Self> {
        use Outcome::{Allow, Deny, Hold};
        let kind = match (before, after.outcome) {
            (Allow, Allow) | (Hold, Hold) | (Deny, Deny) => return None,
            (Deny, Allow) => Kind::NewlyAllowed,
            (Hold, Allow) => Kind::NoLongerHeld,
            (Deny, Hold) => Kind::RefusedToHeld,
            (Allow, Hold) => Kind::NewlyHeld,
            (Allow, Deny) => Kind::NewlyRefused,
            (Hold, Deny) => Kind::HeldToRefused,
        };
        let looser = matches!(kind, Kind::NewlyAllowed | Kind::NoLongerHeld | Kind::RefusedToHeld);
        let rules = if looser { rules } else { &after.rules };
        Some(Self {
            kind,
            rules: rules.to_vec(),
            how: format!("{before} → {}", after.outcome),
        })
    }

    /// Between how values of a class were shown and how they would be.
    pub(super) fn of_reveal(class: &str, before: &Reveal, after: &Disclosure) -> Option<Self> {
        if *before == after.reveal {
            return None;
        }
        let stricter = before.clone().stricter(after.reveal.clone());
        let kind = if stricter == *before {
            Kind::WeakerMasks
        } else {
            Kind::StrongerMasks
        };
        Some(Self {
            kind,
            rules: after.rules.clone(),
            how: format!("`{class}`: {} → {}", shown(before), shown(&after.reveal)),
        })
    }

    /// The same of values that detectors find.
    pub(super) fn where_found(mut self) -> Self {
        self.how += " where detectors find any, in so many sessions";
        self
    }
}

fn shown(reveal: &Reveal) -> &str {
    match reveal {
        Reveal::Clear => "clear",
        Reveal::Mask(strategy) => strategy,
        Reveal::Withhold => "withheld",
    }
}
