//! When enough people have approved.
//!
//! Each person fills one place only, even when they are in several of the groups that are asked. Which place that is
//! may change as others approve: people and places are matched so that as many places as possible are filled.

use std::collections::BTreeSet;

use sallyport_store::requests::{NeedRow, RequestRow, VoteRow};

/// The most approvals that one request can ask for, over all groups.
pub(crate) const MAX_APPROVALS: u64 = 16;

/// Who fills which place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tally<'a> {
    /// For each need, the approvals that count for it.
    pub(crate) needs: Vec<(&'a NeedRow, Vec<&'a VoteRow>)>,
}

impl<'a> Tally<'a> {
    /// Matches people and places. Votes of who asked, and second votes of one person, count for nothing: persons that
    /// were known apart when they voted may have turned out to be one.
    pub(crate) fn of(row: &'a RequestRow) -> Self {
        let mut seen = BTreeSet::from([row.person.as_str()]);
        let votes = row.votes.iter().filter(|vote| seen.insert(vote.person.as_str()));
        Self::matching(&row.needs, votes)
    }

    fn matching(needs: &'a [NeedRow], votes: impl IntoIterator<Item = &'a VoteRow>) -> Self {
        let mut places: Vec<Place<'a>> = Vec::new();
        for (need, row) in needs.iter().enumerate() {
            places.extend((0..row.count).map(|_| Place {
                need,
                group: &row.group,
                vote: None,
            }));
        }
        for vote in votes {
            seat(&mut places, vote, &mut BTreeSet::new());
        }
        let filled = |need: usize| {
            places
                .iter()
                .filter(|p| p.need == need)
                .filter_map(|p| p.vote)
                .collect()
        };
        Self {
            needs: needs.iter().enumerate().map(|(i, row)| (row, filled(i))).collect(),
        }
    }

    /// Whether every place is filled.
    pub(crate) fn is_complete(&self) -> bool {
        !self.needs.is_empty()
            && self
                .needs
                .iter()
                .all(|(need, votes)| votes.len() as u64 >= u64::from(need.count))
    }

    /// How many places are filled.
    pub(crate) fn filled(&self) -> usize {
        self.needs.iter().map(|(_, votes)| votes.len()).sum()
    }

    /// What is missing, in words: "1 approval of `dba` and 2 approvals of `security`".
    pub(crate) fn missing(&self) -> String {
        let parts: Vec<String> = self
            .needs
            .iter()
            .filter_map(|(need, votes)| {
                let missing = u64::from(need.count).saturating_sub(votes.len() as u64);
                let noun = if missing == 1 { "approval" } else { "approvals" };
                (missing > 0).then(|| format!("{missing} {noun} of `{}`", need.group))
            })
            .collect();
        parts.join(" and ")
    }
}

struct Place<'a> {
    need: usize,
    group: &'a str,
    vote: Option<&'a VoteRow>,
}

/// Gives `vote` a place, moving others to places that suit them too (an augmenting path; at most as deep as there
/// are places).
fn seat<'a>(places: &mut [Place<'a>], vote: &'a VoteRow, tried: &mut BTreeSet<usize>) -> bool {
    for index in 0..places.len() {
        let Some(place) = places.get(index) else {
            continue;
        };
        if !vote.groups.contains(place.group) || !tried.insert(index) {
            continue;
        }
        let free = match place.vote {
            None => true,
            Some(other) => seat(places, other, tried),
        };
        if free && let Some(place) = places.get_mut(index) {
            place.vote = Some(vote);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(group: &str, count: u32) -> NeedRow {
        NeedRow {
            group: group.to_owned(),
            count,
        }
    }

    fn vote(person: &str, groups: &[&str]) -> VoteRow {
        VoteRow {
            person: person.to_owned(),
            reviewer: person.to_owned(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            reason: None,
            at_ms: 0,
        }
    }

    #[test]
    fn one_person_fills_one_place() {
        let needs = [need("dba", 1), need("security", 1)];
        let votes = [vote("dana", &["dba", "security"])];
        let tally = Tally::matching(&needs, &votes);
        assert!(!tally.is_complete());
        assert_eq!(tally.filled(), 1);
        assert_eq!(tally.missing(), "1 approval of `security`");
    }

    #[test]
    fn a_person_of_two_groups_makes_way_for_one_who_has_no_choice() {
        let needs = [need("dba", 1), need("security", 1)];
        let votes = [vote("dana", &["dba", "security"]), vote("dora", &["dba"])];
        let tally = Tally::matching(&needs, &votes);
        assert!(tally.is_complete());
        let groups: Vec<&str> = tally
            .needs
            .iter()
            .map(|(_, v)| v.first().map_or("", |v| v.person.as_str()))
            .collect();
        assert_eq!(groups, ["dora", "dana"]);
    }

    #[test]
    fn more_of_one_group_do_not_replace_another() {
        let needs = [need("dba", 2), need("security", 1)];
        let votes = [vote("a", &["dba"]), vote("b", &["dba"]), vote("c", &["dba"])];
        let tally = Tally::matching(&needs, &votes);
        assert!(!tally.is_complete());
        assert_eq!(tally.filled(), 2);
        assert_eq!(tally.missing(), "1 approval of `security`");
    }

    #[test]
    fn nothing_asked_is_never_complete() {
        assert!(!Tally::matching(&[], &[vote("a", &["dba"])]).is_complete());
    }
}
