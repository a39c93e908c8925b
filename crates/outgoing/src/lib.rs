//! Requests to services of others: never in the clear but on loopback, never redirected, answers of a bounded length, and
//! errors that do not say the address, which may hold a secret.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, StatusCode};
use url::{Host, Url};

/// The longest file with authorities, in bytes.
const MAX_AUTHORITIES: usize = 4 << 20;
/// How long connecting may take at most.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);

/// An address that may be spoken to: `https`, or `http` on loopback; without user, password or fragment.
///
/// # Errors
/// What is wrong with it.
pub fn address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "it is not a URL")?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("it must not have a user, a password or a fragment");
    }
    match url.scheme() {
        "https" if url.host().is_some() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err("`http` is for loopback only, use `https`"),
        _ => Err("it must begin with `https://`"),
    }
}

/// Whether an address is on this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The authorities in a file's bytes (PEM); at least one.
///
/// # Errors
/// What is wrong with them.
pub fn authorities(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    if pem.len() > MAX_AUTHORITIES {
        return Err("the file is too long".to_owned());
    }
    let found = Certificate::from_pem_bundle(pem).map_err(causes)?;
    if found.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(found)
}

/// A client for services like `url`. With `authorities` only those are trusted, else the system's. For an `http` address no
/// proxy stands between, and no certificate is looked at.
pub fn client(url: &Url, authorities: Option<Vec<Certificate>>) -> ClientBuilder {
    let builder = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .referer(false)
        .user_agent(concat!("sallyport/", env!("CARGO_PKG_VERSION")));
    match authorities {
        _ if url.scheme() == "http" => builder.no_proxy().tls_certs_only([]),
        Some(trusted) => builder.https_only(true).tls_certs_only(trusted),
        None => builder.https_only(true),
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Broken {
    /// It is longer than it may be.
    Long,
    /// No connection, or it broke.
    Failed(String),
}

/// Sends a request and gives an answer of at most `most` bytes to `take`, piece by piece, after its announced length if it has
/// one.
///
/// # Errors
/// When there is no answer, or a longer one.
pub async fn read<B>(
    request: RequestBuilder,
    most: usize,
    begin: impl FnOnce(usize) -> B,
    mut take: impl FnMut(&mut B, &[u8]),
) -> Result<(StatusCode, B), Broken> {
    let failed = |error| Broken::Failed(causes(error));
    let mut response = request.send().await.map_err(failed)?;
    let announced = response
        .content_length()
        .map_or(4096, |len| len.min(most as u64) as usize);
    let (mut body, mut len) = (begin(announced.min(most)), 0);
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        len += chunk.len();
        if len > most {
            return Err(Broken::Long);
        }
        take(&mut body, &chunk);
    }
    Ok((response.status(), body))
}

/// An error with its causes, without the address.
#[must_use]
pub fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_tls_or_stay_on_the_machine() {
        for good in [
            "https://id.example.com/x",
            "https://vault.example.com:8200",
            "http://127.0.0.1:8080",
            "http://localhost:1/",
            "http://[::1]:9/",
        ] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in [
            "http://id.example.com",
            "http://169.254.169.254/",
            "http://0.0.0.0/",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "https://user@id.example.com",
            "https://id.example.com/#x",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "unix:///run/x",
            "id.example.com",
            "",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn authorities_are_there_and_few() {
        assert!(authorities(b"").is_err());
        assert!(authorities(b"a note, and no certificate\n").is_err());
        assert!(authorities(&vec![b'\n'; MAX_AUTHORITIES + 1]).is_err());
    }
}
