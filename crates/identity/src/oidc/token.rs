//! ID tokens (OpenID Connect Core 1.0, section 3.1.3.7; RFC 8725). Pure: the time and the keys are arguments.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use smol_str::SmolStr;
use time::OffsetDateTime;

use super::algorithm::Algorithm;
use super::keys::Key;
use super::{Begun, OidcConfig, TokenFault, Vouched};
use crate::principal::{check_id, checked_groups};
use crate::secret::sha256;

/// The longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 32 << 10;
/// The longest name of a key, in bytes.
const MAX_KID_BYTES: usize = 256;
/// The longest subject, in bytes (OpenID Connect Core, section 2).
const MAX_SUBJECT_BYTES: usize = 255;
/// By how much two clocks may differ, in seconds.
pub(crate) const SKEW_S: i64 = 60;
/// The longest life of an ID token, in seconds.
pub(crate) const MAX_LIFE_S: i64 = 24 * 3600;

/// A token whose header makes sense. Nothing in it can be believed yet.
#[derive(Debug)]
pub(crate) struct Unverified<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

/// What a header must not have: extensions that must be understood, and keys of the sender's choice.
const NEVER_IN_HEADER: [&str; 5] = ["crit", "b64", "jku", "x5u", "jwk"];

/// The claims that are checked. A member that is there twice makes the token malformed.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    #[serde(deserialize_with = "seconds")]
    exp: i64,
    #[serde(deserialize_with = "seconds")]
    iat: i64,
    #[serde(default, deserialize_with = "optional_seconds")]
    nbf: Option<i64>,
    #[serde(default, deserialize_with = "optional_seconds")]
    auth_time: Option<i64>,
    nonce: Option<String>,
    azp: Option<String>,
    acr: Option<String>,
    email: Option<String>,
    email_verified: Option<Value>,
    typ: Option<String>,
    token_use: Option<String>,
    events: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl<'a> Unverified<'a> {
    /// Takes a token apart, and checks its header against the configured algorithms.
    pub(crate) fn parse(token: &'a str, config: &OidcConfig) -> Result<Self, TokenFault> {
        Self::parse_accepting(token, &config.algorithms)
    }

    /// The same with a list of algorithms.
    pub(crate) fn parse_accepting(token: &'a str, algorithms: &[impl AsRef<str>]) -> Result<Self, TokenFault> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenFault::Malformed("it is too long"));
        }
        let malformed = || TokenFault::Malformed("it has not three parts");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
        if payload.contains('.') {
            return Err(malformed());
        }
        let members: Map<String, Value> = decode(header, "its header")?;
        let header: Header = decode(header, "its header")?;
        if let Some(name) = NEVER_IN_HEADER.into_iter().find(|name| members.contains_key(*name)) {
            return Err(TokenFault::Header(name));
        }
        if header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(TokenFault::Kind);
        }
        if header.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(TokenFault::Malformed("the name of its key is too long"));
        }
        let algorithm = header
            .alg
            .parse()
            .ok()
            .filter(|_| algorithms.iter().any(|accepted| accepted.as_ref() == header.alg));
        let algorithm = algorithm
            .ok_or_else(|| TokenFault::Algorithm(header.alg.chars().take(20).flat_map(char::escape_debug).collect()))?;
        Ok(Self {
            algorithm,
            kid: header.kid,
            signed,
            payload,
            signature,
        })
    }

    /// Checks the signature, and nothing else of what the token says.
    pub(crate) fn claims<T: for<'de> Deserialize<'de>>(&self, key: &Key) -> Result<T, TokenFault> {
        if !key.verifies(self.algorithm, self.signed, self.signature) {
            return Err(TokenFault::Signature);
        }
        decode(self.payload, "its claims")
    }

    /// SHA-256 of what is signed. A signature may have several forms, this has not.
    pub(crate) fn digest(&self) -> String {
        hex::encode(sha256(self.signed.as_bytes()))
    }

    /// Checks the signature, then every claim, and says who it is.
    pub(crate) fn verify(
        &self,
        key: &Key,
        config: &OidcConfig,
        begun: &Begun<'_>,
        now: OffsetDateTime,
    ) -> Result<Vouched, TokenFault> {
        let claims: Claims = self.claims(key)?;
        let all: Map<String, Value> = decode(self.payload, "its claims")?;
        claims.check_kind()?;
        claims.check_parties(config)?;
        claims.check_times(config, now.unix_timestamp())?;
        claims.check_nonce(config, begun)?;
        if !config.acr.is_empty() && claims.acr.as_ref().is_none_or(|acr| !config.acr.contains(acr)) {
            return Err(TokenFault::SignIn("not as strong as is asked for"));
        }
        Ok(Vouched {
            id: claims.name(config, &all)?,
            email: claims.verified_email(),
            groups: groups(config, &all)?,
            subject: claims.sub,
            digest: self.digest(),
        })
    }
}

impl Claims {
    /// Access tokens and logout tokens may be signed by the same keys for the same client.
    fn check_kind(&self) -> Result<(), TokenFault> {
        let is_id = self
            .typ
            .as_deref()
            .is_none_or(|t| t.eq_ignore_ascii_case("ID") || t.eq_ignore_ascii_case("JWT"))
            && self.token_use.as_deref().is_none_or(|u| u == "id")
            && self.events.is_none();
        if is_id { Ok(()) } else { Err(TokenFault::Kind) }
    }

