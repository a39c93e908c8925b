//! A throw-away OpenSSH server with accounts of its own, and a record of every command that it was asked to run.
//!
//! The server sees its own `/etc/passwd`, `/etc/shadow`, `/etc/group` and `/etc/pam.d/sshd`, bound over the machine's in a
//! mount namespace, so that accounts and passwords come and go with the server and the machine's stay as they are. It has
//! a process namespace, so that its sessions end with it. Both need root. Files and network are the machine's.

mod account;
mod audit;
mod client;
mod config;
mod key;
mod start;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::TestbedError;
use crate::net::Host;
use crate::supervisor::Supervised;

pub use account::Account;
pub use audit::{Audit, Ran, What};
pub use client::SshConfig;
pub use key::{KeyKind, SshAuthority, SshKey};

/// What the server should be like.
#[derive(Debug, Clone, Default)]
pub struct SshdOptions {
    /// Who can log in. Without any there is `deploy`, who has neither key nor password.
    pub accounts: Vec<Account>,
    /// A public key (`ssh-ed25519 AAAA…`) whose certificates are accepted for every account that they name.
    pub user_authority: Option<String>,
    /// Signs the host keys, for clients that trust an authority instead of a key.
    pub host_authority: Option<SshAuthority>,
    /// Passwords may be asked for with keyboard-interactive, too (by PAM).
    pub keyboard_interactive: bool,
    /// Further lines of `sshd_config`, such as `MaxSessions 1`. They win over what is there without them.
    pub settings: Vec<String>,
    /// The TCP port; a free one when absent.
    pub port: Option<u16>,
    /// The host in which it runs, bound to that host's address; 127.0.0.1 of this machine when absent.
    pub host: Option<Host>,
}

/// A running server. Dropping it ends the server with all its sessions and removes its directory.
#[derive(Debug)]
pub struct Sshd {
    process: Supervised,
    address: SocketAddr,
    host_keys: Vec<String>,
}

impl Sshd {
    /// Starts a server and waits until it greets.
    ///
    /// # Errors
    /// When OpenSSH is not installed, this is not root, or the server does not start; the error has the end of its log.
    pub fn start(options: &SshdOptions) -> Result<Sshd, TestbedError> {
        start::start(options)
    }

    /// Where it listens: on loopback, or at the address of its host.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its public host keys, `ssh-ed25519 AAAA…` and the like, without comments: Ed25519, ECDSA, RSA.
    pub fn host_keys(&self) -> &[String] {
        &self.host_keys
    }

    /// Its directory: `sshd_config`, `log`, host keys, `home` of each account.
    pub fn dir(&self) -> &Path {
        self.process.dir()
    }

    /// The home directory of an account.
    pub fn home(&self, account: &str) -> PathBuf {
        self.dir().join("home").join(account)
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Every command, shell and subsystem that was started, in order of time. Each is written before it starts.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn ran(&self) -> Result<Vec<Ran>, TestbedError> {
        Audit::at(self.dir(), self.dir()).ran()
    }

    /// What the SFTP subsystem did: a line for each operation, as sftp-server words it (`open "/etc/hosts" flags READ …`).
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn sftp_operations(&self) -> Result<Vec<String>, TestbedError> {
        Audit::at(self.dir(), self.dir()).sftp()
    }

    /// Ends the server and every session, as a host does that loses power; its directory stays until the drop.
    ///
    /// # Errors
    /// When `kill` cannot be run.
    pub fn kill(&self) -> Result<(), TestbedError> {
        let path = self.dir().join(start::PID);
        let pid = std::fs::read_to_string(&path).map_err(TestbedError::file(path))?;
        crate::cache::run(Command::new("kill").args(["-KILL", pid.trim()]))?;
        while self.is_running() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Ok(())
    }
}
