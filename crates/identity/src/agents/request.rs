//! Requests for certificates (PKCS #10, [RFC 2986](https://www.rfc-editor.org/rfc/rfc2986)). Of a request only the key counts.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use rcgen::PublicKeyData;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ED25519, Oid,
};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::errors::RequestFault;
use crate::secret::sha256;

/// The longest request, in bytes.
const MAX_BYTES: usize = 8 << 10;
/// A point that is not compressed, on P-256.
const P256_BYTES: usize = 65;
const ED25519_BYTES: usize = 32;

/// A key that a certificate is asked for, by somebody who has it.
#[derive(Debug)]
pub(super) struct RequestedKey {
    algorithm: &'static rcgen::SignatureAlgorithm,
    bytes: Vec<u8>,
}

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm
    }
}

impl RequestedKey {
    /// Reads a request and checks that its maker has the key.
    pub(super) fn parse(csr: &[u8]) -> Result<Self, RequestFault> {
        if csr.len() > MAX_BYTES {
            return Err(RequestFault::Malformed);
        }
        let (rest, parsed) = X509CertificationRequest::from_der(csr).map_err(|_| RequestFault::Malformed)?;
        if !rest.is_empty() {
            return Err(RequestFault::Malformed);
        }
        let info = &parsed.certification_request_info;
        let (algorithm, verification, signed_with) = kind(&info.subject_pki).ok_or(RequestFault::Key)?;
        if parsed.signature_algorithm.algorithm != signed_with {
            return Err(RequestFault::Signature);
        }
        let bytes = info.subject_pki.subject_public_key.data.as_ref();
        UnparsedPublicKey::new(verification, bytes)
            .verify(info.raw, &parsed.signature_value.data)
            .map_err(|_| RequestFault::Signature)?;
        Ok(Self {
            algorithm,
            bytes: bytes.to_vec(),
        })
    }

    /// SHA-256 of the key (SubjectPublicKeyInfo in DER), to which a proof can be bound.
    pub(super) fn digest(&self) -> [u8; 32] {
        sha256(&self.subject_public_key_info())
    }
}

type Kind = (
    &'static rcgen::SignatureAlgorithm,
    &'static dyn VerificationAlgorithm,
    Oid<'static>,
);

fn kind(key: &SubjectPublicKeyInfo<'_>) -> Option<Kind> {
    let bytes = key.subject_public_key.data.as_ref();
    if key.subject_public_key.unused_bits != 0 {
        return None;
    }
    let parameters = key.algorithm.parameters.as_ref();
    if key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = parameters?.as_oid().ok()?;
        let good = curve == OID_EC_P256 && bytes.len() == P256_BYTES && bytes.first() == Some(&4);
        let kind: Kind = (
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &ECDSA_P256_SHA256_ASN1,
            OID_SIG_ECDSA_WITH_SHA256,
        );
        return good.then_some(kind);
    }
    let good = key.algorithm.algorithm == OID_SIG_ED25519 && parameters.is_none() && bytes.len() == ED25519_BYTES;
    good.then_some((&rcgen::PKCS_ED25519, &ED25519, OID_SIG_ED25519))
}
