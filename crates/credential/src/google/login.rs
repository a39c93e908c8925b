//! Logins at Google: the [metadata service](https://cloud.google.com/compute/docs/access/authenticate-workloads) of a machine or
//! pod, or the [key of a service account](https://developers.google.com/identity/protocols/oauth2/service-account#httprest).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use url::Url;

use super::{DOMAINS, GoogleStore};
use crate::{
    CredentialError, SecretKind,
    bearer::{Bearer, given},
    file,
    http::{SHORT, Service},
    names::{self, Checked},
};

/// The metadata service, by its number: a name could be answered by somebody else.
const MACHINE: &str = "http://169.254.169.254";
const METADATA: Duration = Duration::from_secs(5);
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long what a key signs is good, in seconds: the most that is taken is an hour.
const ASSERTION_S: i64 = 600;

/// How to log in at Google.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum GoogleLogin {
    /// The service account of the machine or pod.
    Metadata {},
    /// A service account's key, in the file that Google gives.
    Key {
        /// The file, JSON.
        key_file: PathBuf,
    },
}

/// The ways to tokens.
pub(super) struct Logins {
    login: GoogleLogin,
    store: String,
    metadata: Service,
    token_endpoint: Option<String>,
    ca_file: Option<PathBuf>,
    within: Duration,
}

/// A service account's key. What else is in the file is not looked at.
#[derive(Deserialize)]
struct Key {
    client_email: String,
    private_key: SecretString,
    private_key_id: Option<String>,
    token_uri: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl Logins {
    pub(super) fn new(store: &GoogleStore, what: &str, within: Duration) -> Checked<Self> {
        let address = store.metadata_endpoint.as_deref().unwrap_or(MACHINE);
        let url = Url::parse(address).map_err(|_| "`metadata_endpoint` is not a URL".to_owned())?;
        Ok(Self {
            login: store.login.clone(),
            store: what.to_owned(),
            metadata: Service::new(
                &format!("the metadata service of {what}"),
                &url,
                None,
                within.min(METADATA),
            ),
            token_endpoint: store.token_endpoint.clone(),
            ca_file: store.ca_file.clone(),
            within,
        })
    }

    pub(super) fn away(&self, why: &str) -> CredentialError {
        CredentialError::Login {
            store: self.store.clone(),
            why: why.to_owned(),
        }
    }

    pub(super) async fn log_in(&self) -> Result<Bearer, CredentialError> {
        match &self.login {
            GoogleLogin::Metadata {} => self.by_machine().await,
            GoogleLogin::Key { key_file } => self.by_key(key_file).await,
        }
    }

    async fn by_machine(&self) -> Result<Bearer, CredentialError> {
        let path = "/computeMetadata/v1/instance/service-accounts/default/token";
        let request = self
            .metadata
            .request(Method::GET, path)?
            .header("Metadata-Flavor", "Google");
        given(
            &self
                .metadata
                .send("a token", request, SHORT)
                .await?
                .good(metadata_advice)?,
        )
    }

    async fn by_key(&self, path: &Path) -> Result<Bearer, CredentialError> {
        let shown = path.display();
        let text = file::read(SecretKind::PrivateKey, path, self.within).await;
        let text = text.map_err(|_| self.away(&format!("cannot read the file `{shown}`")))?;
        let odd = || self.away(&format!("`{shown}` is not the key of a service account"));
        let key: Key = serde_json::from_str(&text).map_err(|_| odd())?;
        let address = self.token_endpoint.as_deref().unwrap_or(&key.token_uri);
        let url = names::address_within("token_uri", address, DOMAINS).map_err(|why| self.away(&why))?;
        let assertion = key.assertion(&url).ok_or_else(odd)?;
        let mut origin = url.clone();
        origin.set_path("");
        let service = Service::new(
            &format!("tokens for {}", self.store),
            &origin,
            self.ca_file.as_deref(),
            self.within,
        );
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.expose_secret()),
        ];
        let request = service.request(Method::POST, url.path())?.form(&form);
        given(&service.send("a token", request, SHORT).await?.good(token_advice)?)
    }
}

impl Key {
    fn assertion(&self, audience: &Url) -> Option<SecretString> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let claims = Claims {
            iss: &self.client_email,
            scope: SCOPE,
            aud: audience.as_str(),
            iat: now,
            exp: now + ASSERTION_S,
        };
        let mut header = Header::new(Algorithm::RS256);
        header.kid.clone_from(&self.private_key_id);
        let key = EncodingKey::from_rsa_pem(self.private_key.expose_secret().as_bytes()).ok()?;
        jsonwebtoken::encode(&header, &claims, &key)
            .ok()
            .map(SecretString::from)
    }
}

fn metadata_advice(status: u16) -> &'static str {
    match status {
        403 => "the machine's service account may not be used for this: check its access scopes",
        404 => "this machine has no service account",
        _ => "see what the metadata service of this machine says",
    }
}

fn token_advice(status: u16) -> &'static str {
    match status {
        400 | 401 => "the key is deleted or disabled, or this machine's clock is wrong",
        _ => "see the project's audit log",
    }
}
