//! Signed documents ([RFC 5652](https://www.rfc-editor.org/rfc/rfc5652), PKCS #7) with one signer, RSA and SHA-256: what clouds
//! give to their machines.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::ber::{Element, INTEGER, Malformed, OCTETS, OID, Reader, SEQUENCE, SET};
use crate::secret::sha256;

/// The longest document, in bytes.
const MAX_BYTES: usize = 64 << 10;
/// The most certificates in one.
const MAX_CERTIFICATES: usize = 8;
/// The most attributes that are signed.
const MAX_ATTRIBUTES: usize = 16;

/// 1.2.840.113549.1.7.2
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 2.16.840.1.101.3.4.2.1
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.113549.1.1.11
const RSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
/// 1.2.840.113549.1.9.3
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
/// 1.2.840.113549.1.9.4
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];

/// `[0]` and `[1]` of what is constructed.
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0xa1;

/// A document whose digest fits. Who signed it is to be seen.
#[derive(Debug)]
pub(super) struct Signed {
    content: Vec<u8>,
    certificates: Vec<Vec<u8>>,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// Takes a document apart.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_BYTES {
            return Err(Malformed);
        }
        let mut reader = Reader(bytes);
        let mut outer = reader.expect(SEQUENCE)?.inside();
        reader.finish()?;
        if outer.expect(OID)?.content != SIGNED_DATA {
            return Err(Malformed);
        }
        let mut explicit = outer.expect(CONTEXT_0)?.inside();
        outer.finish()?;
        let mut data = explicit.expect(SEQUENCE)?.inside();
        explicit.finish()?;
        data.expect(INTEGER)?;
        data.expect(SET)?;
        let content = content(data.expect(SEQUENCE)?)?;
        let certificates = match data.optional(CONTEXT_0)? {
            Some(several) => certificates(several)?,
            None => Vec::new(),
        };
        data.optional(CONTEXT_1)?;
        let mut signers = data.expect(SET)?.inside();
        data.finish()?;
        let signer = signers.expect(SEQUENCE)?;
        signers.finish()?;
        Self::signed_by(signer, content, certificates)
    }

    fn signed_by(signer: Element<'_>, content: Vec<u8>, certificates: Vec<Vec<u8>>) -> Result<Self, Malformed> {
        let mut signer = signer.inside();
        signer.expect(INTEGER)?;
        let mut id = signer.expect(SEQUENCE)?.inside();
        let (issuer, serial) = (id.expect(SEQUENCE)?, id.expect(INTEGER)?);
        id.finish()?;
        let digest = algorithm(signer.expect(SEQUENCE)?)?;
        let attributes = signer.optional(CONTEXT_0)?;
        let signed_with = algorithm(signer.expect(SEQUENCE)?)?;
        let signature = signer.expect(OCTETS)?;
        signer.optional(CONTEXT_1)?;
        signer.finish()?;
        // Some name the signature's algorithm where the digest's belongs; both say SHA-256.
        if ![SHA256, RSA_WITH_SHA256].contains(&digest) || ![RSA, RSA_WITH_SHA256].contains(&signed_with) {
            return Err(Malformed);
        }
        let message = match attributes {
            Some(attributes) => signed_attributes(attributes, &content)?,
            None => content.clone(),
        };
        Ok(Self {
            content,
            certificates,
            issuer: issuer.whole.to_vec(),
            serial: serial.content.to_vec(),
            message,
            signature: signature.content.to_vec(),
        })
    }

    /// The certificates that came with it. Nobody has verified them.
    pub(super) fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// What was signed, if it was signed with the key of this certificate, and says so.
    pub(super) fn by(&self, certificate: &[u8]) -> Option<&[u8]> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let key = parsed.public_key();
        let named = parsed.issuer().as_raw() == self.issuer && parsed.raw_serial() == self.serial;
        if !named || key.algorithm.algorithm != OID_PKCS1_RSAENCRYPTION {
            return None;
        }
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key.subject_public_key.data)
            .verify(&self.message, &self.signature)
            .ok()?;
        Some(&self.content)
    }

    /// Whether this certificate is the one that the signer is named by.
    pub(super) fn names(&self, certificate: &[u8]) -> bool {
        X509Certificate::from_der(certificate)
            .is_ok_and(|(_, parsed)| parsed.issuer().as_raw() == self.issuer && parsed.raw_serial() == self.serial)
    }
}

fn content(element: Element<'_>) -> Result<Vec<u8>, Malformed> {
    let mut inside = element.inside();
    if inside.expect(OID)?.content != DATA {
        return Err(Malformed);
    }
    let mut explicit = inside.expect(CONTEXT_0)?.inside();
    inside.finish()?;
    let content = explicit.next()?.octets()?;
    explicit.finish()?;
    Ok(content)
}

fn certificates(element: Element<'_>) -> Result<Vec<Vec<u8>>, Malformed> {
    let (mut inside, mut found) = (element.inside(), Vec::new());
    while !inside.is_empty() {
        if found.len() == MAX_CERTIFICATES {
            return Err(Malformed);
        }
        found.push(inside.expect(SEQUENCE)?.whole.to_vec());
    }
    Ok(found)
}

/// The OID of an algorithm, whose parameters are NULL or left out.
fn algorithm(element: Element<'_>) -> Result<&[u8], Malformed> {
    let mut inside = element.inside();
    let oid = inside.expect(OID)?;
    match inside.optional(0x05)? {
        Some(null) if !null.content.is_empty() => return Err(Malformed),
        Some(_) | None => inside.finish()?,
    }
    Ok(oid.content)
}

/// Checks that the attributes are about this content, and gives what is signed then: the attributes as a SET
/// (RFC 5652, section 5.4).
fn signed_attributes(attributes: Element<'_>, content: &[u8]) -> Result<Vec<u8>, Malformed> {
    let (mut types, mut digests) = (Vec::new(), Vec::new());
    let mut inside = attributes.inside();
    for _ in 0..MAX_ATTRIBUTES {
        if inside.is_empty() {
            break;
        }
        let mut attribute = inside.expect(SEQUENCE)?.inside();
        let oid = attribute.expect(OID)?.content;
        let mut values = attribute.expect(SET)?.inside();
        attribute.finish()?;
        let found = match oid {
            CONTENT_TYPE => &mut types,
            MESSAGE_DIGEST => &mut digests,
            _ => continue,
        };
        found.push(values.next()?);
        values.finish()?;
    }
    inside.finish()?;
    let ([content_type], [digest]) = (types.as_slice(), digests.as_slice()) else {
        return Err(Malformed);
    };
    let about_this = (content_type.tag, content_type.content) == (OID, DATA)
        && (digest.tag, digest.content) == (OCTETS, sha256(content).as_slice());
    if !about_this || !attributes.definite {
        return Err(Malformed);
    }
    let mut message = attributes.whole.to_vec();
    match message.first_mut() {
        Some(tag) => *tag = SET,
        None => return Err(Malformed),
    }
    Ok(message)
}
