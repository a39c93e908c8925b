//! What the gateway asks about identity: who a token or a certificate is.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustls_pki_types::{CertificateDer, UnixTime};
use sallyport_store::tokens::{Scope, TokenRow, Which};
use sallyport_store::{Store, StoreError};
use secrecy::SecretString;
use smol_str::SmolStr;
use time::OffsetDateTime;
use tracing::{info, warn};

use crate::config::IdentityConfig;
use crate::device::{WaitingRoom, Witness};
use crate::errors::{IdentityError, Refusal};
use crate::guesses::{Guesses, PASSWORDS, SSH_KEYS};
use crate::live::{LiveToken, LiveTokens, Revocation, Shown};
use crate::login::Nonces;
use crate::oidc::Provider;
use crate::people::{People, PeopleError, Person, Stamp, Verifier};
use crate::principal::{Kind, LOCAL_ISSUER, Principal};
use crate::secret::{API_PREFIX, TARGET_PREFIX, TokenHash, TokenId, hash_presented, sha256};
use crate::ssh::SshAuthorities;

/// How often the people file is looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(1);
/// How often what expired is forgotten.
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// How long an ended token stays in the store, to be told from one that never was.
const KEEP_ENDED: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often a token's row is read again because something was revoked meanwhile.
const MAX_READS: u32 = 8;

/// Who somebody is, and what it was shown with.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Who.
    pub principal: Arc<Principal>,
    /// The token; none for a client certificate.
    pub token: Option<TokenId>,
    /// When the token, and with it the right to open something new, ends.
    pub expires: Option<OffsetDateTime>,
    /// Ends what was opened with it.
    pub revocation: Revocation,
}

/// Everything the gateway knows about identity. Share it in an [`Arc`]; run [`Identities::maintain`] beside it.
#[derive(Debug)]
pub struct Identities {
    pub(crate) config: IdentityConfig,
    pub(crate) store: Store,
    pub(crate) live: LiveTokens,
    pub(crate) guesses: Mutex<Guesses>,
    pub(crate) key_guesses: Mutex<Guesses>,
    pub(crate) ssh: Option<SshAuthorities>,
    pub(crate) verifier: Verifier,
    pub(crate) nonces: Nonces,
    pub(crate) providers: Vec<Provider>,
    pub(crate) waiting: WaitingRoom,
    pub(crate) witness: Option<Arc<dyn Witness>>,
    roster: ArcSwap<Roster>,
    /// One reload at a time, with the stamp of the file that was tried last.
    reloading: tokio::sync::Mutex<Stamp>,
}

/// The people file with the principals that it makes.
#[derive(Debug, Default)]
struct Roster {
    people: People,
    principals: HashMap<SmolStr, Arc<Principal>>,
}

impl Identities {
    /// Reads the people file and prepares the providers, without asking them anything yet.
    ///
    /// # Errors
    /// When the configuration or the people file makes no sense, or the store cannot be used.
    pub async fn open(config: IdentityConfig, store: Store) -> Result<Self, IdentityError> {
        config.check()?;
        let (stamp, people) = match config.people.clone() {
            Some(path) => load(path).await?,
            None => (Stamp::default(), People::default()),
        };
        let roster = Roster::new(people, &store).await?;
        let providers = config
            .oidc
            .iter()
            .map(|c| Provider::new(c.clone()))
            .collect::<Result<_, _>>()?;
        let identities = Self {
            store,
            live: LiveTokens::default(),
            guesses: Mutex::new(Guesses::new(PASSWORDS)),
            key_guesses: Mutex::new(Guesses::new(SSH_KEYS)),
            ssh: None,
            verifier: Verifier::new()?,
            nonces: Nonces::new()?,
            providers,
            waiting: WaitingRoom::default(),
            witness: None,
            roster: ArcSwap::from_pointee(roster),
            reloading: tokio::sync::Mutex::new(stamp),
            config,
        };
        identities.revoke_departed().await?;
        Ok(identities)
    }

