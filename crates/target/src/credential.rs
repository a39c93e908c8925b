//! Where a target's password is.

use std::{env, io, path::PathBuf};

use secrecy::{SecretString, zeroize::Zeroize};

/// Where a target's password is. It is fetched anew for each session, so a changed one is used at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// None is needed: the target trusts the gateway, or asks for its certificate.
    None,
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable of the gateway.
    Environment(String),
}

/// A password could not be fetched. Never says what was found.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("cannot read the password file `{}`: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file's first line is empty, or it is too long or not text.
    #[error("the password file `{}` holds no password in its first line", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The variable is not set, or is not text.
    #[error("the environment variable `{0}` holds no password")]
    Environment(String),
}

/// Longer files hold something else than a password, in bytes.
const MAX_PASSWORD_FILE: u64 = 64 * 1024;

impl Credential {
    /// Fetches the password; `None` when none is needed.
    ///
    /// # Errors
    /// A [`CredentialError`] when it is not where it should be.
    pub fn fetch(&self) -> Result<Option<SecretString>, CredentialError> {
        match self {
            Self::None => Ok(None),
            Self::File(path) => read(path).map(Some),
            Self::Environment(name) => match env::var(name) {
                Ok(value) if !value.is_empty() => Ok(Some(value.into())),
                _ => Err(CredentialError::Environment(name.clone())),
            },
        }
    }
}

fn read(path: &PathBuf) -> Result<SecretString, CredentialError> {
    use std::io::Read;
    let fail = |source| CredentialError::File {
        path: path.clone(),
        source,
    };
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut text = String::new();
    let read = file.take(MAX_PASSWORD_FILE).read_to_string(&mut text);
    let password = text
        .lines()
        .next()
        .filter(|line| !line.is_empty())
        .map(SecretString::from);
    text.zeroize();
    read.map_err(fail)?;
    password.ok_or_else(|| CredentialError::Content { path: path.clone() })
}
