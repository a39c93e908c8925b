//! The account at the host that a session is for, and what `targets.toml` says of it.

use sallyport_target::{AcceptEnv, FileRecording, LoginShell, ShellMode, Ssh};

use crate::conversation::Setup;

/// An account at a host.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// The target's name.
    pub(crate) target: String,
    /// Its name at the host.
    pub(crate) login: String,
    /// Where a shell begins there, as the host said; `None` if it did not.
    pub(crate) home: Option<String>,
    /// Which shell reads command lines there.
    pub(crate) login_shell: LoginShell,
    pub(crate) shell: ShellMode,
    pub(crate) files: FileRecording,
    accept_env: AcceptEnv,
}

impl Account {
    pub(crate) fn new(target: &str, host: &Ssh, login: &str, home: Option<String>) -> Self {
        Self {
            target: target.to_owned(),
            login: login.to_owned(),
            home,
            login_shell: host.login_shell,
            shell: host.shell,
            files: host.files,
            accept_env: host.accept_env.clone(),
        }
    }

    /// An account that no lease names.
    #[cfg(test)]
    pub(crate) fn for_tests(login: &str) -> Self {
        Self {
            target: "web-1".to_owned(),
            login: login.to_owned(),
            home: Some(["", "home", login].join("/")),
            login_shell: LoginShell::Bash,
            shell: ShellMode::Guarded,
            files: FileRecording::Digest,
            accept_env: AcceptEnv::default(),
        }
    }

    /// Takes a variable that a client gives, if this host takes it.
    pub(crate) fn take_variable(&self, name: &[u8], value: &[u8], setup: &mut Setup) -> bool {
        let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
            return false;
        };
        self.accept_env.accepts(name) && !value.contains('\0') && setup.set(name, value)
    }
}
