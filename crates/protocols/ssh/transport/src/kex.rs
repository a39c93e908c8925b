//! The methods of key exchange: how two peers come to one secret, and what is made of it.
//!
//! Finite-field groups (`diffie-hellman-*`) are not spoken: every client and server of the last ten years has
//! one of these, which are faster and stronger.

use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use aws_lc_rs::digest;
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::rand::SystemRandom;
use zeroize::Zeroizing;

use crate::keys::Curve;
use crate::packet::{KeyMaterial, Mac, Suite};
use crate::wire;

const ML_KEM_PUBLIC: usize = 1184;
const ML_KEM_CIPHERTEXT: usize = 1088;
const X25519_PUBLIC: usize = 32;

/// A method of key exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kex {
    /// `mlkem768x25519-sha256` (draft-ietf-sshm-mlkem-hybrid-kex): holds also against a quantum computer of later.
    MlKem768X25519,
    /// `curve25519-sha256` (RFC 8731).
    Curve25519,
    /// The same under the name that it had before the RFC: `curve25519-sha256@libssh.org`.
    Curve25519LibSsh,
    /// `ecdh-sha2-nistp256`, `…384`, `…521` (RFC 5656).
    Ecdh(Curve),
}

impl Kex {
    /// Every method, the best first.
    pub const ALL: [Self; 6] = [
        Self::MlKem768X25519,
        Self::Curve25519,
        Self::Curve25519LibSsh,
        Self::Ecdh(Curve::P256),
        Self::Ecdh(Curve::P384),
        Self::Ecdh(Curve::P521),
    ];

    /// The name in the key exchange.
    pub fn name(self) -> &'static str {
        match self {
            Self::MlKem768X25519 => "mlkem768x25519-sha256",
            Self::Curve25519 => "curve25519-sha256",
            Self::Curve25519LibSsh => "curve25519-sha256@libssh.org",
            Self::Ecdh(Curve::P256) => "ecdh-sha2-nistp256",
            Self::Ecdh(Curve::P384) => "ecdh-sha2-nistp384",
            Self::Ecdh(Curve::P521) => "ecdh-sha2-nistp521",
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::MlKem768X25519 | Self::Curve25519 | Self::Curve25519LibSsh | Self::Ecdh(Curve::P256) => {
                &digest::SHA256
            }
            Self::Ecdh(Curve::P384) => &digest::SHA384,
            Self::Ecdh(Curve::P521) => &digest::SHA512,
        }
    }

    fn agreement(self) -> &'static agreement::Algorithm {
        match self {
            Self::MlKem768X25519 | Self::Curve25519 | Self::Curve25519LibSsh => &agreement::X25519,
            Self::Ecdh(Curve::P256) => &agreement::ECDH_P256,
            Self::Ecdh(Curve::P384) => &agreement::ECDH_P384,
            Self::Ecdh(Curve::P521) => &agreement::ECDH_P521,
        }
    }

    /// The client's secret, and the share that it sends.
    pub(crate) fn start(self) -> Result<(ClientSecret, Vec<u8>), KexError> {
        let curve = EphemeralPrivateKey::generate(self.agreement(), &SystemRandom::new())?;
        let curve_share = curve.compute_public_key()?;
        let mut share = Vec::new();
        let kem = match self {
            Self::MlKem768X25519 => {
                let kem = DecapsulationKey::generate(&ML_KEM_768)?;
                share.extend_from_slice(kem.encapsulation_key()?.key_bytes()?.as_ref());
                Some(Box::new(kem))
            }
            Self::Curve25519 | Self::Curve25519LibSsh | Self::Ecdh(_) => None,
        };
        share.extend_from_slice(curve_share.as_ref());
        Ok((ClientSecret { kex: self, curve, kem }, share))
    }

    /// The server's answer to the client's share: its own share, and the secret that both have.
    pub(crate) fn answer(self, client: &[u8]) -> Result<(Vec<u8>, SharedSecret), KexError> {
        let curve = EphemeralPrivateKey::generate(self.agreement(), &SystemRandom::new())?;
        let curve_share = curve.compute_public_key()?;
        match self {
            Self::MlKem768X25519 => {
                let (kem_share, curve_client) = client.split_at_checked(ML_KEM_PUBLIC).ok_or(KexError::Peer)?;
                let kem = EncapsulationKey::new(&ML_KEM_768, kem_share).map_err(|_| KexError::Peer)?;
                let (ciphertext, kem_secret) = kem.encapsulate().map_err(|_| KexError::Peer)?;
                let secret = hybrid(kem_secret.as_ref(), &self.agree(curve, curve_client)?);
                Ok(([ciphertext.as_ref(), curve_share.as_ref()].concat(), secret))
            }
            Self::Curve25519 | Self::Curve25519LibSsh | Self::Ecdh(_) => {
                let secret = SharedSecret::number(&self.agree(curve, client)?);
                Ok((curve_share.as_ref().to_vec(), secret))
            }
        }
    }

    fn agree(self, own: EphemeralPrivateKey, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, KexError> {
        let well_formed = match self {
            Self::MlKem768X25519 | Self::Curve25519 | Self::Curve25519LibSsh => peer.len() == X25519_PUBLIC,
            // 4 marks the uncompressed form, the one that is asked for (RFC 5656 section 4).
            Self::Ecdh(curve) => peer.first() == Some(&4) && peer.len() == 1 + 2 * curve.field_bytes(),
        };
        if !well_formed {
            return Err(KexError::Peer);
        }
        // A point beside the curve, or a result that is zero, is refused by the library.
        let peer = UnparsedPublicKey::new(self.agreement(), peer);
        agreement::agree_ephemeral(own, peer, KexError::Peer, |secret| Ok(Zeroizing::new(secret.to_vec())))
    }
}

