//! TLS towards targets.

use std::{path::PathBuf, sync::Arc};

use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;

use crate::{
    TlsError, TlsInfo, Wire,
    server_tls::{cipher, read_certificates, read_private_key, read_roots, version},
    verify::TargetVerifier,
    wire::Stream,
};

/// How far a target's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Not at all: the traffic is encrypted, but to whom is not known.
    None,
    /// It must come from a trusted authority.
    Authority,
    /// It must come from a trusted authority and be for the name that is dialled.
    Full,
}

/// Which authorities are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Those of the operating system.
    System,
    /// Those in a PEM file. A server's own certificate in it is trusted as itself.
    File(PathBuf),
}

/// A certificate to show to targets that ask for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// TLS towards one target. Made once; clones share.
#[derive(Clone)]
pub struct ClientTls {
    verification: Verification,
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls")
            .field("verification", &self.verification)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ClientTls {
    /// Settings for a target called `server_name` (host name or address; also sent as SNI).
    ///
    /// # Errors
    /// When a file is missing or is not what it should be, or the name is none.
    pub fn new(
        verification: Verification,
        roots: &Roots,
        server_name: &str,
        identity: Option<&ClientIdentity>,
        alpn: &[&[u8]],
    ) -> Result<Self, TlsError> {
        let name =
            ServerName::try_from(server_name.to_owned()).map_err(|_| TlsError::ServerName(server_name.to_owned()))?;
        let (store, pinned) = match (verification, roots) {
            (Verification::None, _) => (RootCertStore::empty(), Vec::new()),
            (_, Roots::File(path)) => read_roots(path)?,
            (_, Roots::System) => (system_roots()?, Vec::new()),
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = TargetVerifier::new(verification, store, pinned, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match identity {
            Some(identity) => builder.with_client_auth_cert(
                read_certificates(&identity.certificate)?,
                read_private_key(&identity.key)?,
            )?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config.resumption = Resumption::disabled();
        Ok(Self {
            verification,
            name,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// The settings, for streams that are no [`Wire`].
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(self.connector.config())
    }

    /// How far the certificate is checked.
    pub fn verification(&self) -> Verification {
        self.verification
    }
}

/// Does the client's part of a TLS handshake.
///
/// # Errors
/// When the handshake fails, or when bytes were read from `wire` that came before it
/// (<https://www.postgresql.org/support/security/CVE-2021-23222/>).
///
/// # Cancel safety
/// Not cancel safe: the connection is lost.
pub async fn connect_tls(wire: Wire, tls: &ClientTls) -> Result<Wire, TlsError> {
    if wire.unread_len() > 0 {
        return Err(TlsError::EarlyBytes);
    }
    let (tcp, peer) = wire.into_tcp().ok_or(TlsError::AlreadyTls)?;
    let connect = tls.connector.connect(tls.name.clone(), tcp);
    let stream = connect.await.map_err(TlsError::Handshake)?;
    let (_, connection) = stream.get_ref();
    let info = TlsInfo {
        sni: None,
        alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        peer_certificates: connection.peer_certificates().unwrap_or_default().to_vec(),
        version: version(connection.protocol_version()),
        cipher: cipher(connection.negotiated_cipher_suite()),
        verified: tls.verification != Verification::None,
    };
    Ok(Wire::with_tls(Stream::Client(Box::new(stream)), peer, info))
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let certificates: Vec<CertificateDer<'static>> = rustls_native_certs::load_native_certs().certs;
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        Err(TlsError::NoSystemRoots)
    } else {
        Ok(store)
    }
}
