//! Logins: a password or a provider's ID token becomes a session of the API.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sallyport_store::StoreError;
use sallyport_store::ssh_keys::LoginRow;
use sallyport_store::tokens::Scope;
use secrecy::SecretString;
use time::OffsetDateTime;
use tracing::info;

use crate::errors::LoginError;
use crate::identities::Identities;
use crate::messages::{AuthConfig, LoginReply, OidcLogin, PasswordLogin};
use crate::oidc::{Begun, Provider, Vouched};
use crate::principal::{Kind, Principal, check_id};
use crate::secret::{NoRandom, random_text, sha256};
use crate::tokens::Wanted;

/// How long a login may take from its beginning: a device code lives up to half an hour.
const NONCE_LIFE: Duration = Duration::from_secs(30 * 60);
/// How long a used ID token is remembered: longer than one is accepted after it was made.
const REMEMBER_USED: Duration = Duration::from_secs(25 * 3600);

/// A login that succeeded.
#[derive(Debug)]
pub struct Login {
    /// Who.
    pub principal: Arc<Principal>,
    /// What to answer.
    pub reply: LoginReply,
}

impl Identities {
    /// How one can log in here, with a fresh one-time value.
    ///
    /// # Errors
    /// When the system's source of random numbers failed.
    pub fn auth_config(&self) -> Result<AuthConfig, NoRandom> {
        Ok(AuthConfig {
            password: self.has_passwords(),
            providers: self.providers.iter().map(Provider::info).collect(),
            nonce: self.nonces.issue(OffsetDateTime::now_utc())?,
        })
    }

    /// Logs somebody of the people file in. `source` is where the attempt comes from; guesses are limited per name
    /// and source, and per source. A name that does not exist takes as long as one that does.
    ///
    /// # Errors
    /// The reason, fit to be shown to who tried.
    pub async fn login_password(&self, login: &PasswordLogin, source: IpAddr) -> Result<Login, LoginError> {
        let user = login.user.as_str();
        if check_id(user).is_err() {
            return Err(LoginError::WrongPassword);
        }
        self.guesses()
            .attempt(user, source, Instant::now())
            .map_err(|wait| LoginError::TooMany { wait })?;
        let person = self.person(user);
        let hash = person.as_ref().and_then(|p| p.password.as_ref());
        let good = self.verifier.verify(hash, &login.password.0).await;
        let principal = self.local_principal(user).filter(|_| good).ok_or_else(|| {
            info!(user, %source, "a login failed");
            LoginError::WrongPassword
        })?;
        self.guesses().succeeded(user, source);
        self.admit(principal).await
    }

    /// Logs in who a provider's ID token says. Each token, and each nonce of [`Identities::auth_config`], is good for
    /// one login.
    ///
    /// # Errors
    /// The reason, fit to be shown to who tried.
    pub async fn login_oidc(&self, login: &OidcLogin) -> Result<Login, LoginError> {
        let provider = self.provider(login.provider.as_deref())?;
        let principal = self.vouched(provider, &login.id_token.0, &login.nonce).await?;
        self.admit(Arc::new(principal)).await
    }

    /// Who a provider's ID token says logged in, in the login that had this nonce. Both are good for this once.
    pub(crate) async fn vouched(
        &self,
        provider: &Provider,
        id_token: &SecretString,
        nonce: &str,
    ) -> Result<Principal, LoginError> {
        let now = OffsetDateTime::now_utc();
        let at = self.nonces.issued_at(nonce, now).ok_or(LoginError::Stale)?;
        let vouched = provider.verify(id_token, &Begun { nonce, at }, now).await?;
        let used = [format!("nonce:{nonce}"), format!("id-token:{}", vouched.digest)];
        if !self.store.spend(&used, now + REMEMBER_USED).await? {
            return Err(LoginError::Stale);
        }
        self.known(provider, vouched, now).await
    }

