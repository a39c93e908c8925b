//! TLS towards clients: certificate, reload, client certificates.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use time::{Duration, OffsetDateTime};
use tokio_rustls::TlsAcceptor;

use crate::{TlsError, TlsInfo, Wire, clients::Clients, wire::Stream};

/// Where the certificate comes from and what is asked of clients.
#[derive(Clone, Debug, Default)]
pub struct ServerTlsOptions {
    /// The certificate chain, PEM, own certificate first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Authorities (PEM) whose client certificates are accepted. Without, none is asked for.
    pub client_authorities: Option<PathBuf>,
    /// Lists (PEM) of the certificates that these authorities, and those under them, have revoked.
    pub client_crl: Option<PathBuf>,
    /// Application protocols offered; a client that offers only others is refused.
    pub alpn: Vec<Vec<u8>>,
}

/// TLS towards clients. Clones share the certificate and what is known of clients' certificates, which can be reloaded at any
/// time.
#[derive(Clone)]
pub struct ServerTls {
    options: Arc<ServerTlsOptions>,
    current: Arc<Current>,
    clients: Option<Arc<Clients>>,
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads certificate, key, authorities and lists of revoked certificates.
    ///
    /// # Errors
    /// When a file is missing or is not what it should be.
    pub fn load(options: ServerTlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Arc::new(Current(RwLock::new(read_key(&options)?)));
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let clients = Clients::load(&options)?.map(Arc::new);
        let builder = match clients.clone() {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(current.clone());
        config.alpn_protocols.clone_from(&options.alpn);
        // Database drivers do not resume; tickets would only cost.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self {
            options: Arc::new(options),
            current,
            clients,
            acceptor,
        })
    }

    /// Makes `server.crt` (self-signed, for `names`, this host and loopback) and `server.key` in `dir`, which nobody
    /// else can look into, if they are not there, and returns their paths.
    ///
    /// # Errors
    /// When the certificate cannot be made or written.
    pub fn ensure_self_signed(dir: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), TlsError> {
        let (certificate, key) = (dir.join("server.crt"), dir.join("server.key"));
        if certificate.exists() && key.exists() {
            return Ok((certificate, key));
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(TlsError::file(dir))?;
        let (certificate_pem, key_pem) = self_signed(names)?;
        write(&key, &key_pem)?;
        write(&certificate, &certificate_pem)?;
        Ok((certificate, key))
    }

    /// The same for other application protocols. It follows what is read later.
    #[must_use]
    pub fn speaking(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(self.acceptor.config());
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    /// Reads all files again; connections made from now on use what is in them. On an error everything stays as it was.
    ///
    /// # Errors
    /// When a file is missing or is not what it should be.
    pub fn reload(&self) -> Result<(), TlsError> {
        let key = read_key(&self.options)?;
        if let Some(clients) = &self.clients {
            clients.reload(&self.options)?;
        }
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// Reads all files again whenever one of them has changed.
    ///
    /// # Cancel safety
    /// To be dropped when nobody is to be served any more.
    pub async fn keep_current(&self) {
        let stamps = || {
            let more = [&self.options.client_authorities, &self.options.client_crl];
            let files = [&self.options.certificate, &self.options.key].into_iter();
            let files = files.chain(more.into_iter().flatten());
            files.map(|path| Stamp::of(path)).collect::<Vec<_>>()
        };
        let mut known = stamps();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = stamps();
            if now == known {
                continue;
            }
            known = now;
            match self.reload() {
                Ok(()) => tracing::info!("certificates and lists of revoked ones were read again"),
                Err(error) => tracing::error!(%error, "the changed certificates cannot be used; those before stay"),
            }
        }
    }
}

/// How often files are looked at.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// What tells whether a file changed, without reading it: time, size and inode.
#[derive(PartialEq, Eq)]
struct Stamp(Option<(SystemTime, u64, u64)>);

impl Stamp {
    fn of(path: &Path) -> Self {
        let of = |m: fs::Metadata| m.modified().ok().map(|at| (at, m.len(), m.ino()));
        Self(fs::metadata(path).ok().and_then(of))
    }
}

/// Does the server's part of a TLS handshake.
///
/// # Errors
/// When the handshake fails, or when bytes were read from `wire` that came before it
/// (<https://www.postgresql.org/support/security/CVE-2021-23214/>).
///
/// # Cancel safety
/// Not cancel safe: the connection is lost.
pub async fn accept_tls(wire: Wire, tls: &ServerTls) -> Result<Wire, TlsError> {
    if wire.unread_len() > 0 {
        return Err(TlsError::EarlyBytes);
    }
    let (tcp, peer) = wire.into_tcp().ok_or(TlsError::AlreadyTls)?;
    let stream = tls.acceptor.accept(tcp).await.map_err(TlsError::Handshake)?;
    let (_, connection) = stream.get_ref();
    let certificates = connection.peer_certificates().unwrap_or_default().to_vec();
    let info = TlsInfo {
        sni: connection.server_name().map(str::to_owned),
        alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        verified: !certificates.is_empty(),
        peer_certificates: certificates,
        version: version(connection.protocol_version()),
        cipher: cipher(connection.negotiated_cipher_suite()),
    };
    Ok(Wire::with_tls(Stream::Server(Box::new(stream)), peer, info))
}

pub(crate) fn version(version: Option<rustls::ProtocolVersion>) -> String {
    match version {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        other => format!("{other:?}"),
    }
}

pub(crate) fn cipher(suite: Option<rustls::SupportedCipherSuite>) -> String {
    suite.map_or_else(String::new, |suite| format!("{:?}", suite.suite()))
}

/// The certificate that handshakes use now.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read_key(options: &ServerTlsOptions) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = read_certificates(&options.certificate)?;
    let key = read_private_key(&options.key)?;
    let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?;
    Ok(Arc::new(key))
}

