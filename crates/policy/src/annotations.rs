//! What a rule's annotations say, checked.

use std::collections::BTreeSet;
use std::time::Duration;

use cedar_policy::{Effect, Policy};
use smol_str::SmolStr;

use crate::decision::{Approvals, HoldSpec};
use crate::mask;

/// The annotations of one rule.
#[derive(Debug, Clone, Default)]
pub(crate) struct Annotations {
    pub(crate) message: Option<String>,
    pub(crate) hold: Option<HoldSpec>,
    pub(crate) mask: Option<SmolStr>,
    /// `@ends("session")`: what follows a refused command is not to be run either.
    pub(crate) ends_session: bool,
    /// `@grant`: what the session's own role at the target gets.
    pub(crate) grants: BTreeSet<SmolStr>,
    /// `@enforce("false")`: what it would refuse or hold is noted, and goes on.
    pub(crate) observes: bool,
}

/// The most approvals that one group can be asked for.
const MAX_APPROVALS: u32 = 20;
/// The most roles that one rule grants, and the longest name of one, in bytes: a server would cut a longer one.
const MAX_GRANTS: usize = 32;
const MAX_ROLE: usize = 63;
/// The longest message, in bytes.
const MAX_MESSAGE: usize = 500;

/// Reads a rule's annotations; the sentences of the error say what is wrong with them.
pub(crate) fn read(policy: &Policy) -> Result<Annotations, Vec<String>> {
    let mut wrong = Vec::new();
    for (key, value) in policy.annotations() {
        check_key(key, value, policy, &mut wrong);
    }
    let get = |key: &str| policy.annotation(key).map(str::to_owned);
    let (hold, moderate) = (get("hold"), get("moderate"));
    check_together(policy, &mut wrong);
    let mut keep = |result: Result<Option<Duration>, String>| match result {
        Ok(value) => value,
        Err(why) => {
            wrong.push(why);
            None
        }
    };
    let timeout = keep(get("timeout").map(|text| duration("timeout", &text)).transpose());
    let expires = keep(get("expires").map(|text| duration("expires", &text)).transpose());
    let groups = match hold
        .map(|text| approvals(&text, get("approvals").as_deref()))
        .transpose()
    {
        Ok(groups) => groups,
        Err(why) => {
            wrong.push(why);
            None
        }
    };
    let watch = match moderate.map(|text| watchers(&text)).transpose() {
        Ok(watch) => watch,
        Err(why) => {
            wrong.push(why);
            None
        }
    };
    let grants = get("grant").map_or(Ok(BTreeSet::new()), |text| roles(&text));
    let grants = grants.unwrap_or_else(|why| {
        wrong.push(why);
        BTreeSet::new()
    });
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(Annotations {
        message: get("message"),
        hold: (groups.is_some() || watch.is_some()).then(|| HoldSpec {
            groups: groups.unwrap_or_default(),
            watch: watch.unwrap_or_default(),
            timeout,
            expires,
        }),
        mask: get("mask").map(SmolStr::from),
        ends_session: get("ends").is_some(),
        grants,
        observes: get("enforce").is_some_and(|text| text == "false"),
    })
}

/// What belongs to which rule, and what excludes what.
fn check_together(policy: &Policy, wrong: &mut Vec<String>) {
    let forbids = policy.effect() == Effect::Forbid;
    let get = |key: &str| policy.annotation(key);
    let (hold, moderate) = (get("hold"), get("moderate"));
    for key in ["message", "hold", "moderate", "mask", "ends", "enforce"] {
        if get(key).is_some() && !forbids {
            wrong.push(format!("`@{key}` belongs to a rule that forbids"));
        }
    }
    if get("grant").is_some() && forbids {
        wrong.push("`@grant` belongs to a rule that permits".to_owned());
    }
    for key in ["approvals", "timeout", "expires"] {
        let moderates = key == "timeout" && moderate.is_some();
        if get(key).is_some() && hold.is_none() && !moderates {
            wrong.push(format!("`@{key}` needs `@hold` beside it"));
        }
    }
    if hold.is_some() && moderate.is_some() {
        wrong.push("a rule has either `@hold` or `@moderate`: where both are needed, two rules say so".to_owned());
    }
    if get("enforce").is_some() && get("mask").is_some() {
        wrong.push("a rule that masks cannot only observe: what it let through could not be taken back".to_owned());
    }
    let waits = hold.is_some() || moderate.is_some();
    if waits && get("mask").is_some() {
        wrong.push("a rule either holds or masks, not both".to_owned());
    }
    if get("ends").is_some() && (waits || get("mask").is_some()) {
        wrong.push("`@ends` belongs to a plain refusal, which neither holds nor masks".to_owned());
    }
}

