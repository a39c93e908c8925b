//! Agents: the instances that joined, and what let them.

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, Sqlite, Transaction};
use time::OffsetDateTime;

use crate::tokens::{from_ms, to_ms};
use crate::{Store, StoreError};

/// One instance of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRow {
    /// Its id: a UUID.
    pub instance: String,
    /// The agent's name.
    pub name: String,
    /// What it said of its machine, as JSON.
    pub host: String,
    /// How it joined.
    pub method: String,
    /// What its proof said, as JSON.
    pub proof: String,
    /// When it joined.
    pub joined: OffsetDateTime,
    /// When its last certificate was made.
    pub issued: OffsetDateTime,
    /// When its last certificate ends.
    pub expires: OffsetDateTime,
    /// When it was last connected, as far as that was written down.
    pub seen: Option<OffsetDateTime>,
    /// When it was revoked.
    pub revoked: Option<OffsetDateTime>,
    /// By whom.
    pub revoked_by: Option<String>,
}

impl FromRow<'_, SqliteRow> for AgentRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let optional = |column| row.try_get::<Option<i64>, _>(column)?.map(from_ms).transpose();
        Ok(Self {
            instance: row.try_get("instance")?,
            name: row.try_get("name")?,
            host: row.try_get("host")?,
            method: row.try_get("method")?,
            proof: row.try_get("proof")?,
            joined: from_ms(row.try_get("joined_ms")?)?,
            issued: from_ms(row.try_get("issued_ms")?)?,
            expires: from_ms(row.try_get("expires_ms")?)?,
            seen: optional("seen_ms")?,
            revoked: optional("revoked_ms")?,
            revoked_by: row.try_get("revoked_by")?,
        })
    }
}

/// One join token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinTokenRow {
    /// Its id, fit for showing.
    pub id: String,
    /// SHA-256 of its text.
    pub hash: [u8; 32],
    /// The name of the agent that may join with it.
    pub agent: String,
    /// Who asked for it.
    pub issued_by: String,
    /// When.
    pub issued: OffsetDateTime,
    /// When it ends.
    pub expires: OffsetDateTime,
    /// When it was used.
    pub used: Option<OffsetDateTime>,
    /// The instance that joined with it.
    pub used_by: Option<String>,
    /// When it was revoked.
    pub revoked: Option<OffsetDateTime>,
}

impl FromRow<'_, SqliteRow> for JoinTokenRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let hash: Vec<u8> = row.try_get("hash")?;
        let hash = hash.try_into();
        let optional = |column| row.try_get::<Option<i64>, _>(column)?.map(from_ms).transpose();
        Ok(Self {
            id: row.try_get("id")?,
            hash: hash.map_err(|_| sqlx::Error::Decode("a hash that is not 32 bytes".into()))?,
            agent: row.try_get("agent")?,
            issued_by: row.try_get("issued_by")?,
            issued: from_ms(row.try_get("issued_ms")?)?,
            expires: from_ms(row.try_get("expires_ms")?)?,
            used: optional("used_ms")?,
            used_by: row.try_get("used_by")?,
            revoked: optional("revoked_ms")?,
        })
    }
}

/// What lets an instance join, and is used up by it.
#[derive(Clone, Debug)]
pub enum Once {
    /// The join token with this hash.
    Token([u8; 32]),
    /// Values that are good once until they end.
    Values(Vec<String>, OffsetDateTime),
    /// A machine that may join once.
    Machine(String),
}

/// What becomes of somebody who wants to join.
#[derive(Debug)]
pub enum Admission {
    /// It joins once this is committed.
    Ready(Admitting),
    /// What lets it join is used up, has ended, was revoked or never was.
    Spent,
    /// There are as many instances as there can be.
    Full,
}

/// An instance that joins, and what lets it, used up; nothing of both when it is dropped. No other writer gets in
/// meanwhile.
#[derive(Debug)]
pub struct Admitting(Transaction<'static, Sqlite>);

impl Admitting {
    /// Makes it so.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing was.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }
}

/// How many instances there can be at a time.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Of one name.
    pub of_a_name: u32,
    /// Of all.
    pub of_all: u32,
}

