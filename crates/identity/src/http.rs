//! Requests that this crate makes: bounded in time and size, never redirected, never in the clear but on loopback.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, RequestBuilder, StatusCode};
use url::{Host, Url};

/// How long one request may take, with its answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Not an address to send secrets to.
    #[error("`{url}` cannot be used: {why}")]
    Address {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file with the authorities cannot be used.
    #[error("the authorities in `{path}` cannot be used: {why}")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// No client can be made, no connection, or it broke.
    #[error("{0}")]
    Failed(String),
    /// The answer is larger than any good one.
    #[error("the answer is longer than {most_bytes} bytes")]
    TooLong {
        /// The bound.
        most_bytes: usize,
    },
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        // The cause is in the chain; the address may hold a secret and is left out.
        let error = error.without_url();
        let mut message = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self::Failed(message)
    }
}

/// An address that may be spoken to: `https`, or `http` on loopback, without user or fragment.
pub(crate) fn checked_url(text: &str) -> Result<Url, HttpError> {
    let refuse = |why| {
        Err(HttpError::Address {
            url: text.chars().take(200).collect(),
            why,
        })
    };
    let Ok(url) = Url::parse(text) else {
        return refuse("it is not a URL");
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return refuse("it must not have a user, a password or a fragment");
    }
    match url.scheme() {
        "https" if url.host().is_some() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => refuse("`http` is for loopback only, use `https`"),
        _ => refuse("it must begin with `https://`"),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A client for `url`. With `authorities` (PEM) only those are trusted, else the system's.
pub(crate) fn client(url: &Url, authorities: Option<&Path>) -> Result<Client, HttpError> {
    let builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("sallyport/", env!("CARGO_PKG_VERSION")));
    let builder = match authorities {
        Some(path) => builder.tls_certs_only(read_authorities(path)?),
        None if url.scheme() == "http" => builder.tls_certs_only([]),
        None => builder.https_only(true),
    };
    Ok(builder.build()?)
}

fn read_authorities(path: &Path) -> Result<Vec<Certificate>, HttpError> {
    let refuse = |why: String| HttpError::Authorities {
        path: path.display().to_string(),
        why,
    };
    let pem = std::fs::read(path).map_err(|e| refuse(e.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|e| refuse(e.to_string()))?;
    if found.is_empty() {
        Err(refuse("there is no certificate in it".to_owned()))
    } else {
        Ok(found)
    }
}

/// Sends a request and reads an answer of at most `most_bytes`.
pub(crate) async fn send(request: RequestBuilder, most_bytes: usize) -> Result<(StatusCode, Vec<u8>), HttpError> {
    let mut response = request.send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > most_bytes {
            return Err(HttpError::TooLong { most_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status(), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_tls_or_stay_on_the_machine() {
        for good in [
            "https://id.example.com/x",
            "http://127.0.0.1:8080",
            "http://localhost:1/",
            "http://[::1]:9/",
        ] {
            assert!(checked_url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://id.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "https://user@id.example.com",
            "https://id.example.com/#x",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "id.example.com",
            "",
        ] {
            assert!(checked_url(bad).is_err(), "{bad}");
        }
    }
}
