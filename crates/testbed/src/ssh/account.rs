//! The accounts that a server knows.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::TestbedError;
use crate::tls::write_private;

/// The first number of a user; higher than what Debian gives to people.
const FIRST_ID: u32 = 20_001;

/// Somebody who can log in at a throw-away server.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// The name; `root` is the machine's root with another home directory.
    pub name: String,
    /// The password; without one there is no login by password.
    pub password: Option<String>,
    /// Lines of `authorized_keys`.
    pub authorized_keys: Vec<String>,
}

impl Account {
    /// An account that nobody can log in to yet.
    pub fn new(name: &str) -> Account {
        Account {
            name: name.to_owned(),
            ..Account::default()
        }
    }

    /// With a password.
    #[must_use]
    pub fn with_password(self, password: &str) -> Account {
        let password = Some(password.to_owned());
        Account { password, ..self }
    }

    /// With a public key that may log in.
    #[must_use]
    pub fn with_key(mut self, public: &str) -> Account {
        self.authorized_keys.push(public.to_owned());
        self
    }
}

/// Writes `passwd`, `shadow`, `group`, and for each account its home directory and its keys.
pub(super) fn write(dir: &Path, accounts: &[Account]) -> Result<(), TestbedError> {
    let mut passwd = machine("/etc/passwd", accounts)?;
    let mut shadow = machine("/etc/shadow", accounts)?;
    let mut group = machine("/etc/group", &[])?;
    for (account, id) in accounts.iter().zip(FIRST_ID..) {
        let id = if account.name == "root" { 0 } else { id };
        let (name, at) = (&account.name, dir.display());
        passwd.push_str(&format!("{name}:x:{id}:{id}:{name}:{at}/home/{name}:{at}/shell\n"));
        let hash = account.password.as_deref().map(hash).transpose()?;
        // `*`: no password fits, and unlike `!` the account is not locked for other methods.
        shadow.push_str(&format!(
            "{name}:{}:19000:0:99999:7:::\n",
            hash.as_deref().unwrap_or("*")
        ));
        if id != 0 {
            group.push_str(&format!("{name}:x:{id}:\n"));
        }
        let home = dir.join("home").join(name);
        std::fs::create_dir_all(&home).map_err(TestbedError::file(&home))?;
        chown(&home, Some(id), Some(id)).map_err(TestbedError::file(&home))?;
        let keys = dir.join("keys").join(name);
        put(&keys, &(account.authorized_keys.join("\n") + "\n"), 0o644)?;
    }
    put(&dir.join("passwd"), &passwd, 0o644)?;
    put(&dir.join("group"), &group, 0o644)?;
    write_private(&dir.join("shadow"), &shadow)
}

/// Writes a file with a mode.
pub(super) fn put(path: &Path, text: &str, mode: u32) -> Result<(), TestbedError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(TestbedError::file(parent))?;
    }
    std::fs::write(path, text).map_err(TestbedError::file(path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(TestbedError::file(path))
}

/// A file of the machine without the lines of these accounts.
fn machine(path: &str, without: &[Account]) -> Result<String, TestbedError> {
    let text = std::fs::read_to_string(path).map_err(TestbedError::file(path))?;
    let ours = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        without.iter().any(|account| account.name == name)
    };
    Ok(text
        .lines()
        .filter(|line| !ours(line))
        .map(|line| format!("{line}\n"))
        .collect())
}

/// A password as `/etc/shadow` has it.
fn hash(password: &str) -> Result<String, TestbedError> {
    use std::io::Write;
    let spawn = |source| TestbedError::Spawn {
        program: "openssl".to_owned(),
        source,
    };
    let mut openssl = Command::new("openssl");
    openssl.args(["passwd", "-6", "-stdin"]);
    let mut child = openssl
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(spawn)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(password.as_bytes()).map_err(spawn)?;
    }
    let output = child.wait_with_output().map_err(spawn)?;
    let hash = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && hash.starts_with("$6$") {
        return Ok(hash);
    }
    Err(TestbedError::Failed {
        program: "openssl passwd".to_owned(),
        output: hash,
    })
}
