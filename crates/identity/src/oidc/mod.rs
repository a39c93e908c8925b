//! OpenID Connect: what a provider says about somebody, checked.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;
use smol_str::SmolStr;
use time::OffsetDateTime;

use crate::messages::ProviderInfo;

/// One OpenID provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// A name for it, shown to people.
    #[serde(default = "default_name")]
    pub name: String,
    /// Its issuer URL, exactly as its tokens say it. `https`, or `http` on loopback.
    pub issuer: String,
    /// The public client (PKCE, no secret) that Sallyport is registered as.
    pub client_id: String,
    /// The scopes to ask for.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// The claim that names the principal: `email` must be verified, and `sub` is never reassigned.
    #[serde(default = "default_user_claim")]
    pub user_claim: String,
    /// Where the groups are: a claim, or a path of claims separated by `.`; none are read when it is empty.
    #[serde(default = "default_groups_claim")]
    pub groups_claim: String,
    /// Signature algorithms that are accepted.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<String>,
    /// Hosts, beside the issuer's, that its discovery document may name.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Whether logging in by device code is offered. Off unless asked for: codes can be phished.
    #[serde(default)]
    pub device: bool,
    /// Whether tokens without a nonce are accepted, for providers that leave it out of device logins.
    #[serde(default)]
    pub nonce_optional: bool,
    /// `acr` values of which the token must have one; any when empty.
    #[serde(default)]
    pub acr: Vec<String>,
    /// How old the sign-in at the provider may be, in seconds.
    #[serde(default)]
    pub max_age_s: Option<u64>,
    /// Certificates (PEM) of authorities that the provider's TLS certificate may come from, beside the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn default_name() -> String {
    "default".to_owned()
}

fn default_scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

fn default_user_claim() -> String {
    "email".to_owned()
}

fn default_groups_claim() -> String {
    "groups".to_owned()
}

fn default_algorithms() -> Vec<String> {
    ["RS256", "ES256", "EdDSA"].map(str::to_owned).to_vec()
}

/// Why a provider's word does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// The configuration makes no sense.
    #[error("the identity provider `{provider}`: {why}")]
    Config {
        /// Its name.
        provider: String,
        /// What is wrong.
        why: String,
    },
    /// It cannot be asked.
    #[error("the identity provider cannot be asked: {0}")]
    Unreachable(String),
}

/// A provider, with what it said about itself.
#[derive(Debug)]
pub struct Provider {
    config: OidcConfig,
}

/// What a provider says about somebody, checked.
#[derive(Clone, Debug)]
pub(crate) struct Vouched {
    pub(crate) id: SmolStr,
    pub(crate) subject: String,
    /// Only when the provider verified it; in lower case.
    pub(crate) email: Option<String>,
    pub(crate) groups: Arc<[SmolStr]>,
    /// SHA-256 of the token's signed part.
    pub(crate) digest: String,
}

impl Provider {
    pub(crate) fn new(config: OidcConfig) -> Result<Self, OidcError> {
        Ok(Self { config })
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// What a login needs to know.
    pub(crate) fn info(&self) -> ProviderInfo {
        ProviderInfo {
            name: self.config.name.clone(),
            issuer: self.config.issuer.clone(),
            client_id: self.config.client_id.clone(),
            scopes: self.config.scopes.clone(),
            hosts: self.config.hosts.clone(),
            device: self.config.device,
            acr: self.config.acr.clone(),
            max_age_s: self.config.max_age_s,
        }
    }

    pub(crate) async fn verify(
        &self,
        _t: &SecretString,
        _n: &str,
        _now: OffsetDateTime,
    ) -> Result<Vouched, OidcError> {
        Err(OidcError::Unreachable("not asked yet".to_owned()))
    }
}