    /// Who shows this token, as the password of the user `claimed`, to reach `target`.
    ///
    /// A token that was seen before is answered from memory.
    ///
    /// # Errors
    /// The reason, fit to be shown to the client.
    pub async fn by_token(&self, token: &SecretString, claimed: &str, target: &str) -> Result<Credential, Refusal> {
        let hash = hash_presented(token, TARGET_PREFIX).ok_or(Refusal::UnknownToken)?;
        self.by_hash(hash, claimed, target).await
    }

    /// Who has the token for targets with this hash.
    pub(crate) async fn by_hash(&self, hash: TokenHash, claimed: &str, target: &str) -> Result<Credential, Refusal> {
        let (token, revocation) = self.live_token(hash, Scope::Target).await?;
        let credential = self.credential(&token, revocation)?;
        if credential.principal.id != claimed {
            return Err(Refusal::WrongUser);
        }
        if token.target.as_ref().is_some_and(|only| only != target) {
            return Err(Refusal::WrongTarget);
        }
        Ok(credential)
    }

    /// The credential of a token that was just made here for a login.
    pub(crate) async fn by_own_token(&self, token: &SecretString) -> Result<Credential, Refusal> {
        let hash = hash_presented(token, TARGET_PREFIX).ok_or(Refusal::UnknownToken)?;
        let (token, revocation) = self.live_token(hash, Scope::Target).await?;
        self.credential(&token, revocation)
    }

    /// Who calls the API with this token: that of a login, or one that was made for everything
    /// ([`Identities::issue_token`]). One for targets does not open the API.
    ///
    /// # Errors
    /// The reason, fit to be shown to the client.
    pub async fn by_api_token(&self, token: &SecretString) -> Result<Credential, Refusal> {
        let hash = hash_presented(token, API_PREFIX).or_else(|| hash_presented(token, TARGET_PREFIX));
        let hash = hash.ok_or(Refusal::UnknownToken)?;
        let (token, revocation) = self.live_token(hash, Scope::Api).await?;
        self.credential(&token, revocation)
    }

    /// Who connects as the user `claimed` with this client certificate (`chain`, the leaf first). The TLS handshake
    /// must have shown that the client has its key; validity and authority are checked here.
    ///
    /// # Errors
    /// The reason, fit to be shown to the client.
    pub fn by_certificate(&self, chain: &[CertificateDer<'_>], claimed: &str) -> Result<Credential, Refusal> {
        if self.roster.load().people.get(claimed).is_none() {
            return Err(Refusal::UnknownCertificate);
        }
        // The watch comes before the look that counts: a reload after it ends the watch, one before it is seen.
        let revocation = self.live.watch(Shown::Certificate(claimed.into()));
        let roster = self.roster.load();
        let person = roster
            .people
            .by_certificate(chain, UnixTime::now())
            .ok_or(Refusal::UnknownCertificate)?;
        if person.id != claimed {
            return Err(Refusal::WrongCertificate);
        }
        let principal = roster
            .principals
            .get(&person.id)
            .cloned()
            .ok_or(Refusal::UnknownCertificate)?;
        Ok(Credential {
            principal,
            token: None,
            expires: None,
            revocation,
        })
    }

    /// Somebody of the people file.
    #[must_use]
    pub fn local_principal(&self, id: &str) -> Option<Arc<Principal>> {
        self.roster.load().principals.get(id).cloned()
    }

    /// Whether two same-person keys ([`Principal::person`]), of whatever time, stand for one person today.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn same_person(&self, one: &str, other: &str) -> Result<bool, StoreError> {
        Ok(one == other || self.store.resolve_person(one).await? == self.store.resolve_person(other).await?)
    }

