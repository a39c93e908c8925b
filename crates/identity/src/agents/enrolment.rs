//! What an agent keeps: its key, its certificate, and the authority that it trusts.

use std::fmt::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use time::OffsetDateTime;
use uuid::Uuid;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::SERVER_NAME;
use super::errors::EnrolmentError;
use super::messages::{Bytes, JoinReply};
use super::names;
use super::pin::Pin;
use crate::files::write_private;
use crate::secret::sha256;

/// The file in an agent's directory that holds everything, so that it changes as a whole.
const FILE: &str = "enrolment.json";
const VERSION: u32 = 1;

/// A key that an agent just made, with the request for its certificate.
#[derive(Debug)]
pub struct NewKey {
    key: KeyPair,
    csr: Vec<u8>,
}

impl NewKey {
    /// Makes one: ECDSA P-256.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn generate() -> Result<Self, EnrolmentError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key)?.der().to_vec();
        Ok(Self { key, csr })
    }

    /// The request for a certificate.
    #[must_use]
    pub fn csr(&self) -> Bytes {
        Bytes(self.csr.clone())
    }

    /// SHA-256 of the key, to which proofs are bound.
    pub(super) fn digest(&self) -> [u8; 32] {
        sha256(&self.key.subject_public_key_info())
    }
}

/// What an agent got by joining.
#[derive(Clone, Debug)]
pub struct Enrolment {
    path: PathBuf,
    gateway: String,
    name: SmolStr,
    instance: Uuid,
    issued: OffsetDateTime,
    expires: OffsetDateTime,
    root: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// Its form on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    gateway: String,
    name: SmolStr,
    instance: Uuid,
    /// PEM, all three.
    root: String,
    certificate: String,
    key: String,
}

