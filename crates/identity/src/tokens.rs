//! Tokens: issued, listed, revoked.

use std::collections::HashSet;
use std::time::Duration;

use sallyport_store::StoreError;
use sallyport_store::tokens::{Scope, TokenRow, Which};
use secrecy::SecretString;
use time::OffsetDateTime;
use tracing::info;

use crate::errors::{IssueError, RevokeError};
use crate::identities::{Credential, Identities};
use crate::messages::{TokenInfo, TokenReply, TokenRequest, TokenScope};
use crate::principal::{Kind, Principal};
use crate::secret::{API_PREFIX, TARGET_PREFIX, TokenHash, TokenId, generate};

/// The most tokens in one list.
const MAX_LIST: u32 = 1000;
/// The longest name of a token or a target, in characters.
const MAX_LABEL_CHARS: usize = 128;

/// A token that was just made. This is the only time that its secret can be seen.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: SecretString,
    /// What is known of it.
    pub info: TokenInfo,
}

impl From<IssuedToken> for TokenReply {
    fn from(issued: IssuedToken) -> Self {
        Self {
            token: issued.token.into(),
            info: issued.info,
        }
    }
}

/// What a token shall be.
pub(crate) struct Wanted<'a> {
    pub(crate) scope: Scope,
    pub(crate) target: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) parent: Option<&'a TokenId>,
    pub(crate) expires: OffsetDateTime,
}

impl Identities {
    /// A token for targets, asked for by a login (its credential comes from [`Identities::by_api_token`]). It ends
    /// with the login at the latest, and with the login's revocation.
    ///
    /// # Errors
    /// When it may not live so long, a label cannot be used, or the login has ended.
    pub async fn issue_target_token(&self, by: &Credential, request: &TokenRequest) -> Result<IssuedToken, IssueError> {
        let now = OffsetDateTime::now_utc();
        let expires = now + self.lifetime(request.ttl_s)?;
        let wanted = Wanted {
            scope: Scope::Target,
            target: label("target", request.target.as_deref())?,
            name: label("name", request.name.as_deref())?,
            parent: by.token.as_ref(),
            expires: by.expires.map_or(expires, |end| end.min(expires)),
        };
        self.issue(&by.principal, &wanted, now).await
    }

    /// A token without a login, for who runs the gateway: the demo, a test, a program's first token. Without a target
    /// it opens every target, and the API as a login does; with one, that target alone.
    ///
    /// # Errors
    /// When it may not live so long or the target's name cannot be used.
    pub async fn issue_token(
        &self,
        principal: &Principal,
        target: Option<&str>,
        ttl: Duration,
    ) -> Result<IssuedToken, IssueError> {
        let now = OffsetDateTime::now_utc();
        let expires = now + self.lifetime(Some(ttl.as_secs()))?;
        let target = label("target", target)?;
        let wanted = Wanted {
            scope: if target.is_some() { Scope::Target } else { Scope::All },
            target,
            name: None,
            parent: None,
            expires,
        };
        self.issue(principal, &wanted, now).await
    }