    fn check_parties(&self, config: &OidcConfig) -> Result<(), TokenFault> {
        if self.iss != config.issuer {
            return Err(TokenFault::Issuer);
        }
        let ours = config.client_id.as_str();
        let (named, alone) = match &self.aud {
            Audience::One(aud) => (aud == ours, true),
            Audience::Several(auds) => (auds.iter().any(|aud| aud == ours), auds.len() == 1),
        };
        let azp = self.azp.as_deref();
        if !named || azp.is_some_and(|azp| azp != ours) || (!alone && azp.is_none()) {
            return Err(TokenFault::Audience);
        }
        if self.sub.is_empty() || self.sub.len() > MAX_SUBJECT_BYTES {
            return Err(TokenFault::Claim {
                claim: "sub".to_owned(),
                why: "is empty or too long",
            });
        }
        Ok(())
    }

    fn check_times(&self, config: &OidcConfig, now: i64) -> Result<(), TokenFault> {
        if self.exp <= now - SKEW_S {
            return Err(TokenFault::Expired);
        }
        if self.iat > now + SKEW_S || self.nbf.is_some_and(|nbf| nbf > now + SKEW_S) {
            return Err(TokenFault::NotYet);
        }
        if self.iat < now - MAX_LIFE_S - SKEW_S || self.exp.saturating_sub(self.iat) > MAX_LIFE_S {
            return Err(TokenFault::Claim {
                claim: "exp".to_owned(),
                why: "makes it live for more than a day",
            });
        }
        let Some(max_age_s) = config.max_age_s else {
            return Ok(());
        };
        let oldest = now.saturating_sub_unsigned(max_age_s).saturating_sub(SKEW_S);
        match self.auth_time {
            Some(at) if at >= oldest && at <= now + SKEW_S => Ok(()),
            Some(_) | None => Err(TokenFault::SignIn("too old, or without a time")),
        }
    }

    /// A token with a nonce is of this login or of none. One without, of a device login, must at least have been made
    /// since this login began, so that one that was stolen before is of no use.
    fn check_nonce(&self, config: &OidcConfig, begun: &Begun<'_>) -> Result<(), TokenFault> {
        let good = match &self.nonce {
            Some(theirs) => verify_slices_are_equal(theirs.as_bytes(), begun.nonce.as_bytes()).is_ok(),
            None => config.device && self.iat >= begun.at.unix_timestamp() - SKEW_S,
        };
        if good { Ok(()) } else { Err(TokenFault::Nonce) }
    }

    fn verified_email(&self) -> Option<String> {
        let verified = self.email_verified == Some(Value::Bool(true));
        self.email
            .as_ref()
            .filter(|_| verified)
            .map(|email| email.to_lowercase())
    }

    /// The principal's name. An address counts only when the provider verified it.
    fn name(&self, config: &OidcConfig, all: &Map<String, Value>) -> Result<SmolStr, TokenFault> {
        let claim = config.user_claim.as_str();
        let wrong = |why| TokenFault::Claim {
            claim: claim.to_owned(),
            why,
        };
        let name = match claim {
            "sub" => self.sub.clone(),
            "email" if self.email.is_some() => self.verified_email().ok_or_else(|| wrong("is not verified"))?,
            _ => all
                .get(claim)
                .and_then(Value::as_str)
                .ok_or_else(|| wrong("is missing or no text"))?
                .to_owned(),
        };
        check_id(&name)?;
        Ok(name.into())
    }
}

/// The groups. A provider that says that there are more than fit into the token (`_claim_names`) is not believed to
/// have said all, and rules that forbid would miss some: no login.
fn groups(config: &OidcConfig, all: &Map<String, Value>) -> Result<Arc<[SmolStr]>, TokenFault> {
    let path = config.groups_claim.as_str();
    if path.is_empty() {
        return Ok(Arc::default());
    }
    let wrong = |why| TokenFault::Claim {
        claim: path.to_owned(),
        why,
    };
    let first = path.split('.').next().unwrap_or(path);
    if let Some(elsewhere) = all.get("_claim_names")
        && [path, first].iter().any(|name| elsewhere.get(name).is_some())
    {
        return Err(wrong("is left out because there are too many groups"));
    }
    let found = match all.get(path) {
        Some(value) => Some(value),
        None => path
            .split('.')
            .try_fold(None, |inside: Option<&Value>, name| match inside {
                None => all.get(name).map(Some),
                Some(value) => value.get(name).map(Some),
            })
            .flatten(),
    };
    let listed: Vec<&str> = match found {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several
            .iter()
            .map(Value::as_str)
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("has a group that is no text"))?,
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            return Err(wrong("is no list"));
        }
    };
    if config.group_map.is_empty() {
        return Ok(checked_groups(&listed)?);
    }
    let mapped: Vec<&String> = listed.iter().filter_map(|group| config.group_map.get(*group)).collect();
    Ok(checked_groups(&mapped)?)
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str, what: &'static str) -> Result<T, TokenFault> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed(what))?;
    serde_json::from_slice(&bytes).map_err(|_| TokenFault::Malformed(what))
}

/// A NumericDate (RFC 7519, section 2): seconds, perhaps with a fraction.
pub(crate) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let whole = number.as_i64().or_else(|| {
        let value = number
            .as_f64()
            .filter(|v| v.is_finite() && v.abs() < 9_007_199_254_740_992.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "bounded above, and a fraction of a second is dropped"
        )]
        let whole = value as i64;
        Some(whole)
    });
    whole
        .filter(|s| s.unsigned_abs() < 1 << 53)
        .ok_or_else(|| serde::de::Error::custom("not a time"))
}

pub(crate) fn optional_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    seconds(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
