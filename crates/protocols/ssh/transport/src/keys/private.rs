use std::fmt;

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::der::Der;
use super::openssh;
use super::public::Material;
use super::rsa::{RsaNumbers, encoding};
use super::{Curve, KeyError, KeyType, PublicKey, SignatureAlgorithm};
use crate::wire::{self, Reader};

/// The most bytes of a private key's file: one of RSA with 8192 bits fits several times.
const FILE_MAX: usize = 64 * 1024;

/// `rsaEncryption` (RFC 8017 appendix A.1).
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// `id-ecPublicKey` (RFC 5480 section 2.1.1).
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// `id-Ed25519` (RFC 8410 section 3).
const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// A private key. It does not print itself, and what it holds is erased from memory when it goes.
pub struct PrivateKey {
    public: PublicKey,
    signer: Signer,
    /// The fields of the key as OpenSSH's format has them, after the name of the type.
    secret: Zeroizing<Vec<u8>>,
    comment: String,
}

enum Signer {
    Ed25519(Ed25519KeyPair),
    Ecdsa(Curve, EcdsaKeyPair),
    Rsa(rsa::KeyPair),
}

impl PrivateKey {
    /// A new Ed25519 key.
    pub fn generate_ed25519() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Library)?;
        Self::from_ed25519(pair)
    }

    /// A new ECDSA key.
    pub fn generate_ecdsa(curve: Curve) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(curve.signing()).map_err(|_| KeyError::Library)?;
        Self::from_ecdsa(curve, pair)
    }

    /// Reads a private key's file: OpenSSH's own format, PKCS#8, PKCS#1 or SEC 1, each in PEM. Only OpenSSH's
    /// format may be encrypted: with AES in counter, GCM or CBC mode.
    ///
    /// A passphrase that is given for a file that needs none is not used.
    pub fn from_pem(text: &str, passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        let (label, bytes) = decode_pem(text)?;
        match label {
            "OPENSSH PRIVATE KEY" => openssh::decode(&bytes, passphrase),
            "PRIVATE KEY" => Self::from_pkcs8(&bytes),
            "RSA PRIVATE KEY" => Self::from_rsa(&RsaNumbers::from_pkcs1(&bytes)?),
            "EC PRIVATE KEY" => Self::from_ec_der(&bytes),
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::Cipher("PKCS#8".to_owned())),
            _ => Err(KeyError::Text("it is not a private key in a format that is read here")),
        }
    }

    /// The key in OpenSSH's own format, not encrypted.
    pub fn to_openssh_pem(&self, comment: &str) -> Result<Zeroizing<String>, KeyError> {
        let bytes = openssh::encode(self, comment)?;
        let base64 = Zeroizing::new(BASE64_STANDARD.encode(&*bytes));
        let mut text = Zeroizing::new(String::with_capacity(base64.len() + base64.len() / 70 + 80));
        text.push_str("-----BEGIN OPENSSH PRIVATE KEY-----\n");
        for (at, character) in base64.char_indices() {
            if at > 0 && at % 70 == 0 {
                text.push('\n');
            }
            text.push(character);
        }
        text.push_str("\n-----END OPENSSH PRIVATE KEY-----\n");
        Ok(text)
    }

    /// The key's public part.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// What its file says beside the key, such as `alice@laptop`.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Signs `message`; the result is a signature's blob: the algorithm's name, then the bytes.
    pub fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        if algorithm.key_type() != self.public.key_type() {
            return Err(KeyError::Algorithm);
        }
        let mut bytes = Vec::new();
        match &self.signer {
            Signer::Ed25519(pair) => {
                bytes.extend_from_slice(pair.try_sign(message).map_err(|_| KeyError::Library)?.as_ref());
            }
            Signer::Ecdsa(curve, pair) => {
                let fixed = pair
                    .sign(&SystemRandom::new(), message)
                    .map_err(|_| KeyError::Library)?;
                let (r, s) = fixed
                    .as_ref()
                    .split_at_checked(curve.field_bytes())
                    .ok_or(KeyError::Library)?;
                wire::put_mpint(&mut bytes, r);
                wire::put_mpint(&mut bytes, s);
            }
            Signer::Rsa(pair) => {
                let encoding = encoding(algorithm).ok_or(KeyError::Algorithm)?;
                bytes.resize(pair.public_modulus_len(), 0);
                pair.sign(encoding, &SystemRandom::new(), message, &mut bytes)
                    .map_err(|_| KeyError::Library)?;
            }
        }
        let mut blob = Vec::new();
        wire::put_string(&mut blob, algorithm.name().as_bytes());
        wire::put_string(&mut blob, &bytes);
        Ok(blob)
    }

    pub(super) fn with_comment(mut self, comment: &str) -> Self {
        comment.clone_into(&mut self.comment);
        self
    }

    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Reads the fields of a key in OpenSSH's format, after the name of its type.
    pub(super) fn read_secret(kind: KeyType, reader: &mut Reader<'_>) -> Result<Self, KeyError> {
        match kind {
            KeyType::Ed25519 => {
                let public = reader.string()?;
                // The seed, then the public key once more.
                let secret = reader.string()?;
                let (seed, again) = secret.split_first_chunk::<32>().ok_or(KeyError::Invalid)?;
                let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(|_| KeyError::Invalid)?;
                if again != public {
                    return Err(KeyError::Invalid);
                }
                Self::from_ed25519(pair)
            }
            KeyType::Ecdsa(curve) => {
                if reader.string()? != curve.name().as_bytes() {
                    return Err(KeyError::Invalid);
                }
                let point = reader.string()?;
                let number = reader.mpint()?;
                let size = curve.field_bytes();
                let mut padded = Zeroizing::new(vec![0; size.checked_sub(number.len()).ok_or(KeyError::Invalid)?]);
                // Exact room first: a vector that grows leaves a copy of the secret behind.
                padded.reserve_exact(number.len());
                padded.extend_from_slice(number);
                let pair = EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), &padded, point)
                    .map_err(|_| KeyError::Invalid)?;
                Self::from_ecdsa(curve, pair)
            }
            // What such a file has is a handle: the key itself does not leave the security key.
            KeyType::SkEd25519 | KeyType::SkEcdsa => Err(KeyError::Unsupported(kind.name().to_owned())),
            KeyType::Rsa => {
                let [modulus, public_exponent, private_exponent, coefficient, p, q] = [
                    reader.mpint()?,
                    reader.mpint()?,
                    reader.mpint()?,
                    reader.mpint()?,
                    reader.mpint()?,
                    reader.mpint()?,
                ];
                Self::from_rsa(&RsaNumbers {
                    modulus,
                    public_exponent,
                    private_exponent,
                    coefficient,
                    p,
                    q,
                })
            }
        }
    }

    fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut info = Der::new(bytes).sequence()?;
        info.integer()?;
        let algorithm = info.sequence()?.oid()?;
        match algorithm {
            OID_RSA => Self::from_rsa(&RsaNumbers::from_pkcs1(info.octets()?)?),
            OID_EC => Self::from_ec_der(bytes),
            OID_ED25519 => {
                let seed = Der::new(info.octets()?).octets()?;
                if seed.len() != 32 {
                    return Err(KeyError::Invalid);
                }
                Self::from_ed25519(Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Invalid)?)
            }
            _ => Err(KeyError::Unsupported("PKCS#8 of another kind".to_owned())),
        }
    }

    /// PKCS#8 or SEC 1.
    fn from_ec_der(bytes: &[u8]) -> Result<Self, KeyError> {
        for curve in Curve::ALL {
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve.signing(), bytes) {
                return Self::from_ecdsa(curve, pair);
            }
        }
        Err(KeyError::Invalid)
    }

    fn from_ed25519(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let public = pair.public_key().as_ref();
        let seed = pair.seed().map_err(|_| KeyError::Library)?;
        let seed = seed.as_be_bytes().map_err(|_| KeyError::Library)?;
        let both = Zeroizing::new([seed.as_ref(), public].concat());
        let mut secret = Zeroizing::new(Vec::with_capacity(128));
        wire::put_string(&mut *secret, public);
        wire::put_string(&mut *secret, &both);
        let public = Material::Ed25519(public.try_into().map_err(|_| KeyError::Library)?);
        Ok(Self::new(
            PublicKey::from_material(public),
            Signer::Ed25519(pair),
            secret,
        ))
    }

    fn from_ecdsa(curve: Curve, pair: EcdsaKeyPair) -> Result<Self, KeyError> {
        let public = Material::ecdsa(curve, pair.public_key().as_ref())?;
        let number = pair.private_key().as_be_bytes().map_err(|_| KeyError::Library)?;
        let mut secret = Zeroizing::new(Vec::with_capacity(512));
        public.put(&mut secret);
        wire::put_mpint(&mut *secret, number.as_ref());
        Ok(Self::new(
            PublicKey::from_material(public),
            Signer::Ecdsa(curve, pair),
            secret,
        ))
    }

    fn from_rsa(numbers: &RsaNumbers<'_>) -> Result<Self, KeyError> {
        let public = Material::rsa(numbers.public_exponent, numbers.modulus)?;
        let pair = rsa::KeyPair::from_der(&numbers.to_pkcs1()?).map_err(|_| KeyError::Invalid)?;
        let parts = [
            numbers.modulus,
            numbers.public_exponent,
            numbers.private_exponent,
            numbers.coefficient,
            numbers.p,
            numbers.q,
        ];
        let room = parts.iter().map(|part| part.len() + 5).sum();
        let mut secret = Zeroizing::new(Vec::with_capacity(room));
        for part in parts {
            wire::put_mpint(&mut *secret, part);
        }
        Ok(Self::new(PublicKey::from_material(public), Signer::Rsa(pair), secret))
    }

    fn new(public: PublicKey, signer: Signer, secret: Zeroizing<Vec<u8>>) -> Self {
        Self {
            public,
            signer,
            secret,
            comment: String::new(),
        }
    }
}

/// The label and the bytes of the first block of PEM (RFC 7468) in `text`.
fn decode_pem(text: &str) -> Result<(&str, Zeroizing<Vec<u8>>), KeyError> {
    const NOT_PEM: KeyError = KeyError::Text("it is not PEM");
    if text.len() > FILE_MAX {
        return Err(KeyError::Text("it is too long"));
    }
    let mut lines = text.lines().map(str::trim);
    let label = lines
        .find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .ok_or(NOT_PEM)?;
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    for line in lines {
        if let Some(end) = line.strip_prefix("-----END ") {
            if end.strip_suffix("-----") != Some(label) {
                return Err(NOT_PEM);
            }
            let bytes = BASE64_STANDARD.decode(base64.as_bytes()).map_err(|_| NOT_PEM)?;
            return Ok((label, Zeroizing::new(bytes)));
        }
        if line.starts_with("Proc-Type:") {
            return Err(KeyError::Cipher("the PEM format of old".to_owned()));
        }
        base64.push_str(line);
    }
    Err(NOT_PEM)
}

/// Says which key it is by its public part, and nothing else.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PrivateKey({} {})",
            self.public.key_type().name(),
            self.public.fingerprint()
        )
    }
}
