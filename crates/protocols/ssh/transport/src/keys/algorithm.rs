//! The names of keys, signatures and certificates.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm,
};

/// A curve of ECDSA (RFC 5656 section 10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    /// Every curve.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// The curve's identifier in a key, such as `nistp256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "nistp256",
            Self::P384 => "nistp384",
            Self::P521 => "nistp521",
        }
    }

    /// The bytes of a coordinate, and of each half of a signature.
    pub(crate) fn field_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    pub(super) fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED,
            Self::P384 => &ECDSA_P384_SHA384_FIXED,
            Self::P521 => &ECDSA_P521_SHA512_FIXED,
        }
    }

    pub(super) fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
        }
    }
}

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// Ed25519 (RFC 8709).
    Ed25519,
    /// ECDSA on a NIST curve (RFC 5656).
    Ecdsa(Curve),
    /// RSA (RFC 4253 section 6.6).
    Rsa,
    /// Ed25519 on a security key that has to be touched (OpenSSH's PROTOCOL.u2f). For people, not for hosts.
    SkEd25519,
    /// ECDSA on NIST P-256, on a security key that has to be touched.
    SkEcdsa,
}

impl KeyType {
    /// Every kind, the best first.
    pub const ALL: [Self; 7] = [
        Self::Ed25519,
        Self::Ecdsa(Curve::P256),
        Self::Ecdsa(Curve::P384),
        Self::Ecdsa(Curve::P521),
        Self::SkEd25519,
        Self::SkEcdsa,
        Self::Rsa,
    ];

    /// The name in a key's blob and line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::Ecdsa(Curve::P256) => "ecdsa-sha2-nistp256",
            Self::Ecdsa(Curve::P384) => "ecdsa-sha2-nistp384",
            Self::Ecdsa(Curve::P521) => "ecdsa-sha2-nistp521",
            Self::Rsa => "ssh-rsa",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkEcdsa => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// The name in the blob and line of a certificate for such a key.
    pub fn certificate_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519-cert-v01@openssh.com",
            Self::Ecdsa(Curve::P256) => "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            Self::Ecdsa(Curve::P384) => "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            Self::Ecdsa(Curve::P521) => "ecdsa-sha2-nistp521-cert-v01@openssh.com",
            Self::Rsa => "ssh-rsa-cert-v01@openssh.com",
            Self::SkEd25519 => "sk-ssh-ed25519-cert-v01@openssh.com",
            Self::SkEcdsa => "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind whose certificates have this name.
    pub fn from_certificate_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.certificate_name() == name)
    }

    /// The algorithms that such a key can sign with, the best first.
    pub fn signature_algorithms(self) -> &'static [SignatureAlgorithm] {
        match self {
            Self::Ed25519 => &[SignatureAlgorithm::Ed25519],
            Self::Ecdsa(Curve::P256) => &[SignatureAlgorithm::Ecdsa(Curve::P256)],
            Self::Ecdsa(Curve::P384) => &[SignatureAlgorithm::Ecdsa(Curve::P384)],
            Self::Ecdsa(Curve::P521) => &[SignatureAlgorithm::Ecdsa(Curve::P521)],
            Self::Rsa => &[SignatureAlgorithm::RsaSha512, SignatureAlgorithm::RsaSha256],
            Self::SkEd25519 => &[SignatureAlgorithm::SkEd25519],
            Self::SkEcdsa => &[SignatureAlgorithm::SkEcdsa],
        }
    }
}

/// How something is signed. For all but RSA the kind of key says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// `ssh-ed25519` (RFC 8709).
    Ed25519,
    /// `ecdsa-sha2-nistp256`, `…384`, `…521` (RFC 5656).
    Ecdsa(Curve),
    /// `rsa-sha2-256` (RFC 8332).
    RsaSha256,
    /// `rsa-sha2-512` (RFC 8332).
    RsaSha512,
    /// `sk-ssh-ed25519@openssh.com`.
    SkEd25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`.
    SkEcdsa,
}

impl SignatureAlgorithm {
    /// Every algorithm, the best first.
    pub const ALL: [Self; 8] = [
        Self::Ed25519,
        Self::Ecdsa(Curve::P256),
        Self::Ecdsa(Curve::P384),
        Self::Ecdsa(Curve::P521),
        Self::SkEd25519,
        Self::SkEcdsa,
        Self::RsaSha512,
        Self::RsaSha256,
    ];

    /// Those of hosts, the best first: hosts have nobody who touches a security key.
    pub const HOST: [Self; 6] = [
        Self::Ed25519,
        Self::Ecdsa(Curve::P256),
        Self::Ecdsa(Curve::P384),
        Self::Ecdsa(Curve::P521),
        Self::RsaSha512,
        Self::RsaSha256,
    ];

    /// The name in a signature, in the list of host key algorithms and in a request to authenticate.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 | Self::Ecdsa(_) | Self::SkEd25519 | Self::SkEcdsa => self.key_type().name(),
            Self::RsaSha256 => "rsa-sha2-256",
            Self::RsaSha512 => "rsa-sha2-512",
        }
    }

    /// The name in the last two of these places when the key is in a certificate. The signature itself keeps
    /// the plain name.
    pub fn certificate_name(self) -> &'static str {
        match self {
            Self::Ed25519 | Self::Ecdsa(_) | Self::SkEd25519 | Self::SkEcdsa => self.key_type().certificate_name(),
            Self::RsaSha256 => "rsa-sha2-256-cert-v01@openssh.com",
            Self::RsaSha512 => "rsa-sha2-512-cert-v01@openssh.com",
        }
    }

    /// The algorithm with this plain name. `ssh-rsa` is none: it signs with SHA-1.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The algorithm with this name for certificates.
    pub fn from_certificate_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.certificate_name() == name)
    }

    /// The kind of key that signs so.
    pub fn key_type(self) -> KeyType {
        match self {
            Self::Ed25519 => KeyType::Ed25519,
            Self::Ecdsa(curve) => KeyType::Ecdsa(curve),
            Self::RsaSha256 | Self::RsaSha512 => KeyType::Rsa,
            Self::SkEd25519 => KeyType::SkEd25519,
            Self::SkEcdsa => KeyType::SkEcdsa,
        }
    }
}
