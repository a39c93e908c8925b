//! Requests to services: bounded in time and size, never redirected, never in the clear but on loopback or to a machine's own
//! metadata service.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{
    Client, Method, RequestBuilder, StatusCode,
    header::{HeaderValue, InvalidHeaderValue},
};
use sallyport_outgoing::{Broken, authorities, causes, client, read};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use crate::{CredentialError, error::ServiceFault, file, text::Wiped};

/// The longest answer to a login or about a lease, in bytes.
pub(crate) const SHORT: usize = 64 * 1024;
/// The longest answer with a secret, in bytes: Kubernetes has secrets of a MiB, in base64.
pub(crate) const LONG: usize = 2 * 1024 * 1024;

/// A service at an address.
pub(crate) struct Service {
    label: Arc<str>,
    url: Url,
    /// The address, without a slash at its end.
    base: String,
    within: Duration,
    authorities: Option<PathBuf>,
    client: Mutex<Option<Made>>,
}

/// A client, and the authorities that it trusts.
struct Made {
    pem: Vec<u8>,
    client: Client,
}

/// What a service said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    body: Wiped,
    label: Arc<str>,
    doing: &'static str,
}

impl Service {
    /// A service that is spoken of as `what` in errors. With `authorities` (PEM) only those are trusted, else the system's.
    pub(crate) fn new(what: &str, base: &Url, authorities: Option<&Path>, within: Duration) -> Self {
        let shown = base.as_str().trim_end_matches('/');
        Self {
            label: format!("{what} ({shown})").into(),
            url: base.clone(),
            base: shown.to_owned(),
            within,
            authorities: authorities.map(Path::to_owned),
            client: Mutex::new(None),
        }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// A request; `path` begins with a slash and is escaped.
    pub(crate) fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, CredentialError> {
        Ok(self.client()?.request(method, format!("{}{path}", self.base)))
    }

    /// Sends a request and reads an answer of at most `most` bytes.
    pub(crate) async fn send(
        &self,
        doing: &'static str,
        request: RequestBuilder,
        most: usize,
    ) -> Result<Answer, CredentialError> {
        let read = read(request, most, Wiped::with_capacity, Wiped::push);
        let read = tokio::time::timeout(self.within, read).await;
        let (status, body) = match read {
            Ok(Ok(answer)) => answer,
            Ok(Err(Broken::Long)) => return Err(self.fault(ServiceFault::Long { doing, most })),
            Ok(Err(Broken::Failed(why))) => return Err(self.fault(ServiceFault::Unreachable { doing, why })),
            Err(_) => {
                let within = self.within;
                return Err(self.fault(ServiceFault::Slow { doing, within }));
            }
        };
        if status.is_redirection() {
            return Err(self.fault(ServiceFault::Redirect { doing }));
        }
        Ok(Answer {
            status,
            body,
            label: Arc::clone(&self.label),
            doing,
        })
    }

    /// A fault of this service.
    pub(crate) fn fault(&self, fault: ServiceFault) -> CredentialError {
        CredentialError::Service {
            service: Arc::clone(&self.label),
            fault,
        }
    }

    /// The client, made anew when the file with the authorities has changed.
    fn client(&self) -> Result<Client, CredentialError> {
        let pem = match &self.authorities {
            Some(path) => file::authorities(path).map_err(|error| self.untrusted(path, error.to_string()))?,
            None => Vec::new(),
        };
        let mut made = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref().filter(|made| made.pem == pem) {
            return Ok(made.client.clone());
        }
        let client = self.make(&pem)?;
        *made = Some(Made {
            pem,
            client: client.clone(),
        });
        Ok(client)
    }

    fn make(&self, pem: &[u8]) -> Result<Client, CredentialError> {
        let trusted = self.authorities.as_ref().map(|path| {
            let found = authorities(pem);
            found.map_err(|why| self.untrusted(path, why))
        });
        let made = client(&self.url, trusted.transpose()?).build();
        made.map_err(|error| {
            self.fault(ServiceFault::Unreachable {
                doing: "a connection",
                why: causes(error),
            })
        })
    }

    fn untrusted(&self, path: &Path, why: String) -> CredentialError {
        self.fault(ServiceFault::Authorities {
            path: path.to_owned(),
            why,
        })
    }
}

impl Answer {
    /// The answer if the service says yes, else a refusal with what to do about it.
    pub(crate) fn good(self, advice: impl FnOnce(u16) -> &'static str) -> Result<Self, CredentialError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let status = self.status.as_u16();
        Err(self.refused(advice(status)))
    }

    /// A refusal.
    pub(crate) fn refused(&self, advice: &'static str) -> CredentialError {
        CredentialError::Service {
            service: Arc::clone(&self.label),
            fault: ServiceFault::Refused {
                doing: self.doing,
                status: self.status.as_u16(),
                advice,
            },
        }
    }

    /// The answer as JSON. What a parser says of it may quote it, and is not passed on.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, CredentialError> {
        serde_json::from_slice(self.body.bytes()).map_err(|_| self.odd("it is not the JSON that it should be"))
    }

    /// The answer as text.
    pub(crate) fn text(&self) -> Result<&str, CredentialError> {
        self.body.text().ok_or_else(|| self.odd("it is not text"))
    }

    /// The answer is not what it should be.
    pub(crate) fn odd(&self, why: &'static str) -> CredentialError {
        CredentialError::Service {
            service: Arc::clone(&self.label),
            fault: ServiceFault::NotUnderstood { doing: self.doing, why },
        }
    }
}

/// A header's value that is never shown.
pub(crate) fn sensitive(text: &SecretString) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text.expose_secret())?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Bearer` and a token, as a header's value.
pub(crate) fn bearer(token: &SecretString) -> Result<HeaderValue, InvalidHeaderValue> {
    sensitive(&format!("Bearer {}", token.expose_secret()).into())
}
