//! What is asked, what reviewers see, and what they give.

use std::collections::BTreeSet;
use std::time::Duration;

use sallyport_identity::Principal;
use sallyport_store::requests::{RequestRow, RequestState};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::clock::from_ms;
use crate::digest::CommandDigest;
use crate::error::ReviewError;
use crate::needs::Tally;

/// The most bytes of a statement that reviewers are shown. The digest covers all of it.
pub const MAX_STATEMENT_BYTES: usize = 1024 * 1024;
/// The most bytes of one parameter, of a message, of a plan that reviewers are shown.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// The most bytes of all parameters together.
const MAX_PARAMETERS_BYTES: usize = 256 * 1024;
/// The most bytes of a reason.
pub(crate) const MAX_REASON_BYTES: usize = 4 * 1024;

/// A command that policy holds.
#[derive(Clone, Debug)]
pub struct Held {
    /// The session whose client waits.
    pub session: String,
    /// Who asks.
    pub principal: Principal,
    /// The target.
    pub target: String,
    /// The database, namespace or the like within the target.
    pub database: Option<String>,
    /// The task of the session.
    pub task: Option<String>,
    /// The exact statement, as text. Any length; reviewers see the first [`MAX_STATEMENT_BYTES`].
    pub statement: String,
    /// The bound parameters in words.
    pub parameters: Vec<String>,
    /// What a grant will be bound to.
    pub digest: CommandDigest,
    /// The digest of the policy that holds the command.
    pub policy_digest: String,
    /// The rules that hold it.
    pub rules: Vec<String>,
    /// What the first of them says.
    pub message: Option<String>,
    /// Who has to approve.
    pub needs: Vec<Need>,
    /// The groups of which somebody has to watch the session while the command runs.
    pub watch: Vec<String>,
    /// What the command would touch, if that is known already; see also [`Reviews::set_impact`](crate::Reviews::set_impact).
    pub impact: Option<Impact>,
    /// How long the client waits; `None`: as configured.
    pub wait: Option<Duration>,
    /// How long the request can be decided; `None`: as configured.
    pub request_ttl: Option<Duration>,
    /// How long an unused grant lasts; `None`: as configured.
    pub grant_ttl: Option<Duration>,
}

/// How many people of a group have to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The group.
    pub group: String,
    /// How many different people of it; at least 1.
    pub count: u32,
}

/// What a command would touch, as the target's planner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impact {
    /// The plan, as text.
    pub plan: String,
    /// How many rows the planner expects.
    pub estimated_rows: Option<u64>,
}

/// A request as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The short identifier, such as `req_7k2m9q`.
    pub id: String,
    /// Where it stands.
    pub state: RequestState,
    /// Whether a client waits for the answer right now.
    pub waiting: bool,
    /// The session that asked last.
    pub session: String,
    /// Who asks.
    pub requester: Asker,
    /// The target.
    pub target: String,
    /// The database, namespace or the like within the target.
    pub database: Option<String>,
    /// The task of the session.
    pub task: Option<String>,
    /// The statement, or its beginning when `statement_truncated`.
    pub statement: String,
    /// Whether the statement goes on.
    pub statement_truncated: bool,
    /// The length of the whole statement in bytes.
    pub statement_bytes: u64,
    /// The bound parameters in words.
    pub parameters: Vec<String>,
    /// Whether there is more in the parameters than is shown.
    pub parameters_truncated: bool,
    /// The rules that hold the command.
    pub rules: Vec<String>,
    /// What the first of them says.
    pub message: Option<String>,
    /// What the command would touch, once that is known.
    pub impact: Option<Impact>,
    /// Who has to approve, and how many have.
    pub needs: Vec<NeedStatus>,
    /// The groups of which somebody has to watch the session (`sallyport sessions watch`) while the command runs.
    #[serde(default)]
    pub watch: Vec<String>,
    /// Who has approved.
    pub approvals: Vec<Approval>,
    /// SHA-256 of what would run, in hexadecimal.
    pub digest: String,
    /// The digest of the policy that held it.
    pub policy_digest: String,
    /// When it was asked.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// Until when it can be decided.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// Until when the grant can be used.
    #[serde(with = "time::serde::rfc3339::option")]
    pub grant_expires: Option<OffsetDateTime>,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
}

/// Who asks, as reviewers see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The principal.
    pub id: String,
    /// The groups it was in when it asked.
    pub groups: Vec<String>,
}

/// A need and how many approvals count for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedStatus {
    /// The group.
    pub group: String,
    /// How many have to approve.
    pub count: u32,
    /// How many have.
    pub approved: u32,
}

/// One person's approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who approved.
    pub reviewer: String,
    /// For which group it counts.
    pub group: String,
    /// What they wrote.
    pub reason: Option<String>,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conclusion {
    /// Who ended it; `None`: the gateway.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// What an approval gives: one run of exactly the approved command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The request.
    pub request: String,
    /// Who approved, and for which group.
    pub approvals: Vec<Approval>,
    /// The groups that have all their approvals: the `approved_by` of the next decision.
    pub groups: BTreeSet<String>,
    /// The digest of the policy that held the command. Under another policy the grant is worth nothing.
    pub policy_digest: String,
}

/// What is stored for reviewers besides the columns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Detail {
    pub(crate) groups: Vec<String>,
    pub(crate) database: Option<String>,
    pub(crate) statement: String,
    pub(crate) statement_bytes: u64,
    pub(crate) parameters: Vec<String>,
    pub(crate) parameters_truncated: bool,
    pub(crate) rules: Vec<String>,
    pub(crate) message: Option<String>,
    pub(crate) impact: Option<Impact>,
    pub(crate) grant_ttl_ms: i64,
}

