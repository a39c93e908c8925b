//! For the fuzzers: the pure parts, with a provider whose key is known. Never part of a gateway.

use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use smol_str::SmolStr;
use time::OffsetDateTime;

use super::keys::KeySet;
use super::token::Unverified;
use super::{Begun, OidcConfig, OidcError, TokenFault, discovery};
use crate::http::checked_url;

const ISSUER: &str = "https://id.example.com";
/// The time of every login, in seconds since 1970.
pub const NOW: i64 = 1_800_000_000;
/// The one-time value of every login.
pub const NONCE: &str = "the nonce of this login";

/// Whom a token is about: name, verified address, groups.
pub type Person = (SmolStr, Option<String>, Arc<[SmolStr]>);

/// The provider as it is configured.
///
/// # Errors
/// Never: it is always the same.
pub fn config() -> Result<OidcConfig, serde_json::Error> {
    serde_json::from_value(serde_json::json!({
        "issuer": ISSUER, "client_id": "sallyport", "user_claim": "sub", "groups_claim": "realm.groups",
        "device": true, "max_age_s": 3600,
    }))
}

/// Reads a key set; how many of its keys could be used is not told.
///
/// # Errors
/// What is wrong with it.
pub fn key_set(body: &[u8]) -> Result<(), OidcError> {
    KeySet::parse(body).map(drop)
}

/// Reads a discovery document.
///
/// # Errors
/// What is wrong with it.
pub fn discovery(body: &[u8]) -> Result<(), OidcError> {
    discovery::check(body, ISSUER, &checked_url(ISSUER)?, &[]).map(drop)
}

/// Checks a token that anybody may have made.
///
/// # Errors
/// What is wrong with it.
pub fn token(token: &str, config: &OidcConfig) -> Result<Person, TokenFault> {
    let signer = signer()?;
    let jwk = serde_json::json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(signer.public_key()),
    }] });
    let keys = KeySet::parse(jwk.to_string().as_bytes()).map_err(|_| TokenFault::UnknownKey)?;
    let unverified = Unverified::parse(token, config)?;
    let key = keys.find(unverified.kid.as_deref(), unverified.algorithm)?;
    let now = OffsetDateTime::from_unix_timestamp(NOW).map_err(|_| TokenFault::NotYet)?;
    let begun = Begun { nonce: NONCE, at: now };
    let vouched = unverified.verify(key, config, &begun, now)?;
    Ok((vouched.id, vouched.email, vouched.groups))
}

/// Checks a token with these claims, signed by the provider.
///
/// # Errors
/// What is wrong with it.
pub fn claims(claims: &[u8], config: &OidcConfig) -> Result<Person, TokenFault> {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"EdDSA","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(signer()?.sign(signed.as_bytes()));
    token(&format!("{signed}.{signature}"), config)
}

fn signer() -> Result<Ed25519KeyPair, TokenFault> {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).map_err(|_| TokenFault::UnknownKey)
}