    /// The principal behind a provider's word. Its name is taken from the claims once checked that no other subject
    /// and nobody of the people file has it.
    async fn known(&self, provider: &Provider, vouched: Vouched, now: OffsetDateTime) -> Result<Principal, LoginError> {
        let issuer = provider.issuer();
        let taken = || LoginError::NameTaken(vouched.id.to_string());
        if self.person(&vouched.id).is_some() {
            return Err(taken());
        }
        if !self
            .store
            .claim_principal(&vouched.id, issuer, &vouched.subject, now)
            .await?
        {
            return Err(taken());
        }
        let mut keys = vec![format!("sub:{issuer}#{}", vouched.subject)];
        keys.extend(vouched.email.as_ref().map(|email| format!("email:{email}")));
        let person = self.store.person_of(&keys).await?;
        Ok(Principal {
            id: vouched.id,
            kind: Kind::User,
            groups: vouched.groups,
            person: person.into(),
            issuer: issuer.into(),
        })
    }

    async fn admit(&self, principal: Arc<Principal>) -> Result<Login, LoginError> {
        let now = OffsetDateTime::now_utc();
        let expires = now + Duration::from_secs(self.config.session_ttl_s);
        let wanted = Wanted {
            scope: Scope::Api,
            target: None,
            name: None,
            parent: None,
            expires,
        };
        let issued = self.issue(&principal, &wanted, now).await.map_err(LoginError::from)?;
        self.remember(&principal, now).await?;
        info!(user = %principal.id, issuer = %principal.issuer, token = %issued.info.id, "somebody logged in");
        let reply = LoginReply {
            token: issued.token.into(),
            id: issued.info.id,
            user: principal.id.clone(),
            groups: principal.groups.to_vec(),
            expires,
        };
        Ok(Login { principal, reply })
    }

    /// Remembers a login: registered keys open something for some time after it.
    pub(crate) async fn remember(&self, principal: &Principal, now: OffsetDateTime) -> Result<(), StoreError> {
        let login = LoginRow {
            principal: principal.id.to_string(),
            issuer: principal.issuer.to_string(),
            machine: principal.kind == Kind::Machine,
            person: principal.person.to_string(),
            groups: principal.groups.iter().map(ToString::to_string).collect(),
            at: now,
        };
        self.store.record_login(&login).await
    }

    fn provider(&self, name: Option<&str>) -> Result<&Provider, LoginError> {
        let found = match (name, self.providers.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(name), providers) => providers.iter().find(|p| p.name() == name),
        };
        found.ok_or_else(|| LoginError::UnknownProvider(name.unwrap_or_default().to_owned()))
    }

    pub(crate) fn guesses(&self) -> std::sync::MutexGuard<'_, crate::guesses::Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one-time values of logins: random, and signed with a key of this process, so that nothing has to be kept for
/// logins that never end.
pub(crate) struct Nonces(hmac::Key);

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}

impl Nonces {
    pub(crate) fn new() -> Result<Self, NoRandom> {
        let seed = random_text::<32>()?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &sha256(seed.as_bytes()))))
    }

    /// A new one: 18 random bytes, the second at which it was issued, and the signature.
    pub(crate) fn issue(&self, now: OffsetDateTime) -> Result<String, NoRandom> {
        let content = format!("{}.{}", random_text::<18>()?, now.unix_timestamp());
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, content.as_bytes()));
        Ok(format!("{content}.{signature}"))
    }

    /// When it was issued, if it was issued here and has not ended.
    pub(crate) fn issued_at(&self, nonce: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let (content, signature) = nonce.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.0, content.as_bytes(), &signature).ok()?;
        let (_, second) = content.rsplit_once('.')?;
        let issued = OffsetDateTime::from_unix_timestamp(second.parse().ok()?).ok()?;
        (now - issued < NONCE_LIFE).then_some(issued)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_nonce_is_ours_for_half_an_hour() {
        let (ours, others) = (Nonces::new().unwrap(), Nonces::new().unwrap());
        let begin = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let nonce = ours.issue(begin).unwrap();
        assert_eq!(ours.issued_at(&nonce, begin), Some(begin));
        assert_eq!(
            ours.issued_at(&nonce, begin + NONCE_LIFE - Duration::from_secs(1)),
            Some(begin)
        );
        assert_eq!(ours.issued_at(&nonce, begin + NONCE_LIFE), None);
        assert_eq!(others.issued_at(&nonce, begin), None);
        let later = nonce.replace("1800000000", "1900000000");
        assert_eq!(ours.issued_at(&later, begin), None);
        assert_ne!(ours.issue(begin).unwrap(), nonce);
    }
}
