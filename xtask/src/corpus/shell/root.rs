//! The files of a host, below what a case changes of them.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sallyport_testbed::{Audit, KeyKind, SshKey};

use crate::{process, setup};

/// Where the host's accounts see the record of what ran.
pub(super) const AUDIT: &str = "/run/audit";

/// Programs that the stub stands for.
const STUBBED: &[&str] = &[
    "curl",
    "wget",
    "kubectl",
    "systemctl",
    "shutdown",
    "reboot",
    "poweroff",
    "halt",
    "init",
    "telinit",
    "busctl",
    "loginctl",
];

/// Devices: name, minor and major number. Everybody may use them.
const DEVICES: &[(&str, u32, u32)] = &[
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: &[(&str, &str)] = &[
    ("pts/ptmx", "ptmx"),
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
];

/// Debian's files, made when missing.
pub(super) fn base() -> Result<PathBuf> {
    setup::run(&[setup::Layer::Ssh])?;
    setup::shell_root()
}

/// Keys of a dressed host.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// The host's own.
    pub(super) host: SshKey,
    /// With which the account's owner logs in, also from the host to itself.
    pub(super) owner: SshKey,
    /// With which the gateway logs in. It is not on the host.
    pub(super) gateway: SshKey,
}

/// Lays what the corpus adds to Debian's files into `dress`, and the keys that are not on the host into `aside`.
pub(super) fn dress(dress: &Path, aside: &Path, base: &Path) -> Result<Keys> {
    let files = process::root().join("tests/corpus/shell-host");
    process::capture(
        Command::new("cp")
            .args(["-r", "--no-preserve=ownership"])
            .arg(&files)
            .arg(dress),
    )?;
    for name in [
        "empty",
        "dev/pts",
        "run/sshd",
        "proc",
        "mnt",
        "var/log",
        "home",
        "opt/client",
    ] {
        std::fs::create_dir_all(dress.join(name))?;
    }
    devices(&dress.join("dev"))?;
    stubs(dress)?;
    mode(&dress.join("etc/shadow"), 0o640)?;
    mode(&dress.join("tmp"), 0o1777)?;
    mode(&dress.join("root"), 0o700)?;
    mode(&dress.join("root/.ssh"), 0o700)?;
    let audit = dress.join("run/audit");
    std::fs::create_dir_all(&audit)?;
    Audit::lay(&audit, Path::new(AUDIT))?;
    let passwd = std::fs::read_to_string(base.join("etc/passwd"))?;
    let shell = passwd.replace(
        "root:x:0:0:root:/root:/bin/bash",
        &format!("root:x:0:0:root:/root:{AUDIT}/shell"),
    );
    std::fs::write(dress.join("etc/passwd"), shell)?;
    let keys = Keys {
        host: SshKey::generate(&dress.join("etc/ssh/ssh_host_ed25519_key"), KeyKind::Ed25519)?,
        owner: SshKey::generate(&dress.join("root/.ssh/id_ed25519"), KeyKind::Ed25519)?,
        gateway: SshKey::generate(&aside.join("gateway"), KeyKind::Ed25519)?,
    };
    let authorized = format!("{}\n{}\n", keys.owner.public(), keys.gateway.public());
    std::fs::write(dress.join("root/.ssh/authorized_keys"), authorized)?;
    Ok(keys)
}

fn devices(dev: &Path) -> Result<()> {
    for (name, major, minor) in DEVICES {
        let numbers = [major.to_string(), minor.to_string()];
        process::capture(
            Command::new("mknod")
                .args(["-m", "666"])
                .arg(dev.join(name))
                .arg("c")
                .args(numbers),
        )?;
    }
    for (to, name) in LINKS {
        symlink(to, dev.join(name))?;
    }
    Ok(())
}

fn stubs(dress: &Path) -> Result<()> {
    for place in ["usr/bin", "usr/sbin"] {
        let place = dress.join(place);
        std::fs::create_dir_all(&place)?;
        for name in STUBBED {
            symlink("/usr/local/lib/stub", place.join(name))?;
        }
    }
    Ok(())
}

fn mode(path: &Path, mode: u32) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .with_context(|| format!("`{}`", path.display()))
}
