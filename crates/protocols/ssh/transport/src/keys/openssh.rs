//! OpenSSH's own format of private keys (PROTOCOL.key).

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::{KeyError, KeyType, PrivateKey, PublicKey};
use crate::wire::{self, Reader};

const MAGIC: &[u8] = b"openssh-key-v1\0";
/// The most rounds of key derivation that a file may ask for. OpenSSH writes 16 to 24 unless told otherwise; the
/// time they take grows with them, and the number comes from the file.
const ROUNDS_MAX: u32 = 2048;

/// The bytes of a private key's file, out of their PEM.
pub(super) fn decode(bytes: &[u8], passphrase: Option<&[u8]>) -> Result<PrivateKey, KeyError> {
    let mut reader = Reader::new(bytes);
    if reader.bytes(MAGIC.len())? != MAGIC {
        return Err(KeyError::Text("it is not OpenSSH's format"));
    }
    let cipher = FileCipher::from_name(reader.utf8()?)?;
    let derivation = reader.string()?;
    let options = reader.string()?;
    if reader.u32()? != 1 {
        return Err(KeyError::Text("it does not hold exactly one key"));
    }
    let public = PublicKey::from_blob(reader.string()?)?;
    let mut secret = Zeroizing::new(reader.string()?.to_vec());
    let tag = reader.rest();
    if let Some(cipher) = cipher {
        let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
        cipher.decrypt(derivation, options, passphrase, &mut secret, tag)?;
    } else if derivation != b"none" || !options.is_empty() || !tag.is_empty() {
        return Err(KeyError::Invalid);
    }
    let key = read_secret(&secret, cipher.is_some())?;
    if *key.public_key() == public {
        Ok(key)
    } else {
        Err(KeyError::Invalid)
    }
}

/// The bytes of a private key's file that is not encrypted.
pub(super) fn encode(key: &PrivateKey, comment: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut check = [0; 4];
    rand::fill(&mut check).map_err(|_| KeyError::Library)?;
    let room = key.secret().len() + comment.len() + key.public_key().blob().len() + 256;
    let mut secret = Zeroizing::new(Vec::with_capacity(room));
    secret.extend_from_slice(&check);
    secret.extend_from_slice(&check);
    wire::put_string(&mut *secret, key.public_key().key_type().name().as_bytes());
    secret.extend_from_slice(key.secret());
    wire::put_string(&mut *secret, comment.as_bytes());
    for pad in 1..=8u8 {
        if secret.len().is_multiple_of(8) {
            break;
        }
        secret.push(pad);
    }
    let mut out = Zeroizing::new(Vec::with_capacity(room + secret.len()));
    out.extend_from_slice(MAGIC);
    wire::put_string(&mut *out, b"none");
    wire::put_string(&mut *out, b"none");
    wire::put_string(&mut *out, b"");
    wire::put_u32(&mut *out, 1);
    wire::put_string(&mut *out, key.public_key().blob());
    wire::put_string(&mut *out, &secret);
    Ok(out)
}

/// The part of the file that may be encrypted. Two numbers that are equal show that the passphrase was right.
fn read_secret(secret: &[u8], encrypted: bool) -> Result<PrivateKey, KeyError> {
    let mut reader = Reader::new(secret);
    if reader.u32()? != reader.u32()? {
        return Err(if encrypted {
            KeyError::WrongPassphrase
        } else {
            KeyError::Invalid
        });
    }
    let name = reader.utf8()?;
    let kind = KeyType::from_name(name).ok_or_else(|| KeyError::Unsupported(name.chars().take(64).collect()))?;
    let key = PrivateKey::read_secret(kind, &mut reader)?;
    let comment = reader.utf8()?;
    let padding = reader.rest();
    if padding.len() >= 16 || padding.iter().zip(1u8..).any(|(found, pad)| *found != pad) {
        return Err(KeyError::Invalid);
    }
    Ok(key.with_comment(comment))
}

