//! Held commands: the rows, and the changes that must be atomic.
//!
//! The rules (who may approve, when enough people have) live in the review crate. This module gives it write
//! transactions that are taken immediately, so that two of them never interleave, and conditional updates that
//! say whether they changed anything.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, Sqlite, Transaction};

use crate::{Store, StoreError};

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
            state: state
                .parse()
                .map_err(|e: UnknownState| undecodable("state", e))?,
            waiting: row.try_get::<i64, _>("waiting")? == 1,
            session: row.try_get("session")?,
            principal: row.try_get("principal")?,
            person: row.try_get("asker")?,
            target: row.try_get("target")?,
            task: row.try_get("task")?,
            policy_digest: row.try_get("policy_digest")?,
            detail: row.try_get("detail")?,
            needs: decode_json(row, "needs")?,
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

fn decode_json<T: for<'de> Deserialize<'de>>(
    row: &SqliteRow,
    column: &str,
) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|e| undecodable(column, e))
}

fn undecodable(
    column: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> sqlx::Error {
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
        concat!(
            "SELECT r.*, \
             coalesce((SELECT p.person FROM persons p WHERE p.key = r.person), r.person) AS asker, \
             (SELECT json_group_array(json_object('group', n.group_name, 'count', n.count)) \
              FROM request_needs n WHERE n.request = r.id) AS needs, \
             (SELECT json_group_array(json_object( \
              'person', coalesce((SELECT p.person FROM persons p WHERE p.key = v.person), v.person), \
              'reviewer', v.reviewer, 'groups', json(v.groups), 'reason', v.reason, 'at_ms', v.at_ms)) \
              FROM request_votes v WHERE v.request = r.id) AS votes \
             FROM requests r ",
            $rest
        )
    };
}

