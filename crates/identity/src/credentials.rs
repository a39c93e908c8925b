//! Where the command line keeps its logins: a file that only its owner can read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use crate::files::write_private;
use crate::messages::Sealed;

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why the logins cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// No home directory is known.
    #[error("there is no place to keep logins: neither XDG_CONFIG_HOME nor HOME is set")]
    NoPlace,
    /// Others can read the file.
    #[error("`{}` can be read by others; make it private (chmod 600) or log in again after deleting it", .0.display())]
    Exposed(PathBuf),
    /// It cannot be read or written.
    #[error("the logins in `{}` cannot be used: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// One login at a gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedLogin {
    /// Who one is there.
    pub user: String,
    /// The API token.
    pub token: Sealed,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// Authorities (PEM) that the gateway's certificate comes from, if not the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// All logins, by the API's address, and which was the last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The address that is meant when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    gateway: BTreeMap<String, SavedLogin>,
    #[serde(skip)]
    path: PathBuf,
}

impl Credentials {
    /// `$XDG_CONFIG_HOME/sallyport/credentials`, or `~/.config/sallyport/credentials`.
    ///
    /// # Errors
    /// When the environment names no home.
    pub fn default_path() -> Result<PathBuf, CredentialsError> {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let base = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
        Ok(base
            .ok_or(CredentialsError::NoPlace)?
            .join("sallyport")
            .join("credentials"))
    }

    /// Reads the file; there are no logins when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or others can read it too.
    pub fn load(path: &Path) -> Result<Self, CredentialsError> {
        use std::io::Read;
        use std::os::unix::fs::PermissionsExt;
        let refuse = |why: String| CredentialsError::File {
            path: path.to_owned(),
            why,
        };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self {
                    path: path.to_owned(),
                    ..Self::default()
                });
            }
            Err(e) => return Err(refuse(e.to_string())),
        };
        if file.metadata().map_err(|e| refuse(e.to_string()))?.permissions().mode() & 0o077 != 0 {
            return Err(CredentialsError::Exposed(path.to_owned()));
        }
        let mut text = String::new();
        file.take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(|e| refuse(e.to_string()))?;
        // The message alone: the line that is wrong may hold a token.
        let read: Self = toml::from_str(&text).map_err(|e| refuse(e.message().to_owned()))?;
        Ok(Self {
            path: path.to_owned(),
            ..read
        })
    }

    /// The login at `api`, or the last one, with its address.
    #[must_use]
    pub fn login(&self, api: Option<&str>) -> Option<(&str, &SavedLogin)> {
        let api = api.map(normal).or_else(|| self.current.clone())?;
        self.gateway
            .get_key_value(&api)
            .map(|(api, login)| (api.as_str(), login))
    }

    /// Keeps a login and makes it the last one. [`Self::save`] writes it.
    pub fn keep(&mut self, api: &str, login: SavedLogin) {
        self.current = Some(normal(api));
        self.gateway.insert(normal(api), login);
    }

    /// Forgets the login at `api`. [`Self::save`] writes it.
    pub fn forget(&mut self, api: &str) -> Option<SavedLogin> {
        let api = normal(api);
        if self.current.as_ref() == Some(&api) {
            self.current = None;
        }
        self.gateway.remove(&api)
    }

    /// Writes the file with mode 0600, in a folder with mode 0700 if that has to be made.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> Result<(), CredentialsError> {
        use std::os::unix::fs::DirBuilderExt;
        let refuse = |why: String| CredentialsError::File {
            path: self.path.clone(),
            why,
        };
        if let Some(folder) = self.path.parent() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|e| refuse(e.to_string()))?;
        }
        let text = toml::to_string(self).map_err(|e| refuse(e.to_string()))?;
        write_private(&self.path, text.as_bytes()).map_err(|e| refuse(e.to_string()))
    }
}

/// Addresses are compared without the slash at their end.
fn normal(api: &str) -> String {
    api.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use secrecy::{ExposeSecret, SecretString};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn logins_are_kept_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sallyport/credentials");
        let mut kept = Credentials::load(&path).unwrap();
        let login = SavedLogin {
            user: "alice".into(),
            token: SecretString::from("sps_secret").into(),
            expires: OffsetDateTime::UNIX_EPOCH,
            ca_file: None,
        };
        kept.keep("https://gw.example.com:8443/", login);
        assert!(!format!("{kept:?}").contains("sps_secret"));
        kept.save().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Credentials::load(&path).unwrap();
        let (api, login) = read.login(None).unwrap();
        assert_eq!(
            (api, login.token.0.expose_secret()),
            ("https://gw.example.com:8443", "sps_secret")
        );
        assert!(read.login(Some("https://other.example.com")).is_none());

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Credentials::load(&path), Err(CredentialsError::Exposed(_))));
    }
}
