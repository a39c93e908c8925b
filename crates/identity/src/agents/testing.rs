//! For the fuzzers: the readers of what somebody else chose. Never part of a gateway.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::UnixTime;

use super::request::RequestedKey;
use super::rules::signed_content;
use super::{JoinToken, names};

/// Reads a request for a certificate; whether it was signed with its key.
#[must_use]
pub fn request(csr: &[u8]) -> bool {
    RequestedKey::parse(csr).is_ok()
}

/// Reads a signed document; its content if `certificate` signed it.
#[must_use]
pub fn document(bytes: &[u8], certificate: &[u8]) -> Option<Vec<u8>> {
    signed_content(bytes, certificate)
}

/// Reads a certificate; the name that it gives to an agent.
#[must_use]
pub fn named(certificate: &[u8]) -> Option<String> {
    let identity = names::named(&CertificateDer::from(certificate), UnixTime::now()).ok()?;
    Some(identity.name.to_string())
}

/// Reads a join token; its text again.
#[must_use]
pub fn token(text: &str) -> Option<JoinToken> {
    JoinToken::parse(&text.into())
}
