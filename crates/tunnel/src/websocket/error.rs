//! What can go wrong before there is a stream.

use std::io;
use std::time::Duration;

/// Why a gateway could not be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The gateway's address cannot be used.
    #[error("the gateway's address cannot be used: {0}")]
    Address(&'static str),
    /// The proxy's address cannot be used. (The address may hold a password and is not shown.)
    #[error("the proxy's address cannot be used: {0}")]
    ProxyAddress(&'static str),
    /// No connection to the gateway, or to the proxy.
    #[error("no connection to {whom} at {authority}: {source}")]
    Connect {
        /// The gateway or the proxy.
        whom: &'static str,
        /// Host and port.
        authority: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The connection broke in the middle of a handshake.
    #[error("the connection broke while {doing}: {source}")]
    Broken {
        /// What was under way.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The proxy does not let this agent through.
    #[error("the proxy refuses: it answers CONNECT with status {status}")]
    ProxyRefused {
        /// The HTTP status; 407 asks for a login.
        status: u16,
    },
    /// What the proxy answers is not what a proxy answers.
    #[error("the proxy's answer is not understood: {0}")]
    ProxyAnswer(&'static str),
    /// The gateway's TLS is not to be trusted, or there is none.
    #[error("no TLS with the gateway: {0}")]
    Tls(io::Error),
    /// The gateway has no tunnel there.
    #[error("the gateway refuses the tunnel: it answers with status {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// What the gateway answers is not what a WebSocket's server answers.
    #[error("the gateway's answer is not understood: {0}")]
    Answer(String),
    /// It took too long.
    #[error("the gateway was not reached within {0:?}")]
    Timeout(Duration),
}

/// Why a connection did not become a tunnel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The client asked for something else, and was told so.
    #[error("the client's request was answered with status {status}: {why}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What was wrong with it.
        why: String,
    },
    /// The connection broke.
    #[error("the client's connection broke: {0}")]
    Broken(#[from] io::Error),
    /// It took too long.
    #[error("the client's request was not there within {0:?}")]
    Timeout(Duration),
}