impl Requests {
    /// The requests in `store`.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
        }
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

    /// The requests that `filter` wants, newest first.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn list(&self, filter: &RequestFilter) -> Result<Vec<RequestRow>, StoreError> {
        let states: Vec<&str> = filter.states.iter().map(|s| s.as_str()).collect();
        let states = (!states.is_empty()).then(|| json_text(&states));
        let viewer = filter.viewer.as_ref();
        let rows = sqlx::query_as(select!(
            "WHERE (?1 IS NULL OR r.state IN (SELECT value FROM json_each(?1))) \
             AND (?2 IS NULL OR r.principal = ?2) \
             AND (?3 IS NULL OR r.target = ?3) \
             AND (?4 IS NULL OR r.principal = ?4 OR r.person = ?5 OR asker = ?5 OR EXISTS (SELECT 1 FROM request_needs n \
                  WHERE n.request = r.id AND n.group_name IN (SELECT value FROM json_each(?6)))) \
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

/// A write transaction over the requests: no other write happens meanwhile.
#[derive(Debug)]
pub struct RequestsTx {
    tx: Transaction<'static, Sqlite>,
}

/// How a request ends.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    /// The state that it ends in.
    pub state: RequestState,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who ended it.
    pub by: Option<&'a str>,
    /// Why.
    pub reason: Option<&'a str>,
}

impl RequestsTx {
    /// Keeps the changes.
    ///
    /// # Errors
    /// When the store cannot be used; then nothing is kept.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }

    /// The request called `id`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn get(&mut self, id: &str) -> Result<Option<RequestRow>, StoreError> {
        Ok(sqlx::query_as(select!("WHERE r.id = ?1"))
            .bind(id)
            .fetch_optional(&mut *self.tx)
            .await?)
    }

    /// How many requests are open: of `principal`, and of everybody.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn count_open(&mut self, principal: &str) -> Result<(u32, u32), StoreError> {
        let counts = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE principal = ?1), count(*) FROM requests WHERE state = 'open'",
        );
        Ok(counts.bind(principal).fetch_one(&mut *self.tx).await?)
    }

    /// The oldest open request with this digest that no client waits for and that expires after `now_ms`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn unattended(
        &mut self,
        digest: &[u8],
        now_ms: i64,
    ) -> Result<Option<RequestRow>, StoreError> {
        let query = sqlx::query_as(select!(
            "WHERE r.digest = ?1 AND r.state = 'open' AND r.waiting = 0 AND r.expires_ms > ?2 \
             ORDER BY r.created_ms LIMIT 1"
        ));
        Ok(query
            .bind(digest)
            .bind(now_ms)
            .fetch_optional(&mut *self.tx)
            .await?)
    }

    /// The oldest unused grant with this digest that no client waits for and that expires after `now_ms`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn unused_grant(
        &mut self,
        digest: &[u8],
        now_ms: i64,
    ) -> Result<Option<RequestRow>, StoreError> {
        let query = sqlx::query_as(select!(
            "WHERE r.digest = ?1 AND r.state = 'approved' AND r.waiting = 0 AND r.grant_expires_ms > ?2 \
             ORDER BY r.created_ms LIMIT 1"
        ));
        Ok(query
            .bind(digest)
            .bind(now_ms)
            .fetch_optional(&mut *self.tx)
            .await?)
    }

    /// The oldest open request or unused grant whose time has come by `now_ms`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn due(&mut self, now_ms: i64) -> Result<Option<RequestRow>, StoreError> {
        let query = sqlx::query_as(select!(
            "WHERE (r.state = 'open' AND r.expires_ms <= ?1) OR (r.state = 'approved' AND r.grant_expires_ms <= ?1) \
             ORDER BY r.created_ms LIMIT 1"
        ));
        Ok(query.bind(now_ms).fetch_optional(&mut *self.tx).await?)
    }

    /// Open requests that a client waited for; after a restart those clients are gone.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn attended(&mut self) -> Result<Vec<RequestRow>, StoreError> {
        let query = sqlx::query_as(select!(
            "WHERE r.state = 'open' AND r.waiting = 1 ORDER BY r.created_ms"
        ));
        Ok(query.fetch_all(&mut *self.tx).await?)
    }

    /// Stores a request that a client waits for. Returns false when the id is taken.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn insert(&mut self, new: &NewRequest) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO requests (id, digest, state, waiting, session, principal, person, target, task, \
             policy_digest, detail, created_ms, expires_ms) \
             VALUES (?1, ?2, 'open', 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&new.id)
        .bind(new.digest.as_slice())
        .bind(&new.session)
        .bind(&new.principal)
        .bind(&new.person)
        .bind(&new.target)
        .bind(new.task.as_deref())
        .bind(&new.policy_digest)
        .bind(&new.detail)
        .bind(new.created_ms)
        .bind(new.expires_ms)
        .execute(&mut *self.tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        for need in &new.needs {
            sqlx::query(
                "INSERT INTO request_needs (request, group_name, count) VALUES (?1, ?2, ?3)",
            )
            .bind(&new.id)
            .bind(&need.group)
            .bind(i64::from(need.count))
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(true)
    }

    /// Sets whether a client waits for the request, and which session it belongs to now.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn attend(&mut self, id: &str, session: Option<&str>) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE requests SET waiting = ?2, session = coalesce(?3, session) WHERE id = ?1",
        )
        .bind(id)
        .bind(i64::from(session.is_some()))
        .bind(session)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Makes every unused grant free to be taken: the clients that waited for them are gone.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn release_grants(&mut self) -> Result<(), StoreError> {
        sqlx::query("UPDATE requests SET waiting = 0 WHERE state = 'approved'")
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Replaces what reviewers are shown.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn set_detail(&mut self, id: &str, detail: &str) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE requests SET detail = ?2 WHERE id = ?1")
            .bind(id)
            .bind(detail);
        query.execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Whom a person's key stands for today: two persons may have turned out to be one.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn resolve_person(&mut self, key: &str) -> Result<String, StoreError> {
        let query = sqlx::query_scalar("SELECT person FROM persons WHERE key = ?1").bind(key);
        let known: Option<String> = query.fetch_optional(&mut *self.tx).await?;
        Ok(known.unwrap_or_else(|| key.to_owned()))
    }

    /// Adds an approval. Returns false when that person or identity has approved already.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn vote(&mut self, id: &str, vote: &VoteRow) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO request_votes (request, person, reviewer, groups, reason, at_ms) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(&vote.person)
        .bind(&vote.reviewer)
        .bind(json_text(&vote.groups))
        .bind(vote.reason.as_deref())
        .bind(vote.at_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Turns an open request into a grant. Returns false when it was not open.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn approve(&mut self, id: &str, grant_expires_ms: i64) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE requests SET state = 'approved', grant_expires_ms = ?2 WHERE id = ?1 AND state = 'open'",
        );
        let done = query
            .bind(id)
            .bind(grant_expires_ms)
            .execute(&mut *self.tx)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends a request that is open or an unused grant. Returns false when it was over already.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn end(&mut self, id: &str, ending: Ending<'_>) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE requests SET state = ?2, waiting = 0, ended_ms = ?3, ended_by = ?4, ended_reason = ?5 \
             WHERE id = ?1 AND state IN ('open', 'approved')",
        )
        .bind(id)
        .bind(ending.state.as_str())
        .bind(ending.at_ms)
        .bind(ending.by)
        .bind(ending.reason)
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Uses the grant `id`, once. Returns false when it is not an unused grant that expires after `now_ms`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn take(&mut self, id: &str, by: &str, now_ms: i64) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE requests SET state = 'used', waiting = 0, ended_ms = ?3, ended_by = ?2 \
             WHERE id = ?1 AND state = 'approved' AND grant_expires_ms > ?3",
        )
        .bind(id)
        .bind(by)
        .bind(now_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
