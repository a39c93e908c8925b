//! The sample host `web-1`, and how each person reaches it through the gateway.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sallyport_testbed::{Account, KeyKind, SshConfig, SshKey, Sshd, SshdOptions, TestbedError};

/// Its name among the targets, and the account there.
pub(super) const NAME: &str = "web-1";
const ACCOUNT: &str = "deploy";

/// A running host, and the key that only the gateway has.
pub(super) struct Host {
    sshd: Sshd,
    login: SshKey,
    keys: PathBuf,
}

/// What lies in the account's home: a log that says too much, and a script.
const FILES: [(&str, &str, u32); 2] = [
    (
        "app.log",
        "09:14:02 order 17 paid by customer17@example.com with 4111 1111 1111 1111\n\
         09:14:05 order 18 shipped\n\
         09:15:31 order 19 paid by customer19@example.com with 5555 5555 5555 4444\n",
        0o644,
    ),
    ("deploy.sh", "#!/bin/sh\necho release deployed\n", 0o755),
];

impl Host {
    /// Starts it. `None`, with the reason, where the machine does not have what it takes: it needs root and OpenSSH's server.
    ///
    /// # Errors
    /// When it could be started and does not start.
    pub(super) fn start(state: &Path) -> anyhow::Result<Result<Self, String>> {
        let keys = state.join("ssh");
        std::fs::create_dir(&keys)?;
        let login = match SshKey::generate(&keys.join("login"), KeyKind::Ed25519) {
            Ok(key) => key,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let started = Sshd::start(&SshdOptions {
            accounts: vec![Account::new(ACCOUNT).with_key(login.public())],
            ..SshdOptions::default()
        });
        let sshd = match started {
            Ok(sshd) => sshd,
            Err(error @ (TestbedError::NoSshd | TestbedError::NotRoot)) => return Ok(Err(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        for (name, text, mode) in FILES {
            let path = sshd.home(ACCOUNT).join(name);
            std::fs::write(&path, text)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
        }
        Ok(Ok(Self { sshd, login, keys }))
    }

    /// Its entry in `targets.toml`.
    pub(super) fn target(&self) -> String {
        format!(
            "\n[[target]]\nname = {NAME:?}\nprotocol = \"ssh\"\naddress = \"{}\"\nenvironment = \"production\"\nuser = {ACCOUNT:?}\n\
             private_key_file = {:?}\nhost_keys = [{:?}]\nshell = \"guarded\"\n",
            self.sshd.address(),
            self.login.path(),
            self.sshd.host_keys().first().map_or("", String::as_str),
        )
    }

    /// Makes the key with which a person logs in at the gateway; its public half.
    ///
    /// # Errors
    /// When there is no `ssh-keygen`.
    pub(super) fn person(&self, name: &str) -> anyhow::Result<String> {
        let key = SshKey::generate(&self.keys.join(name), KeyKind::Ed25519)?;
        Ok(key.public().to_owned())
    }

    /// Writes what ssh needs to bring `name` to the host through the gateway.
    ///
    /// # Errors
    /// When the gateway has no key.
    pub(super) fn config(&self, state: &Path, gateway: SocketAddr, name: &str) -> anyhow::Result<SshConfig> {
        let public = SshKey::public_of(&state.join("keys/ssh_host_ed25519")).context("the gateway's own key")?;
        let identity = format!("IdentityFile {}", self.keys.join(name).display());
        let user = format!("{name}@{NAME}");
        let file = self.keys.join(format!("{name}.config"));
        Ok(SshConfig::write(&file, NAME, gateway, &user, &[public], &[identity])?)
    }
}
