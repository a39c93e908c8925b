//! HashiCorp Vault and OpenBao, over their [HTTP API](https://developer.hashicorp.com/vault/api-docs).

mod database;
mod kv;
mod login;
mod ssh;
mod token;

use std::{path::PathBuf, sync::Arc, time::Duration};

use reqwest::{Method, header::HeaderValue};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

pub use database::DatabaseSource;
pub use kv::{KvSource, KvVersion};
pub use login::VaultLogin;
pub use ssh::SshSource;
pub(crate) use token::Token;

use crate::{
    Background, CredentialError, Environment,
    http::{Answer, LONG, Service, sensitive},
    login::Cached,
    names::{self, Checked},
    text::Fields,
};

/// A Vault and how to log in there.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct VaultStore {
    /// What sources call it.
    pub name: String,
    /// `https://host:8200`.
    pub address: String,
    /// The namespace; the root one when absent.
    pub namespace: Option<String>,
    /// Authorities to trust, PEM; the operating system's when absent.
    pub ca_file: Option<PathBuf>,
    /// How to log in.
    pub login: VaultLogin,
}

impl VaultStore {
    pub(crate) fn check(&self) -> Checked {
        names::plain("name", &self.name)?;
        names::address("address", &self.address)?;
        if let Some(namespace) = &self.namespace {
            names::path("namespace", namespace.strip_suffix('/').unwrap_or(namespace))?;
        }
        self.login.check()
    }
}

/// The API of one Vault.
pub(crate) struct Api {
    service: Service,
    namespace: Option<HeaderValue>,
    background: Background,
}

/// One Vault, with the login there.
pub(crate) struct Vault {
    api: Arc<Api>,
    login: VaultLogin,
    store: String,
    environment: Environment,
    within: Duration,
    cached: Cached<Token>,
}

/// What every answer has.
#[derive(Deserialize)]
struct Reply<D = Fields> {
    lease_id: Option<String>,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
    data: Option<D>,
}

impl Vault {
    pub(crate) fn new(
        store: &VaultStore,
        environment: &Environment,
        background: &Background,
        within: Duration,
    ) -> Checked<Self> {
        store.check()?;
        let address = names::address("address", &store.address)?;
        let what = format!("Vault `{}`", store.name);
        let namespace = store.namespace.as_deref().map(HeaderValue::from_str).transpose();
        Ok(Self {
            api: Arc::new(Api {
                service: Service::new(&what, &address, store.ca_file.as_deref(), within),
                namespace: namespace.map_err(|_| "`namespace` does not go into a header".to_owned())?,
                background: background.clone(),
            }),
            login: store.login.clone(),
            store: what,
            environment: environment.clone(),
            within,
            cached: Cached::new(),
        })
    }

    /// Asks with the login that there is, and once more with a new one if that is refused.
    async fn ask(&self, asked: &Asked) -> Result<(Arc<Token>, Answer), CredentialError> {
        let mut token = self.token(None).await?;
        if asked.leases && !token.outlasts_a_lease() {
            token = self.token(Some(&token)).await?;
        }
        match self.api.ask(&token, asked).await {
            Err(error) if error.status() == Some(403) && token.is_ours() => {
                token = self.token(Some(&token)).await?;
                let answer = self.api.ask(&token, asked).await?;
                Ok((token, answer))
            }
            answer => Ok((token, answer?)),
        }
    }

    async fn token(&self, refused: Option<&Arc<Token>>) -> Result<Arc<Token>, CredentialError> {
        if let VaultLogin::Token { .. } = self.login {
            return Ok(Arc::new(self.given_token().await?));
        }
        self.cached.get(refused, self.log_in()).await
    }
}

/// A request that needs a token.
struct Asked {
    method: Method,
    /// Below `/v1/`, escaped.
    path: String,
    body: Option<Value>,
    doing: &'static str,
    advice: fn(u16) -> &'static str,
    /// The answer has a lease, which ends with the token.
    leases: bool,
}

impl Api {
    async fn ask(&self, token: &Token, asked: &Asked) -> Result<Answer, CredentialError> {
        let path = &asked.path;
        let answer = self.call(
            Some(token.text()),
            asked.method.clone(),
            path,
            asked.body.as_ref(),
            asked.doing,
        );
        answer.await?.good(asked.advice)
    }

    /// One request, whatever the answer's status is.
    async fn call(
        &self,
        token: Option<&SecretString>,
        method: Method,
        path: &str,
        body: Option<&Value>,
        doing: &'static str,
    ) -> Result<Answer, CredentialError> {
        let mut request = self.service.request(method, &format!("/v1/{path}"))?;
        request = request.header("X-Vault-Request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace.clone());
        }
        if let Some(token) = token {
            let token = sensitive(token).map_err(|_| CredentialError::Login {
                store: "Vault".to_owned(),
                why: "the token has characters that no token has".to_owned(),
            })?;
            request = request.header("X-Vault-Token", token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.service.send(doing, request, LONG).await
    }
}

/// What to do when a Vault says no, whatever was asked.
fn advice(status: u16) -> &'static str {
    match status {
        400 => {
            "it does not take the request: compare `mount`, the role and the engine's kind with what is set up there"
        }
        403 => "the login's policies do not permit this, or the login is no longer good",
        404 => "there is nothing: check `mount`, the path or the role",
        412 | 472 | 473 => "this node cannot answer yet: use the address of the active one",
        429 => "it limits how often it is asked",
        503 => "it is sealed or being maintained: unseal it",
        _ => "see its own log",
    }
}