    /// A token for the API without a login, for who runs the gateway. It lives as long as a login.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn issue_api_token(&self, principal: &Principal) -> Result<IssuedToken, IssueError> {
        let now = OffsetDateTime::now_utc();
        let expires = now + Duration::from_secs(self.config.session_ttl_s);
        let wanted = Wanted {
            scope: Scope::Api,
            target: None,
            name: None,
            parent: None,
            expires,
        };
        self.issue(principal, &wanted, now).await
    }

    /// Revokes a token and those that it was used to ask for: their sessions end at once. One's own, or as a member
    /// of an admin group anybody's.
    ///
    /// # Errors
    /// When there is none that may be revoked, or the store cannot be written.
    pub async fn revoke(&self, by: &Principal, id: &TokenId) -> Result<(), RevokeError> {
        let row = self.store.token(&id.0).await?.ok_or(RevokeError::Unknown)?;
        let own = by.id == row.principal && by.issuer == row.issuer;
        if !own && !self.is_admin(by) {
            return Err(RevokeError::Unknown);
        }
        self.end(Which::Family(&id.0)).await?;
        info!(token = %id, owner = %row.principal, by = %by.id, "a token was revoked");
        Ok(())
    }

    /// Revokes every token of a principal, logins included, and ends their sessions. One's own, or as a member of an
    /// admin group anybody's. Returns how many there were.
    ///
    /// # Errors
    /// When it is not allowed, or the store cannot be written.
    pub async fn revoke_all(&self, by: &Principal, principal: &str) -> Result<usize, RevokeError> {
        if by.id != principal && !self.is_admin(by) {
            return Err(RevokeError::Unknown);
        }
        // Registered keys open nothing until the next login.
        self.store.forget_logins(principal, None).await?;
        let ended = self.end(Which::Principal(principal)).await?;
        self.live.end_shown(|shown| shown.principal() == principal);
        info!(%principal, count = ended, by = %by.id, "all tokens of a principal were revoked");
        Ok(ended)
    }

    /// The tokens that are good now, newest first: one's own, or `everybody`'s for a member of an admin group.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_tokens(&self, by: &Principal, everybody: bool) -> Result<Vec<TokenInfo>, StoreError> {
        let owner = if everybody && self.is_admin(by) {
            None
        } else {
            Some(by.id.as_str())
        };
        let rows = self
            .store
            .live_tokens(owner, OffsetDateTime::now_utc(), MAX_LIST)
            .await?;
        Ok(rows.iter().map(info).collect())
    }

    /// Whether a principal may see and revoke everybody's tokens.
    #[must_use]
    pub fn is_admin(&self, principal: &Principal) -> bool {
        self.config.admin_groups.iter().any(|group| principal.is_in(group))
    }

    pub(crate) async fn issue(
        &self,
        principal: &Principal,
        wanted: &Wanted<'_>,
        now: OffsetDateTime,
    ) -> Result<IssuedToken, IssueError> {
        let (token, hash) = generate(match wanted.scope {
            Scope::Target | Scope::All => TARGET_PREFIX,
            Scope::Api => API_PREFIX,
        })?;
        let info = self.enter(principal, wanted, (TokenId::new(), hash), now).await?;
        Ok(IssuedToken { token, info })
    }

    /// Puts a token into the store, known by what it hashes to.
    pub(crate) async fn enter(
        &self,
        principal: &Principal,
        wanted: &Wanted<'_>,
        (id, hash): (TokenId, TokenHash),
        now: OffsetDateTime,
    ) -> Result<TokenInfo, IssueError> {
        let row = TokenRow {
            id: id.0.into(),
            hash,
            scope: wanted.scope,
            principal: principal.id.to_string(),
            machine: principal.kind == Kind::Machine,
            person: principal.person.to_string(),
            issuer: principal.issuer.to_string(),
            groups: principal.groups.iter().map(ToString::to_string).collect(),
            target: wanted.target.map(str::to_owned),
            name: wanted.name.map(str::to_owned),
            parent: wanted.parent.map(ToString::to_string),
            issued: now,
            expires: wanted.expires,
            revoked: None,
        };
        if !self.store.insert_token(&row).await? {
            return Err(IssueError::Ended);
        }
        Ok(info(&row))
    }

    async fn end(&self, which: Which<'_>) -> Result<usize, StoreError> {
        let ids = self.store.revoke_tokens(which, OffsetDateTime::now_utc()).await?;
        let ids: HashSet<&str> = ids.iter().map(String::as_str).collect();
        self.live.end(|token| ids.contains(token.id.0.as_str()));
        Ok(ids.len())
    }

    fn lifetime(&self, asked_s: Option<u64>) -> Result<Duration, IssueError> {
        let most_s = self.config.token_ttl_max_s;
        let asked_s = asked_s.unwrap_or(self.config.token_ttl_s);
        if (1..=most_s).contains(&asked_s) {
            Ok(Duration::from_secs(asked_s))
        } else {
            Err(IssueError::Lifetime { asked_s, most_s })
        }
    }
}

pub(crate) fn label<'a>(what: &'static str, text: Option<&'a str>) -> Result<Option<&'a str>, IssueError> {
    let good = |t: &str| (1..=MAX_LABEL_CHARS).contains(&t.chars().count()) && !t.chars().any(char::is_control);
    if text.is_none_or(good) {
        Ok(text)
    } else {
        Err(IssueError::Label { what })
    }
}

fn info(row: &TokenRow) -> TokenInfo {
    TokenInfo {
        id: TokenId(row.id.as_str().into()),
        scope: match row.scope {
            Scope::Target => TokenScope::Target,
            Scope::Api => TokenScope::Api,
            Scope::All => TokenScope::All,
        },
        user: row.principal.as_str().into(),
        kind: if row.machine { Kind::Machine } else { Kind::User },
        target: row.target.clone(),
        name: row.name.clone(),
        issued: row.issued,
        expires: row.expires,
    }
}
