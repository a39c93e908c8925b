use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::public::{Material, split_line};
use super::{KeyError, KeyType, PublicKey, SignatureAlgorithm};
use crate::wire::Reader;

/// The most bytes of a certificate.
const CERTIFICATE_MAX: usize = 64 * 1024;
/// The most names that a certificate is for; OpenSSH has the same bound.
pub(super) const PRINCIPALS_MAX: usize = 256;
/// The most critical options, and the most extensions.
pub(super) const OPTIONS_MAX: usize = 64;

/// Whom a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateKind {
    /// A person or program that logs in.
    User,
    /// A host.
    Host,
}

impl CertificateKind {
    pub(super) fn number(self) -> u32 {
        match self {
            Self::User => 1,
            Self::Host => 2,
        }
    }
}

/// An OpenSSH certificate (PROTOCOL.certkeys), read but **not trusted**: [`check`](Certificate::check) is what
/// makes it worth something.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    pub(super) blob: Vec<u8>,
    /// How much of the blob is signed: all but the signature.
    pub(super) signed: usize,
    pub(super) key: PublicKey,
    pub(super) serial: u64,
    pub(super) kind: CertificateKind,
    pub(super) key_id: String,
    pub(super) principals: Vec<String>,
    pub(super) valid_after: u64,
    pub(super) valid_before: u64,
    /// Name and data, in the order of the certificate.
    pub(super) critical_options: Vec<(String, Vec<u8>)>,
    pub(super) extensions: Vec<(String, Vec<u8>)>,
    pub(super) authority: PublicKey,
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) signature: Vec<u8>,
}

impl Certificate {
    /// A certificate from its blob: the `string` that the protocol carries.
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        if blob.len() > CERTIFICATE_MAX {
            return Err(KeyError::Text("it is too long"));
        }
        let mut reader = Reader::new(blob);
        let name = reader.utf8()?;
        let kind = KeyType::from_certificate_name(name)
            .ok_or_else(|| KeyError::Unsupported(name.chars().take(64).collect()))?;
        let _nonce = reader.string()?;
        let key = PublicKey::from_material(Material::read(kind, &mut reader)?);
        let serial = reader.u64()?;
        let kind = match reader.u32()? {
            1 => CertificateKind::User,
            2 => CertificateKind::Host,
            _ => return Err(KeyError::Text("it is for neither a user nor a host")),
        };
        let key_id = text(&mut reader)?;
        let principals = read_principals(reader.string()?)?;
        let [valid_after, valid_before] = [reader.u64()?, reader.u64()?];
        let critical_options = read_options(reader.string()?)?;
        let extensions = read_options(reader.string()?)?;
        let _reserved = reader.string()?;
        let authority = PublicKey::from_blob(reader.string()?)?;
        let signed = blob.len() - reader.remaining();
        let signature = reader.string()?.to_vec();
        reader.finish()?;
        let algorithm = SignatureAlgorithm::from_name(Reader::new(&signature).utf8()?).ok_or(KeyError::Algorithm)?;
        Ok(Self {
            blob: blob.to_vec(),
            signed,
            key,
            serial,
            kind,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical_options,
            extensions,
            authority,
            algorithm,
            signature,
        })
    }

    /// The certificate's blob.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The key that it is about; whoever shows the certificate must prove to hold it.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The authority's number for it.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Whether it is for a user or a host.
    pub fn kind(&self) -> CertificateKind {
        self.kind
    }

    /// The authority's words for whom or what it is; they are for logs. No control characters are in it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The names that it is for.
    pub fn principals(&self) -> &[String] {
        &self.principals
    }

    /// From when on it is valid, in seconds since 1970.
    pub fn valid_after(&self) -> u64 {
        self.valid_after
    }

    /// From when on it is no longer valid, in seconds since 1970; `u64::MAX` is never.
    pub fn valid_before(&self) -> u64 {
        self.valid_before
    }

    /// The data of an extension, such as `permit-pty`, if the certificate has it.
    pub fn extension(&self, name: &str) -> Option<&[u8]> {
        self.extensions
            .iter()
            .find(|(listed, _)| listed == name)
            .map(|(_, data)| data.as_slice())
    }

    /// The names of all extensions.
    pub fn extensions(&self) -> impl Iterator<Item = &str> {
        self.extensions.iter().map(|(name, _)| name.as_str())
    }

    /// The key that signed it, as it says itself.
    pub fn authority(&self) -> &PublicKey {
        &self.authority
    }
}

/// A text without control characters, so that it can stand in a log or on a terminal.
fn text(reader: &mut Reader<'_>) -> Result<String, KeyError> {
    let text = reader.utf8()?;
    if text.chars().any(char::is_control) {
        return Err(KeyError::Text("a text in it has control characters"));
    }
    Ok(text.to_owned())
}

fn read_principals(bytes: &[u8]) -> Result<Vec<String>, KeyError> {
    let mut reader = Reader::new(bytes);
    let mut principals = Vec::new();
    while !reader.is_empty() {
        if principals.len() == PRINCIPALS_MAX {
            return Err(KeyError::Text("it is for too many names"));
        }
        principals.push(text(&mut reader)?);
    }
    Ok(principals)
}

/// Options come in the order of their names, each once: a second one of the same name could be read two ways.
fn read_options(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, KeyError> {
    let mut reader = Reader::new(bytes);
    let mut options: Vec<(String, Vec<u8>)> = Vec::new();
    while !reader.is_empty() {
        if options.len() == OPTIONS_MAX {
            return Err(KeyError::Text("it has too many options"));
        }
        let name = text(&mut reader)?;
        if options.iter().any(|(listed, _)| *listed == name) {
            return Err(KeyError::Text("it has an option twice"));
        }
        options.push((name, reader.string()?.to_vec()));
    }
    Ok(options)
}

/// A line of a `-cert.pub` file: the type, the blob in base64, and a comment that is not kept.
impl FromStr for Certificate {
    type Err = KeyError;

    fn from_str(line: &str) -> Result<Self, KeyError> {
        let (name, blob) = split_line(line)?;
        let certificate = Self::from_blob(&blob)?;
        if certificate.key.key_type().certificate_name() == name {
            Ok(certificate)
        } else {
            Err(KeyError::Text("its two types differ"))
        }
    }
}

/// The certificate's line, without a comment.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            self.key.key_type().certificate_name(),
            BASE64_STANDARD.encode(&self.blob)
        )
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("serial", &self.serial)
            .field("key_id", &self.key_id)
            .field("principals", &self.principals)
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}
