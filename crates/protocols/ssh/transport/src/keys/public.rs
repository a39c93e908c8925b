use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};

use super::{Curve, KeyError, KeyType, SignatureAlgorithm};
use crate::wire::{self, Reader};

/// The most bytes of a public key's blob: one of RSA with 8192 bits fits with room.
const BLOB_MAX: usize = 4096;
/// The most bytes of an RSA public exponent; all in use have three.
const RSA_EXPONENT_MAX: usize = 4;

/// A public key that was understood and checked: a point is on its curve, a modulus has an accepted size.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    material: Material,
    blob: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Material {
    Ed25519([u8; 32]),
    /// The point in its uncompressed form (SEC 1 section 2.3.3).
    Ecdsa(Curve, Vec<u8>),
    /// Big-endian, without zeros in front.
    Rsa {
        exponent: Vec<u8>,
        modulus: Vec<u8>,
    },
    /// A key on a security key, and the application that it is for, such as `ssh:`.
    SkEd25519 {
        point: [u8; 32],
        application: Vec<u8>,
    },
    SkEcdsa {
        point: Vec<u8>,
        application: Vec<u8>,
    },
}

impl PublicKey {
    /// A key from its blob: the `string` that the protocol, a key's file and a certificate carry.
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        if blob.len() > BLOB_MAX {
            return Err(KeyError::Text("it is too long"));
        }
        let mut reader = Reader::new(blob);
        let name = reader.utf8()?;
        let kind = KeyType::from_name(name).ok_or_else(|| {
            if KeyType::from_certificate_name(name).is_some() {
                KeyError::IsCertificate
            } else {
                KeyError::Unsupported(name.chars().take(64).collect())
            }
        })?;
        let material = Material::read(kind, &mut reader)?;
        reader.finish()?;
        Ok(Self {
            material,
            blob: blob.to_vec(),
        })
    }

    pub(super) fn from_material(material: Material) -> Self {
        let mut blob = Vec::new();
        wire::put_string(&mut blob, material.key_type().name().as_bytes());
        material.put(&mut blob);
        Self { material, blob }
    }

    /// The key's blob.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The kind of key.
    pub fn key_type(&self) -> KeyType {
        self.material.key_type()
    }

    pub(super) fn material(&self) -> &Material {
        &self.material
    }

    /// `SHA256:` and the digest of the blob in base64 without padding, as OpenSSH prints it.
    pub fn fingerprint(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.blob);
        format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(digest))
    }

    /// Whether `signature` (a blob: the algorithm's name, then the bytes) is by this key over `message`, and was
    /// made as `algorithm` says: a peer does not get to choose another one than was agreed on.
    pub fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let mut reader = Reader::new(signature);
        if reader.string()? != algorithm.name().as_bytes() || algorithm.key_type() != self.key_type() {
            return Err(KeyError::Algorithm);
        }
        let bytes = reader.string()?;
        match &self.material {
            Material::Ed25519(point) => {
                reader.finish()?;
                verify_ed25519(point, message, bytes)
            }
            Material::Ecdsa(curve, point) => {
                reader.finish()?;
                verify_ecdsa(*curve, point, message, bytes)
            }
            Material::Rsa { exponent, modulus } => {
                reader.finish()?;
                let parameters = rsa_parameters(algorithm).ok_or(KeyError::Algorithm)?;
                RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                }
                .verify(parameters, message, &padded(bytes, modulus.len())?)
                .map_err(|_| KeyError::Signature)
            }
            Material::SkEd25519 { point, application } => {
                verify_ed25519(point, &touched(application, message, reader)?, bytes)
            }
            Material::SkEcdsa { point, application } => {
                verify_ecdsa(Curve::P256, point, &touched(application, message, reader)?, bytes)
            }
        }
    }
}

fn verify_ed25519(point: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
    UnparsedPublicKey::new(&ED25519, point)
        .verify(message, signature)
        .map_err(|_| KeyError::Signature)
}

fn verify_ecdsa(curve: Curve, point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
    UnparsedPublicKey::new(curve.verification(), point)
        .verify(message, &ecdsa_fixed(curve, signature)?)
        .map_err(|_| KeyError::Signature)
}

/// What a security key signs in place of the message (OpenSSH's PROTOCOL.u2f): digests, with what it says of itself,
/// which ends the signature. It must say that it was touched.
fn touched(application: &[u8], message: &[u8], mut ending: Reader<'_>) -> Result<Vec<u8>, KeyError> {
    const TOUCHED: u8 = 1;
    let flags = ending.u8()?;
    let counter = ending.u32()?;
    ending.finish()?;
    if flags & TOUCHED == 0 {
        return Err(KeyError::NotTouched);
    }
    let mut signed = digest::digest(&digest::SHA256, application).as_ref().to_vec();
    wire::put_u8(&mut signed, flags);
    wire::put_u32(&mut signed, counter);
    signed.extend_from_slice(digest::digest(&digest::SHA256, message).as_ref());
    Ok(signed)
}

