//! Held commands: the rows, and the changes that must be atomic.
//!
//! The rules (who may approve, when enough people have) live in the review crate. This module gives it write
//! transactions that are taken immediately, so that two of them never interleave, and conditional updates that
//! say whether they changed anything.

mod transaction;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};

use crate::{Store, StoreError};

pub use transaction::{Ending, RequestsTx};

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// Waits for reviewers.
    Open,
    /// Enough people approved; the grant has not been used.
    Approved,
    /// The grant was used: the command went on.
    Used,
    /// A reviewer said no.
    Denied,
    /// Nobody decided in time, or the grant was not used in time.
    Expired,
    /// The person who asked, or their connection, went away.
    Withdrawn,
}

impl RequestState {
    /// Every state, in the order of a request's life.
    pub const ALL: [Self; 6] = [
        Self::Open,
        Self::Approved,
        Self::Used,
        Self::Denied,
        Self::Expired,
        Self::Withdrawn,
    ];

    /// The word in the store and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Used => "used",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether nothing can happen to the request any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Self::Open | Self::Approved => false,
            Self::Used | Self::Denied | Self::Expired | Self::Withdrawn => true,
        }
    }
}

impl std::fmt::Display for RequestState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The word names no state of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a state of a request")]
pub struct UnknownState(String);

impl std::str::FromStr for RequestState {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownState(word.to_owned()))
    }
}

/// How many people of a group have to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedRow {
    /// The group.
    pub group: String,
    /// How many different people of it.
    pub count: u32,
}

/// One person's approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteRow {
    /// The key that all identities of one person share.
    pub person: String,
    /// The identity that approved.
    pub reviewer: String,
    /// The needed groups that the identity was in.
    pub groups: BTreeSet<String>,
    /// What the reviewer wrote.
    pub reason: Option<String>,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// A request that is about to be stored.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// The short identifier.
    pub id: String,
    /// SHA-256 of what would run.
    pub digest: [u8; 32],
    /// The session whose client waits.
    pub session: String,
    /// The identity that asks.
    pub principal: String,
    /// The key that all identities of that person share.
    pub person: String,
    /// The target.
    pub target: String,
    /// The task of the session.
    pub task: Option<String>,
    /// The policy that held the command.
    pub policy_digest: String,
    /// What reviewers are shown, as JSON.
    pub detail: String,
    /// Who has to approve.
    pub needs: Vec<NeedRow>,
    /// The groups of which somebody has to watch.
    pub watch: Vec<String>,
    /// When it was asked, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it expires, in milliseconds since 1970.
    pub expires_ms: i64,
}

/// A stored request with its needs and votes.
#[derive(Clone, Debug)]
pub struct RequestRow {
    /// The short identifier.
    pub id: String,
    /// SHA-256 of what would run.
    pub digest: Vec<u8>,
    /// Where it stands.
    pub state: RequestState,
    /// Whether a client waits for the answer.
    pub waiting: bool,
    /// The session that asked last.
    pub session: String,
    /// The identity that asks.
    pub principal: String,
    /// The key that all identities of that person share.
    pub person: String,
    /// The target.
    pub target: String,
    /// The task of the session.
    pub task: Option<String>,
    /// The policy that held the command.
    pub policy_digest: String,
    /// What reviewers are shown, as JSON.
    pub detail: String,
    /// Who has to approve, by name of the group.
    pub needs: Vec<NeedRow>,
    /// The groups of which somebody has to watch, by name.
    pub watch: Vec<String>,
    /// Who has approved, in the order of their approvals.
    pub votes: Vec<VoteRow>,
    /// When it was asked, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it expires, in milliseconds since 1970.
    pub expires_ms: i64,
    /// When the grant expires, once there is one.
    pub grant_expires_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Who ended it.
    pub ended_by: Option<String>,
    /// Why.
    pub ended_reason: Option<String>,
}

impl FromRow<'_, SqliteRow> for RequestRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        let mut votes: Vec<VoteRow> = decode_json(row, "votes")?;
        votes.sort_by(|a, b| (a.at_ms, &a.person).cmp(&(b.at_ms, &b.person)));
        Ok(Self {
            id: row.try_get("id")?,
            digest: row.try_get("digest")?,
            state: state.parse().map_err(|e: UnknownState| undecodable("state", e))?,
            waiting: row.try_get::<i64, _>("waiting")? == 1,
            session: row.try_get("session")?,
            principal: row.try_get("principal")?,
            person: row.try_get("asker")?,
            target: row.try_get("target")?,
            task: row.try_get("task")?,
            policy_digest: row.try_get("policy_digest")?,
            detail: row.try_get("detail")?,
            needs: decode_json(row, "needs")?,
            watch: decode_json(row, "watch")?,
            votes,
            created_ms: row.try_get("created_ms")?,
            expires_ms: row.try_get("expires_ms")?,
            grant_expires_ms: row.try_get("grant_expires_ms")?,
            ended_ms: row.try_get("ended_ms")?,
            ended_by: row.try_get("ended_by")?,
            ended_reason: row.try_get("ended_reason")?,
        })
    }
}

fn decode_json<T: for<'de> Deserialize<'de>>(row: &SqliteRow, column: &str) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|e| undecodable(column, e))
}

fn undecodable(column: &str, source: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(source),
    }
}

/// Whose requests may be listed.
#[derive(Clone, Debug, Default)]
pub struct Viewer {
    /// Requests of this identity.
    pub principal: String,
    /// Requests of this person.
    pub person: String,
    /// Requests that need one of these groups.
    pub groups: BTreeSet<String>,
}

