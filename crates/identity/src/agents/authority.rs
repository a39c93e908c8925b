//! The gateway's own certificate authority for agents.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;
use uuid::Uuid;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::errors::AuthorityError;
use super::names;
use super::pin::Pin;
use super::request::RequestedKey;
use super::server::ServerCertificates;
use crate::files::create_private;
use crate::secret::{NoRandom, sha256};

/// The name that the gateway has for agents, wherever it is reached.
pub const SERVER_NAME: &str = "gateway.agents.sallyport.internal";

/// The authority's file: its key and its root certificate.
const FILE: &str = "authority.pem";
/// How long the authority lives.
const ROOT_LIFE: Duration = Duration::from_secs(3653 * 24 * 3600);
/// By how much clocks of agents may be behind.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// The authority for agents. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AgentAuthority(Arc<Authority>);

/// Its key and its root.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    ends: OffsetDateTime,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("pin", &Pin::of(&self.root))
            .finish_non_exhaustive()
    }
}

impl AgentAuthority {
    /// Reads the authority in `dir`, which is made with mode 0700 when it is not there; so is an authority, which is
    /// good for ten years.
    ///
    /// # Errors
    /// When its file cannot be read or made, makes no sense, has ended, or others may read it.
    pub fn load_or_create(dir: &Path) -> Result<Self, AuthorityError> {
        let path = dir.join(FILE);
        let wrong = |why: String| AuthorityError::File {
            path: path.clone(),
            why,
        };
        let mut folder = std::fs::DirBuilder::new();
        let made = folder.recursive(true).mode(0o700).create(dir);
        made.map_err(|e| wrong(e.to_string()))?;
        if !path.try_exists().map_err(|e| wrong(e.to_string()))? {
            // Whoever else made it meanwhile was first.
            let pem = make(OffsetDateTime::now_utc())?;
            create_private(&path, pem.as_bytes()).map_err(|e| wrong(e.to_string()))?;
        }
        let authority = Authority::read(&path)?;
        if authority.ends <= OffsetDateTime::now_utc() {
            return Err(wrong(
                "its root certificate has ended; remove the file, and let all agents join again".to_owned(),
            ));
        }
        Ok(Self(Arc::new(authority)))
    }

    /// The root certificate.
    #[must_use]
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.0.root
    }

    /// By what agents know it.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin::of(&self.0.root)
    }

    /// How the gateway speaks TLS with agents that have joined: they must show a certificate of this authority. Ask
    /// [`super::Agents::identify`] about it.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Result<ServerConfig, AuthorityError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.root.clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
            .build()
            .map_err(|e| AuthorityError::Certificate(e.to_string()))?;
        let builder =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
        self.finish(builder.with_client_cert_verifier(verifier), alpn)
    }

    /// How the gateway speaks TLS with agents that want to join: they show nothing yet.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn join_server_config(&self, alpn: &[&[u8]]) -> Result<ServerConfig, AuthorityError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
        self.finish(builder.with_no_client_auth(), alpn)
    }

    #[cfg(test)]
    pub(super) fn inner(&self) -> Arc<Authority> {
        Arc::clone(&self.0)
    }

    fn finish(
        &self,
        builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
        alpn: &[&[u8]],
    ) -> Result<ServerConfig, AuthorityError> {
        let certificates = ServerCertificates::new(Arc::clone(&self.0), OffsetDateTime::now_utc())?;
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        // A resumed session would not show its certificate again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// A certificate for an instance of an agent, and when it ends.
    pub(super) fn certify(
        &self,
        key: &RequestedKey,
        (name, instance): (&str, Uuid),
        (now, life): (OffsetDateTime, Duration),
    ) -> Result<(CertificateDer<'static>, OffsetDateTime), AuthorityError> {
        let mut params = self.0.leaf(now, life)?;
        params.distinguished_name.push(DnType::CommonName, name);
        let uri = names::uri(name, instance);
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok((self.0.sign(&params, key)?, params.not_after))
    }
}

impl Authority {
    pub(super) fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// What all certificates but the root have in common.
    pub(super) fn leaf(&self, now: OffsetDateTime, life: Duration) -> Result<CertificateParams, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(serial()?);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.not_before = whole_seconds(now - SKEW);
        params.not_after = whole_seconds((now + life).min(self.ends));
        Ok(params)
    }

    pub(super) fn sign(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        Ok(params.signed_by(key, &self.issuer)?.der().clone())
    }

    fn read(path: &PathBuf) -> Result<Self, AuthorityError> {
        let wrong = |why: String| AuthorityError::File {
            path: path.clone(),
            why,
        };
        let mode = std::fs::metadata(path)
            .map_err(|e| wrong(e.to_string()))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(wrong(format!("its mode is {:o}: others may read it", mode & 0o777)));
        }
        let pem = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let key = KeyPair::from_pem(&pem).map_err(|e| wrong(e.to_string()))?;
        let root = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| wrong(e.to_string()))?;
        let (_, parsed) = X509Certificate::from_der(&root).map_err(|e| wrong(e.to_string()))?;
        if parsed.public_key().raw != key.subject_public_key_info() || !parsed.is_ca() {
            return Err(wrong("its certificate is not its key's".to_owned()));
        }
        let ends = OffsetDateTime::from_unix_timestamp(parsed.validity().not_after.timestamp());
        let ends = ends.map_err(|e| wrong(e.to_string()))?;
        let issuer = Issuer::new(root_params(&key), key);
        Ok(Self { issuer, root, ends })
    }
}

/// A new authority: its key and its root, in PEM.
fn make(now: OffsetDateTime) -> Result<String, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = root_params(&key);
    params.serial_number = Some(serial()?);
    params.not_before = whole_seconds(now - SKEW);
    params.not_after = whole_seconds(now + ROOT_LIFE);
    let root = params.self_signed(&key)?;
    Ok(format!("{}{}", key.serialize_pem(), root.pem()))
}

/// What of a root follows from its key. Its name has a part of the key's digest, so that two are told apart.
fn root_params(key: &KeyPair) -> CertificateParams {
    let digest = hex::encode(sha256(&key.subject_public_key_info()));
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let short: String = digest.chars().take(16).collect();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Sallyport agents {short}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// A random serial number: positive, and of sixteen bytes.
fn serial() -> Result<SerialNumber, NoRandom> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandom)?;
    let [first, ..] = &mut bytes;
    *first = (*first & 0x3f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Certificates have whole seconds.
fn whole_seconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(time)
}
