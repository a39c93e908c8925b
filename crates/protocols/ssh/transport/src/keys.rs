//! Keys, signatures and certificates of SSH (RFC 4253 section 6.6, RFC 5656, RFC 8332, RFC 8709 and OpenSSH's
//! PROTOCOL.key and PROTOCOL.certkeys).
//!
//! Kinds: Ed25519, ECDSA on the NIST curves, RSA of 2048 to 8192 bits, and, to verify, keys on security keys. Signatures with SHA-1 (`ssh-rsa`) and
//! DSA do not exist here. All arithmetic with secrets is aws-lc's, but for the derivation of the key that
//! encrypts a private key's file, which it lacks.

mod algorithm;
mod certificate;
mod check;
mod der;
mod error;
mod issue;
mod openssh;
mod private;
mod public;
mod rsa;

pub use algorithm::{Curve, KeyType, SignatureAlgorithm};
pub use certificate::{Certificate, CertificateKind};
pub use check::{CertificateError, Verified};
pub use error::KeyError;
pub use issue::CertificateRequest;
pub use private::PrivateKey;
pub use public::PublicKey;