/// Which requests are wanted.
#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    /// Only in these states; empty: in any.
    pub states: BTreeSet<RequestState>,
    /// Only those of this identity.
    pub principal: Option<String>,
    /// Only those for this target.
    pub target: Option<String>,
    /// Only those that this viewer may see; `None`: all.
    pub viewer: Option<Viewer>,
    /// Only those that are older than this request.
    pub before: Option<String>,
    /// At most so many; at most 500 in any case.
    pub limit: u32,
}

/// The most requests that one list returns.
pub const MAX_LIST: u32 = 500;

/// The requests in a store.
#[derive(Clone, Debug)]
pub struct Requests {
    store: Store,
}

// One place for the columns: a request with its needs and votes as JSON, and persons as they are known today.
macro_rules! select {
    ($rest:literal) => {
        select!("r.detail", $rest)
    };
    ($detail:literal, $rest:literal) => {
        concat!(
            "SELECT r.id, r.digest, r.state, r.waiting, r.session, r.principal, r.target, r.task, \
             r.policy_digest, r.created_ms, r.expires_ms, r.grant_expires_ms, \
             r.ended_ms, r.ended_by, r.ended_reason, \
             coalesce((SELECT p.person FROM persons p WHERE p.key = r.person), r.person) AS asker, \
             (SELECT json_group_array(json_object('group', n.group_name, 'count', n.count)) \
              FROM request_needs n WHERE n.request = r.id) AS needs, \
             (SELECT json_group_array(w.group_name) FROM request_watch w WHERE w.request = r.id) AS watch, \
             (SELECT json_group_array(json_object( \
              'person', coalesce((SELECT p.person FROM persons p WHERE p.key = v.person), v.person), \
              'reviewer', v.reviewer, 'groups', json(v.groups), 'reason', v.reason, 'at_ms', v.at_ms)) \
              FROM request_votes v WHERE v.request = r.id) AS votes, ",
            $detail,
            " AS detail FROM requests r ",
            $rest
        )
    };
}

use select;

impl Requests {
    /// The requests in `store`.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// Takes the store's write lock. Nothing is kept unless the transaction is committed.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn begin(&self) -> Result<RequestsTx, StoreError> {
        Ok(RequestsTx {
            tx: self.store.begin().await?,
        })
    }

    /// The request called `id`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn get(&self, id: &str) -> Result<Option<RequestRow>, StoreError> {
        Ok(sqlx::query_as(select!("WHERE r.id = ?1"))
            .bind(id)
            .fetch_optional(self.store.read())
            .await?)
    }

    /// The requests that `filter` wants, newest first. Long ones come abridged, so that a list stays small: the
    /// beginning of the statement and of the message, no parameters, no plan.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn list(&self, filter: &RequestFilter) -> Result<Vec<RequestRow>, StoreError> {
        let states: Vec<&str> = filter.states.iter().map(|s| s.as_str()).collect();
        let states = (!states.is_empty()).then(|| json_text(&states));
        let viewer = filter.viewer.as_ref();
        let rows = sqlx::query_as(select!(
            "CASE WHEN length(r.detail) <= 16384 THEN r.detail ELSE json_replace(r.detail, \
              '$.statement', substr(r.detail ->> '$.statement', 1, 2048), \
              '$.parameters', json_array(), \
              '$.parameters_truncated', \
              json(iif(json_array_length(r.detail, '$.parameters') > 0, 'true', r.detail -> '$.parameters_truncated')), \
              '$.message', substr(r.detail ->> '$.message', 1, 2048), \
              '$.impact.plan', '') END",
            "WHERE (?1 IS NULL OR r.state IN (SELECT value FROM json_each(?1))) \
             AND (?2 IS NULL OR r.principal = ?2) \
             AND (?3 IS NULL OR r.target = ?3) \
             AND (?4 IS NULL OR r.principal = ?4 OR r.person = ?5 OR asker = ?5 OR EXISTS (SELECT 1 FROM request_needs n \
                  WHERE n.request = r.id AND n.group_name IN (SELECT value FROM json_each(?6))) \
                  OR EXISTS (SELECT 1 FROM request_watch w \
                  WHERE w.request = r.id AND w.group_name IN (SELECT value FROM json_each(?6)))) \
             AND (?7 IS NULL OR (r.created_ms, r.id) < (SELECT b.created_ms, b.id FROM requests b WHERE b.id = ?7)) \
             ORDER BY r.created_ms DESC, r.id DESC LIMIT ?8"
        ))
        .bind(states)
        .bind(filter.principal.as_deref())
        .bind(filter.target.as_deref())
        .bind(viewer.map(|v| v.principal.as_str()))
        .bind(viewer.map(|v| v.person.as_str()))
        .bind(viewer.map_or_else(|| "[]".to_owned(), |v| json_text(&v.groups)))
        .bind(filter.before.as_deref())
        .bind(i64::from(filter.limit.min(MAX_LIST)))
        .fetch_all(self.store.read())
        .await?;
        Ok(rows)
    }

    /// When the next open request or unused grant expires, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn next_expiry(&self) -> Result<Option<i64>, StoreError> {
        let next = sqlx::query_scalar(
            "SELECT min(CASE state WHEN 'open' THEN expires_ms ELSE grant_expires_ms END) \
             FROM requests WHERE state IN ('open', 'approved')",
        );
        Ok(next.fetch_one(self.store.read()).await?)
    }

    /// Forgets requests that ended before `before_ms`; returns how many.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn prune(&self, before_ms: i64) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM requests WHERE ended_ms < ?1")
            .bind(before_ms)
            .execute(self.store.write())
            .await?;
        Ok(done.rows_affected())
    }
}

fn json_text<T: Serialize>(value: &T) -> String {
    // Lists of strings always serialize.
    serde_json::to_string(value).unwrap_or_default()
}