/// Which instances are meant.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// One.
    Instance(&'a str),
    /// All of a name, with its join tokens.
    Name(&'a str),
}

/// What was revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Instances that were good, with their names.
    pub instances: Vec<(String, String)>,
    /// Join tokens that could have been used.
    pub tokens: Vec<String>,
}

impl Store {
    /// Adds a join token; `false` when there are `most` that can be used.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn insert_join_token(&self, token: &JoinTokenRow, most: u32) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO agent_join_tokens (id, hash, agent, issued_by, issued_ms, expires_ms)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE ?7 > (SELECT COUNT(*) FROM agent_join_tokens
             WHERE used_ms IS NULL AND revoked_ms IS NULL AND expires_ms > ?5)",
        )
        .bind(&token.id)
        .bind(token.hash.as_slice())
        .bind(&token.agent)
        .bind(&token.issued_by)
        .bind(to_ms(token.issued))
        .bind(to_ms(token.expires))
        .bind(most)
        .execute(self.write())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The join token with this hash, whether it is still good or not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn join_token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<JoinTokenRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM agent_join_tokens WHERE hash = ?1")
            .bind(hash.as_slice())
            .fetch_optional(self.read())
            .await?)
    }

    /// The join tokens that can be used at `now`, newest first; at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open_join_tokens(&self, now: OffsetDateTime, limit: u32) -> Result<Vec<JoinTokenRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM agent_join_tokens WHERE used_ms IS NULL AND revoked_ms IS NULL AND expires_ms > ?1
             ORDER BY issued_ms DESC, id LIMIT ?2",
        )
        .bind(to_ms(now))
        .bind(limit)
        .fetch_all(self.read())
        .await?)
    }

    /// Revokes a join token; `None` when there is none that could have been used, else the agent's name.
    ///
    /// # Errors
    /// When the store cannot be written; then it was not revoked.
    pub async fn revoke_join_token(&self, id: &str, now: OffsetDateTime) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "UPDATE agent_join_tokens SET revoked_ms = ?2
             WHERE id = ?1 AND used_ms IS NULL AND revoked_ms IS NULL AND expires_ms > ?2 RETURNING agent",
        )
        .bind(id)
        .bind(to_ms(now))
        .fetch_optional(self.write())
        .await?)
    }

    /// Writes an instance down and uses up what lets it join, to be committed.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn admit_agent(&self, agent: &AgentRow, once: &Once, room: Room) -> Result<Admission, StoreError> {
        let mut tx = self.begin().await?;
        if !use_up(&mut tx, agent, once).await? {
            return Ok(Admission::Spent);
        }
        let (of_all, of_a_name): (i64, i64) = sqlx::query_as(
            "SELECT COUNT(*), COUNT(*) FILTER (WHERE name = ?2) FROM agents
             WHERE revoked_ms IS NULL AND expires_ms > ?1",
        )
        .bind(to_ms(agent.joined))
        .bind(&agent.name)
        .fetch_one(&mut *tx)
        .await?;
        if of_all >= i64::from(room.of_all) || of_a_name >= i64::from(room.of_a_name) {
            return Ok(Admission::Full);
        }
        sqlx::query(
            "INSERT INTO agents (instance, name, host, method, proof, joined_ms, issued_ms, expires_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .bind(&agent.instance)
        .bind(&agent.name)
        .bind(&agent.host)
        .bind(&agent.method)
        .bind(&agent.proof)
        .bind(to_ms(agent.joined))
        .bind(to_ms(agent.issued))
        .bind(to_ms(agent.expires))
        .execute(&mut *tx)
        .await?;
        Ok(Admission::Ready(Admitting(tx)))
    }

    /// Notes a new certificate of an instance that is neither revoked nor at its end; `false` when there is none.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn renew_agent(
        &self,
        instance: &str,
        name: &str,
        (now, expires): (OffsetDateTime, OffsetDateTime),
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE agents SET issued_ms = ?3, expires_ms = MAX(expires_ms, ?4)
             WHERE instance = ?1 AND name = ?2 AND revoked_ms IS NULL AND expires_ms > ?3",
        )
        .bind(instance)
        .bind(name)
        .bind(to_ms(now))
        .bind(to_ms(expires))
        .execute(self.write())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Revokes instances, and with a name the join tokens that could have been used.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing was revoked.
    pub async fn revoke_agents(&self, whose: Whose<'_>, by: &str, now: OffsetDateTime) -> Result<Ended, StoreError> {
        let (instance, name) = match whose {
            Whose::Instance(instance) => (Some(instance), None),
            Whose::Name(name) => (None, Some(name)),
        };
        let mut tx = self.begin().await?;
        let instances = sqlx::query_as(
            "UPDATE agents SET revoked_ms = ?1, revoked_by = ?2
             WHERE revoked_ms IS NULL AND expires_ms > ?1 AND (instance = ?3 OR name = ?4) RETURNING instance, name",
        )
        .bind(to_ms(now))
        .bind(by)
        .bind(instance)
        .bind(name)
        .fetch_all(&mut *tx)
        .await?;
        let tokens = sqlx::query_scalar(
            "UPDATE agent_join_tokens SET revoked_ms = ?1
             WHERE agent = ?2 AND used_ms IS NULL AND revoked_ms IS NULL AND expires_ms > ?1 RETURNING id",
        )
        .bind(to_ms(now))
        .bind(name)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Ended { instances, tokens })
    }

    /// The instance with this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn agent(&self, instance: &str) -> Result<Option<AgentRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM agents WHERE instance = ?1")
            .bind(instance)
            .fetch_optional(self.read())
            .await?)
    }

    /// The instances that are good at `now`, by name and in the order of joining.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn live_agents(&self, now: OffsetDateTime) -> Result<Vec<AgentRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM agents WHERE revoked_ms IS NULL AND expires_ms > ?1 ORDER BY name, joined_ms, instance",
        )
        .bind(to_ms(now))
        .fetch_all(self.read())
        .await?)
    }

    /// Notes when an instance was connected.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn touch_agent(&self, instance: &str, seen: OffsetDateTime) -> Result<(), StoreError> {
        sqlx::query("UPDATE agents SET seen_ms = MAX(?2, COALESCE(seen_ms, 0)) WHERE instance = ?1")
            .bind(instance)
            .bind(to_ms(seen))
            .execute(self.write())
            .await?;
        Ok(())
    }

    /// Lets a machine join again; `false` when it has not joined.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn forget_machine(&self, machine: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM agent_machines WHERE machine = ?1")
            .bind(machine)
            .execute(self.write())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Forgets instances and join tokens that ended before `before`. Machines stay.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn purge_agents(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let mut gone = 0;
        for statement in [
            "DELETE FROM agents WHERE expires_ms < ?1",
            "DELETE FROM agent_join_tokens WHERE expires_ms < ?1",
        ] {
            gone += sqlx::query(statement)
                .bind(to_ms(before))
                .execute(&mut *tx)
                .await?
                .rows_affected();
        }
        tx.commit().await?;
        Ok(gone)
    }
}

