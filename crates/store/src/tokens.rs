//! Tokens, the persons behind them, and one-time values of logins.

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, Sqlite, Transaction};
use time::OffsetDateTime;

use crate::{Store, StoreError};

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Connections to targets.
    Target,
    /// Sallyport's own API.
    Api,
    /// Both.
    All,
}

impl Scope {
    fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Api => "api",
            Self::All => "all",
        }
    }
}

/// One token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// The token's id, fit for showing.
    pub id: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// What it opens.
    pub scope: Scope,
    /// The principal's id.
    pub principal: String,
    /// Whether the principal is a machine.
    pub machine: bool,
    /// The same-person key of the principal.
    pub person: String,
    /// Who vouched for the principal: `local`, or an issuer's URL.
    pub issuer: String,
    /// The principal's groups when the token was issued.
    pub groups: Vec<String>,
    /// The one target it opens, if it is scoped.
    pub target: Option<String>,
    /// What its owner called it.
    pub name: Option<String>,
    /// The API session that asked for it: revoking that one revokes this one.
    pub parent: Option<String>,
    /// When it was issued.
    pub issued: OffsetDateTime,
    /// When it ends.
    pub expires: OffsetDateTime,
    /// When it was revoked.
    pub revoked: Option<OffsetDateTime>,
}

impl FromRow<'_, SqliteRow> for TokenRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let hash: Vec<u8> = row.try_get("hash")?;
        let scope: String = row.try_get("scope")?;
        let groups: String = row.try_get("principal_groups")?;
        Ok(Self {
            id: row.try_get("id")?,
            hash: hash.try_into().map_err(|_| unreadable("a hash that is not 32 bytes"))?,
            scope: match scope.as_str() {
                "target" => Scope::Target,
                "api" => Scope::Api,
                "all" => Scope::All,
                other => return Err(unreadable(&format!("the scope `{other}`"))),
            },
            principal: row.try_get("principal")?,
            machine: row.try_get::<String, _>("kind")? == "machine",
            person: row.try_get("person")?,
            issuer: row.try_get("issuer")?,
            groups: serde_json::from_str(&groups).map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
            target: row.try_get("target")?,
            name: row.try_get("name")?,
            parent: row.try_get("parent")?,
            issued: from_ms(row.try_get("issued_ms")?)?,
            expires: from_ms(row.try_get("expires_ms")?)?,
            revoked: row.try_get::<Option<i64>, _>("revoked_ms")?.map(from_ms).transpose()?,
        })
    }
}

