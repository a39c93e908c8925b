//! Keys and authorities, made by `ssh-keygen`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::TestbedError;
use crate::cache::run;

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Ed25519.
    Ed25519,
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA with 2048 bits.
    Rsa,
}

impl KeyKind {
    pub(super) const ALL: [KeyKind; 3] = [KeyKind::Ed25519, KeyKind::Ecdsa, KeyKind::Rsa];

    pub(super) fn name(self) -> &'static str {
        match self {
            KeyKind::Ed25519 => "ed25519",
            KeyKind::Ecdsa => "ecdsa",
            KeyKind::Rsa => "rsa",
        }
    }

    fn bits(self) -> &'static str {
        match self {
            // Ignored: an Ed25519 key has one length.
            KeyKind::Ed25519 | KeyKind::Ecdsa => "256",
            KeyKind::Rsa => "2048",
        }
    }
}

/// A key pair in a file, without a passphrase.
#[derive(Debug, Clone)]
pub struct SshKey {
    path: PathBuf,
    public: String,
}

impl SshKey {
    /// Makes a key; `path` gets the private one, `path` with `.pub` the public one.
    ///
    /// # Errors
    /// When `ssh-keygen` is missing or fails.
    pub fn generate(path: &Path, kind: KeyKind) -> Result<SshKey, TestbedError> {
        run(&mut keygen(path, kind))?;
        SshKey::read(path)
    }

    /// The public key of the private one in this file, which has no passphrase.
    ///
    /// # Errors
    /// When `ssh-keygen` is missing, or there is no such key.
    pub fn public_of(path: &Path) -> Result<String, TestbedError> {
        let output = run(Command::new("ssh-keygen").arg("-y").arg("-f").arg(path))?;
        Ok(output.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    /// A key that is there already.
    pub(super) fn read(path: &Path) -> Result<SshKey, TestbedError> {
        let public = path.with_extension("pub");
        let text = std::fs::read_to_string(&public).map_err(TestbedError::file(public))?;
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        Ok(SshKey {
            path: path.to_owned(),
            public: words.join(" "),
        })
    }

    /// The file with the private key, in OpenSSH's format.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The public key: `ssh-ed25519 AAAA…`.
    pub fn public(&self) -> &str {
        &self.public
    }
}

/// What signs keys: for users, or for hosts.
#[derive(Debug, Clone)]
pub struct SshAuthority {
    key: SshKey,
}

impl SshAuthority {
    /// Makes an authority with a key at `path`.
    ///
    /// # Errors
    /// When `ssh-keygen` is missing or fails.
    pub fn generate(path: &Path) -> Result<SshAuthority, TestbedError> {
        let key = SshKey::generate(path, KeyKind::Ed25519)?;
        Ok(SshAuthority { key })
    }

    /// The authority's public key.
    pub fn public(&self) -> &str {
        self.key.public()
    }

    /// The authority's own key.
    pub fn key(&self) -> &SshKey {
        &self.key
    }

    /// Signs a key for some accounts, valid for `validity` as `ssh-keygen -V` takes it (`+5m`, `-2h:-1h`), and returns the
    /// certificate's file.
    ///
    /// # Errors
    /// When `ssh-keygen` fails.
    pub fn certify_user(&self, key: &SshKey, accounts: &[&str], validity: &str) -> Result<PathBuf, TestbedError> {
        self.sign(
            key.path(),
            &["-I", "testbed", "-n", &accounts.join(","), "-V", validity],
        )
    }

    /// Signs the host key in a file for the names by which clients know the host.
    pub(super) fn certify_host(&self, key: &Path, names: &[&str]) -> Result<PathBuf, TestbedError> {
        self.sign(
            key,
            &["-h", "-I", "testbed host", "-n", &names.join(","), "-V", "-5m:+1d"],
        )
    }

    fn sign(&self, key: &Path, words: &[&str]) -> Result<PathBuf, TestbedError> {
        let mut command = Command::new("ssh-keygen");
        command.arg("-q").arg("-s").arg(self.key.path()).args(words);
        run(command.arg(key.with_extension("pub")))?;
        let name = key.file_name().unwrap_or_default().to_string_lossy();
        Ok(key.with_file_name(format!("{name}-cert.pub")))
    }
}

/// The command that makes a key.
pub(super) fn keygen(path: &Path, kind: KeyKind) -> Command {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-N", "", "-C", "testbed", "-t", kind.name(), "-b", kind.bits()]);
    command.arg("-f").arg(path);
    command
}