/// What a private key's file is encrypted with.
#[derive(Clone, Copy)]
enum FileCipher {
    Ctr(&'static cipher::Algorithm, usize),
    Cbc(&'static cipher::Algorithm, usize),
    Gcm(&'static aead::Algorithm),
}

impl FileCipher {
    fn from_name(name: &str) -> Result<Option<Self>, KeyError> {
        match name {
            "none" => Ok(None),
            "aes256-ctr" => Ok(Some(Self::Ctr(&cipher::AES_256, 32))),
            "aes192-ctr" => Ok(Some(Self::Ctr(&cipher::AES_192, 24))),
            "aes128-ctr" => Ok(Some(Self::Ctr(&cipher::AES_128, 16))),
            "aes256-cbc" => Ok(Some(Self::Cbc(&cipher::AES_256, 32))),
            "aes192-cbc" => Ok(Some(Self::Cbc(&cipher::AES_192, 24))),
            "aes128-cbc" => Ok(Some(Self::Cbc(&cipher::AES_128, 16))),
            "aes256-gcm@openssh.com" => Ok(Some(Self::Gcm(&aead::AES_256_GCM))),
            "aes128-gcm@openssh.com" => Ok(Some(Self::Gcm(&aead::AES_128_GCM))),
            _ => Err(KeyError::Cipher(name.chars().take(64).collect())),
        }
    }

    fn decrypt(
        self,
        derivation: &[u8],
        options: &[u8],
        passphrase: &[u8],
        secret: &mut Vec<u8>,
        tag: &[u8],
    ) -> Result<(), KeyError> {
        let (key_bytes, iv_bytes) = match self {
            Self::Ctr(_, key_bytes) | Self::Cbc(_, key_bytes) => (key_bytes, 16),
            Self::Gcm(algorithm) => (algorithm.key_len(), 12),
        };
        let derived = derive(derivation, options, passphrase, key_bytes + iv_bytes)?;
        let (key, iv) = derived.split_at_checked(key_bytes).ok_or(KeyError::Library)?;
        match self {
            Self::Ctr(algorithm, _) => {
                let key = UnboundCipherKey::new(algorithm, key).and_then(DecryptingKey::ctr);
                decrypt_blocks(&key.map_err(|_| KeyError::Library)?, iv, secret, tag)
            }
            Self::Cbc(algorithm, _) => {
                let key = UnboundCipherKey::new(algorithm, key).and_then(DecryptingKey::cbc);
                decrypt_blocks(&key.map_err(|_| KeyError::Library)?, iv, secret, tag)
            }
            Self::Gcm(algorithm) => {
                let key = LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(|_| KeyError::Library)?);
                let nonce = Nonce::try_assume_unique_for_key(iv).map_err(|_| KeyError::Library)?;
                secret.extend_from_slice(tag);
                let length = key
                    .open_in_place(nonce, Aad::empty(), secret)
                    .map_err(|_| KeyError::WrongPassphrase)?
                    .len();
                secret.truncate(length);
                Ok(())
            }
        }
    }
}

fn decrypt_blocks(key: &DecryptingKey, iv: &[u8], secret: &mut [u8], tag: &[u8]) -> Result<(), KeyError> {
    let iv: &[u8; 16] = iv.try_into().map_err(|_| KeyError::Library)?;
    if !tag.is_empty() || !secret.len().is_multiple_of(16) {
        return Err(KeyError::Invalid);
    }
    key.decrypt(secret, DecryptionContext::Iv128(iv.into()))
        .map_err(|_| KeyError::Library)?;
    Ok(())
}

/// Key and initial vector from the passphrase.
fn derive(derivation: &[u8], options: &[u8], passphrase: &[u8], size: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if derivation != b"bcrypt" {
        return Err(KeyError::Cipher(
            String::from_utf8_lossy(derivation).chars().take(64).collect(),
        ));
    }
    let mut options = Reader::new(options);
    let salt = options.string()?;
    let rounds = options.u32()?;
    options.finish()?;
    if rounds > ROUNDS_MAX {
        return Err(KeyError::Text("it asks for too many rounds of key derivation"));
    }
    let mut derived = Zeroizing::new(vec![0; size]);
    bcrypt_pbkdf::bcrypt_pbkdf(passphrase, salt, rounds, &mut derived).map_err(|_| KeyError::WrongPassphrase)?;
    Ok(derived)
}