fn check_key(key: &str, value: &str, policy: &Policy, wrong: &mut Vec<String>) {
    match key {
        "id" => {
            let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
            if value.is_empty() || value.len() > 100 || !value.chars().all(fine) {
                wrong.push("an `@id` is 1 to 100 letters, digits, `-`, `_`, `.` or `/`".to_owned());
            }
        }
        "message" | "description" => {
            if value.trim().is_empty() || value.len() > MAX_MESSAGE || value.chars().any(char::is_control) {
                wrong.push(format!("`@{key}` is one line of at most {MAX_MESSAGE} bytes"));
            }
        }
        "mask" => {
            if let Err(error) = mask::strictness(value) {
                wrong.push(error.to_string());
            }
        }
        "ends" => {
            if value != "session" {
                wrong.push("`@ends` can end the `session` and nothing else".to_owned());
            }
        }
        "enforce" => {
            if !matches!(value, "true" | "false") {
                wrong.push("`@enforce` is `true`, or `false` for a rule that only observes".to_owned());
            }
        }
        "hold" | "moderate" | "approvals" | "timeout" | "expires" | "grant" => {}
        other => {
            let effect = policy.effect();
            wrong.push(format!("`@{other}` is not an annotation that a {effect} rule can have"));
        }
    }
}

/// `dba`, `dba:2`, `dba,security:2`.
pub(crate) fn approvals(text: &str, default: Option<&str>) -> Result<Vec<Approvals>, String> {
    let number = |text: &str| -> Result<u32, String> {
        text.trim()
            .parse()
            .ok()
            .filter(|count| (1..=MAX_APPROVALS).contains(count))
            .ok_or_else(|| format!("`{text}` is not a number of approvals (1 to {MAX_APPROVALS})"))
    };
    let default = default.map_or(Ok(1), number)?;
    let mut groups: Vec<Approvals> = Vec::new();
    for part in text.split(',') {
        let (group, count) = match part.rsplit_once(':') {
            Some((group, count)) => (group.trim(), number(count)?),
            None => (part.trim(), default),
        };
        if group.is_empty() {
            return Err("`@hold` names the groups to ask: `dba` or `dba:2,security`".to_owned());
        }
        if groups.iter().any(|other| other.group == group) {
            return Err(format!("`@hold` names the group `{group}` twice"));
        }
        groups.push(Approvals {
            group: group.into(),
            count,
        });
    }
    groups.sort_by(|a, b| a.group.cmp(&b.group));
    Ok(groups)
}

/// `operators`, `operators,security`.
pub(crate) fn watchers(text: &str) -> Result<BTreeSet<SmolStr>, String> {
    let mut groups = BTreeSet::new();
    for group in text.split(',').map(str::trim) {
        if group.is_empty() || group.contains(':') {
            return Err("`@moderate` names the groups of which somebody must watch: `operators,security`".to_owned());
        }
        if !groups.insert(SmolStr::from(group)) {
            return Err(format!("`@moderate` names the group `{group}` twice"));
        }
    }
    Ok(groups)
}

/// `reader`, `reader,writer`.
fn roles(text: &str) -> Result<BTreeSet<SmolStr>, String> {
    let mut roles = BTreeSet::new();
    for role in text.split(',').map(str::trim) {
        if role.is_empty() || role.len() > MAX_ROLE || role.chars().any(char::is_control) {
            return Err(format!(
                "`@grant` names roles of the target, each of at most {MAX_ROLE} bytes: `reader,writer`"
            ));
        }
        if !roles.insert(SmolStr::from(role)) {
            return Err(format!("`@grant` names the role `{role}` twice"));
        }
    }
    if roles.len() > MAX_GRANTS {
        return Err(format!("`@grant` names more than {MAX_GRANTS} roles"));
    }
    Ok(roles)
}

/// `30s`, `10m`, `2h`, `1d`.
fn duration(key: &str, text: &str) -> Result<Duration, String> {
    let wrong = || format!("`@{key}` is a time such as 30s, 10m, 2h or 1d, at most 30d");
    let text = text.trim();
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        Some(_) | None => return Err(wrong()),
    };
    let digits = text.get(..text.len() - 1).unwrap_or("");
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    let seconds = count
        .checked_mul(unit)
        .filter(|s| (1..=30 * 86_400).contains(s))
        .ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn holds_name_groups_and_counts() {
        let groups = approvals("security:2, dba", Some("3")).unwrap();
        let plain: Vec<_> = groups.iter().map(|a| (a.group.as_str(), a.count)).collect();
        assert_eq!(plain, [("dba", 3), ("security", 2)]);
        assert!(approvals("dba,dba", None).is_err());
        assert!(approvals("dba:0", None).is_err());
        assert!(approvals("", None).is_err());
    }

    #[test]
    fn roles_are_named_once_and_are_names() {
        let named: Vec<_> = roles("writer, reader").unwrap().into_iter().collect();
        assert_eq!(named, ["reader", "writer"]);
        for wrong in ["", "reader,", "reader,reader", "a\nb", &"x".repeat(64)] {
            assert!(roles(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("timeout", "10m").unwrap(), Duration::from_secs(600));
        assert!(duration("timeout", "10").is_err());
        assert!(duration("timeout", "400d").is_err());
        assert!(duration("timeout", "0s").is_err());
    }
}