/// The longest file of certificates or keys, in bytes. All authorities that an operating system trusts are a quarter of it.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// The bytes of a file of certificates or keys. Whoever writes targets names such files: one that never ends would take all
/// memory, and one that never begins would be waited for.
fn read_pem(path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = || -> io::Result<Vec<u8>> {
        // Opening a pipe would wait for whoever writes to it.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let mut pem = Vec::new();
        let file = fs::File::open(path)?;
        file.take(MAX_PEM_BYTES + 1).read_to_end(&mut pem)?;
        if pem.len() as u64 > MAX_PEM_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than a MiB"));
        }
        Ok(pem)
    };
    read().map_err(TlsError::file(path))
}

/// The certificates of a PEM file, at least one.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read_pem(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(TlsError::content(path, "holds no certificate")),
        Err(error) => Err(TlsError::content(path, format!("is not a PEM file: {error}"))),
    }
}

pub(crate) fn read_private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read_pem(path)?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| TlsError::content(path, format!("holds no private key: {error}")))
}

/// A store of the certificates in a PEM file.
pub(crate) fn read_roots(path: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsError> {
    let certificates = read_certificates(path)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|error| TlsError::content(path, format!("holds a certificate that cannot be used: {error}")))?;
    }
    Ok((store, certificates))
}

/// How long a self-signed certificate holds. It is pinned, not renewed, by those who use one.
const SELF_SIGNED_DAYS: i64 = 3650;

fn self_signed(names: &[String]) -> Result<(String, String), TlsError> {
    let mut all: Vec<String> = names.to_vec();
    all.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    if !host.is_empty() && host.is_ascii() {
        all.push(host.to_owned());
    }
    all.sort();
    all.dedup();
    let mut params = CertificateParams::new(all)?;
    params.distinguished_name.push(DnType::CommonName, "Sallyport gateway");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(SELF_SIGNED_DAYS);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn write(path: &Path, text: &str) -> Result<(), TlsError> {
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(TlsError::file(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn files_that_never_begin_or_never_end_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let long = dir.path().join("long");
        fs::File::create(&long).unwrap().set_len(MAX_PEM_BYTES + 1).unwrap();
        for path in [Path::new("/dev/zero"), dir.path(), &pipe, &long] {
            let refused = |error: TlsError| matches!(error, TlsError::File { .. });
            assert!(read_certificates(path).is_err_and(refused), "{}", path.display());
            assert!(read_private_key(path).is_err_and(refused), "{}", path.display());
        }
    }
}
