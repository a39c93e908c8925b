//! OpenID Connect: what a provider says about somebody, checked.

pub(crate) mod algorithm;
mod discovery;
mod error;
pub mod flow;
pub(crate) mod keys;
#[cfg(feature = "testing")]
pub mod testing;
pub(crate) mod token;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use smol_str::SmolStr;
use time::OffsetDateTime;

pub use error::{OidcError, TokenFault};

use crate::http::{checked_url, client};
use crate::messages::ProviderInfo;
use algorithm::Algorithm;
use flow::{Flow, FlowError};
use keys::KeyCache;
use token::Unverified;

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
    /// Names of the provider's groups (better: their immutable ids) and the groups that they are here. When there are
    /// any, groups that are not among them count for nothing.
    #[serde(default)]
    pub group_map: BTreeMap<String, String>,
    /// Signature algorithms that are accepted, of RS256, ES256, EdDSA and PS256.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<String>,
    /// Hosts, beside the issuer's, that its discovery document may name.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Whether logging in by device code is offered. Off unless asked for: codes can be phished, and most providers
    /// leave the nonce out of a device login's token, so that one without it has to be accepted.
    #[serde(default)]
    pub device: bool,
    /// `acr` values of which the token must have one; any when empty.
    #[serde(default)]
    pub acr: Vec<String>,
    /// How old the sign-in at the provider may be, in seconds.
    #[serde(default)]
    pub max_age_s: Option<u64>,
    /// Certificates (PEM) of the authorities that the provider's TLS certificate may come from, instead of the system's.
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

impl OidcConfig {
    fn check(&self) -> Result<(), OidcError> {
        let refuse = |why: String| {
            Err(OidcError::Config {
                provider: self.name.clone(),
                why,
            })
        };
        let issuer = checked_url(&self.issuer)?;
        if issuer.query().is_some() {
            return refuse("its issuer must not have a query".to_owned());
        }
        if self.client_id.is_empty() {
            return refuse("it needs a `client_id`".to_owned());
        }
        if !self.scopes.iter().any(|scope| scope == "openid") {
            return refuse("its `scopes` must have `openid`".to_owned());
        }
        if self.algorithms.is_empty() {
            return refuse("its `algorithms` are empty".to_owned());
        }
        match self.algorithms.iter().find(|name| name.parse::<Algorithm>().is_err()) {
            Some(name) => refuse(format!(
                "the algorithm `{name}` is not one of RS256, ES256, EdDSA, PS256"
            )),
            None => Ok(()),
        }
    }
}

/// What a provider says about somebody, checked.
#[derive(Clone, Debug)]
pub(crate) struct Vouched {
    pub(crate) id: SmolStr,
    pub(crate) subject: String,
    /// Only when the provider verified it; in lower case.
    pub(crate) email: Option<String>,
    pub(crate) groups: Arc<[SmolStr]>,
    /// SHA-256 of the token's signed part, in hexadecimal.
    pub(crate) digest: String,
}

/// The login that a token has to belong to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun<'a> {
    /// The one-time value that was sent to the provider.
    pub(crate) nonce: &'a str,
    /// When it was handed out.
    pub(crate) at: OffsetDateTime,
}

/// A provider, with the keys it was last seen with.
#[derive(Debug)]
pub(crate) struct Provider {
    config: OidcConfig,
    http: Client,
    keys: KeyCache,
}

impl Provider {
    pub(crate) fn new(config: OidcConfig) -> Result<Self, OidcError> {
        config.check()?;
        let http = client(&checked_url(&config.issuer)?, config.ca_file.as_deref())?;
        Ok(Self {
            config,
            http,
            keys: KeyCache::default(),
        })
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

    /// A login that the gateway itself takes through. `nonce` is its one-time value.
    pub(crate) async fn flow(&self, nonce: String) -> Result<Flow, FlowError> {
        Flow::begin(self.info(), nonce, self.config.ca_file.as_deref()).await
    }

    /// Whether logging in by device code is offered.
    pub(crate) fn offers_device(&self) -> bool {
        self.config.device
    }

    /// Checks the ID token of a login.
    pub(crate) async fn verify(
        &self,
        token: &SecretString,
        begun: &Begun<'_>,
        now: OffsetDateTime,
    ) -> Result<Vouched, OidcError> {
        let token = Unverified::parse(token.expose_secret(), &self.config)?;
        let source = (&self.http, &self.config);
        let verify = |key: &keys::Key| token.verify(key, &self.config, begun, now);
        let kid = token.kid.as_deref();
        Ok(self.keys.with_key(source, kid, token.algorithm, verify).await??)
    }
}
