//! The agents that may connect: let in, renewed, revoked, listed, and told by their certificates.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use sallyport_store::agents::{Admission, AgentRow, JoinTokenRow, Once, Room};
use sallyport_store::{Store, StoreError};
use serde::Deserialize;
use smol_str::SmolStr;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tracing::{info, warn};
use uuid::Uuid;

use super::authority::AgentAuthority;
use super::errors::{AuthorityError, IdentifyError, JoinError, ProofFault};
use super::live::LiveAgents;
use super::messages::{Bytes, HostDescription, IssuedJoinTokenReply, JoinProof, JoinReply, JoinRequest, JoinTokenInfo};
use super::names::{self, AgentIdentity};
use super::request::RequestedKey;
use super::rules::{self, JoinRule};
use super::token::JoinToken;
use super::witness::{AgentAct, AgentWitness};
use crate::live::Revocation;
use crate::messages::Sealed;

/// How many instances there can be at a time.
const ROOM: Room = Room {
    of_a_name: 1_000,
    of_all: 10_000,
};
/// How often the store is looked at for what another process did.
const REFRESH_EVERY: Duration = Duration::from_secs(2);
/// How often what ended is forgotten.
const PURGE_EVERY: Duration = Duration::from_secs(3600);
/// How long an instance or a join token stays in the store after its end.
const KEEP_ENDED: Duration = Duration::from_secs(90 * 24 * 3600);

/// The `[agents]` part of the gateway's configuration, as far as it says who may be one.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentsConfig {
    /// How long an agent's certificate is good, in seconds: from an hour to thirty days.
    pub certificate_ttl_s: u64,
    /// Who may join without a join token.
    pub join: Vec<JoinRule>,
}

impl Default for AgentsConfig {
    fn default() -> Self {
        Self {
            certificate_ttl_s: 24 * 3600,
            join: Vec::new(),
        }
    }
}

/// A join token that was just made. This is the only time that its secret can be seen.
#[derive(Clone, Debug)]
pub struct IssuedJoinToken {
    /// The token.
    pub token: JoinToken,
    /// What is known of it.
    pub info: JoinTokenInfo,
}

impl From<IssuedJoinToken> for IssuedJoinTokenReply {
    fn from(issued: IssuedJoinToken) -> Self {
        Self {
            token: Sealed(issued.token.text().clone()),
            info: issued.info,
        }
    }
}

/// An instance with its new certificate.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Who it is.
    pub identity: AgentIdentity,
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    /// The root of the authority.
    pub root: CertificateDer<'static>,
}

impl From<Joined> for JoinReply {
    fn from(joined: Joined) -> Self {
        Self {
            name: joined.identity.name,
            instance: joined.identity.instance,
            certificate: Bytes(joined.certificate.to_vec()),
            root: Bytes(joined.root.to_vec()),
            expires: joined.identity.expires,
        }
    }
}

/// What a proof came to.
#[derive(Debug)]
pub(super) struct Proven {
    /// As whom it lets somebody join.
    pub(super) agent: SmolStr,
    /// How.
    pub(super) method: &'static str,
    /// What it said, fit for records.
    pub(super) said: serde_json::Value,
    /// What is used up by joining.
    pub(super) once: Once,
}

/// Everything the gateway knows about who is an agent. Share it in an [`Arc`]; run [`Agents::maintain`] beside it.
#[derive(Debug)]
pub struct Agents {
    pub(super) authority: AgentAuthority,
    pub(super) store: Store,
    certificate_ttl: Duration,
    rules: Arc<[JoinRule]>,
    pub(super) witness: Arc<dyn AgentWitness>,
    pub(super) live: LiveAgents,
    /// One change at a time, so that memory follows the store in the same order.
    pub(super) changing: Mutex<()>,
}

impl Agents {
    /// Prepares to let agents in.
    ///
    /// # Errors
    /// When the configuration makes no sense or the store cannot be read.
    pub async fn open(
        config: AgentsConfig,
        authority: AgentAuthority,
        store: Store,
        witness: Arc<dyn AgentWitness>,
    ) -> Result<Self, AuthorityError> {
        if !(3600..=30 * 24 * 3600).contains(&config.certificate_ttl_s) {
            return Err(AuthorityError::Config {
                key: "certificate_ttl_s",
                why: "it must be from an hour to thirty days".to_owned(),
            });
        }
        rules::check(&config.join)?;
        let agents = Self {
            authority,
            store,
            certificate_ttl: Duration::from_secs(config.certificate_ttl_s),
            rules: config.join.into(),
            witness,
            live: LiveAgents::default(),
            changing: Mutex::new(()),
        };
        agents.refresh().await?;
        Ok(agents)
    }

