//! How two answers to the same request differ.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Disclosure, HoldSpec, Outcome, Reveal};
use crate::mask::strictness;
use crate::search::Answer;

/// What kind of difference it is, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What was refused is allowed.
    NewlyAllowed,
    /// What waited for people is allowed.
    NoLongerHeld,
    /// A class is masked by something that shows more, or is shown where it was withheld or masked.
    WeakerMasks,
    /// A session gets roles that it did not get.
    RolesGained,
    /// What was refused can be approved.
    RefusedToHeld,
    /// Other people are asked, or other numbers of them, or for another time.
    OtherReviewers,
    /// Less is classified: columns, paths, detectors, or more is declassified.
    LessClassified,
    /// Code is trusted that was not.
    TrustedCode,
    /// A refusal no longer ends the session.
    SessionGoesOn,
    /// What was allowed is refused.
    NewlyRefused,
    /// What was allowed waits for people.
    NewlyHeld,
    /// What could be approved is refused.
    HeldToRefused,
    /// A class is masked by something that shows less.
    StrongerMasks,
    /// A session no longer gets roles that it got.
    RolesLost,
    /// A refusal ends the session.
    SessionEnds,
    /// More is classified.
    MoreClassified,
    /// Code is no longer trusted.
    DistrustedCode,
    /// A rule or a target begins or ends to only observe.
    Observing,
    /// Targets came, went or moved.
    Targets,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::NewlyAllowed,
        Self::NoLongerHeld,
        Self::WeakerMasks,
        Self::RolesGained,
        Self::RefusedToHeld,
        Self::OtherReviewers,
        Self::LessClassified,
        Self::TrustedCode,
        Self::SessionGoesOn,
        Self::NewlyRefused,
        Self::NewlyHeld,
        Self::HeldToRefused,
        Self::StrongerMasks,
        Self::RolesLost,
        Self::SessionEnds,
        Self::MoreClassified,
        Self::DistrustedCode,
        Self::Observing,
        Self::Targets,
    ];

    /// A heading for differences of this kind.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::NewlyAllowed => "Newly allowed",
            Self::NoLongerHeld => "No longer held",
            Self::WeakerMasks => "Shown more openly",
            Self::RolesGained => "Roles gained",
            Self::RefusedToHeld => "Was refused, can now be approved",
            Self::OtherReviewers => "Other reviewers",
            Self::LessClassified => "Less classified",
            Self::TrustedCode => "Newly trusted code",
            Self::SessionGoesOn => "No longer ends the session",
            Self::NewlyRefused => "Newly refused",
            Self::NewlyHeld => "Newly held",
            Self::HeldToRefused => "Could be approved, is now refused",
            Self::StrongerMasks => "Shown less openly",
            Self::RolesLost => "Roles lost",
            Self::SessionEnds => "Now ends the session",
            Self::MoreClassified => "More classified",
            Self::DistrustedCode => "No longer trusted code",
            Self::Observing => "Only observing",
            Self::Targets => "Targets",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut word = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_ascii_uppercase() && !word.is_empty() {
                word.push('-');
            }
            word.push(c.to_ascii_lowercase());
        }
        f.write_str(&word)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.to_string() == text);
        found.ok_or_else(|| {
            let all: Vec<String> = Self::ALL.iter().map(ToString::to_string).collect();
            format!("`{text}` is no kind of difference; there are {}", all.join(", "))
        })
    }
}

/// A difference without the request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) kind: Kind,
    /// What is answered before and after, as far as it matters; the same for requests that differ alike.
    pub(super) before: String,
    pub(super) after: String,
}

/// How two answers differ; `None` when a person would not notice but for rules' names and messages.
pub(super) fn change(before: &Answer, after: &Answer) -> Option<Change> {
    let kind = match (before, after) {
        (Answer::Decision(before), Answer::Decision(after)) => decisions(before, after)?,
        (Answer::Disclosure(before), Answer::Disclosure(after)) => disclosures(before, after)?,
        (Answer::Decision(_), Answer::Disclosure(_)) | (Answer::Disclosure(_), Answer::Decision(_)) => return None,
    };
    // Times are only worth a word where nothing else differs.
    let people = |answer: &Answer| match answer {
        Answer::Decision(decision) => decision
            .hold
            .as_ref()
            .map(|hold| (hold.groups.clone(), hold.watch.clone())),
        Answer::Disclosure(_) => None,
    };
    let times = people(before).is_some() && people(before) == people(after);
    Some(Change {
        kind,
        before: words(before, times),
        after: words(after, times),
    })
}