    /// Keeps things fresh until it is dropped: reads the people file again when it changed, forgets what expired.
    pub async fn maintain(&self) {
        let mut ticks = tokio::time::interval(RELOAD_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut purged = Instant::now();
        loop {
            ticks.tick().await;
            match self.reload_people().await {
                Ok(true) => info!("the people file was read again"),
                Ok(false) => {}
                Err(error) => warn!(%error, "the people file stays as it was"),
            }
            if purged.elapsed() >= PURGE_EVERY {
                purged = Instant::now();
                let now = OffsetDateTime::now_utc();
                self.live.purge(now);
                let logins = now - Duration::from_secs(self.config.ssh_key_ttl_s);
                let purged = self.store.purge_tokens(now - KEEP_ENDED, now).await;
                let purged = purged.and(self.store.purge_logins(logins).await);
                if let Err(error) = purged {
                    warn!(%error, "what ended cannot be forgotten");
                }
            }
        }
    }

    /// Reads the people file again if it changed, and says whether it did. Tokens and sessions of people who are gone
    /// or have a new password end; sessions of people whose groups changed end.
    ///
    /// # Errors
    /// When the new file makes no sense: then the old one stays in force, and the error comes once per change.
    pub async fn reload_people(&self) -> Result<bool, IdentityError> {
        let Some(path) = self.config.people.clone() else {
            return Ok(false);
        };
        let mut last = self.reloading.lock().await;
        let seen = Stamp::of(&path);
        if seen == *last {
            return Ok(false);
        }
        *last = seen;
        if seen.is_missing() {
            return Err(PeopleError::Gone(path).into());
        }
        let (stamp, people) = load(path).await?;
        let new = Roster::new(people, &self.store).await?;
        *last = stamp;
        let old = self.roster.load_full();
        let new = Arc::new(new);
        // From the swap on, names that are gone are refused; what sessions watch is ended last, when nothing can read
        // it as good from the store again.
        self.roster.store(Arc::clone(&new));
        let ended = new.people.ended_since(&old.people);
        let mut revoked = Ok(());
        for id in &ended {
            revoked = revoked.and(self.end_in_store(id).await);
        }
        self.end_watches(&old.people, &new.people, &ended);
        revoked?;
        Ok(true)
    }

    /// The same, with authorities for SSH certificates: without them there are none.
    #[must_use]
    pub fn with_ssh(mut self, authorities: SshAuthorities) -> Self {
        self.ssh = Some(authorities);
        self
    }

    /// The people file as it is now.
    pub(crate) fn people<T>(&self, look: impl FnOnce(&People) -> T) -> T {
        look(&self.roster.load().people)
    }

    /// The entry of the people file called `id`.
    pub(crate) fn person(&self, id: &str) -> Option<Person> {
        self.roster.load().people.get(id).cloned()
    }

    /// Whether anybody can log in with a password.
    pub(crate) fn has_passwords(&self) -> bool {
        self.roster.load().people.has_passwords()
    }

    /// Ends all that the store has of somebody of the people file. Somebody else may get the name.
    async fn end_in_store(&self, id: &str) -> Result<(), StoreError> {
        let which = Which::IssuedBy(id, LOCAL_ISSUER);
        self.store.revoke_tokens(which, OffsetDateTime::now_utc()).await?;
        self.store.forget_logins(id, Some(LOCAL_ISSUER)).await?;
        self.store.remove_ssh_keys_of(id, LOCAL_ISSUER).await?;
        Ok(())
    }

    /// Ends the sessions of who is gone or somebody else to policy now, and of certificates and keys that are gone.
    fn end_watches(&self, old: &People, new: &People, ended: &[SmolStr]) {
        let mut changed = new.changed_since(old);
        changed.extend(ended.iter().cloned());
        let gone: HashSet<Shown> = new
            .ssh_keys_gone_since(old)
            .map(|(key, owner)| Shown::SshKey(owner.clone(), sha256(key.blob())))
            .collect();
        let certificates_changed = !new.same_certificates(old);
        self.live
            .end(|t| t.principal.issuer == LOCAL_ISSUER && changed.contains(&t.principal.id));
        self.live.end_shown(|shown| {
            let all = certificates_changed && matches!(shown, Shown::Certificate(_));
            all || changed.contains(shown.principal()) || gone.contains(shown)
        });
    }

    /// Ends the tokens and keys of people who left the file while the gateway was not running.
    async fn revoke_departed(&self) -> Result<(), StoreError> {
        let mut holders = self
            .store
            .token_holders(LOCAL_ISSUER, OffsetDateTime::now_utc())
            .await?;
        holders.extend(self.store.ssh_key_holders(LOCAL_ISSUER).await?);
        for id in holders {
            if self.local_principal(&id).is_none() {
                self.end_in_store(&id).await?;
            }
        }
        Ok(())
    }

    /// The token with this hash, from memory or from the store, unless it was revoked.
    async fn live_token(&self, hash: TokenHash, scope: Scope) -> Result<(Arc<LiveToken>, Revocation), Refusal> {
        let opens = |its: Scope| its == scope || its == Scope::All;
        if let Some((token, revocation)) = self.live.get(&hash) {
            return if opens(token.scope) {
                Ok((token, revocation))
            } else {
                Err(Refusal::UnknownToken)
            };
        }
        for _ in 0..MAX_READS {
            let generation = self.live.generation();
            let row = self.store.token_by_hash(&hash).await.map_err(Refusal::Unavailable)?;
            let row = row.filter(|row| opens(row.scope)).ok_or(Refusal::UnknownToken)?;
            if row.revoked.is_some() {
                return Err(Refusal::Revoked);
            }
            let now = OffsetDateTime::now_utc();
            if row.expires <= now {
                return Err(Refusal::Expired);
            }
            if let Some(found) = self.live.insert(hash, live(row), generation, now) {
                return Ok(found);
            }
        }
        Err(Refusal::UnknownToken)
    }

    /// What a token stands for now. Somebody of the people file is who the file says today, not when it was issued.
    fn credential(&self, token: &LiveToken, revocation: Revocation) -> Result<Credential, Refusal> {
        if token.expires <= OffsetDateTime::now_utc() {
            return Err(Refusal::Expired);
        }
        let principal = if token.principal.issuer == LOCAL_ISSUER {
            let roster = self.roster.load();
            let person = roster.people.get(&token.principal.id).ok_or(Refusal::UnknownToken)?;
            if person.since.is_some_and(|since| token.issued < since) {
                return Err(Refusal::Revoked);
            }
            roster
                .principals
                .get(&person.id)
                .cloned()
                .ok_or(Refusal::UnknownToken)?
        } else {
            Arc::clone(&token.principal)
        };
        Ok(Credential {
            principal,
            token: Some(token.id.clone()),
            expires: Some(token.expires),
            revocation,
        })
    }
}

impl Roster {
    async fn new(people: People, store: &Store) -> Result<Self, StoreError> {
        let mut principals = HashMap::new();
        for person in people.iter() {
            let mut keys = vec![format!("local:{}", person.id)];
            keys.extend(person.email.as_ref().map(|email| format!("email:{email}")));
            let principal = Principal {
                id: person.id.clone(),
                kind: person.kind,
                groups: Arc::clone(&person.groups),
                person: store.person_of(&keys).await?.into(),
                issuer: LOCAL_ISSUER.into(),
            };
            principals.insert(person.id.clone(), Arc::new(principal));
        }
        Ok(Self { people, principals })
    }
}

async fn load(path: PathBuf) -> Result<(Stamp, People), PeopleError> {
    let read = move || {
        // The stamp first: a change while the file is read makes it be read again.
        let stamp = Stamp::of(&path);
        People::load(&path).map(|people| (stamp, people))
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(loaded) => loaded,
        Err(stopped) => Err(PeopleError::Stopped(stopped.to_string())),
    }
}

fn live(row: TokenRow) -> LiveToken {
    let principal = Principal {
        id: row.principal.into(),
        kind: if row.machine { Kind::Machine } else { Kind::User },
        groups: row.groups.into_iter().map(SmolStr::from).collect(),
        person: row.person.into(),
        issuer: row.issuer.into(),
    };
    let times = (row.issued, row.expires);
    LiveToken::new(
        (TokenId(row.id.into()), row.scope),
        Arc::new(principal),
        row.target.map(Into::into),
        times,
    )
}