impl Detail {
    pub(crate) fn of(held: &Held, grant_ttl: Duration) -> Self {
        let (parameters, parameters_truncated) = bounded(&held.parameters);
        Self {
            groups: held.principal.groups.iter().map(ToString::to_string).collect(),
            database: held.database.clone(),
            statement: head(&held.statement, MAX_STATEMENT_BYTES).to_owned(),
            statement_bytes: held.statement.len() as u64,
            parameters,
            parameters_truncated,
            rules: held.rules.clone(),
            message: held.message.as_deref().map(|m| head(m, MAX_TEXT_BYTES).to_owned()),
            impact: held.impact.as_ref().map(Impact::bounded),
            grant_ttl_ms: crate::clock::ms(grant_ttl),
        }
    }

    pub(crate) fn read(row: &RequestRow) -> Result<Self, ReviewError> {
        serde_json::from_str(&row.detail).map_err(|source| ReviewError::Unreadable {
            id: row.id.clone(),
            source,
        })
    }

    pub(crate) fn to_json(&self) -> String {
        // Strings, numbers and lists of them always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Impact {
    pub(crate) fn bounded(&self) -> Self {
        Self {
            plan: head(&self.plan, MAX_TEXT_BYTES).to_owned(),
            estimated_rows: self.estimated_rows,
        }
    }
}

impl Request {
    pub(crate) fn read(row: &RequestRow) -> Result<Self, ReviewError> {
        let detail = Detail::read(row)?;
        let tally = Tally::of(row);
        let status = |(need, votes): &(&sallyport_store::requests::NeedRow, Vec<_>)| NeedStatus {
            group: need.group.clone(),
            count: need.count,
            approved: u32::try_from(votes.len()).unwrap_or(u32::MAX),
        };
        Ok(Self {
            id: row.id.clone(),
            state: row.state,
            waiting: row.waiting,
            session: row.session.clone(),
            requester: Asker {
                id: row.principal.clone(),
                groups: detail.groups,
            },
            target: row.target.clone(),
            database: detail.database,
            task: row.task.clone(),
            statement_truncated: (detail.statement.len() as u64) < detail.statement_bytes,
            statement: detail.statement,
            statement_bytes: detail.statement_bytes,
            parameters: detail.parameters,
            parameters_truncated: detail.parameters_truncated,
            rules: detail.rules,
            message: detail.message,
            impact: detail.impact,
            needs: tally.needs.iter().map(status).collect(),
            watch: row.watch.clone(),
            approvals: approvals(&tally),
            digest: hex::encode(&row.digest),
            policy_digest: row.policy_digest.clone(),
            created: from_ms(row.created_ms),
            expires: from_ms(row.expires_ms),
            grant_expires: row.grant_expires_ms.map(from_ms),
            conclusion: row.ended_ms.map(|at| Conclusion {
                by: row.ended_by.clone(),
                reason: row.ended_reason.clone(),
                at: from_ms(at),
            }),
        })
    }
}

impl Grant {
    /// The grant of an approved request; `None` when its approvals do not suffice any more.
    pub(crate) fn read(row: &RequestRow) -> Option<Self> {
        let tally = Tally::of(row);
        tally.is_complete().then(|| Self {
            request: row.id.clone(),
            approvals: approvals(&tally),
            groups: row.needs.iter().map(|need| need.group.clone()).collect(),
            policy_digest: row.policy_digest.clone(),
        })
    }
}

fn approvals(tally: &Tally<'_>) -> Vec<Approval> {
    let mut approvals: Vec<Approval> = tally
        .needs
        .iter()
        .flat_map(|(need, votes)| {
            votes.iter().map(|vote| Approval {
                reviewer: vote.reviewer.clone(),
                group: need.group.clone(),
                reason: vote.reason.clone(),
                at: from_ms(vote.at_ms),
            })
        })
        .collect();
    approvals.sort_by_key(|approval| approval.at);
    approvals
}

fn bounded(parameters: &[String]) -> (Vec<String>, bool) {
    let mut left = MAX_PARAMETERS_BYTES;
    let mut shown = Vec::new();
    let mut truncated = false;
    for parameter in parameters {
        if left == 0 {
            return (shown, true);
        }
        let text = head(parameter, left.min(MAX_TEXT_BYTES));
        truncated |= text.len() < parameter.len();
        // An empty parameter takes room too, so that their number is bounded as well.
        left = left.saturating_sub(text.len().max(16));
        shown.push(text.to_owned());
    }
    (shown, truncated)
}

/// The longest beginning of `text` that has at most `max` bytes.
pub(crate) fn head(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_between_characters() {
        assert_eq!(head("aé", 2), "a");
        assert_eq!(head("aé", 3), "aé");
        assert_eq!(head("aé", 99), "aé");
        assert_eq!(head("é", 0), "");
    }

    #[test]
    fn parameters_are_bounded_in_number_and_size() {
        let (shown, truncated) = bounded(&vec![String::new(); 100_000]);
        assert!(truncated);
        assert!(shown.len() <= MAX_PARAMETERS_BYTES / 16);
        let (shown, truncated) = bounded(&["x".repeat(MAX_TEXT_BYTES + 1)]);
        assert!(truncated);
        assert_eq!(shown.first().map(String::len), Some(MAX_TEXT_BYTES));
        assert_eq!(bounded(&["1".to_owned()]), (vec!["1".to_owned()], false));
    }
}
