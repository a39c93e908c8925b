//! Logins at a Vault: [AppRole](https://developer.hashicorp.com/vault/api-docs/auth/approle),
//! [Kubernetes](https://developer.hashicorp.com/vault/api-docs/auth/kubernetes),
//! [JWT](https://developer.hashicorp.com/vault/api-docs/auth/jwt), or a token that somebody else made.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Token, Vault};
use crate::{
    CredentialError,
    names::{self, Checked, escape_path},
    place::Place,
};

/// Where Kubernetes puts the token of a pod's service account.
pub(crate) const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// How to log in at a Vault.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum VaultLogin {
    /// With a token that is read for each lease. Who made it renews it.
    Token {
        /// A file with the token.
        token_file: Option<PathBuf>,
        /// A variable with the token.
        token_env: Option<String>,
    },
    /// With a role id and a secret id.
    Approle {
        /// Where the method is mounted; `approle` when absent.
        mount: Option<String>,
        /// The role's id, which is no secret.
        role_id: String,
        /// A file with the secret id.
        secret_id_file: Option<PathBuf>,
        /// A variable with the secret id.
        secret_id_env: Option<String>,
    },
    /// With the token of the pod's service account.
    Kubernetes {
        /// Where the method is mounted; `kubernetes` when absent.
        mount: Option<String>,
        /// The role at the Vault.
        role: String,
        /// A file with the token; the pod's own when absent.
        token_file: Option<PathBuf>,
    },
    /// With a JWT that somebody else made.
    Jwt {
        /// Where the method is mounted; `jwt` when absent.
        mount: Option<String>,
        /// The role at the Vault.
        role: String,
        /// A file with the JWT.
        token_file: Option<PathBuf>,
        /// A variable with the JWT.
        token_env: Option<String>,
    },
}

impl VaultLogin {
    pub(super) fn check(&self) -> Checked {
        let (mount, name) = match self {
            Self::Token { .. } => (None, None),
            Self::Approle { mount, role_id, .. } => (mount.as_deref(), Some(("role_id", role_id))),
            Self::Kubernetes { mount, role, .. } | Self::Jwt { mount, role, .. } => {
                (mount.as_deref(), Some(("role", role)))
            }
        };
        if let Some(mount) = mount {
            names::path("mount", mount)?;
        }
        if let Some((option, name)) = name {
            names::printable(option, name)?;
        }
        self.place().map(drop)
    }

    /// The file that it names.
    pub(crate) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        let file = match self {
            Self::Token { token_file, .. } | Self::Kubernetes { token_file, .. } | Self::Jwt { token_file, .. } => {
                token_file
            }
            Self::Approle { secret_id_file, .. } => secret_id_file,
        };
        file.as_mut()
    }

    /// Where its secret is.
    fn place(&self) -> Checked<Place<'_>> {
        match self {
            Self::Token { token_file, token_env }
            | Self::Jwt {
                token_file, token_env, ..
            } => Place::of("token", token_file.as_deref(), token_env.as_deref()),
            Self::Approle {
                secret_id_file,
                secret_id_env,
                ..
            } => Place::of("secret_id", secret_id_file.as_deref(), secret_id_env.as_deref()),
            Self::Kubernetes { token_file, .. } => Ok(token_file
                .as_deref()
                .map_or(Place::File(Path::new(SERVICE_ACCOUNT_TOKEN)), Place::File)),
        }
    }

    /// Where the login is asked for, and what is sent.
    fn request(&self, secret: &SecretString) -> Option<(String, Value)> {
        let secret = secret.expose_secret();
        let (mount, standard, body) = match self {
            Self::Token { .. } => return None,
            Self::Approle { mount, role_id, .. } => {
                (mount, "approle", json!({"role_id": role_id, "secret_id": secret}))
            }
            Self::Kubernetes { mount, role, .. } => (mount, "kubernetes", json!({"role": role, "jwt": secret})),
            Self::Jwt { mount, role, .. } => (mount, "jwt", json!({"role": role, "jwt": secret})),
        };
        let mount = mount.as_deref().unwrap_or(standard);
        Some((escape_path(&["auth", mount, "login"]), body))
    }
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

/// What a login, or its renewal, gives.
#[derive(Deserialize)]
pub(super) struct Auth {
    pub(super) client_token: SecretString,
    #[serde(default)]
    pub(super) lease_duration: u64,
    #[serde(default)]
    pub(super) renewable: bool,
}

impl Vault {
    /// The secret of the login, as it is now.
    async fn login_secret(&self) -> Result<SecretString, CredentialError> {
        let place = self.login.place().map_err(CredentialError::Setting)?;
        place.read(&self.store, &self.environment, self.within).await
    }

    /// The token that somebody else made.
    pub(super) async fn given_token(&self) -> Result<Token, CredentialError> {
        Ok(Token::given(self.login_secret().await?))
    }

    pub(super) async fn log_in(&self) -> Result<Token, CredentialError> {
        let secret = self.login_secret().await?;
        let Some((path, body)) = self.login.request(&secret) else {
            return Ok(Token::given(secret));
        };
        let answer = self
            .api
            .call(None, Method::POST, &path, Some(&body), "the login")
            .await?;
        let answer = answer.good(login_advice)?;
        let LoggedIn { auth } = answer.json()?;
        if auth.client_token.expose_secret().is_empty() {
            return Err(answer.odd("the token is empty"));
        }
        tracing::debug!(store = self.store, life_s = auth.lease_duration, "logged in");
        Ok(Token::ours(&self.api, auth))
    }
}

fn login_advice(status: u16) -> &'static str {
    match status {
        400 | 401 | 403 => {
            "the role, its secret or the token is wrong, used up or expired, or not bound to this machine"
        }
        404 => "nothing is mounted there: check the login's `mount` and the `namespace`",
        other => super::advice(other),
    }
}

/// Seconds as a duration; what is longer than any lease is cut.
pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(10 * 365 * 24 * 3600))
}