/// What a client keeps between its share and the server's.
pub(crate) struct ClientSecret {
    kex: Kex,
    curve: EphemeralPrivateKey,
    kem: Option<Box<DecapsulationKey>>,
}

impl ClientSecret {
    /// The secret that both have, from the server's share.
    pub(crate) fn finish(self, server: &[u8]) -> Result<SharedSecret, KexError> {
        let Some(kem) = self.kem else {
            return Ok(SharedSecret::number(&self.kex.agree(self.curve, server)?));
        };
        let (ciphertext, curve_server) = server.split_at_checked(ML_KEM_CIPHERTEXT).ok_or(KexError::Peer)?;
        let kem_secret = kem
            .decapsulate(Ciphertext::from(ciphertext))
            .map_err(|_| KexError::Peer)?;
        Ok(hybrid(kem_secret.as_ref(), &self.kex.agree(self.curve, curve_server)?))
    }
}

fn hybrid(kem: &[u8], curve: &[u8]) -> SharedSecret {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(kem);
    context.update(curve);
    let both = context.finish();
    let mut encoded = Zeroizing::new(Vec::with_capacity(40));
    wire::put_string(&mut *encoded, both.as_ref());
    SharedSecret(encoded)
}

/// `K`, encoded as it goes into the hashes: a `mpint`, or a `string` with the hybrid method.
pub(crate) struct SharedSecret(Zeroizing<Vec<u8>>);

impl SharedSecret {
    fn number(bytes: &[u8]) -> Self {
        let mut encoded = Zeroizing::new(Vec::with_capacity(bytes.len() + 5));
        wire::put_mpint(&mut *encoded, bytes);
        Self(encoded)
    }
}

/// Why a key exchange cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KexError {
    /// The peer's share is no good.
    Peer,
    /// The library failed.
    Library,
}

impl From<aws_lc_rs::error::Unspecified> for KexError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Library
    }
}

