//! Where a target's secrets are.

use std::{
    env, fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use sallyport_ssh_transport::keys::KeyError;
use secrecy::{SecretString, zeroize::Zeroize};

/// Where a password or a passphrase is. It is fetched anew for each session, so a changed one is used at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable of the gateway.
    Environment(String),
}

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A password.
    Password,
    /// The passphrase of a private key.
    Passphrase,
    /// A private key.
    PrivateKey,
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password => "password",
            Self::Passphrase => "passphrase",
            Self::PrivateKey => "private key",
        })
    }
}

/// A secret could not be fetched. Never says what was found.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("cannot read the {kind} file `{}`: {source}", .path.display())]
    File {
        /// What should be in it.
        kind: SecretKind,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file's first line is empty, or it is too long or not text.
    #[error("the {kind} file `{}` holds no {kind} in its first line", .path.display())]
    Content {
        /// What should be in it.
        kind: SecretKind,
        /// The file.
        path: PathBuf,
    },
    /// The variable is not set, or is not text.
    #[error("the environment variable `{name}` holds no {kind}")]
    Environment {
        /// What should be in it.
        kind: SecretKind,
        /// Its name.
        name: String,
    },
    /// The private key cannot be used, or its passphrase is wrong.
    #[error("the private key file `{}` cannot be used: {source}", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
}

/// Longer files hold something else than a secret, in bytes.
const MAX_FILE: u64 = 64 * 1024;

impl SecretSource {
    /// Fetches the secret.
    ///
    /// # Errors
    /// A [`CredentialError`] when it is not where it should be.
    pub fn fetch(&self, kind: SecretKind) -> Result<SecretString, CredentialError> {
        match self {
            Self::File(path) => first_line(kind, path),
            Self::Environment(name) => match env::var(name) {
                Ok(value) if !value.is_empty() => Ok(value.into()),
                _ => Err(CredentialError::Environment {
                    kind,
                    name: name.clone(),
                }),
            },
        }
    }
}

fn first_line(kind: SecretKind, path: &Path) -> Result<SecretString, CredentialError> {
    let mut text = read(kind, path)?;
    let line = text.lines().next().filter(|line| !line.is_empty());
    let secret = line.map(SecretString::from);
    text.zeroize();
    secret.ok_or_else(|| CredentialError::Content {
        kind,
        path: path.to_owned(),
    })
}

/// The text of a file, which the caller must wipe.
pub(crate) fn read(kind: SecretKind, path: &Path) -> Result<String, CredentialError> {
    let fail = |source| CredentialError::File {
        kind,
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(fail)?;
    let mut text = String::new();
    match file.take(MAX_FILE).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(source) => {
            text.zeroize();
            Err(fail(source))
        }
    }
}
