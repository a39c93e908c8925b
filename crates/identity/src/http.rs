//! Requests that this crate makes: bounded in time and size, never redirected, never in the clear but on loopback.

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use sallyport_outgoing::{Broken, address, causes, read};
use url::Url;

/// How long one request may take, with its answer.
const TIMEOUT: Duration = Duration::from_secs(20);

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
        Self::Failed(causes(error))
    }
}

/// An address that may be spoken to: `https`, or `http` on loopback, without user or fragment.
pub(crate) fn checked_url(text: &str) -> Result<Url, HttpError> {
    address(text).map_err(|why| HttpError::Address {
        url: text.chars().take(200).collect(),
        why,
    })
}

/// A client for `url`. With `authorities` (PEM) only those are trusted, else the system's.
pub(crate) fn client(url: &Url, authorities: Option<&Path>) -> Result<Client, HttpError> {
    let trusted = authorities.map(|path| {
        let pem = std::fs::read(path).map_err(|error| error.to_string());
        let found = pem.and_then(|pem| sallyport_outgoing::authorities(&pem));
        found.map_err(|why| HttpError::Authorities {
            path: path.display().to_string(),
            why,
        })
    });
    let builder = sallyport_outgoing::client(url, trusted.transpose()?);
    Ok(builder.timeout(TIMEOUT).build()?)
}

/// Sends a request and reads an answer of at most `most_bytes`.
pub(crate) async fn send(request: RequestBuilder, most_bytes: usize) -> Result<(StatusCode, Vec<u8>), HttpError> {
    let read = read(request, most_bytes, Vec::with_capacity, Vec::extend_from_slice).await;
    read.map_err(|broken| match broken {
        Broken::Long => HttpError::TooLong { most_bytes },
        Broken::Failed(why) => HttpError::Failed(why),
    })
}
