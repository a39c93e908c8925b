//! What the programs of OpenSSH, and those that use them, need in order to reach one server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::TestbedError;

/// A configuration file for OpenSSH's clients in which one name stands for one server.
#[derive(Debug, Clone)]
pub struct SshConfig {
    path: PathBuf,
    name: String,
    address: SocketAddr,
    user: String,
    host_keys: Vec<String>,
    identity: Option<PathBuf>,
}

impl SshConfig {
    /// Writes the file and, beside it, the host keys that are expected. `more` is further lines, such as `IdentityFile …`;
    /// they win over what is there without them.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(
        path: &Path,
        name: &str,
        address: SocketAddr,
        user: &str,
        host_keys: &[String],
        more: &[String],
    ) -> Result<SshConfig, TestbedError> {
        let known = path.with_extension("known_hosts");
        let lines = host_keys.iter().map(|key| format!("{name} {key}\n"));
        std::fs::write(&known, lines.collect::<String>()).map_err(TestbedError::file(&known))?;
        let lines: String = more.iter().map(|line| format!("  {line}\n")).collect();
        let text = format!(
            "Host {name}\n{lines}  HostName {}\n  Port {}\n  User {user}\n  HostKeyAlias {name}\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  \
             IdentitiesOnly yes\n  IdentityAgent none\n  UpdateHostKeys no\n  LogLevel ERROR\n",
            address.ip(),
            address.port(),
            known.display()
        );
        std::fs::write(path, text).map_err(TestbedError::file(path))?;
        Ok(SshConfig {
            path: path.to_owned(),
            name: name.to_owned(),
            address,
            user: user.to_owned(),
            host_keys: host_keys.to_vec(),
            identity: more
                .iter()
                .find_map(|line| Some(line.strip_prefix("IdentityFile ")?.into())),
        })
    }

    /// Where the server is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The user's name there.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The host keys that are expected.
    pub fn host_keys(&self) -> &[String] {
        &self.host_keys
    }

    /// The file with the user's private key, if there is one.
    pub fn identity(&self) -> Option<&Path> {
        self.identity.as_deref()
    }

    /// The file, for `-F`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name that stands for the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `ssh`, `scp` or `sftp` with this file. The caller adds options and then [`SshConfig::name`].
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-F").arg(&self.path);
        command.env_remove("SSH_AUTH_SOCK").env("LC_ALL", "C.UTF-8");
        command
    }

    /// `ssh` that runs one command line.
    pub fn exec(&self, command_line: &str) -> Command {
        let mut command = self.program("ssh");
        command.arg(&self.name).arg(command_line);
        command
    }

    /// What rsync takes for `-e` and git for `GIT_SSH_COMMAND`.
    pub fn command_line(&self) -> String {
        format!("ssh -F {}", self.path.display())
    }
}
