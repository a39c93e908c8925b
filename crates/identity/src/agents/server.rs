//! The certificate that the gateway shows to agents. It is made anew before it ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rcgen::{DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;
use tracing::error;

use super::authority::{Authority, SERVER_NAME};
use super::errors::AuthorityError;

/// How long a server's certificate is good.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// When it is made anew.
const RENEW_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Gives the current certificate to each handshake.
pub(super) struct ServerCertificates {
    authority: Arc<Authority>,
    current: Mutex<Current>,
}

struct Current {
    key: Arc<CertifiedKey>,
    made: OffsetDateTime,
}

impl std::fmt::Debug for ServerCertificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificates").finish_non_exhaustive()
    }
}

impl ServerCertificates {
    pub(super) fn new(authority: Arc<Authority>, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        let current = Mutex::new(make(&authority, now)?);
        Ok(Self { authority, current })
    }

    pub(super) fn at(&self, now: OffsetDateTime) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back counts, too: the certificate may not be valid yet.
        if now - current.made > RENEW_AFTER || now < current.made {
            match make(&self.authority, now) {
                Ok(made) => *current = made,
                Err(error) => error!(%error, "the gateway's certificate for agents cannot be made anew"),
            }
        }
        Arc::clone(&current.key)
    }
}

impl ResolvesServerCert for ServerCertificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.at(OffsetDateTime::now_utc()))
    }
}

fn make(authority: &Authority, now: OffsetDateTime) -> Result<Current, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = authority.leaf(now, LIFE)?;
    params.distinguished_name.push(DnType::CommonName, SERVER_NAME);
    params.subject_alt_names = vec![SanType::DnsName(SERVER_NAME.try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let chain = vec![authority.sign(&params, &key)?, authority.root().clone()];
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = Arc::new(CertifiedKey::new(chain, any_ecdsa_type(&der)?));
    Ok(Current { key, made: now })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::super::authority::AgentAuthority;
    use super::*;

    #[test]
    fn the_certificate_is_made_anew_before_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let authority = AgentAuthority::load_or_create(folder.path()).unwrap();
        let start = OffsetDateTime::now_utc();
        let certificates = ServerCertificates::new(authority.inner(), start).unwrap();
        let leaf = |at| certificates.at(at).cert.first().unwrap().clone();
        let first = leaf(start);
        assert_eq!(leaf(start + RENEW_AFTER), first);
        let mut last = first.clone();
        for days in [2, 5, 9, 300] {
            let at = start + time::Duration::days(days);
            let made = leaf(at);
            assert_ne!(made, last);
            let (_, parsed) = X509Certificate::from_der(&made).unwrap();
            let validity = parsed.validity();
            assert!(validity.not_before.timestamp() < at.unix_timestamp());
            assert!(validity.not_after.timestamp() > (at + RENEW_AFTER).unix_timestamp());
            last = made.clone();
        }
        // A clock that is set back.
        let (_, parsed) = X509Certificate::from_der(&first).unwrap();
        let made = leaf(start);
        assert_ne!(made, last);
        let (_, again) = X509Certificate::from_der(&made).unwrap();
        assert_eq!(
            again.validity().not_after.timestamp(),
            parsed.validity().not_after.timestamp()
        );
        assert_eq!(certificates.at(start).cert.last().unwrap(), authority.root());
    }
}
