//! Public SSH keys that people registered, and the logins that they depend on.

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};
use time::OffsetDateTime;

use crate::tokens::{from_ms, to_ms};
use crate::{Store, StoreError};

/// The last login of a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRow {
    /// The principal's id.
    pub principal: String,
    /// Who vouched for the principal: `local`, or an issuer's URL.
    pub issuer: String,
    /// Whether the principal is a machine.
    pub machine: bool,
    /// The same-person key of the principal.
    pub person: String,
    /// The principal's groups.
    pub groups: Vec<String>,
    /// When it was.
    pub at: OffsetDateTime,
}

impl FromRow<'_, SqliteRow> for LoginRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let groups: String = row.try_get("principal_groups")?;
        Ok(Self {
            principal: row.try_get("principal")?,
            issuer: row.try_get("issuer")?,
            machine: row.try_get::<String, _>("kind")? == "machine",
            person: row.try_get("person")?,
            groups: serde_json::from_str(&groups).map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
            at: from_ms(row.try_get("at_ms")?)?,
        })
    }
}

/// One registered key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKeyRow {
    /// The principal's id.
    pub principal: String,
    /// Who vouched for the principal when it was registered.
    pub issuer: String,
    /// SHA-256 of the key's blob.
    pub fingerprint: [u8; 32],
    /// The key as in `authorized_keys`, without the comment.
    pub line: String,
    /// What its owner calls it.
    pub name: String,
    /// When it was registered.
    pub added: OffsetDateTime,
}

impl FromRow<'_, SqliteRow> for SshKeyRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let fingerprint: Vec<u8> = row.try_get("fingerprint")?;
        let fingerprint = fingerprint.try_into();
        Ok(Self {
            principal: row.try_get("principal")?,
            issuer: row.try_get("issuer")?,
            fingerprint: fingerprint.map_err(|_| sqlx::Error::Decode("a fingerprint that is not 32 bytes".into()))?,
            line: row.try_get("line")?,
            name: row.try_get("name")?,
            added: from_ms(row.try_get("added_ms")?)?,
        })
    }
}

/// What became of a key that was to be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is registered.
    New,
    /// It was already.
    Known,
    /// Its owner has as many as there can be.
    Full,
}

impl Store {
    /// Remembers a login in place of the one before.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn record_login(&self, login: &LoginRow) -> Result<(), StoreError> {
        let groups = serde_json::to_string(&login.groups).map_err(|e| StoreError::Corrupt {
            table: "logins",
            what: e.to_string(),
        })?;
        sqlx::query(
            "INSERT INTO logins (principal, issuer, kind, person, principal_groups, at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (principal, issuer) DO UPDATE
             SET kind = ?3, person = ?4, principal_groups = ?5, at_ms = ?6",
        )
        .bind(&login.principal)
        .bind(&login.issuer)
        .bind(if login.machine { "machine" } else { "user" })
        .bind(&login.person)
        .bind(groups)
        .bind(to_ms(login.at))
        .execute(self.write())
        .await?;
        Ok(())
    }

    /// The last login of a principal that an issuer vouched for, if it is remembered.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last_login(&self, principal: &str, issuer: &str) -> Result<Option<LoginRow>, StoreError> {
        Ok(
            sqlx::query_as("SELECT * FROM logins WHERE principal = ?1 AND issuer = ?2")
                .bind(principal)
                .bind(issuer)
                .fetch_optional(self.read())
                .await?,
        )
    }

    /// Forgets the logins of a principal: of an issuer, or of all. Keys that it registered open nothing until it logs
    /// in again.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn forget_logins(&self, principal: &str, issuer: Option<&str>) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM logins WHERE principal = ?1 AND (?2 IS NULL OR issuer = ?2)")
            .bind(principal)
            .bind(issuer)
            .execute(self.write())
            .await?;
        Ok(())
    }

    /// Forgets logins from before `before`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn purge_logins(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM logins WHERE at_ms < ?1")
            .bind(to_ms(before))
            .execute(self.write())
            .await?;
        Ok(done.rows_affected())
    }

    /// Registers a key, unless its owner has it, or `most` others, already.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn add_ssh_key(&self, key: &SshKeyRow, most: u32) -> Result<Added, StoreError> {
        let mut tx = self.begin().await?;
        let known: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT fingerprint FROM ssh_keys WHERE principal = ?1 AND issuer = ?2")
                .bind(&key.principal)
                .bind(&key.issuer)
                .fetch_all(&mut *tx)
                .await?;
        if known.iter().any(|fingerprint| *fingerprint == key.fingerprint) {
            return Ok(Added::Known);
        }
        if u32::try_from(known.len()).unwrap_or(u32::MAX) >= most {
            return Ok(Added::Full);
        }
        sqlx::query(
            "INSERT INTO ssh_keys (principal, issuer, fingerprint, line, name, added_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind(&key.principal)
        .bind(&key.issuer)
        .bind(key.fingerprint.as_slice())
        .bind(&key.line)
        .bind(&key.name)
        .bind(to_ms(key.added))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Added::New)
    }

    /// The keys that a principal registered, in the order of time.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn ssh_keys_of(&self, principal: &str, issuer: &str) -> Result<Vec<SshKeyRow>, StoreError> {
        Ok(
            sqlx::query_as(
                "SELECT * FROM ssh_keys WHERE principal = ?1 AND issuer = ?2 ORDER BY added_ms, fingerprint",
            )
            .bind(principal)
            .bind(issuer)
            .fetch_all(self.read())
            .await?,
        )
    }

    /// The registrations of one key under a principal's name: one for each issuer that vouched for it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn ssh_key(&self, principal: &str, fingerprint: &[u8; 32]) -> Result<Vec<SshKeyRow>, StoreError> {
        Ok(
            sqlx::query_as("SELECT * FROM ssh_keys WHERE principal = ?1 AND fingerprint = ?2 ORDER BY issuer")
                .bind(principal)
                .bind(fingerprint.as_slice())
                .fetch_all(self.read())
                .await?,
        )
    }

    /// Removes a key; `false` when it was not there.
    ///
    /// # Errors
    /// When the store cannot be written; then it is still there.
    pub async fn remove_ssh_key(
        &self,
        principal: &str,
        issuer: &str,
        fingerprint: &[u8; 32],
    ) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM ssh_keys WHERE principal = ?1 AND issuer = ?2 AND fingerprint = ?3")
            .bind(principal)
            .bind(issuer)
            .bind(fingerprint.as_slice())
            .execute(self.write())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Removes all keys of a principal that an issuer vouched for: somebody else may get the name.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn remove_ssh_keys_of(&self, principal: &str, issuer: &str) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM ssh_keys WHERE principal = ?1 AND issuer = ?2")
            .bind(principal)
            .bind(issuer)
            .execute(self.write())
            .await?;
        Ok(done.rows_affected())
    }

    /// The distinct principals of an issuer that have registered keys.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn ssh_key_holders(&self, issuer: &str) -> Result<Vec<String>, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT DISTINCT principal FROM ssh_keys WHERE issuer = ?1")
                .bind(issuer)
                .fetch_all(self.read())
                .await?,
        )
    }
}
