//! What one session needs to reach its target and log in there.

use std::time::Duration;

use sallyport_listen::ClientTls;
use secrecy::SecretString;
use smol_str::SmolStr;

use crate::Address;

/// A way to log in to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// SCRAM-SHA-256, with channel binding over TLS: the target proves that it knows the password too.
    ScramSha256,
    /// MD5 challenge: weak, only where a target knows nothing better.
    Md5,
    /// The password in clear: only to a verified peer or on this machine.
    Password,
    /// No proof at all: the target lets the gateway in by its address or certificate.
    Trust,
}

impl AuthMethod {
    /// Its name in `targets.toml`, which is PostgreSQL's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScramSha256 => "scram-sha-256",
            Self::Md5 => "md5",
            Self::Password => "password",
            Self::Trust => "trust",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::ScramSha256, Self::Md5, Self::Password, Self::Trust]
            .into_iter()
            .find(|method| method.as_str() == name)
    }
}

/// Whether the login must be bound to the TLS channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// When the target offers it.
    #[default]
    Prefer,
    /// Always.
    Require,
    /// Never.
    Disable,
}

/// Whether and how TLS is spoken to a target.
#[derive(Clone, Debug)]
pub enum Tls {
    /// In clear.
    Disable,
    /// Always, or there is no connection.
    Require(ClientTls),
}

/// What one session needs to reach its target and log in there. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The target's name.
    pub target: SmolStr,
    /// Where it listens.
    pub address: Address,
    /// Whether and how TLS is spoken.
    pub tls: Tls,
    /// Whom to log in as.
    pub user: String,
    /// The password, where one is needed.
    pub secret: Option<SecretString>,
    /// The ways to log in that are good enough. The target may choose among these only.
    pub auth: Vec<AuthMethod>,
    /// Whether the login must be bound to the TLS channel.
    pub channel_binding: ChannelBinding,
    /// The database at the target.
    pub database: Option<String>,
    /// Settings that clients may give at connect besides those that are always allowed.
    pub startup_settings: Vec<SmolStr>,
    /// How long reaching the target may take, over all its addresses.
    pub connect_timeout: Duration,
    /// How long TLS and login may take after that.
    pub login_timeout: Duration,
}

impl Lease {
    /// Whether the target may choose this way to log in.
    pub fn allows(&self, method: AuthMethod) -> bool {
        self.auth.contains(&method)
    }
}