impl Material {
    /// The fields that follow the name of the type, in a blob and in a certificate.
    pub(super) fn read(kind: KeyType, reader: &mut Reader<'_>) -> Result<Self, KeyError> {
        match kind {
            KeyType::Ed25519 => Ok(Self::Ed25519(
                reader.string()?.try_into().map_err(|_| KeyError::Invalid)?,
            )),
            KeyType::Ecdsa(curve) => Self::ecdsa(curve, read_point(curve, reader)?),
            KeyType::SkEd25519 => {
                let point = reader.string()?.try_into().map_err(|_| KeyError::Invalid)?;
                Ok(Self::SkEd25519 {
                    point,
                    application: reader.string()?.to_vec(),
                })
            }
            KeyType::SkEcdsa => {
                let point = read_point(Curve::P256, reader)?;
                check_point(Curve::P256, point)?;
                Ok(Self::SkEcdsa {
                    point: point.to_vec(),
                    application: reader.string()?.to_vec(),
                })
            }
            KeyType::Rsa => {
                let exponent = reader.mpint()?;
                Self::rsa(exponent, reader.mpint()?)
            }
        }
    }

    pub(super) fn ecdsa(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        check_point(curve, point)?;
        Ok(Self::Ecdsa(curve, point.to_vec()))
    }

    /// From numbers without zeros in front.
    pub(super) fn rsa(exponent: &[u8], modulus: &[u8]) -> Result<Self, KeyError> {
        let bits = modulus
            .first()
            .map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
        if !(2048..=8192).contains(&bits) {
            return Err(KeyError::RsaBits(bits));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
        if exponent.len() > RSA_EXPONENT_MAX || exponent == [1] || !odd(exponent) || !odd(modulus) {
            return Err(KeyError::Invalid);
        }
        Ok(Self::Rsa {
            exponent: exponent.to_vec(),
            modulus: modulus.to_vec(),
        })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ed25519(point) => wire::put_string(out, point),
            Self::Ecdsa(curve, point) => {
                wire::put_string(out, curve.name().as_bytes());
                wire::put_string(out, point);
            }
            Self::Rsa { exponent, modulus } => {
                wire::put_mpint(out, exponent);
                wire::put_mpint(out, modulus);
            }
            Self::SkEd25519 { point, application } => {
                wire::put_string(out, point);
                wire::put_string(out, application);
            }
            Self::SkEcdsa { point, application } => {
                wire::put_string(out, Curve::P256.name().as_bytes());
                wire::put_string(out, point);
                wire::put_string(out, application);
            }
        }
    }

    fn key_type(&self) -> KeyType {
        match self {
            Self::Ed25519(_) => KeyType::Ed25519,
            Self::Ecdsa(curve, _) => KeyType::Ecdsa(*curve),
            Self::Rsa { .. } => KeyType::Rsa,
            Self::SkEd25519 { .. } => KeyType::SkEd25519,
            Self::SkEcdsa { .. } => KeyType::SkEcdsa,
        }
    }
}

/// A curve's name, which must be the one that is meant, and a point.
fn read_point<'a>(curve: Curve, reader: &mut Reader<'a>) -> Result<&'a [u8], KeyError> {
    if reader.string()? != curve.name().as_bytes() {
        return Err(KeyError::Invalid);
    }
    Ok(reader.string()?)
}

fn check_point(curve: Curve, point: &[u8]) -> Result<(), KeyError> {
    // 4 marks the uncompressed form, the only one in use; the library would take others too.
    if point.first() != Some(&4) || ParsedPublicKey::new(curve.verification(), point).is_err() {
        return Err(KeyError::Invalid);
    }
    Ok(())
}

fn rsa_parameters(algorithm: SignatureAlgorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        SignatureAlgorithm::RsaSha256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        SignatureAlgorithm::RsaSha512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        SignatureAlgorithm::Ed25519
        | SignatureAlgorithm::Ecdsa(_)
        | SignatureAlgorithm::SkEd25519
        | SignatureAlgorithm::SkEcdsa => None,
    }
}

/// The two numbers of a signature (RFC 5656 section 3.1.2) side by side, each as long as the curve's field.
fn ecdsa_fixed(curve: Curve, bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut reader = Reader::new(bytes);
    let size = curve.field_bytes();
    let mut fixed = padded(reader.mpint()?, size)?;
    fixed.extend(padded(reader.mpint()?, size)?);
    reader.finish()?;
    Ok(fixed)
}

/// `number` with zeros in front up to `size`.
fn padded(number: &[u8], size: usize) -> Result<Vec<u8>, KeyError> {
    let zeros = size.checked_sub(number.len()).ok_or(KeyError::Signature)?;
    let mut bytes = vec![0; zeros];
    bytes.extend_from_slice(number);
    Ok(bytes)
}

/// A line of `authorized_keys` without options, of a `.pub` file, or of `known_hosts` from the type on: the type,
/// the blob in base64, and a comment that is not kept.
impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(line: &str) -> Result<Self, KeyError> {
        let (name, blob) = split_line(line)?;
        let key = Self::from_blob(&blob)?;
        if key.key_type().name() == name {
            Ok(key)
        } else {
            Err(KeyError::Text("its two types differ"))
        }
    }
}

/// The first word of a key's or certificate's line, and the bytes of the second.
pub(super) fn split_line(line: &str) -> Result<(&str, Vec<u8>), KeyError> {
    let mut words = line.split_ascii_whitespace();
    let (Some(name), Some(blob)) = (words.next(), words.next()) else {
        return Err(KeyError::Text("it is not a type and base64"));
    };
    let blob = BASE64_STANDARD
        .decode(blob)
        .map_err(|_| KeyError::Text("it is not a type and base64"))?;
    Ok((name, blob))
}

/// The key's line, without a comment.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key_type().name(), BASE64_STANDARD.encode(&self.blob))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.key_type().name(), self.fingerprint())
    }
}