/// Whether what lets `agent` join was there, and was there for it.
async fn use_up(tx: &mut Transaction<'static, Sqlite>, agent: &AgentRow, once: &Once) -> Result<bool, StoreError> {
    match once {
        Once::Token(hash) => {
            let done = sqlx::query(
                "UPDATE agent_join_tokens SET used_ms = ?2, used_by = ?3
                 WHERE hash = ?1 AND agent = ?4 AND used_ms IS NULL AND revoked_ms IS NULL AND expires_ms > ?2",
            )
            .bind(hash.as_slice())
            .bind(to_ms(agent.joined))
            .bind(&agent.instance)
            .bind(&agent.name)
            .execute(&mut **tx)
            .await?;
            Ok(done.rows_affected() == 1)
        }
        Once::Values(keys, expires) => {
            for key in keys {
                let done = sqlx::query("INSERT INTO spent (key, expires_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
                    .bind(key)
                    .bind(to_ms(*expires))
                    .execute(&mut **tx)
                    .await?;
                if done.rows_affected() == 0 {
                    return Ok(false);
                }
            }
            Ok(!keys.is_empty())
        }
        Once::Machine(machine) => {
            let done = sqlx::query(
                "INSERT INTO agent_machines (machine, instance, at_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )
            .bind(machine)
            .bind(&agent.instance)
            .bind(to_ms(agent.joined))
            .execute(&mut **tx)
            .await?;
            Ok(done.rows_affected() == 1)
        }
    }
}
