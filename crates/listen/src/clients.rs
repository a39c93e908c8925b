//! Clients' certificates: the authorities they may come from, and those that were revoked.

use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use crate::server_tls::read_roots;
use crate::{ServerTlsOptions, TlsError};

type Verifier = Arc<dyn ClientCertVerifier>;

/// Verifies clients' certificates by what was read last.
#[derive(Debug)]
pub(crate) struct Clients {
    current: RwLock<Verifier>,
    /// Which authorities to name to clients; those of the start, since TLS borrows them.
    hints: Vec<DistinguishedName>,
    schemes: Vec<SignatureScheme>,
}

impl Clients {
    /// Reads authorities and lists; none when no certificate is asked for.
    pub(crate) fn load(options: &ServerTlsOptions) -> Result<Option<Self>, TlsError> {
        let Some(verifier) = verifier(options)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            hints: verifier.root_hint_subjects().to_vec(),
            schemes: verifier.supported_verify_schemes(),
            current: RwLock::new(verifier),
        }))
    }

    /// Reads them again.
    pub(crate) fn reload(&self, options: &ServerTlsOptions) -> Result<(), TlsError> {
        if let Some(verifier) = verifier(options)? {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = verifier;
        }
        Ok(())
    }

    fn current(&self) -> Verifier {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// With lists, each certificate on the way to the root must be on none, and there must be a list of each authority that is
/// not out of date: what is not known to be good is refused.
fn verifier(options: &ServerTlsOptions) -> Result<Option<Verifier>, TlsError> {
    let Some(authorities) = &options.client_authorities else {
        return match &options.client_crl {
            Some(path) => Err(TlsError::content(path, "is of no use without authorities of clients")),
            None => Ok(None),
        };
    };
    let (roots, _) = read_roots(authorities)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated();
    let (path, builder) = match &options.client_crl {
        Some(path) => {
            let lists = read_lists(path)?;
            (path, builder.with_crls(lists).enforce_revocation_expiration())
        }
        None => (authorities, builder),
    };
    let verifier = builder
        .build()
        .map_err(|error| TlsError::content(path, format!("cannot verify clients: {error}")))?;
    Ok(Some(verifier))
}

/// The lists of a PEM file, at least one.
fn read_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let pem = fs::read(path).map_err(TlsError::file(path))?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        Ok(_) => Err(TlsError::content(path, "holds no list of revoked certificates")),
        Err(error) => Err(TlsError::content(path, format!("is not a PEM file: {error}"))),
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.current().verify_client_cert(leaf, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
