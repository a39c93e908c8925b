//! What administrators do about agents: join tokens, revocations, lists.

use std::time::Duration;

use sallyport_store::StoreError;
use sallyport_store::agents::{AgentRow, JoinTokenRow, Whose};
use time::OffsetDateTime;
use tracing::info;
use uuid::Uuid;

use super::errors::AdministerError;
use super::messages::{AgentInfo, JoinTokenInfo};
use super::names::check_agent_name;
use super::registry::{Agents, IssuedJoinToken, corrupt, instance_of};
use super::token::JoinToken;
use super::witness::AgentAct;

/// How long a join token lives when nobody says.
const TOKEN_TTL: Duration = Duration::from_secs(15 * 60);
/// How long a join token may live.
const TOKEN_TTL_MAX: Duration = Duration::from_secs(24 * 3600);
/// The most join tokens that can be used at a time: one list has them all, and one entry of the journal their ids.
const MAX_OPEN: u32 = 1_000;

impl Agents {
    /// Makes a join token: one instance can join with it, as `agent`, within `ttl` (15 minutes when nobody says, a day
    /// at most).
    ///
    /// # Errors
    /// When the name or the time cannot be had, or it cannot be written down.
    pub async fn issue_join_token(
        &self,
        agent: &str,
        ttl: Option<Duration>,
        by: &str,
    ) -> Result<IssuedJoinToken, AdministerError> {
        check_agent_name(agent)?;
        let ttl = ttl.unwrap_or(TOKEN_TTL);
        if ttl < Duration::from_secs(1) || ttl > TOKEN_TTL_MAX {
            return Err(AdministerError::Lifetime {
                asked_s: ttl.as_secs(),
                most_s: TOKEN_TTL_MAX.as_secs(),
            });
        }
        let now = OffsetDateTime::now_utc();
        let token = JoinToken::generate(self.authority.pin())?;
        let info = JoinTokenInfo {
            id: token.id(),
            agent: agent.into(),
            issued_by: by.to_owned(),
            issued: now,
            expires: now + ttl,
        };
        let act = AgentAct::TokenIssued {
            id: &info.id,
            agent,
            by,
            expires: info.expires,
        };
        self.witness.witness(&act).map_err(AdministerError::Unwitnessed)?;
        let row = JoinTokenRow {
            id: info.id.clone(),
            hash: token.hash(),
            agent: agent.to_owned(),
            issued_by: by.to_owned(),
            issued: now,
            expires: info.expires,
            used: None,
            used_by: None,
            revoked: None,
        };
        if !self.store.insert_join_token(&row, MAX_OPEN).await? {
            return Err(AdministerError::TooMany { most: MAX_OPEN });
        }
        Ok(IssuedJoinToken { token, info })
    }

    /// The join tokens that can be used now, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_join_tokens(&self) -> Result<Vec<JoinTokenInfo>, StoreError> {
        let rows = self.store.open_join_tokens(OffsetDateTime::now_utc(), MAX_OPEN).await?;
        let info = |row: JoinTokenRow| JoinTokenInfo {
            id: row.id,
            agent: row.agent.into(),
            issued_by: row.issued_by,
            issued: row.issued,
            expires: row.expires,
        };
        Ok(rows.into_iter().map(info).collect())
    }

    /// Revokes a join token.
    ///
    /// # Errors
    /// When there is none that could have been used, or the store cannot be written.
    pub async fn revoke_join_token(&self, id: &str, by: &str) -> Result<(), AdministerError> {
        let revoked = self.store.revoke_join_token(id, OffsetDateTime::now_utc()).await?;
        let agent = revoked.ok_or(AdministerError::Unknown("join token"))?;
        let act = AgentAct::TokenRevoked { id, agent: &agent, by };
        self.witness.witness(&act).map_err(AdministerError::DoneUnwitnessed)
    }

    /// Revokes one instance; its connections end at once.
    ///
    /// # Errors
    /// When there is none that is not revoked, or the store cannot be written.
    pub async fn revoke_instance(&self, instance: Uuid, by: &str) -> Result<(), AdministerError> {
        self.revoke(Whose::Instance(&instance.to_string()), by).await.map(drop)
    }

    /// Revokes all instances of a name and its join tokens, and says how many instances there were. Who can prove what
    /// a rule asks for can join again.
    ///
    /// # Errors
    /// When there is nothing to revoke, or the store cannot be written.
    pub async fn revoke_name(&self, name: &str, by: &str) -> Result<usize, AdministerError> {
        check_agent_name(name)?;
        self.revoke(Whose::Name(name), by).await
    }

    /// Lets a machine join once more whose proof has no end: one of `aws/…`, as [`AgentInfo::proof`] names it.
    ///
    /// # Errors
    /// When it has not joined, or it cannot be written down.
    pub async fn forget_machine(&self, machine: &str, by: &str) -> Result<(), AdministerError> {
        let act = AgentAct::MachineForgotten { machine, by };
        self.witness.witness(&act).map_err(AdministerError::Unwitnessed)?;
        if self.store.forget_machine(machine).await? {
            Ok(())
        } else {
            Err(AdministerError::Unknown("machine"))
        }
    }

    /// The instances that are good now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self) -> Result<Vec<AgentInfo>, StoreError> {
        let rows = self.store.live_agents(OffsetDateTime::now_utc()).await?;
        rows.into_iter().map(info_of).collect()
    }

    /// Notes when an instance was connected.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn touch(&self, instance: Uuid, seen: OffsetDateTime) -> Result<(), StoreError> {
        self.store.touch_agent(&instance.to_string(), seen).await
    }

    async fn revoke(&self, whose: Whose<'_>, by: &str) -> Result<usize, AdministerError> {
        let _changing = self.changing.lock().await;
        let now = OffsetDateTime::now_utc();
        let ended = self.store.revoke_agents(whose, by, now).await?;
        let instances: Vec<Uuid> = ended
            .instances
            .iter()
            .filter_map(|(i, _)| Uuid::try_parse(i).ok())
            .collect();
        for instance in &instances {
            self.live.end(*instance);
        }
        let name = match (whose, ended.instances.first()) {
            (Whose::Name(name), _) => name,
            (Whose::Instance(_), Some((_, name))) => name,
            (Whose::Instance(_), None) => return Err(AdministerError::Unknown("instance")),
        };
        if instances.is_empty() && ended.tokens.is_empty() {
            return Err(AdministerError::Unknown("agent"));
        }
        info!(agent = %name, ?instances, %by, "an agent was revoked");
        let act = AgentAct::Revoked {
            name,
            instances: &instances,
            tokens: &ended.tokens,
            by,
        };
        self.witness.witness(&act).map_err(AdministerError::DoneUnwitnessed)?;
        Ok(instances.len())
    }
}

fn info_of(row: AgentRow) -> Result<AgentInfo, StoreError> {
    Ok(AgentInfo {
        instance: instance_of(&row)?,
        name: row.name.into(),
        host: serde_json::from_str(&row.host).map_err(|e| corrupt(&e))?,
        method: row.method,
        proof: serde_json::from_str(&row.proof).map_err(|e| corrupt(&e))?,
        joined: row.joined,
        issued: row.issued,
        expires: row.expires,
        seen: row.seen,
    })
}
