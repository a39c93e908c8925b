//! [Google Secret Manager](https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access).

mod crc32c;
mod login;

use std::{path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use zeroize::Zeroize;

pub use login::GoogleLogin;

use self::login::Logins;
use crate::{
    CredentialError, Leased, Need,
    bearer::Bearer,
    http::{Answer, LONG, Service, bearer},
    login::Cached,
    names::{self, Checked, escape},
    pick::Pick,
    text::utf8,
};

/// Tokens of Google's are sent nowhere else.
const DOMAINS: &[&str] = &["googleapis.com"];

/// An identity at Google.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct GoogleStore {
    /// What sources call it.
    pub name: String,
    /// How to log in.
    pub login: GoogleLogin,
    /// Secret Manager's address, for an endpoint in a private network; Google's own when absent.
    pub endpoint: Option<String>,
    /// Who gives tokens for a service account's key; what the key's file says when absent.
    pub token_endpoint: Option<String>,
    /// The metadata service's address. For tests: on loopback only.
    pub metadata_endpoint: Option<String>,
    /// Authorities to trust, PEM; the operating system's when absent.
    pub ca_file: Option<PathBuf>,
}

impl GoogleStore {
    pub(crate) fn check(&self) -> Checked {
        names::plain("name", &self.name)?;
        for (option, endpoint) in [("endpoint", &self.endpoint), ("token_endpoint", &self.token_endpoint)] {
            if let Some(endpoint) = endpoint {
                names::address_within(option, endpoint, DOMAINS)?;
            }
        }
        if let Some(endpoint) = &self.metadata_endpoint {
            names::local_address("metadata_endpoint", endpoint)?;
        }
        Ok(())
    }

    /// The files that it names.
    pub(crate) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let file = match &mut self.login {
            GoogleLogin::Metadata {} => None,
            GoogleLogin::Key { key_file } => Some(key_file),
        };
        [file, self.ca_file.as_mut()].into_iter().flatten()
    }
}

/// A secret in Secret Manager.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct GoogleSecretSource {
    /// The name of a `[[google]]`.
    pub store: String,
    /// The project, by its id or number.
    pub project: String,
    /// The secret's name.
    pub secret: String,
    /// Its version; `latest` when absent.
    pub version: Option<String>,
    /// Its location, if it is a regional secret.
    pub location: Option<String>,
    /// The field with the secret, if it is a JSON object.
    pub field: Option<String>,
    /// The field with the user to log in as; the target's `user` when absent.
    pub user_field: Option<String>,
}

impl GoogleSecretSource {
    pub(crate) fn check(&self) -> Checked {
        // A project may be of a domain: `example.com:name`.
        names::plain("project", &self.project.replacen(':', "-", 1))?;
        names::plain("secret", &self.secret)?;
        for (option, text) in [("version", &self.version), ("location", &self.location)] {
            if let Some(text) = text {
                names::plain(option, text)?;
            }
        }
        if self
            .location
            .as_ref()
            .is_some_and(|location| location.contains(['.', '_']))
        {
            return Err("`location` is no location of Google's, such as `europe-west3`".to_owned());
        }
        self.pick().check()
    }

    fn pick(&self) -> Pick<'_> {
        Pick {
            field: self.field.as_deref(),
            user_field: self.user_field.as_deref(),
        }
    }

    fn path(&self) -> String {
        let location = self.location.as_deref();
        let location = location
            .map(|location| format!("/locations/{}", escape(location)))
            .unwrap_or_default();
        format!(
            "/v1/projects/{}{location}/secrets/{}/versions/{}:access",
            escape(&self.project),
            escape(&self.secret),
            escape(self.version.as_deref().unwrap_or("latest")),
        )
    }
}

/// One identity at Google.
pub(crate) struct Google {
    store: String,
    endpoint: Option<String>,
    ca_file: Option<PathBuf>,
    global: Service,
    logins: Logins,
    within: Duration,
    cached: Cached<Bearer>,
}

#[derive(Deserialize)]
struct Found {
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    data: SecretString,
    data_crc32c: Option<String>,
}

impl Google {
    pub(crate) fn new(store: &GoogleStore, within: Duration) -> Checked<Self> {
        store.check()?;
        let what = format!("Google `{}`", store.name);
        let logins = Logins::new(store, &what, within)?;
        let mut google = Self {
            global: Service::new(
                &what,
                &names::address("endpoint", "https://secretmanager.googleapis.com")?,
                None,
                within,
            ),
            store: what,
            endpoint: store.endpoint.clone(),
            ca_file: store.ca_file.clone(),
            logins,
            within,
            cached: Cached::new(),
        };
        google.global = google.service(None)?;
        Ok(google)
    }

    /// Regional secrets are at an address of the region's.
    fn service(&self, location: Option<&str>) -> Checked<Service> {
        let standard = match location {
            None => "https://secretmanager.googleapis.com".to_owned(),
            Some(location) => format!("https://secretmanager.{location}.rep.googleapis.com"),
        };
        let url = names::address_within("endpoint", self.endpoint.as_deref().unwrap_or(&standard), DOMAINS)?;
        let what = format!("Secret Manager of {}", self.store);
        Ok(Service::new(&what, &url, self.ca_file.as_deref(), self.within))
    }

    pub(crate) async fn secret(&self, source: &GoogleSecretSource, need: &Need) -> Result<Leased, CredentialError> {
        let regional = source.location.as_deref().map(|location| self.service(Some(location)));
        let regional = regional.transpose().map_err(CredentialError::Setting)?;
        let service = regional.as_ref().unwrap_or(&self.global);
        let token = self.cached.get(None, self.logins.log_in()).await?;
        let answer = match self.ask(service, &token, source).await {
            Err(error) if error.status() == Some(401) => {
                let token = self.cached.get(Some(&token), self.logins.log_in()).await?;
                self.ask(service, &token, source).await?
            }
            answer => answer?,
        };
        let payload = answer.json::<Found>()?.payload;
        let data = STANDARD.decode(payload.data.expose_secret());
        let mut data = data.map_err(|_| answer.odd("the secret is not base64"))?;
        let sum = payload.data_crc32c.as_deref();
        if sum.is_some_and(|sum| sum.parse::<u32>() != Ok(crc32c::of(&data))) {
            data.zeroize();
            return Err(answer.odd("the secret does not match its checksum"));
        }
        let value = utf8(data).ok_or_else(|| answer.odd("the secret is not text"))?;
        let place = || format!("`{}` of `{}` in {}", source.secret, source.project, self.store);
        source.pick().lease(need, &value, place)
    }

    async fn ask(
        &self,
        service: &Service,
        token: &Arc<Bearer>,
        source: &GoogleSecretSource,
    ) -> Result<Answer, CredentialError> {
        let header = bearer(&token.token).map_err(|_| self.logins.away("the token is none"))?;
        let request = service
            .request(Method::GET, &source.path())?
            .header("Authorization", header);
        service.send("the secret", request, LONG).await?.good(advice)
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        400 => "the version is disabled or destroyed, or the name is none",
        401 => "it does not take the token",
        403 => {
            "the identity needs `secretmanager.versions.access` on the secret (role `Secret Manager Secret Accessor`), and the API must be enabled in the project"
        }
        404 => "there is no such secret, or no such version",
        429 => "it limits how often it is asked",
        _ => "see the project's audit log",
    }
}
