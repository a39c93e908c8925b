//! Tokens (RFC 7519) of platforms, checked as ID tokens are: see [`crate::oidc`].

use std::path::Path;

use sallyport_store::agents::Once;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use super::{read, unreadable};
use crate::agents::errors::ProofFault;
use crate::messages::Sealed;
use crate::oidc::TokenFault;
use crate::oidc::keys::KeySet;
use crate::oidc::token::{Audience, MAX_LIFE_S, SKEW_S, Unverified, optional_seconds, seconds};

/// Nothing symmetric, and no `none`.
const ALGORITHMS: [&str; 4] = ["RS256", "ES256", "PS256", "EdDSA"];

/// The claims that every platform's token has.
#[derive(Deserialize)]
struct Registered {
    iss: Option<String>,
    sub: String,
    aud: Audience,
    #[serde(deserialize_with = "seconds")]
    exp: i64,
    #[serde(default, deserialize_with = "optional_seconds")]
    iat: Option<i64>,
    #[serde(default, deserialize_with = "optional_seconds")]
    nbf: Option<i64>,
}

/// A token that is good as a token.
#[derive(Debug)]
pub(super) struct Good<T> {
    pub(super) subject: String,
    /// What else it says.
    pub(super) claims: T,
    /// It is good once.
    pub(super) once: Once,
}

/// The keys of a file.
pub(super) fn key_set(path: &Path, usage: &str) -> Result<KeySet, String> {
    let named = |why: String| format!("`{}`: {why}", path.display());
    let keys = KeySet::parse_for(&read(path)?, usage).map_err(|e| named(e.to_string()))?;
    if keys.is_empty() {
        return Err(named("there is no key in it that can be used".to_owned()));
    }
    Ok(keys)
}

/// Checks a token with the keys of a file: signature, audience (which must be the only one), times, and the issuer if
/// there is to be one.
pub(super) fn check<T: DeserializeOwned>(
    token: &Sealed,
    (path, usage): (&Path, &str),
    (issuer, audience): (Option<&str>, &str),
    now: OffsetDateTime,
) -> Result<Good<T>, ProofFault> {
    let keys = key_set(path, usage).map_err(|why| unreadable(&why))?;
    verify(token.0.expose_secret(), &keys, (issuer, audience), now)
}

fn verify<T: DeserializeOwned>(
    token: &str,
    keys: &KeySet,
    (issuer, audience): (Option<&str>, &str),
    now: OffsetDateTime,
) -> Result<Good<T>, ProofFault> {
    let unverified = Unverified::parse_accepting(token, &ALGORITHMS)?;
    let kid = unverified.kid.as_deref().ok_or(TokenFault::UnknownKey)?;
    let key = keys.find(Some(kid), unverified.algorithm)?;
    let registered: Registered = unverified.claims(key)?;
    if issuer.is_some_and(|issuer| registered.iss.as_deref() != Some(issuer)) {
        return Err(TokenFault::Issuer.into());
    }
    // Who else it is for could have it, and join with it.
    let only = match &registered.aud {
        Audience::One(one) => Some(one),
        Audience::Several(several) => several.first().filter(|_| several.len() == 1),
    };
    if only.is_none_or(|only| only != audience) {
        return Err(TokenFault::Audience.into());
    }
    registered.check_times(now.unix_timestamp())?;
    let claims = unverified.claims(key)?;
    let ends = OffsetDateTime::from_unix_timestamp(registered.exp.saturating_add(2 * SKEW_S));
    let once = Once::Values(
        vec![format!("agent-jwt:{}", unverified.digest())],
        ends.map_err(|_| TokenFault::Expired)?,
    );
    Ok(Good {
        subject: registered.sub,
        claims,
        once,
    })
}

impl Registered {
    fn check_times(&self, now: i64) -> Result<(), TokenFault> {
        if self.exp <= now - SKEW_S {
            return Err(TokenFault::Expired);
        }
        let from = [self.iat, self.nbf].into_iter().flatten();
        if from.max().is_some_and(|from| from > now + SKEW_S) {
            return Err(TokenFault::NotYet);
        }
        if self.exp.saturating_sub(self.iat.unwrap_or(now)) > MAX_LIFE_S {
            return Err(TokenFault::Claim {
                claim: "exp".to_owned(),
                why: "makes it live for more than a day",
            });
        }
        Ok(())
    }
}
