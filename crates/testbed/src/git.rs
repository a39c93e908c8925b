//! A git repository that others fetch from: from its folder, or over HTTP from a server that can be made to stall.

mod http;

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::TestbedError;
use crate::cache::run;
use crate::tls::write_private;

pub use http::{GitHttp, HttpOptions};

/// A bare repository, and a working copy from which it is changed.
#[derive(Debug)]
pub struct GitOrigin {
    folder: TempDir,
}

impl GitOrigin {
    /// An empty one, whose branch is `main`.
    ///
    /// # Errors
    /// When git is not installed.
    pub fn new() -> Result<GitOrigin, TestbedError> {
        let folder = tempfile::tempdir().map_err(TestbedError::file(std::env::temp_dir()))?;
        let origin = GitOrigin { folder };
        let bare = origin.bare().display().to_string();
        origin.program(&["init", "--quiet", "--bare", "--initial-branch=main", &bare])?;
        let work = origin.work().display().to_string();
        origin.program(&["init", "--quiet", "--initial-branch=main", &work])?;
        origin.git(&["remote", "add", "origin", &bare])?;
        Ok(origin)
    }

    /// The bare repository.
    pub fn bare(&self) -> PathBuf {
        self.folder.path().join("origin.git")
    }

    /// The working copy.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// The address of the bare repository for a policy.
    pub fn address(&self) -> String {
        format!("git+file://{}", self.bare().display())
    }

    /// Writes a file of the working copy.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) -> Result<(), TestbedError> {
        let path = self.work().join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(TestbedError::file(parent))?;
        }
        std::fs::write(&path, text).map_err(TestbedError::file(path))
    }

    /// Commits all of the working copy, pushes the branch, and gives the commit.
    ///
    /// # Errors
    /// When git fails.
    pub fn commit(&self, message: &str) -> Result<String, TestbedError> {
        self.commit_with(message, &[])
    }

    /// The same, signed with a private SSH key.
    ///
    /// # Errors
    /// When git or `ssh-keygen` fails.
    pub fn commit_signed(&self, message: &str, key: &Path) -> Result<String, TestbedError> {
        self.commit_with(message, &signing(key))
    }

    fn commit_with(&self, message: &str, settings: &[String]) -> Result<String, TestbedError> {
        self.git(&["add", "--all"])?;
        let mut arguments: Vec<&str> = settings.iter().map(String::as_str).collect();
        arguments.extend(["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&arguments)?;
        self.push()?;
        self.head()
    }

    /// Pushes the branch that is checked out, whatever the bare repository has.
    ///
    /// # Errors
    /// When git fails.
    pub fn push(&self) -> Result<(), TestbedError> {
        self.git(&["push", "--quiet", "--force", "origin", "HEAD"]).map(drop)
    }

    /// The commit that is checked out.
    ///
    /// # Errors
    /// When git fails.
    pub fn head(&self) -> Result<String, TestbedError> {
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Runs git in the working copy.
    ///
    /// # Errors
    /// When it fails.
    pub fn git(&self, arguments: &[&str]) -> Result<String, TestbedError> {
        let work = self.work().display().to_string();
        self.program(&[&["-C", &work], arguments].concat())
    }

    /// Runs git as somebody without any configuration.
    fn program(&self, arguments: &[&str]) -> Result<String, TestbedError> {
        let config = self.folder.path().join("gitconfig");
        if !config.exists() {
            write_private(&config, "[user]\n\tname = Ada\n\temail = ada@example.com\n")?;
        }
        let mut command = Command::new("git");
        command
            .env("GIT_CONFIG_GLOBAL", &config)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ALLOW_PROTOCOL", "file")
            .args(arguments);
        run(&mut command)
    }
}

/// Settings that make git sign with an SSH key.
pub(crate) fn signing(key: &Path) -> [String; 6] {
    [
        "-c".to_owned(),
        "gpg.format=ssh".to_owned(),
        "-c".to_owned(),
        format!("user.signingKey={}", key.display()),
        "-c".to_owned(),
        "commit.gpgSign=true".to_owned(),
    ]
}
