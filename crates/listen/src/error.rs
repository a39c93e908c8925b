//! What can go wrong with TLS.

use std::{io, path::PathBuf};

/// TLS could not be set up, or did not come about with the peer.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("cannot use `{}`: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("`{}` {problem}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// Certificates and keys do not make a configuration.
    #[error("cannot configure TLS: {0}")]
    Config(#[from] rustls::Error),
    /// The system has no certificate authorities.
    #[error("the system has no certificate authorities: name a file with those to trust")]
    NoSystemRoots,
    /// The name to check the server's certificate against is not one.
    #[error("`{0}` is neither a host name nor an address")]
    ServerName(String),
    /// The peer sent bytes before the handshake that would be taken for what came through TLS.
    #[error("bytes arrived in clear before the TLS handshake")]
    EarlyBytes,
    /// The stream is in TLS already.
    #[error("TLS inside TLS is not supported")]
    AlreadyTls,
    /// The handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Handshake(io::Error),
}

impl TlsError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }

    pub(crate) fn content(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self::Content {
            path: path.into(),
            problem: problem.into(),
        }
    }
}