/// Which tokens a question is about.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// One token and those that it was the parent of.
    Family(&'a str),
    /// Every token of a principal.
    Principal(&'a str),
    /// Every token of a principal that a given issuer vouched for.
    IssuedBy(&'a str, &'a str),
}

impl Store {
    /// Adds a token. If it has a parent, the parent must still be good, else nothing is added and `false` returned.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn insert_token(&self, token: &TokenRow) -> Result<bool, StoreError> {
        let groups = serde_json::to_string(&token.groups).map_err(|e| StoreError::Corrupt {
            table: "tokens",
            what: e.to_string(),
        })?;
        let done = sqlx::query(
            "INSERT INTO tokens (id, hash, scope, principal, kind, person, issuer, principal_groups, target, name,
                                 parent, issued_ms, expires_ms)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
             WHERE ?11 IS NULL OR EXISTS
               (SELECT 1 FROM tokens WHERE id = ?11 AND revoked_ms IS NULL AND expires_ms > ?12)",
        )
        .bind(&token.id)
        .bind(token.hash.as_slice())
        .bind(token.scope.as_str())
        .bind(&token.principal)
        .bind(if token.machine { "machine" } else { "user" })
        .bind(&token.person)
        .bind(&token.issuer)
        .bind(groups)
        .bind(&token.target)
        .bind(&token.name)
        .bind(&token.parent)
        .bind(to_ms(token.issued))
        .bind(to_ms(token.expires))
        .execute(self.write())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The token whose secret has this SHA-256, whether it is still good or not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<TokenRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM tokens WHERE hash = ?1")
            .bind(hash.as_slice())
            .fetch_optional(self.read())
            .await?)
    }

    /// The token with this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn token(&self, id: &str) -> Result<Option<TokenRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM tokens WHERE id = ?1")
            .bind(id)
            .fetch_optional(self.read())
            .await?)
    }

    /// The tokens that are good at `now`, newest first, of one principal or (without one) of all; at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn live_tokens(
        &self,
        principal: Option<&str>,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<TokenRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM tokens
             WHERE (?1 IS NULL OR principal = ?1) AND revoked_ms IS NULL AND expires_ms > ?2
             ORDER BY issued_ms DESC, id LIMIT ?3",
        )
        .bind(principal)
        .bind(to_ms(now))
        .bind(limit)
        .fetch_all(self.read())
        .await?)
    }

    /// Revokes tokens and returns the ids of those that were not revoked before.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing was revoked.
    pub async fn revoke_tokens(&self, which: Which<'_>, now: OffsetDateTime) -> Result<Vec<String>, StoreError> {
        let (family, principal, issuer) = match which {
            Which::Family(id) => (Some(id), None, None),
            Which::Principal(principal) => (None, Some(principal), None),
            Which::IssuedBy(principal, issuer) => (None, Some(principal), Some(issuer)),
        };
        Ok(sqlx::query_scalar(
            "UPDATE tokens SET revoked_ms = ?1
             WHERE revoked_ms IS NULL
               AND ((?2 IS NOT NULL AND (id = ?2 OR parent = ?2))
                 OR (?3 IS NOT NULL AND principal = ?3 AND (?4 IS NULL OR issuer = ?4)))
             RETURNING id",
        )
        .bind(to_ms(now))
        .bind(family)
        .bind(principal)
        .bind(issuer)
        .fetch_all(self.write())
        .await?)
    }

    /// The distinct principals that hold tokens of this issuer that are good at `now`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn token_holders(&self, issuer: &str, now: OffsetDateTime) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT DISTINCT principal FROM tokens WHERE issuer = ?1 AND revoked_ms IS NULL AND expires_ms > ?2",
        )
        .bind(issuer)
        .bind(to_ms(now))
        .fetch_all(self.read())
        .await?)
    }

    /// Forgets tokens that ended before `before`, and one-time values that ended before `now`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn purge_tokens(&self, before: OffsetDateTime, now: OffsetDateTime) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let tokens = sqlx::query(
            "DELETE FROM tokens WHERE expires_ms < ?1
               AND NOT EXISTS (SELECT 1 FROM tokens AS child WHERE child.parent = tokens.id AND child.expires_ms >= ?1)",
        )
        .bind(to_ms(before))
        .execute(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM spent WHERE expires_ms < ?1")
            .bind(to_ms(now))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(tokens.rows_affected())
    }

    /// Marks one-time values as used until `expires`; `false` (and nothing marked) when any of them was used before.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn spend(&self, keys: &[String], expires: OffsetDateTime) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        for key in keys {
            let done = sqlx::query("INSERT INTO spent (key, expires_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
                .bind(key)
                .bind(to_ms(expires))
                .execute(&mut *tx)
                .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Gives the name `id` to the subject of an issuer, for ever; `false` when another subject owns it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn claim_principal(
        &self,
        id: &str,
        issuer: &str,
        subject: &str,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO principals (id, issuer, subject, first_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(issuer)
        .bind(subject)
        .bind(to_ms(now))
        .execute(&mut *tx)
        .await?;
        let owner: (String, String) = sqlx::query_as("SELECT issuer, subject FROM principals WHERE id = ?1")
            .bind(id)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(owner.0 == issuer && owner.1 == subject)
    }

    /// The person behind a set of keys that one login proved to belong together. Persons that were known apart until
    /// now become one, in every token too.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn person_of(&self, keys: &[String]) -> Result<String, StoreError> {
        if let Some(person) = self.known_person(keys).await? {
            return Ok(person);
        }
        let mut tx = self.begin().await?;
        let mut person: Option<String> = None;
        for key in keys {
            let known: Option<String> = sqlx::query_scalar("SELECT person FROM persons WHERE key = ?1")
                .bind(key)
                .fetch_optional(&mut *tx)
                .await?;
            match (known, &person) {
                (Some(known), Some(chosen)) if known != *chosen => {
                    merge(&mut tx, &known, chosen).await?;
                }
                (Some(known), None) => person = Some(known),
                (Some(_), Some(_)) | (None, _) => {}
            }
        }
        let person = match person.or_else(|| keys.first().cloned()) {
            Some(person) => person,
            None => {
                return Err(StoreError::Corrupt {
                    table: "persons",
                    what: "a login without keys".to_owned(),
                });
            }
        };
        for key in keys {
            sqlx::query("INSERT INTO persons (key, person) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
                .bind(key)
                .bind(&person)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(person)
    }

    /// The person, when all keys are known to be of the same one: then there is nothing to write.
    async fn known_person(&self, keys: &[String]) -> Result<Option<String>, StoreError> {
        let mut person: Option<String> = None;
        for key in keys {
            let known: Option<String> = sqlx::query_scalar("SELECT person FROM persons WHERE key = ?1")
                .bind(key)
                .fetch_optional(self.read())
                .await?;
            if known.is_none() || person.as_ref().is_some_and(|p| Some(p) != known.as_ref()) {
                return Ok(None);
            }
            person = known;
        }
        Ok(person)
    }

    /// Whom a person's name stands for today: a name given before two persons turned out to be one still finds them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn resolve_person(&self, person: &str) -> Result<String, StoreError> {
        let known: Option<String> = sqlx::query_scalar("SELECT person FROM persons WHERE key = ?1")
            .bind(person)
            .fetch_optional(self.read())
            .await?;
        Ok(known.unwrap_or_else(|| person.to_owned()))
    }
}

/// A person is named by the first of its keys, so an old name is a key and goes on resolving. Requests follow, so
/// that an approval that turns out to be the asker's own counts no more (invariant I5).
async fn merge(tx: &mut Transaction<'static, Sqlite>, from: &str, into: &str) -> Result<(), StoreError> {
    for statement in [
        "UPDATE persons SET person = ?2 WHERE person = ?1",
        "UPDATE tokens SET person = ?2 WHERE person = ?1",
        "UPDATE logins SET person = ?2 WHERE person = ?1",
        "UPDATE requests SET person = ?2 WHERE person = ?1",
        // In open requests: of two approvals by one person one counts, and the asker's own does not.
        "DELETE FROM request_votes WHERE person = ?1
           AND request IN (SELECT id FROM requests WHERE state = 'open')
           AND EXISTS (SELECT 1 FROM request_votes AS other
                       WHERE other.request = request_votes.request AND other.person = ?2)",
        "DELETE FROM request_votes WHERE person IN (?1, ?2)
           AND request IN (SELECT id FROM requests WHERE state = 'open' AND person = ?2)",
        "UPDATE request_votes SET person = ?2 WHERE person = ?1
           AND request IN (SELECT id FROM requests WHERE state = 'open')",
    ] {
        sqlx::query(statement).bind(from).bind(into).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Milliseconds since 1970, rounded down.
pub(crate) fn to_ms(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

pub(crate) fn from_ms(ms: i64) -> Result<OffsetDateTime, sqlx::Error> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).map_err(|e| sqlx::Error::Decode(Box::new(e)))
}

fn unreadable(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}