/// How the words for a hold begin.
pub(super) const HELD: &str = "held";

fn decisions(before: &Decision, after: &Decision) -> Option<Kind> {
    Some(match (before.outcome, after.outcome) {
        (Outcome::Deny, Outcome::Allow) => Kind::NewlyAllowed,
        (Outcome::Hold, Outcome::Allow) => Kind::NoLongerHeld,
        (Outcome::Deny, Outcome::Hold) => Kind::RefusedToHeld,
        (Outcome::Allow, Outcome::Deny) => Kind::NewlyRefused,
        (Outcome::Allow, Outcome::Hold) => Kind::NewlyHeld,
        (Outcome::Hold, Outcome::Deny) => Kind::HeldToRefused,
        (Outcome::Hold, Outcome::Hold) => return (before.hold != after.hold).then_some(Kind::OtherReviewers),
        (Outcome::Allow, Outcome::Allow) if before.grants == after.grants => return None,
        (Outcome::Allow, Outcome::Allow) if after.grants.is_subset(&before.grants) => Kind::RolesLost,
        (Outcome::Allow, Outcome::Allow) => Kind::RolesGained,
        (Outcome::Deny, Outcome::Deny) => match (before.ends_session, after.ends_session) {
            (true, false) => Kind::SessionGoesOn,
            (false, true) => Kind::SessionEnds,
            (true, true) | (false, false) => return None,
        },
    })
}

fn disclosures(before: &Disclosure, after: &Disclosure) -> Option<Kind> {
    let hidden = |reveal: &Reveal| match reveal {
        Reveal::Clear => 0,
        // One that is no mask shows nothing; a bundle that has one does not load.
        Reveal::Mask(mask) => 1 + u32::from(strictness(mask).unwrap_or(u16::MAX)),
        Reveal::Withhold => u32::MAX,
    };
    match hidden(&before.reveal).cmp(&hidden(&after.reveal)) {
        std::cmp::Ordering::Greater => Some(Kind::WeakerMasks),
        std::cmp::Ordering::Less => Some(Kind::StrongerMasks),
        std::cmp::Ordering::Equal => None,
    }
}

/// An answer in words that go after "was" and "is now".
pub(crate) fn words(answer: &Answer, times: bool) -> String {
    match answer {
        Answer::Disclosure(disclosure) => match &disclosure.reveal {
            Reveal::Clear => "shown in the clear".to_owned(),
            Reveal::Mask(mask) => format!("masked: {mask}"),
            Reveal::Withhold => "withheld".to_owned(),
        },
        Answer::Decision(decision) => match (decision.outcome, &decision.hold) {
            (Outcome::Hold, Some(hold)) => format!("{HELD} for {}", asked(hold, times)),
            (Outcome::Hold, None) => HELD.to_owned(),
            (Outcome::Deny, _) if decision.ends_session => "refused, which ends the session".to_owned(),
            (Outcome::Deny, _) => "refused".to_owned(),
            (Outcome::Allow, _) if decision.grants.is_empty() => "allowed".to_owned(),
            (Outcome::Allow, _) => {
                let roles: Vec<String> = decision.grants.iter().map(|role| format!("`{role}`")).collect();
                format!("allowed, with {}", roles.join(" and "))
            }
        },
    }
}

/// Whom a hold asks, and for how long if that is wanted.
fn asked(hold: &HoldSpec, times: bool) -> String {
    let groups = hold.groups.iter().map(|approvals| match approvals.count {
        1 => format!("approval by `{}`", approvals.group),
        count => format!("approval by {count} of `{}`", approvals.group),
    });
    let watchers = hold.watch.iter().map(|group| format!("somebody of `{group}` to watch"));
    let mut text = groups.chain(watchers).collect::<Vec<_>>().join(" and ");
    let time =
        |time: Option<Duration>| time.map_or_else(|| "the gateway's time".to_owned(), |t| format!("{} s", t.as_secs()));
    if times {
        text.push_str(&format!(
            ", waiting {} and good for {}",
            time(hold.timeout),
            time(hold.expires)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn kinds_are_written_as_they_are_read() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.to_string());
        }
        assert!("newly-nothing".parse::<Kind>().unwrap_err().contains("weaker-masks"));
    }
}