impl Enrolment {
    /// What is kept in `dir`; `None` when there is nothing yet.
    ///
    /// # Errors
    /// When it cannot be read, makes no sense, or others may read it.
    pub fn open(dir: &Path) -> Result<Option<Self>, EnrolmentError> {
        let path = dir.join(FILE);
        let wrong = |why: String| EnrolmentError::File {
            path: path.clone(),
            why,
        };
        if !path.try_exists().map_err(|e| wrong(e.to_string()))? {
            return Ok(None);
        }
        let mode = std::fs::metadata(&path)
            .map_err(|e| wrong(e.to_string()))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(wrong(format!("its mode is {:o}: others may read it", mode & 0o777)));
        }
        let text = std::fs::read_to_string(&path).map_err(|e| wrong(e.to_string()))?;
        let document: Document = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if document.version != VERSION {
            return Err(wrong("it was written by another version".to_owned()));
        }
        let pem = |e: rustls_pki_types::pem::Error| wrong(e.to_string());
        let certificate = CertificateDer::from_pem_slice(document.certificate.as_bytes()).map_err(pem)?;
        let (issued, expires) =
            validity(&certificate).ok_or_else(|| wrong("its certificate cannot be read".to_owned()))?;
        Ok(Some(Self {
            gateway: document.gateway,
            name: document.name,
            instance: document.instance,
            issued,
            expires,
            root: CertificateDer::from_pem_slice(document.root.as_bytes()).map_err(pem)?,
            certificate,
            key: Arc::new(PrivateKeyDer::from_pem_slice(document.key.as_bytes()).map_err(pem)?),
            path,
        }))
    }

    /// Keeps what the gateway at `gateway` answered to a join with `key`, in `dir`, which is made with mode 0700. What
    /// was there is replaced.
    ///
    /// # Errors
    /// When the answer is not what a gateway with this pin would give, or it cannot be written.
    pub fn join(dir: &Path, gateway: &str, pin: Pin, key: &NewKey, reply: &JoinReply) -> Result<Self, EnrolmentError> {
        let root = CertificateDer::from(reply.root.0.clone());
        if Pin::of(&root) != pin {
            return Err(EnrolmentError::Reply("its root is not the one that was expected"));
        }
        let mut folder = std::fs::DirBuilder::new();
        let made = folder.recursive(true).mode(0o700).create(dir);
        made.map_err(|e| EnrolmentError::File {
            path: dir.to_owned(),
            why: e.to_string(),
        })?;
        Self::keep(dir.join(FILE), gateway.to_owned(), root, key, reply)
    }

    /// Keeps what the gateway answered to a renewal with `key`.
    ///
    /// # Errors
    /// When the answer is for another agent or of another authority, or it cannot be written: then the old one stays.
    pub fn renew(&self, key: &NewKey, reply: &JoinReply) -> Result<Self, EnrolmentError> {
        if reply.root.0 != self.root.as_ref() {
            return Err(EnrolmentError::Reply("its root is another one"));
        }
        if reply.name != self.name || reply.instance != self.instance {
            return Err(EnrolmentError::Reply("it is for another agent"));
        }
        Self::keep(self.path.clone(), self.gateway.clone(), self.root.clone(), key, reply)
    }

    fn keep(
        path: PathBuf,
        gateway: String,
        root: CertificateDer<'static>,
        key: &NewKey,
        reply: &JoinReply,
    ) -> Result<Self, EnrolmentError> {
        let certificate = CertificateDer::from(reply.certificate.0.clone());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        WebPkiClientVerifier::builder_with_provider(roots(&root)?.into(), provider)
            .build()
            .map_err(|e| EnrolmentError::Crypto(e.to_string()))?
            .verify_client_cert(&certificate, &[], UnixTime::now())
            .map_err(|_| EnrolmentError::Reply("its certificate is not valid; is the clock right?"))?;
        let named = names::named(&certificate, UnixTime::now());
        let named = named.map_err(|_| EnrolmentError::Reply("its certificate is not an agent's"))?;
        if (&named.name, named.instance) != (&reply.name, reply.instance) {
            return Err(EnrolmentError::Reply("its certificate has another name"));
        }
        let (_, parsed) = X509Certificate::from_der(&certificate)
            .map_err(|_| EnrolmentError::Reply("its certificate cannot be read"))?;
        if parsed.public_key().raw != key.key.subject_public_key_info() {
            return Err(EnrolmentError::Reply("its certificate is for another key"));
        }
        let document = Document {
            version: VERSION,
            gateway: gateway.clone(),
            name: named.name.clone(),
            instance: named.instance,
            root: pem("CERTIFICATE", &root),
            certificate: pem("CERTIFICATE", &certificate),
            key: key.key.serialize_pem(),
        };
        let wrong = |why: String| EnrolmentError::File {
            path: path.clone(),
            why,
        };
        let text = serde_json::to_vec_pretty(&document).map_err(|e| wrong(e.to_string()))?;
        write_private(&path, &text).map_err(|e| wrong(e.to_string()))?;
        let key = PrivateKeyDer::try_from(key.key.serialize_der()).map_err(|e| EnrolmentError::Crypto(e.to_owned()))?;
        let (issued, expires) =
            validity(&certificate).ok_or(EnrolmentError::Reply("its certificate cannot be read"))?;
        Ok(Self {
            path,
            gateway,
            name: named.name,
            instance: named.instance,
            issued,
            expires,
            root,
            certificate,
            key: Arc::new(key),
        })
    }

    /// How the agent speaks TLS with its gateway: it trusts the authority and nobody else, and shows its certificate.
    /// The gateway's name is [`SERVER_NAME`].
    ///
    /// # Errors
    /// When the key and the certificate do not belong together.
    pub fn client_config(&self, alpn: &[&[u8]]) -> Result<ClientConfig, EnrolmentError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots(&self.root)?)
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())?;
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    /// Whether it is time for a new certificate: two thirds of this one's life are over.
    #[must_use]
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        now >= self.renew_at()
    }

    /// When it is time for a new certificate.
    #[must_use]
    pub fn renew_at(&self) -> OffsetDateTime {
        self.issued + (self.expires - self.issued) * 2 / 3
    }

    /// When the certificate ends.
    #[must_use]
    pub fn expires(&self) -> OffsetDateTime {
        self.expires
    }

    /// The agent's name.
    #[must_use]
    pub fn name(&self) -> &SmolStr {
        &self.name
    }

    /// Which of its instances it is.
    #[must_use]
    pub fn instance(&self) -> Uuid {
        self.instance
    }

    /// The gateway that it joined, as it was given.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// The digest of the authority's root.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin::of(&self.root)
    }
}

/// How an agent speaks TLS with a gateway that it knows by the digest of its root alone. The gateway's name is
/// [`SERVER_NAME`].
///
/// # Errors
/// When there is no TLS 1.3.
pub fn join_client_config(pin: Pin, alpn: &[&[u8]]) -> Result<ClientConfig, EnrolmentError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(Pinned {
        pin,
        provider: Arc::clone(&provider),
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Accepts a chain that comes with the root that the pin is of, and whose leaf that root made for [`SERVER_NAME`].
#[derive(Debug)]
struct Pinned {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if name.to_str() != SERVER_NAME {
            return Err(CertificateError::NotValidForName.into());
        }
        let root = chain.iter().find(|certificate| Pin::of(certificate) == self.pin);
        let root = root.ok_or(rustls::Error::from(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&self.provider))
            .build()
            .map_err(|e| rustls::Error::General(e.to_string()))?
            .verify_server_cert(leaf, &[], name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn roots(root: &CertificateDer<'static>) -> Result<RootCertStore, EnrolmentError> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone())?;
    Ok(roots)
}

fn validity(certificate: &CertificateDer<'_>) -> Option<(OffsetDateTime, OffsetDateTime)> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let at = |time: x509_parser::time::ASN1Time| OffsetDateTime::from_unix_timestamp(time.timestamp()).ok();
    let validity = parsed.validity();
    Some((at(validity.not_before)?, at(validity.not_after)?))
}

/// DER as PEM ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468)).
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at_checked(64).unwrap_or((rest, ""));
        // Writing to a string does not fail.
        let _written = writeln!(text, "{line}");
        rest = more;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
