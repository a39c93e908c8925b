//! What a session needs a secret for.

use std::fmt;

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A password.
    Password,
    /// The passphrase of a private key.
    Passphrase,
    /// A private key.
    PrivateKey,
    /// A certificate for a public key.
    Certificate,
}

impl SecretKind {
    /// Whether it is one line of text.
    pub(crate) fn is_one_line(self) -> bool {
        match self {
            Self::Password | Self::Passphrase | Self::Certificate => true,
            Self::PrivateKey => false,
        }
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password => "password",
            Self::Passphrase => "passphrase",
            Self::PrivateKey => "private key",
            Self::Certificate => "certificate",
        })
    }
}

/// What one session needs. Sources that make a credential for a login use what is known of the login; others only the kind.
#[derive(Clone, Debug)]
pub struct Need {
    /// What the secret is to be.
    pub kind: SecretKind,
    /// Whom to log in as, if it is known before.
    pub user: Option<String>,
    /// The target's host and port.
    pub address: Option<(String, u16)>,
    /// The public key that a certificate is for, in OpenSSH's form.
    pub public_key: Option<String>,
}

impl Need {
    /// A secret of this kind, and nothing is known of the login.
    pub fn of(kind: SecretKind) -> Self {
        Self {
            kind,
            user: None,
            address: None,
            public_key: None,
        }
    }

    /// A password.
    pub fn password() -> Self {
        Self::of(SecretKind::Password)
    }

    /// A certificate for a public key in OpenSSH's form.
    pub fn certificate(public_key: impl Into<String>) -> Self {
        Self {
            public_key: Some(public_key.into()),
            ..Self::of(SecretKind::Certificate)
        }
    }

    /// The login is as this user.
    #[must_use]
    pub fn as_user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The login is there.
    #[must_use]
    pub fn at(mut self, host: impl Into<String>, port: u16) -> Self {
        self.address = Some((host.into(), port));
        self
    }
}
