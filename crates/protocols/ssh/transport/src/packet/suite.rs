use aws_lc_rs::{aead, cipher, hmac};
use zeroize::Zeroizing;

/// A cipher for packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// `aes256-gcm@openssh.com` (RFC 5647 as OpenSSH has it).
    Aes256Gcm,
    /// `aes128-gcm@openssh.com`.
    Aes128Gcm,
    /// `chacha20-poly1305@openssh.com` (OpenSSH's PROTOCOL.chacha20poly1305). Only with strict key exchange.
    ChaCha20Poly1305,
    /// `aes256-ctr` (RFC 4344), with a [`Mac`].
    Aes256Ctr,
    /// `aes192-ctr`.
    Aes192Ctr,
    /// `aes128-ctr`.
    Aes128Ctr,
}

impl Cipher {
    /// Every cipher, the best first.
    pub const ALL: [Self; 6] = [
        Self::Aes256Gcm,
        Self::Aes128Gcm,
        Self::ChaCha20Poly1305,
        Self::Aes256Ctr,
        Self::Aes192Ctr,
        Self::Aes128Ctr,
    ];

    /// The name in the key exchange.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes256-gcm@openssh.com",
            Self::Aes128Gcm => "aes128-gcm@openssh.com",
            Self::ChaCha20Poly1305 => "chacha20-poly1305@openssh.com",
            Self::Aes256Ctr => "aes256-ctr",
            Self::Aes192Ctr => "aes192-ctr",
            Self::Aes128Ctr => "aes128-ctr",
        }
    }

    /// Whether a [`Mac`] is agreed on beside it. The others authenticate by themselves.
    pub fn needs_mac(self) -> bool {
        self.ctr().is_some()
    }

    pub(super) fn gcm(self) -> Option<&'static aead::Algorithm> {
        match self {
            Self::Aes256Gcm => Some(&aead::AES_256_GCM),
            Self::Aes128Gcm => Some(&aead::AES_128_GCM),
            Self::ChaCha20Poly1305 | Self::Aes256Ctr | Self::Aes192Ctr | Self::Aes128Ctr => None,
        }
    }

    pub(super) fn ctr(self) -> Option<&'static cipher::Algorithm> {
        match self {
            Self::Aes256Ctr => Some(&cipher::AES_256),
            Self::Aes192Ctr => Some(&cipher::AES_192),
            Self::Aes128Ctr => Some(&cipher::AES_128),
            Self::Aes256Gcm | Self::Aes128Gcm | Self::ChaCha20Poly1305 => None,
        }
    }

    pub(crate) fn key_bytes(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::Aes256Ctr => 32,
            Self::Aes192Ctr => 24,
            Self::Aes128Gcm | Self::Aes128Ctr => 16,
            Self::ChaCha20Poly1305 => 64,
        }
    }

    pub(crate) fn iv_bytes(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::Aes128Gcm => 12,
            Self::Aes256Ctr | Self::Aes192Ctr | Self::Aes128Ctr => 16,
            Self::ChaCha20Poly1305 => 0,
        }
    }
}

/// An authentication code for packets whose cipher has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mac {
    /// `hmac-sha2-256-etm@openssh.com`: over what is encrypted. Only with strict key exchange.
    Sha256Etm,
    /// `hmac-sha2-512-etm@openssh.com`: over what is encrypted. Only with strict key exchange.
    Sha512Etm,
    /// `hmac-sha2-256` (RFC 6668): over what is not yet encrypted.
    Sha256,
    /// `hmac-sha2-512` (RFC 6668): over what is not yet encrypted.
    Sha512,
}

impl Mac {
    /// Every code, the best first.
    pub const ALL: [Self; 4] = [Self::Sha256Etm, Self::Sha512Etm, Self::Sha256, Self::Sha512];

    /// The name in the key exchange.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256Etm => "hmac-sha2-256-etm@openssh.com",
            Self::Sha512Etm => "hmac-sha2-512-etm@openssh.com",
            Self::Sha256 => "hmac-sha2-256",
            Self::Sha512 => "hmac-sha2-512",
        }
    }

    /// Whether the code is over what is encrypted.
    pub fn is_etm(self) -> bool {
        match self {
            Self::Sha256Etm | Self::Sha512Etm => true,
            Self::Sha256 | Self::Sha512 => false,
        }
    }

    pub(super) fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Sha256Etm | Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512Etm | Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    pub(crate) fn key_bytes(self) -> usize {
        match self {
            Self::Sha256Etm | Self::Sha256 => 32,
            Self::Sha512Etm | Self::Sha512 => 64,
        }
    }
}

/// What was agreed on for one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    pub(crate) cipher: Cipher,
    /// Present if and only if the cipher needs one.
    pub(crate) mac: Option<Mac>,
}

/// The keys of one direction.
pub(crate) struct KeyMaterial {
    pub(crate) iv: Zeroizing<Vec<u8>>,
    pub(crate) key: Zeroizing<Vec<u8>>,
    pub(crate) mac: Zeroizing<Vec<u8>>,
}
