//! Who may decide, see and ask.

use std::collections::BTreeSet;

use sallyport_identity::{Kind, Principal};
use sallyport_store::requests::{NeedRow, RequestRow, RequestState};

use crate::error::ReviewError;
use crate::needs::MAX_APPROVALS;
use crate::request::{Held, MAX_REASON_BYTES};

/// Whose requests are listed.
#[derive(Clone, Copy, Debug)]
pub enum Visibility<'a> {
    /// Everybody's: for auditors and administrators.
    All,
    /// Their own, and those that one of their groups is asked for.
    For(&'a Principal),
}

/// The needs of `held`, a row for each group.
pub(crate) fn checked_needs(held: &Held) -> Result<Vec<NeedRow>, ReviewError> {
    let mut needs: Vec<NeedRow> = Vec::new();
    for need in &held.needs {
        let count = need.count.max(1);
        match needs.iter_mut().find(|row| row.group == need.group) {
            Some(row) => row.count = row.count.max(count),
            None => needs.push(NeedRow {
                group: need.group.clone(),
                count,
            }),
        }
    }
    let approvals: u64 = needs.iter().map(|need| u64::from(need.count)).sum();
    match approvals {
        0 if held.watch.is_empty() => Err(ReviewError::NobodyToAsk),
        0 => Ok(needs),
        1..=MAX_APPROVALS => Ok(needs),
        _ => Err(ReviewError::TooManyApprovals(approvals)),
    }
}

pub(crate) fn same_needs(a: &[NeedRow], b: &[NeedRow]) -> bool {
    a.len() == b.len() && a.iter().all(|need| b.contains(need))
}

pub(crate) fn open_at(row: &RequestRow, now_ms: i64) -> Result<(), ReviewError> {
    let state = match row.state {
        RequestState::Open if row.expires_ms > now_ms => return Ok(()),
        RequestState::Open => RequestState::Expired,
        over @ (RequestState::Approved
        | RequestState::Used
        | RequestState::Denied
        | RequestState::Expired
        | RequestState::Withdrawn) => over,
    };
    Err(ReviewError::Over {
        id: row.id.clone(),
        state,
    })
}

/// The groups for which `reviewer`, who is `person` today, may approve `row`. Nobody decides about their own (invariant I5), whatever groups
/// they are in.
pub(crate) fn eligible_groups(
    row: &RequestRow,
    reviewer: &Principal,
    person: &str,
) -> Result<BTreeSet<String>, ReviewError> {
    let mut groups = may_deny(row, reviewer, person)?;
    groups.retain(|group| row.needs.iter().any(|need| need.group == *group));
    if groups.is_empty() {
        return Err(ReviewError::ToBeWatched {
            id: row.id.clone(),
            session: row.session.clone(),
        });
    }
    Ok(groups)
}

/// The groups for which `reviewer` is asked about `row` at all: each of their members may deny it.
pub(crate) fn may_deny(row: &RequestRow, reviewer: &Principal, person: &str) -> Result<BTreeSet<String>, ReviewError> {
    let (id, name) = (row.id.clone(), reviewer.id.to_string());
    if is_asker(row, reviewer) || row.person.eq_ignore_ascii_case(person) {
        return Err(ReviewError::OwnRequest { id, reviewer: name });
    }
    if reviewer.kind == Kind::Machine {
        return Err(ReviewError::NotAPerson(name));
    }
    let groups = asked_groups(row, reviewer);
    if groups.is_empty() {
        let asked: Vec<String> = asked(row).map(|group| format!("`{group}`")).collect();
        return Err(ReviewError::NotAReviewer {
            id,
            reviewer: name,
            groups: asked.join(" and "),
        });
    }
    Ok(groups)
}

/// Whether `principal` is who asked, under this identity or another. Case does not make another person.
fn is_asker(row: &RequestRow, principal: &Principal) -> bool {
    row.principal.eq_ignore_ascii_case(&principal.id) || row.person.eq_ignore_ascii_case(&principal.person)
}

/// The groups that are asked to approve or to watch.
fn asked(row: &RequestRow) -> impl Iterator<Item = &String> {
    row.needs.iter().map(|need| &need.group).chain(&row.watch)
}

fn asked_groups(row: &RequestRow, principal: &Principal) -> BTreeSet<String> {
    asked(row)
        .filter(|group| principal.groups.iter().any(|g| g.as_str() == group.as_str()))
        .cloned()
        .collect()
}

pub(crate) fn sees(visibility: Visibility<'_>, row: &RequestRow) -> bool {
    match visibility {
        Visibility::All => true,
        Visibility::For(principal) => is_asker(row, principal) || !asked_groups(row, principal).is_empty(),
    }
}

pub(crate) fn check_reason(reason: Option<&str>) -> Result<(), ReviewError> {
    match reason {
        Some(text) if text.len() > MAX_REASON_BYTES => Err(ReviewError::ReasonTooLong { length: text.len() }),
        Some(_) | None => Ok(()),
    }
}