    /// The authority.
    #[must_use]
    pub fn authority(&self) -> &AgentAuthority {
        &self.authority
    }

    /// Lets an agent join: checks its proof and its request, uses the proof up, and gives it a certificate.
    ///
    /// # Errors
    /// What is wrong, fit to be told to who asked. Then nothing was used up.
    pub async fn join(&self, request: &JoinRequest) -> Result<Joined, JoinError> {
        request.host.check()?;
        let key = RequestedKey::parse(&request.csr.0)?;
        let now = OffsetDateTime::now_utc();
        let proven = self.prove(request, &key, now).await?;
        let instance = Uuid::now_v7();
        let names = (proven.agent.as_str(), instance);
        let (certificate, expires) = self.authority.certify(&key, names, (now, self.certificate_ttl))?;
        let row = row(&proven, &request.host, instance, (now, expires));
        let _changing = self.changing.lock().await;
        let admitting = match self.store.admit_agent(&row, &proven.once, ROOM).await? {
            Admission::Ready(admitting) => admitting,
            Admission::Spent => return Err(self.why_spent(&proven.once, now).await.into()),
            Admission::Full => return Err(JoinError::Full),
        };
        let act = AgentAct::Joined {
            name: &proven.agent,
            instance,
            method: proven.method,
            proof: &proven.said,
            host: &request.host,
            expires,
        };
        self.witnessed(&act)?;
        admitting.commit().await?;
        self.live.put(instance, &proven.agent, expires);
        info!(agent = %proven.agent, %instance, method = proven.method, "an agent joined");
        Ok(self.joined(proven.agent, instance, certificate, expires))
    }

    /// Gives an instance a certificate for another key, or for the same. A connection may be older than the last
    /// renewal: it is the instance's last certificate that must not have ended.
    ///
    /// # Errors
    /// When it was revoked, its last certificate has ended, or it cannot be written down.
    pub async fn renew(&self, identity: &AgentIdentity, csr: &[u8]) -> Result<Joined, JoinError> {
        let key = RequestedKey::parse(csr)?;
        let now = OffsetDateTime::now_utc();
        let (name, instance) = (&identity.name, identity.instance);
        let names = (name.as_str(), instance);
        let (certificate, expires) = self.authority.certify(&key, names, (now, self.certificate_ttl))?;
        let _changing = self.changing.lock().await;
        if self.live.watch(instance, name, now).is_none() {
            return Err(JoinError::Revoked);
        }
        self.witnessed(&AgentAct::Renewed {
            name,
            instance,
            expires,
        })?;
        let times = (now, expires);
        if !self.store.renew_agent(&instance.to_string(), name, times).await? {
            return Err(JoinError::Revoked);
        }
        self.live.put(instance, name, expires);
        Ok(self.joined(name.clone(), instance, certificate, expires))
    }