/// What both sides said, which the exchange hash is over (RFC 5656 section 4, RFC 8731 section 3).
pub(crate) struct Transcript<'a> {
    pub(crate) client_identification: &'a [u8],
    pub(crate) server_identification: &'a [u8],
    pub(crate) client_init: &'a [u8],
    pub(crate) server_init: &'a [u8],
    pub(crate) host_key: &'a [u8],
    pub(crate) client_share: &'a [u8],
    pub(crate) server_share: &'a [u8],
}

impl Transcript<'_> {
    /// The exchange hash `H`.
    pub(crate) fn hash(&self, kex: Kex, secret: &SharedSecret) -> Vec<u8> {
        let mut context = digest::Context::new(kex.digest());
        for part in [
            self.client_identification,
            self.server_identification,
            self.client_init,
            self.server_init,
            self.host_key,
            self.client_share,
            self.server_share,
        ] {
            context.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            context.update(part);
        }
        context.update(&secret.0);
        context.finish().as_ref().to_vec()
    }
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ClientToServer,
    ServerToClient,
}

/// The keys of one direction (RFC 4253 section 7.2).
pub(crate) fn keys(
    kex: Kex,
    secret: &SharedSecret,
    hash: &[u8],
    session_id: &[u8],
    direction: Direction,
    suite: Suite,
) -> KeyMaterial {
    let [iv, key, mac] = match direction {
        Direction::ClientToServer => *b"ACE",
        Direction::ServerToClient => *b"BDF",
    };
    let derive = |letter: u8, count: usize| {
        // Room for a whole digest more: a vector that grows leaves a copy of the secret behind.
        let mut out = Zeroizing::new(Vec::with_capacity(count + digest::MAX_OUTPUT_LEN));
        while out.len() < count {
            let mut context = digest::Context::new(kex.digest());
            context.update(&secret.0);
            context.update(hash);
            if out.is_empty() {
                context.update(&[letter]);
                context.update(session_id);
            } else {
                context.update(&out);
            }
            out.extend_from_slice(context.finish().as_ref());
        }
        out.truncate(count);
        out
    };
    KeyMaterial {
        iv: derive(iv, suite.cipher.iv_bytes()),
        key: derive(key, suite.cipher.key_bytes()),
        mac: derive(mac, suite.mac.map_or(0, Mac::key_bytes)),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    #[test]
    fn both_sides_come_to_one_secret() {
        for kex in Kex::ALL {
            let (client, share) = kex.start().unwrap();
            let (answer, server) = kex.answer(&share).unwrap();
            assert_eq!(client.finish(&answer).unwrap().0, server.0, "{kex:?}");
        }
    }

    #[test]
    fn shares_that_are_not_points_are_refused() {
        for kex in Kex::ALL {
            let (client, share) = kex.start().unwrap();
            let (answer, _) = kex.answer(&share).unwrap();
            let refused = |share: &[u8]| matches!(kex.answer(share), Err(KexError::Peer));
            assert!(
                refused(&[]) && refused(&share[1..]) && refused(&[&share[..], &[0]].concat()),
                "{kex:?}"
            );
            assert!(refused(&vec![0; share.len()]), "{kex:?}: a secret that everybody knows");
            if let Kex::Ecdh(_) = kex {
                let mut beside = share.clone();
                *beside.last_mut().unwrap() ^= 1;
                assert!(refused(&beside), "{kex:?}");
                let mut compressed = share[..1 + (share.len() - 1) / 2].to_vec();
                compressed[0] = 2 + (share.last().unwrap() & 1);
                assert!(refused(&compressed), "{kex:?}");
            }
            assert!(client.finish(&answer[1..]).is_err(), "{kex:?}");
        }
    }

    #[test]
    fn a_client_refuses_a_secret_that_everybody_knows() {
        for kex in [Kex::Curve25519, Kex::MlKem768X25519] {
            let (client, share) = kex.start().unwrap();
            let (mut answer, _) = kex.answer(&share).unwrap();
            let at = answer.len() - 32;
            answer[at..].fill(0);
            assert!(matches!(client.finish(&answer), Err(KexError::Peer)), "{kex:?}");
        }
    }
}
