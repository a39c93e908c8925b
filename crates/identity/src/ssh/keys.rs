//! Public SSH keys that people have: those of the people file, and those that they registered.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use sallyport_ssh_transport::keys::{KeyType, PublicKey};
use sallyport_store::StoreError;
use sallyport_store::ssh_keys::{Added, LoginRow, SshKeyRow};
use time::OffsetDateTime;
use tracing::info;

use crate::errors::{Refusal, SshKeyError};
use crate::identities::{Credential, Identities};
use crate::live::Shown;
use crate::messages::{SshKeyInfo, SshKeyRequest};
use crate::principal::{Kind, LOCAL_ISSUER, Principal, check_id};
use crate::secret::sha256;
use crate::tokens::label;

/// The most keys that one principal can register.
const MAX_KEYS: u32 = 16;

/// Whose a key is, and until when.
type Owner = (Arc<Principal>, Option<OffsetDateTime>);

impl Identities {
    /// Who connects as the user `claimed` with this key. The client must have shown, or show before anything is opened,
    /// that it has the private part. Attempts are limited per name and source, and per source, and nothing tells which
    /// users there are.
    ///
    /// A key of the people file is good as long as it is there. A registered one is good for some time after its
    /// owner's last login ([`crate::IdentityConfig::ssh_key_ttl_s`]), with the groups of then.
    ///
    /// # Errors
    /// The reason, fit to be shown to the client.
    pub async fn by_ssh_key(&self, key: &PublicKey, claimed: &str, source: IpAddr) -> Result<Credential, Refusal> {
        check_id(claimed).map_err(|_| Refusal::UnknownSshKey)?;
        self.key_guesses()
            .attempt(claimed, source, Instant::now())
            .map_err(|wait| Refusal::TooMany { wait })?;
        let fingerprint = sha256(key.blob());
        if self.owner(key, &fingerprint, claimed).await?.is_none() {
            return Err(Refusal::UnknownSshKey);
        }
        // The watch comes before the look that counts: what ends the key after it ends the watch, what ended it before
        // is seen.
        let revocation = self.live.watch(Shown::SshKey(claimed.into(), fingerprint));
        let owner = self.owner(key, &fingerprint, claimed).await?;
        let (principal, expires) = owner.ok_or(Refusal::UnknownSshKey)?;
        self.key_guesses().succeeded(claimed, source);
        Ok(Credential {
            principal,
            token: None,
            expires,
            revocation,
        })
    }

    /// Registers a key for whoever logged in.
    ///
    /// # Errors
    /// When the key or its name cannot be used, or there are too many.
    pub async fn add_ssh_key(&self, by: &Credential, request: &SshKeyRequest) -> Result<SshKeyInfo, SshKeyError> {
        let key: PublicKey = request.public_key.trim().parse()?;
        let name = label("name", Some(&request.name)).map_err(|_| SshKeyError::Name)?;
        let Principal { id, issuer, .. } = &*by.principal;
        let row = SshKeyRow {
            principal: id.to_string(),
            issuer: issuer.to_string(),
            fingerprint: sha256(key.blob()),
            line: key.to_string(),
            name: name.unwrap_or_default().to_owned(),
            added: OffsetDateTime::now_utc(),
        };
        match self.store.add_ssh_key(&row, MAX_KEYS).await? {
            Added::New => {
                info!(user = %id, key = %key.fingerprint(), "an SSH key was registered");
                Ok(info_of(&key, Some(&row)))
            }
            Added::Known => Err(SshKeyError::Known),
            Added::Full => Err(SshKeyError::Full { most: MAX_KEYS }),
        }
    }

    /// The keys of whoever logged in: those of the people file, then those that were registered.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_ssh_keys(&self, by: &Credential) -> Result<Vec<SshKeyInfo>, SshKeyError> {
        let Principal { id, issuer, .. } = &*by.principal;
        let mut keys = Vec::new();
        if issuer == LOCAL_ISSUER {
            keys = self.people(|people| people.ssh_keys_of(id).map(|key| info_of(key, None)).collect());
            keys.sort_by(|a, b| a.fingerprint.cmp(&b.fingerprint));
        }
        for row in self.store.ssh_keys_of(id, issuer).await? {
            let key: PublicKey = row.line.parse()?;
            keys.push(info_of(&key, Some(&row)));
        }
        Ok(keys)
    }

    /// Removes a registered key of whoever logged in, by its id ([`SshKeyInfo::id`]). Its sessions end.
    ///
    /// # Errors
    /// When there is none.
    pub async fn remove_ssh_key(&self, by: &Credential, key: &str) -> Result<(), SshKeyError> {
        let Principal { id, issuer, .. } = &*by.principal;
        let fingerprint = hex::decode(key).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let fingerprint = fingerprint.ok_or(SshKeyError::Unknown)?;
        if !self.store.remove_ssh_key(id, issuer, &fingerprint).await? {
            return Err(SshKeyError::Unknown);
        }
        let shown = Shown::SshKey(id.clone(), fingerprint);
        self.live.end_shown(|other| *other == shown);
        info!(user = %id, key, "an SSH key was removed");
        Ok(())
    }

    /// Whose `key` is among those who are called `claimed`, as of now.
    async fn owner(&self, key: &PublicKey, fingerprint: &[u8; 32], claimed: &str) -> Result<Option<Owner>, Refusal> {
        if self.people(|people| people.has_ssh_key(claimed, key)) {
            return Ok(self.local_principal(claimed).map(|principal| (principal, None)));
        }
        for row in self
            .store
            .ssh_key(claimed, fingerprint)
            .await
            .map_err(Refusal::Unavailable)?
        {
            if let Some(owner) = self.registrant(&row).await.map_err(Refusal::Unavailable)? {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    }

    /// Who registered a key, if they may use it now.
    async fn registrant(&self, row: &SshKeyRow) -> Result<Option<Owner>, StoreError> {
        let Some(login) = self.store.last_login(&row.principal, &row.issuer).await? else {
            return Ok(None);
        };
        let expires = login.at + Duration::from_secs(self.config.ssh_key_ttl_s);
        if expires <= OffsetDateTime::now_utc() {
            return Ok(None);
        }
        let principal = if row.issuer == LOCAL_ISSUER {
            // What is older than the entry belongs to somebody who had the name, or the password, before.
            let since = self.person(&row.principal).and_then(|person| person.since);
            let current = since.is_none_or(|since| since <= row.added && since <= login.at);
            self.local_principal(&row.principal).filter(|_| current)
        } else {
            let known = self.providers.iter().any(|provider| provider.issuer() == row.issuer);
            let taken = self.person(&row.principal).is_some();
            (known && !taken).then(|| Arc::new(of_login(login)))
        };
        Ok(principal.map(|principal| (principal, Some(expires))))
    }

    fn key_guesses(&self) -> std::sync::MutexGuard<'_, crate::guesses::Guesses> {
        self.key_guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_login(login: LoginRow) -> Principal {
    Principal {
        id: login.principal.into(),
        kind: if login.machine { Kind::Machine } else { Kind::User },
        groups: login.groups.into_iter().map(Into::into).collect(),
        person: login.person.into(),
        issuer: login.issuer.into(),
    }
}

fn info_of(key: &PublicKey, row: Option<&SshKeyRow>) -> SshKeyInfo {
    SshKeyInfo {
        id: hex::encode(sha256(key.blob())),
        fingerprint: key.fingerprint(),
        key_type: KeyType::name(key.key_type()).to_owned(),
        name: row.map(|row| row.name.clone()),
        added: row.map(|row| row.added),
    }
}
