//! [Signature version 4](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html): a request
//! is put into one canonical form, and a key that is derived from the secret key signs its digest.

use aws_lc_rs::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};
use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};
use zeroize::Zeroizing;

use crate::names::escape;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE_TIME: &[FormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

/// Keys to sign with.
pub(crate) struct SigningKeys<'a> {
    pub(crate) access_key_id: &'a str,
    pub(crate) secret: &'a SecretString,
    pub(crate) session: Option<&'a SecretString>,
}

/// For whom, where and when a signature is good.
pub(crate) struct Scope<'a> {
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) time: OffsetDateTime,
}

/// What is signed.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// As it is sent.
    pub(crate) path: &'a str,
    /// Names and values, not escaped.
    pub(crate) query: Vec<(String, String)>,
    /// Names in small letters.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: &'a [u8],
}

/// Headers that a signed request must have besides those that were given.
pub(crate) struct Signed {
    pub(crate) date: String,
    pub(crate) authorization: String,
}

/// Signs a request by a header. The session's token, if there is one, is signed as `x-amz-security-token`.
pub(crate) fn sign(request: Request<'_>, keys: &SigningKeys<'_>, scope: &Scope<'_>) -> Option<Signed> {
    let date = scope.date_time()?;
    let mut request = request;
    request.headers.push(("x-amz-date", date.clone()));
    if let Some(session) = keys.session {
        request
            .headers
            .push(("x-amz-security-token", session.expose_secret().to_owned()));
    }
    let (canonical, names) = request.canonical();
    let credential = format!("{}/{}", keys.access_key_id, scope.text(&date)?);
    let signature = scope.signature(&date, &canonical, keys.secret)?;
    Some(Signed {
        authorization: format!("{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"),
        date,
    })
}

/// Signs a request by its query, so that the address alone does it: the query with the signature.
pub(crate) fn presign(
    request: Request<'_>,
    keys: &SigningKeys<'_>,
    scope: &Scope<'_>,
    life_s: u32,
) -> Option<SecretString> {
    let date = scope.date_time()?;
    let mut request = request;
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    let credential = format!("{}/{}", keys.access_key_id, scope.text(&date)?);
    let mut add = |name: &str, value: String| request.query.push((name.to_owned(), value));
    add("X-Amz-Algorithm", ALGORITHM.to_owned());
    add("X-Amz-Credential", credential);
    add("X-Amz-Date", date.clone());
    add("X-Amz-Expires", life_s.to_string());
    add("X-Amz-SignedHeaders", names.join(";"));
    if let Some(session) = keys.session {
        add("X-Amz-Security-Token", session.expose_secret().to_owned());
    }
    let (canonical, _) = request.canonical();
    let signature = scope.signature(&date, &canonical, keys.secret)?;
    Some(format!("{}&X-Amz-Signature={signature}", request.canonical_query()).into())
}

impl Request<'_> {
    /// The canonical form, and the names of the headers in it.
    fn canonical(&self) -> (String, String) {
        let mut headers: Vec<(&str, String)> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, folded(value)))
            .collect();
        headers.sort();
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{names}\n{}",
            self.method,
            self.path,
            self.canonical_query(),
            sha256(self.body),
        );
        (canonical, names)
    }

    fn canonical_query(&self) -> String {
        let mut pairs: Vec<(String, String)> = self
            .query
            .iter()
            .map(|(name, value)| (escape(name), escape(value)))
            .collect();
        pairs.sort();
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }
}

impl Scope<'_> {
    fn date_time(&self) -> Option<String> {
        self.time.to_offset(time::UtcOffset::UTC).format(DATE_TIME).ok()
    }

    fn text(&self, date: &str) -> Option<String> {
        Some(format!(
            "{}/{}/{}/aws4_request",
            date.get(..8)?,
            self.region,
            self.service
        ))
    }

    fn signature(&self, date: &str, canonical: &str, secret: &SecretString) -> Option<String> {
        let scope = self.text(date)?;
        let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let first = Zeroizing::new(format!("AWS4{}", secret.expose_secret()));
        let mut key = mac(first.as_bytes(), date.get(..8)?.as_bytes());
        for part in [self.region, self.service, "aws4_request"] {
            key = mac(key.as_ref(), part.as_bytes());
        }
        Some(hex::encode(mac(key.as_ref(), to_sign.as_bytes())))
    }
}

fn mac(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// A header's value with single spaces.
fn folded(value: &str) -> String {
    value
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
#[path = "sigv4_tests.rs"]
mod tests;
