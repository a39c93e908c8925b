//! The `tls-server-end-point` channel binding.
//!
//! Source: RFC 5929, section 4.1.

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use x509_parser::{
    oid_registry::{
        OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512,
    },
    parse_x509_certificate,
};

/// The hash of a server's certificate (DER) with the hash function of its signature, SHA-256 in place of
/// weaker ones; `None` for signatures that have none of their own, like Ed25519.
pub(super) fn end_point_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let oid = &parsed.signature_algorithm.algorithm;
    let algorithm = [
        (OID_PKCS1_MD5WITHRSAENC, &SHA256),
        (OID_PKCS1_SHA1WITHRSA, &SHA256),
        (OID_PKCS1_SHA256WITHRSA, &SHA256),
        (OID_PKCS1_SHA384WITHRSA, &SHA384),
        (OID_PKCS1_SHA512WITHRSA, &SHA512),
        (OID_SIG_ECDSA_WITH_SHA256, &SHA256),
        (OID_SIG_ECDSA_WITH_SHA384, &SHA384),
        (OID_SIG_ECDSA_WITH_SHA512, &SHA512),
    ]
    .into_iter()
    .find(|(known, _)| known == oid)
    .map(|(_, algorithm)| algorithm)?;
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}