    /// Who shows this client certificate (the leaf first). The handshake must have verified it, with
    /// [`AgentAuthority::server_config`].
    ///
    /// # Errors
    /// When it is not an agent's, has ended or was revoked.
    pub fn identify(&self, chain: &[CertificateDer<'_>]) -> Result<AgentIdentity, IdentifyError> {
        let leaf = chain.first().ok_or(IdentifyError::NoCertificate)?;
        let identity = names::named(leaf, UnixTime::now())?;
        self.revocation(&identity)?;
        Ok(identity)
    }

    /// What ends the connections of an instance: its revocation, or that its certificate ended and it has no new one.
    ///
    /// # Errors
    /// When it is not good now.
    pub fn revocation(&self, identity: &AgentIdentity) -> Result<Revocation, IdentifyError> {
        self.live
            .watch(identity.instance, &identity.name, OffsetDateTime::now_utc())
            .ok_or(IdentifyError::Revoked)
    }

    /// Keeps things fresh until it is dropped: follows what other processes wrote into the store, ends instances
    /// whose certificates ended, and forgets what ended long ago.
    pub async fn maintain(&self) {
        let mut ticks = tokio::time::interval(REFRESH_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut purged = tokio::time::Instant::now();
        loop {
            ticks.tick().await;
            if let Err(error) = self.refresh().await {
                warn!(%error, "which agents were revoked cannot be read");
            }
            if purged.elapsed() >= PURGE_EVERY {
                purged = tokio::time::Instant::now();
                let before = OffsetDateTime::now_utc() - KEEP_ENDED;
                if let Err(error) = self.store.purge_agents(before).await {
                    warn!(%error, "agents that ended cannot be forgotten");
                }
            }
        }
    }

    /// Makes memory what the store says.
    ///
    /// # Errors
    /// When it cannot be read; then memory stays as it was.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let rows = self.store.live_agents(OffsetDateTime::now_utc()).await?;
        let mut kept = HashSet::new();
        for row in rows {
            let instance = instance_of(&row)?;
            self.live.put(instance, &row.name.into(), row.expires);
            kept.insert(instance);
        }
        self.live.keep_only(&kept);
        Ok(())
    }

    /// What a proof says, if it is good.
    async fn prove(&self, request: &JoinRequest, key: &RequestedKey, now: OffsetDateTime) -> Result<Proven, JoinError> {
        if let JoinProof::Token { token } = &request.proof {
            let proven = self.by_token(token, now).await?;
            let wanted = request.agent.as_ref().is_none_or(|wanted| *wanted == proven.agent);
            return if wanted {
                Ok(proven)
            } else {
                Err(ProofFault::NoRule.into())
            };
        }
        let (rules, request) = (Arc::clone(&self.rules), request.clone());
        let (key, pin) = (key.digest(), self.authority.pin());
        // It reads files.
        let proven = tokio::task::spawn_blocking(move || {
            let shown = rules::Shown {
                key,
                csr: &request.csr.0,
                pin,
                now,
            };
            rules::prove(&rules, &request.proof, request.agent.as_ref(), &shown)
        });
        Ok(proven.await.map_err(|_| ProofFault::Keys)??)
    }

    async fn by_token(&self, token: &Sealed, now: OffsetDateTime) -> Result<Proven, JoinError> {
        let token = JoinToken::parse(&token.0).ok_or(ProofFault::UnknownToken)?;
        if token.pin() != self.authority.pin() {
            return Err(ProofFault::OtherAuthority.into());
        }
        let row = self.store.join_token_by_hash(&token.hash()).await?;
        let row = usable(row, now)?;
        let said = serde_json::json!({ "token": row.id, "issued_by": row.issued_by });
        Ok(Proven {
            agent: row.agent.into(),
            method: "token",
            said,
            once: Once::Token(row.hash),
        })
    }

    /// Why what was good a moment ago is not.
    async fn why_spent(&self, once: &Once, now: OffsetDateTime) -> ProofFault {
        let Once::Token(hash) = once else {
            return ProofFault::Spent;
        };
        match self.store.join_token_by_hash(hash).await.map(|row| usable(row, now)) {
            Ok(Err(fault)) => fault,
            Ok(Ok(_)) | Err(_) => ProofFault::Spent,
        }
    }

    fn witnessed(&self, act: &AgentAct<'_>) -> Result<(), JoinError> {
        self.witness.witness(act).map_err(|why| {
            warn!(%why, "what agents do cannot be written down");
            JoinError::Unwitnessed
        })
    }

    fn joined(
        &self,
        name: SmolStr,
        instance: Uuid,
        certificate: CertificateDer<'static>,
        expires: OffsetDateTime,
    ) -> Joined {
        Joined {
            identity: AgentIdentity {
                name,
                instance,
                expires,
            },
            certificate,
            root: self.authority.root().clone(),
        }
    }
}

/// Whether a join token can be used.
fn usable(row: Option<JoinTokenRow>, now: OffsetDateTime) -> Result<JoinTokenRow, ProofFault> {
    let row = row.ok_or(ProofFault::UnknownToken)?;
    if row.used.is_some() {
        Err(ProofFault::Used)
    } else if row.revoked.is_some() {
        Err(ProofFault::Revoked)
    } else if row.expires <= now {
        Err(ProofFault::Expired)
    } else {
        Ok(row)
    }
}

fn row(
    proven: &Proven,
    host: &HostDescription,
    instance: Uuid,
    (now, expires): (OffsetDateTime, OffsetDateTime),
) -> AgentRow {
    AgentRow {
        instance: instance.to_string(),
        name: proven.agent.to_string(),
        host: serde_json::json!(host).to_string(),
        method: proven.method.to_owned(),
        proof: proven.said.to_string(),
        joined: now,
        issued: now,
        expires,
        seen: None,
        revoked: None,
        revoked_by: None,
    }
}

pub(super) fn instance_of(row: &AgentRow) -> Result<Uuid, StoreError> {
    Uuid::try_parse(&row.instance).map_err(|e| corrupt(&e))
}

pub(super) fn corrupt(error: &dyn std::error::Error) -> StoreError {
    StoreError::Corrupt {
        table: "agents",
        what: error.to_string(),
    }
}
