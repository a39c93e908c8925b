//! The changes of requests that must be atomic.

use sqlx::{Sqlite, Transaction};

use super::{NewRequest, RequestRow, RequestState, VoteRow, json_text, select};
use crate::StoreError;

/// A write transaction over the requests: no other write happens meanwhile.
#[derive(Debug)]
pub struct RequestsTx {
    pub(super) tx: Transaction<'static, Sqlite>,
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
    pub async fn unattended(&mut self, digest: &[u8], now_ms: i64) -> Result<Option<RequestRow>, StoreError> {
        let query = sqlx::query_as(select!(
            "WHERE r.digest = ?1 AND r.state = 'open' AND r.waiting = 0 AND r.expires_ms > ?2 \
             ORDER BY r.created_ms LIMIT 1"
        ));
        Ok(query.bind(digest).bind(now_ms).fetch_optional(&mut *self.tx).await?)
    }

    /// The oldest unused grant with this digest that no client waits for and that expires after `now_ms`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn unused_grant(&mut self, digest: &[u8], now_ms: i64) -> Result<Option<RequestRow>, StoreError> {
        let query = sqlx::query_as(select!(
            "WHERE r.digest = ?1 AND r.state = 'approved' AND r.waiting = 0 AND r.grant_expires_ms > ?2 \
             ORDER BY r.created_ms LIMIT 1"
        ));
        Ok(query.bind(digest).bind(now_ms).fetch_optional(&mut *self.tx).await?)
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

    /// Stores a request that a client waits for, under the person that its key stands for today. Returns false when
    /// the id is taken.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn insert(&mut self, new: &NewRequest) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO requests (id, digest, state, waiting, session, principal, person, target, task, \
             policy_digest, detail, created_ms, expires_ms) \
             VALUES (?1, ?2, 'open', 1, ?3, ?4, coalesce((SELECT person FROM persons WHERE key = ?5), ?5), ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (id) DO NOTHING",
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
            sqlx::query("INSERT INTO request_needs (request, group_name, count) VALUES (?1, ?2, ?3)")
                .bind(&new.id)
                .bind(&need.group)
                .bind(i64::from(need.count))
                .execute(&mut *self.tx)
                .await?;
        }
        for group in &new.watch {
            sqlx::query("INSERT INTO request_watch (request, group_name) VALUES (?1, ?2)")
                .bind(&new.id)
                .bind(group)
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
        sqlx::query("UPDATE requests SET waiting = ?2, session = coalesce(?3, session) WHERE id = ?1")
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
        let done = query.bind(id).bind(grant_expires_ms).execute(&mut *self.tx).await?;
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
