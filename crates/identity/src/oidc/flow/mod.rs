//! Logins at a provider from the command line: by browser ([RFC 8252], [RFC 7636]) and by device code ([RFC 8628]).
//! Both give an ID token for the gateway to check; nothing here believes what is in it.
//!
//! [RFC 8252]: https://www.rfc-editor.org/rfc/rfc8252
//! [RFC 7636]: https://www.rfc-editor.org/rfc/rfc7636
//! [RFC 8628]: https://www.rfc-editor.org/rfc/rfc8628

mod browser;
mod callback;
mod device;

use std::path::Path;

use reqwest::{Client, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

pub use device::DeviceCode;
pub(crate) use device::Pending;

use super::OidcError;
use super::discovery::{Metadata, discover};
use crate::http::{HttpError, checked_url, client, send};
use crate::messages::ProviderInfo;
use crate::secret::NoRandom;

/// The largest answer of a token endpoint.
const MAX_BYTES: usize = 256 << 10;

/// Why a login came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowError {
    /// The provider cannot be asked or makes no sense.
    #[error(transparent)]
    Provider(#[from] OidcError),
    /// A request failed.
    #[error("the identity provider cannot be asked: {0}")]
    Http(#[from] HttpError),
    /// The provider said no.
    #[error("the identity provider refused the login: {0}")]
    Refused(String),
    /// What came back does not belong to this login.
    #[error("the answer does not belong to this login: {0}")]
    Foreign(&'static str),
    /// The gateway, or the provider, does not offer the device flow.
    #[error("logging in by device code is not offered here")]
    NoDevice,
    /// Nobody logged in in time.
    #[error("nobody logged in in time")]
    TooLate,
    /// The loopback address cannot be listened on.
    #[error("the browser's answer cannot be waited for: {0}")]
    Listen(#[from] std::io::Error),
    /// No random numbers.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// A login that is about to begin.
#[derive(Debug)]
pub struct Flow {
    http: Client,
    provider: ProviderInfo,
    metadata: Metadata,
    nonce: String,
}

/// The answer of a token endpoint.
#[derive(Deserialize)]
struct Tokens {
    id_token: Option<SecretString>,
}

/// An error answer (RFC 6749, section 5.2).
#[derive(Deserialize)]
struct Failure {
    error: String,
}

/// What a token endpoint said.
enum Answer {
    IdToken(SecretString),
    /// An error code, as sent.
    Failed(String),
}

impl Flow {
    /// Asks the provider about itself. `nonce` is the gateway's one-time value; `authorities` (PEM) are trusted for
    /// the provider's TLS certificate instead of the system's.
    ///
    /// # Errors
    /// When the provider cannot be asked or its discovery document cannot be used.
    pub async fn begin(provider: ProviderInfo, nonce: String, authorities: Option<&Path>) -> Result<Self, FlowError> {
        let http = client(&checked_url(&provider.issuer)?, authorities)?;
        let metadata = discover(&http, &provider.issuer, &provider.hosts).await?;
        Ok(Self {
            http,
            provider,
            metadata,
            nonce,
        })
    }

    /// The parameters of both flows.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("client_id", self.provider.client_id.clone()),
            ("scope", self.provider.scopes.join(" ")),
            ("nonce", self.nonce.clone()),
        ];
        if !self.provider.acr.is_empty() {
            parameters.push(("acr_values", self.provider.acr.join(" ")));
        }
        if let Some(max_age_s) = self.provider.max_age_s {
            parameters.push(("max_age", max_age_s.to_string()));
        }
        parameters
    }

    async fn ask(&self, endpoint: &Url, form: &[(&str, String)]) -> Result<(StatusCode, Vec<u8>), FlowError> {
        Ok(send(self.http.post(endpoint.clone()).form(form), MAX_BYTES).await?)
    }

    async fn ask_for_token(&self, form: &[(&str, String)]) -> Result<Answer, FlowError> {
        let (status, body) = self.ask(&self.metadata.token_endpoint, form).await?;
        if status != StatusCode::OK {
            return Ok(Answer::Failed(failure(status, &body)));
        }
        match serde_json::from_slice(&body) {
            Ok(Tokens { id_token: Some(token) }) => Ok(Answer::IdToken(token)),
            Ok(Tokens { id_token: None }) => Err(FlowError::Refused("it gave no ID token".to_owned())),
            Err(_) => Err(FlowError::Refused("its answer is not understood".to_owned())),
        }
    }
}

/// The error code of an answer, with nothing in it that could disturb a terminal.
fn failure(status: StatusCode, body: &[u8]) -> String {
    match serde_json::from_slice(body) {
        Ok(Failure { error }) => plain(&error),
        Err(_) => format!("the answer was {status}"),
    }
}

fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(100)
        .collect()
}
