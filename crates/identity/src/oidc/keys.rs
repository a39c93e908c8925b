//! A provider's keys (RFC 7517): fetched, kept for a while, and asked for again when a token names one that is new.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;

use super::algorithm::{Algorithm, KeyType};
use super::discovery::discover;
use super::{OidcConfig, OidcError, TokenFault};
use crate::http::send;

/// The largest key set.
const MAX_BYTES: usize = 256 << 10;
/// The most keys that are looked at.
const MAX_KEYS: usize = 64;
/// How long keys are used before they are asked for again; a retired key works no longer than this.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// How long keys are used when the provider cannot be asked again.
const STALE: Duration = Duration::from_secs(60 * 60);
/// How often a provider is asked at most: this many times …
const ASK_AT_MOST: usize = 5;
/// … within this time. Tokens with made-up key names must not make us hammer it.
const ASK_WITHIN: Duration = Duration::from_secs(60);

/// One key that can verify signatures.
pub(crate) struct Key {
    kid: Option<String>,
    key_type: KeyType,
    /// The one algorithm that the provider says it is for.
    only: Option<String>,
    decoding: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("key_type", &self.key_type)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// Whether `signature` over `message` is by this key.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &str, signature: &str) -> bool {
        self.key_type == algorithm.key_type()
            && jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.decoding, algorithm.library())
                .unwrap_or(false)
    }
}

/// The keys of a provider at one time.
#[derive(Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a key set. Keys that Sallyport has no use for (symmetric, for encryption, of other curves) are left out.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, OidcError> {
        Self::parse_for(body, "sig")
    }

    /// The same, where the keys for signatures are called `usage`.
    pub(crate) fn parse_for(body: &[u8], usage: &str) -> Result<Self, OidcError> {
        let refuse = |why: String| OidcError::Provider { what: "key set", why };
        let document: Document = serde_json::from_slice(body).map_err(|e| refuse(e.to_string()))?;
        if document.keys.len() > MAX_KEYS {
            return Err(refuse(format!("it has more than {MAX_KEYS} keys")));
        }
        let jwks = document
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        Ok(Self(jwks.filter_map(|jwk| Key::new(jwk, usage)).collect()))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one key for a token. A token without `kid` needs a provider with one key of that type.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&Key, TokenFault> {
        let fits = |key: &&Key| {
            key.key_type == algorithm.key_type()
                && key.only.as_deref().is_none_or(|only| only == algorithm.name())
                && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        };
        let mut found = self.0.iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(key), None) => Ok(key),
            _ => Err(TokenFault::UnknownKey),
        }
    }
}

impl Key {
    fn new(jwk: Jwk, usage: &str) -> Option<Self> {
        let for_signatures = jwk.usage.as_deref().is_none_or(|u| u == usage)
            && jwk.key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !for_signatures {
            return None;
        }
        let (key_type, decoding) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", None) => (KeyType::Rsa, DecodingKey::from_rsa_components(&jwk.n?, &jwk.e?)),
            ("EC", Some("P-256")) => (KeyType::P256, DecodingKey::from_ec_components(&jwk.x?, &jwk.y?)),
            ("OKP", Some("Ed25519")) => (KeyType::Ed25519, DecodingKey::from_ed_components(&jwk.x?)),
            _ => return None,
        };
        Some(Self {
            kid: jwk.kid,
            key_type,
            only: jwk.alg,
            decoding: decoding.ok()?,
        })
    }
}

/// Keys with the time they were fetched at.
#[derive(Clone, Debug)]
struct Fetched {
    set: Arc<KeySet>,
    at: Instant,
}

/// The keys of one provider, over time.
#[derive(Debug, Default)]
pub(crate) struct KeyCache {
    current: Mutex<Option<Fetched>>,
    /// When the provider was asked of late. Held while it is asked, so that many logins ask once.
    asked: tokio::sync::Mutex<Vec<Instant>>,
}

impl KeyCache {
    /// Finds the key for a token, asking the provider when the keys are old or none fits.
    pub(crate) async fn with_key<T>(
        &self,
        (http, config): (&Client, &OidcConfig),
        kid: Option<&str>,
        algorithm: Algorithm,
        used: impl FnOnce(&Key) -> T,
    ) -> Result<T, OidcError> {
        let known = self.current();
        if let Some(fetched) = &known
            && fetched.at.elapsed() < FRESH
            && let Ok(key) = fetched.set.find(kid, algorithm)
        {
            return Ok(used(key));
        }
        let set = match self.refresh(http, config, known.as_ref().map(|k| k.at)).await {
            Ok(set) => set,
            Err(error) => match known.filter(|k| k.at.elapsed() < STALE) {
                Some(fetched) => fetched.set,
                None => return Err(error),
            },
        };
        Ok(used(set.find(kid, algorithm)?))
    }

    fn current(&self) -> Option<Fetched> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the provider, unless somebody did since `seen`.
    async fn refresh(
        &self,
        http: &Client,
        config: &OidcConfig,
        seen: Option<Instant>,
    ) -> Result<Arc<KeySet>, OidcError> {
        let mut asked = self.asked.lock().await;
        if let Some(fetched) = self.current().filter(|f| seen.is_none_or(|seen| f.at > seen)) {
            return Ok(fetched.set);
        }
        let now = Instant::now();
        asked.retain(|at| now.saturating_duration_since(*at) < ASK_WITHIN);
        if asked.len() >= ASK_AT_MOST {
            let why = "it was asked for too often; try again in a minute".to_owned();
            return Err(OidcError::Provider { what: "key set", why });
        }
        asked.push(now);
        let set = Arc::new(fetch(http, config).await?);
        let fetched = Fetched {
            set: Arc::clone(&set),
            at: Instant::now(),
        };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
        Ok(set)
    }
}

async fn fetch(http: &Client, config: &OidcConfig) -> Result<KeySet, OidcError> {
    let metadata = discover(http, &config.issuer, &config.hosts).await?;
    let (status, body) = send(http.get(metadata.jwks_uri), MAX_BYTES).await?;
    if status != StatusCode::OK {
        return Err(OidcError::Provider {
            what: "key set",
            why: format!("the answer was {status}"),
        });
    }
    KeySet::parse(&body)
}
