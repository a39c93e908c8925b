//! Which host it is: the keys that a server shows, and what a client takes for proof.

use std::fmt;

use thiserror::Error;

use crate::keys::{
    Certificate, CertificateError, CertificateKind, KeyError, PrivateKey, PublicKey, SignatureAlgorithm,
};

/// A host key algorithm: how the host signs, and whether it shows its key in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostAlgorithm {
    pub(crate) signature: SignatureAlgorithm,
    pub(crate) certified: bool,
}

impl HostAlgorithm {
    pub(crate) fn name(self) -> &'static str {
        if self.certified {
            self.signature.certificate_name()
        } else {
            self.signature.name()
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let plain = SignatureAlgorithm::from_name(name).map(|signature| Self {
            signature,
            certified: false,
        });
        let certified = || SignatureAlgorithm::from_certificate_name(name);
        plain.or_else(|| {
            Some(Self {
                signature: certified()?,
                certified: true,
            })
        })
    }
}

/// A key that a server shows to its clients, if they want in a certificate.
pub struct HostKey {
    key: PrivateKey,
    certificate: Option<Certificate>,
}

impl HostKey {
    /// A key without a certificate.
    pub fn new(key: PrivateKey) -> Self {
        Self { key, certificate: None }
    }

    /// A key with a certificate for it. Fails if the certificate is for another key or for a user.
    pub fn with_certificate(key: PrivateKey, certificate: Certificate) -> Result<Self, KeyError> {
        if certificate.kind() != CertificateKind::Host || certificate.key() != key.public_key() {
            return Err(KeyError::Text("the certificate is not one for this host key"));
        }
        Ok(Self {
            key,
            certificate: Some(certificate),
        })
    }

    /// The key's public part.
    pub fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    /// The algorithms that it can be shown with, the best first.
    pub(crate) fn algorithms(&self) -> impl Iterator<Item = HostAlgorithm> {
        let signatures = self.public_key().key_type().signature_algorithms();
        let certified = self.certificate.iter().flat_map(move |_| signatures);
        let certified = certified.map(|signature| HostAlgorithm {
            signature: *signature,
            certified: true,
        });
        certified.chain(signatures.iter().map(|signature| HostAlgorithm {
            signature: *signature,
            certified: false,
        }))
    }

    /// The blob that is shown with `algorithm`.
    pub(crate) fn blob(&self, algorithm: HostAlgorithm) -> &[u8] {
        match &self.certificate {
            Some(certificate) if algorithm.certified => certificate.blob(),
            _ => self.public_key().blob(),
        }
    }

    pub(crate) fn sign(&self, algorithm: HostAlgorithm, hash: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key.sign(algorithm.signature, hash)
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostKey")
            .field("key", &self.key)
            .field("certificate", &self.certificate)
            .finish()
    }
}

/// What a client takes for proof that it talks to the host that is meant. There is no way to say *any host*: with
/// nothing in it, every host is refused.
#[derive(Clone, Debug, Default)]
pub struct HostTrust {
    /// The host's own keys, if they are known.
    pub keys: Vec<PublicKey>,
    /// The authorities whose certificates for hosts are taken.
    pub authorities: Vec<PublicKey>,
    /// The names of the host, one of which its certificate must be for.
    pub names: Vec<String>,
    /// The present time, in seconds since 1970.
    pub now_unix: u64,
}

/// Why a host is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostError {
    /// The key is not one of those that are pinned. It is named, so that whoever looks into it can compare.
    #[error("its key is {0}, which is not one that is pinned")]
    NotPinned(String),
    /// The key or certificate cannot be read.
    #[error("{0}")]
    Key(KeyError),
    /// The certificate is not good.
    #[error("{0}")]
    Certificate(CertificateError),
    /// The host shows another kind of key than was agreed on.
    #[error("it shows another kind of key than was agreed on")]
    OtherKind,
    /// The host showed one key at first and another one later.
    #[error("it showed another key at first")]
    Changed,
    /// There is nothing that a key could be held against.
    #[error("no key of it and no authority for it is known")]
    NothingKnown,
}

impl HostTrust {
    /// The algorithms to offer: only such as could be trusted, so that the host picks the right one of its keys.
    pub(crate) fn algorithms(&self) -> Vec<HostAlgorithm> {
        let mut algorithms = Vec::new();
        if !self.authorities.is_empty() {
            let all = SignatureAlgorithm::HOST.into_iter();
            algorithms.extend(all.map(|signature| HostAlgorithm {
                signature,
                certified: true,
            }));
        }
        let pinned = |kind| self.keys.iter().any(|key| key.key_type() == kind);
        let plain = SignatureAlgorithm::ALL
            .into_iter()
            .filter(|signature| pinned(signature.key_type()));
        algorithms.extend(plain.map(|signature| HostAlgorithm {
            signature,
            certified: false,
        }));
        algorithms
    }

    /// The key that the host must have signed with, if what it shows is trusted.
    pub(crate) fn check(&self, algorithm: HostAlgorithm, blob: &[u8]) -> Result<PublicKey, HostError> {
        let key = if algorithm.certified {
            let certificate = Certificate::from_blob(blob).map_err(HostError::Key)?;
            self.check_certificate(&certificate)?;
            certificate.key().clone()
        } else {
            let key = PublicKey::from_blob(blob).map_err(HostError::Key)?;
            if !self.keys.contains(&key) {
                return Err(HostError::NotPinned(key.fingerprint()));
            }
            key
        };
        if key.key_type() == algorithm.signature.key_type() {
            Ok(key)
        } else {
            Err(HostError::OtherKind)
        }
    }

    fn check_certificate(&self, certificate: &Certificate) -> Result<(), HostError> {
        let mut refused = HostError::NothingKnown;
        for name in &self.names {
            match certificate.check(&self.authorities, CertificateKind::Host, name, self.now_unix, None) {
                Ok(_) => return Ok(()),
                Err(error) => refused = HostError::Certificate(error),
            }
        }
        Err(refused)
    }
}
