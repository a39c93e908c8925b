//! Client certificates: pinned by their hash, or named by a subject that an authority signed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use smol_str::SmolStr;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::PeopleError;
use crate::secret::sha256;

/// SHA-256 of a certificate in DER, as `openssl x509 -fingerprint -sha256` shows it.
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    sha256(certificate)
}

/// Reads a fingerprint in hexadecimal, with or without colons.
pub(super) fn parse_fingerprint(text: &str) -> Result<[u8; 32], PeopleError> {
    hex::decode(text.replace(':', ""))
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
        .ok_or_else(|| PeopleError::Certificate(format!("`{text}` is not a SHA-256 in hexadecimal")))
}

/// The authorities that certificates may come from, by name.
#[derive(Debug, Default)]
pub(super) struct Authorities(BTreeMap<SmolStr, Authority>);

#[derive(Debug)]
struct Authority {
    roots: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self
                .0
                .iter()
                .all(|(name, a)| other.0.get(name).is_some_and(|b| a.roots == b.roots))
    }
}

impl Authorities {
    /// Reads an authority's certificates (PEM).
    pub(super) fn add(&mut self, name: &str, file: &Path) -> Result<(), PeopleError> {
        let refuse =
            |why: String| PeopleError::Certificate(format!("the authority `{name}` (`{}`): {why}", file.display()));
        let pem = std::fs::read(file).map_err(|e| refuse(e.to_string()))?;
        let roots: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|e| refuse(e.to_string()))?;
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone()).map_err(|e| refuse(e.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(store.into(), provider)
            .build()
            .map_err(|e| refuse(e.to_string()))?;
        match self.0.insert(name.into(), Authority { roots, verifier }) {
            None => Ok(()),
            Some(_) => Err(refuse("it is there twice".to_owned())),
        }
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The first authority, among those that `wanted` accepts, to which a valid path leads from the leaf.
    pub(super) fn that_signed(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        wanted: impl Fn(&SmolStr) -> bool,
    ) -> Option<SmolStr> {
        let signed = |a: &Authority| a.verifier.verify_client_cert(leaf, intermediates, now).is_ok();
        self.0
            .iter()
            .find(|(name, authority)| wanted(name) && signed(authority))
            .map(|(name, _)| name.clone())
    }
}

/// The subject's common name. `None` when there is none, or more than one, which could be read in two ways.
pub(super) fn common_name(certificate: &CertificateDer<'_>) -> Option<SmolStr> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut names = parsed.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?;
    names.next().is_none().then(|| name.into())
}

/// Whether `now` is within the certificate's validity.
pub(super) fn is_current(certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let Ok(now) = i64::try_from(now.as_secs()) else {
        return false;
    };
    let validity = parsed.validity();
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now)
}
