//! Token secrets: how they are made, and the only form in which they are kept.

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// What a target token begins with, so that scanners for leaked secrets can find it.
pub const TARGET_PREFIX: &str = "spt_";
/// What the token of an API session begins with.
pub const API_PREFIX: &str = "sps_";

/// The random part of a secret, in bytes.
const SECRET_BYTES: usize = 32;
/// The length of a token: four of prefix, forty-three of base64.
const TOKEN_CHARS: usize = 47;

/// The name of a token, fit for logs and lists. It opens nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub SmolStr);

impl std::fmt::Display for TokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TokenId {
    /// A new name, in the order of time.
    pub(crate) fn new() -> Self {
        Self(uuid::Uuid::now_v7().simple().to_string().into())
    }
}

/// The system's source of random numbers failed.
#[derive(Debug, thiserror::Error)]
#[error("the system's source of random numbers failed")]
pub struct NoRandom;

/// SHA-256 of a token as it is presented.
pub(crate) type TokenHash = [u8; 32];

/// A new secret with `prefix`, and its hash.
pub(crate) fn generate(prefix: &str) -> Result<(SecretString, TokenHash), NoRandom> {
    let token = format!("{prefix}{}", random_text::<SECRET_BYTES>()?);
    let hash = sha256(token.as_bytes());
    Ok((SecretString::from(token), hash))
}

/// The hash to look a presented token up by. `None` when it has not the form of a token with this prefix.
pub(crate) fn hash_presented(token: &SecretString, prefix: &str) -> Option<TokenHash> {
    let token = token.expose_secret();
    (token.len() == TOKEN_CHARS && token.starts_with(prefix)).then(|| sha256(token.as_bytes()))
}

/// `N` random bytes as URL-safe base64.
pub(crate) fn random_text<const N: usize>() -> Result<String, NoRandom> {
    let mut bytes = [0_u8; N];
    rand::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()) {
        *to = *from;
    }
    out
}
