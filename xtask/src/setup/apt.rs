//! Debian's packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};
use sallyport_testbed::find_postgres;

use crate::process;

/// The server's programs, and the clients on the path.
pub(super) fn postgres() -> Result<()> {
    let clients = ["psql", "pg_dump", "pg_restore", "pgbench"];
    let present = || find_postgres().is_some() && clients.iter().all(|program| process::answers(program, "--version"));
    if present() {
        return Ok(());
    }
    install(&["postgresql", "postgresql-client"])?;
    if !present() {
        bail!("Debian's `postgresql` is installed, but its server or one of {clients:?} is not found");
    }
    Ok(())
}

/// The library that reads C headers, wherever Debian keeps its versions.
pub(super) fn clang() -> Result<()> {
    let versions = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut libraries = versions.map(|entry| entry.path().join("lib/libclang.so"));
    if std::env::var_os("LIBCLANG_PATH").is_some() || libraries.any(|library| library.exists()) {
        return Ok(());
    }
    install(&["libclang-dev"])
}

/// A program, and the packages that bring it.
pub(super) fn program(program: &str, argument: &str, packages: &[&str]) -> Result<()> {
    if process::answers(program, argument) {
        return Ok(());
    }
    install(packages)
}

/// OpenSSH's server and clients, and what the tests of SSH run over them: each file, and the package that brings it. Only
/// files are looked for, so that it costs nothing once they are there.
const SSH: &[(&str, &str)] = &[
    ("/usr/sbin/sshd", "openssh-server"),
    ("/usr/lib/openssh/sftp-server", "openssh-sftp-server"),
    ("/usr/bin/ssh", "openssh-client"),
    ("/usr/bin/rsync", "rsync"),
    ("/usr/bin/git", "git"),
    ("/usr/bin/sshpass", "sshpass"),
    ("/usr/bin/expect", "expect"),
    ("/usr/bin/curl", "curl"),
    ("/usr/bin/socat", "socat"),
    ("/usr/bin/less", "less"),
    ("/usr/bin/openssl", "openssl"),
    ("/usr/bin/unshare", "util-linux"),
    ("/bin/mount", "mount"),
    ("/bin/ip", "iproute2"),
];

/// What hosts in network namespaces need, and the HTTP proxy that stands between them.
const NETWORK: &[(&str, &str)] = &[
    ("/bin/ip", "iproute2"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/bin/nsenter", "util-linux"),
    ("/usr/bin/tinyproxy", "tinyproxy"),
];

/// A host and its clients.
pub(super) fn openssh() -> Result<()> {
    let host = |(_, package): &&(&str, &str)| package.starts_with("openssh-");
    files(&SSH.iter().filter(host).copied().collect::<Vec<_>>())
}

pub(super) fn ssh() -> Result<()> {
    files(SSH)?;
    let curl = process::capture(Command::new("curl").arg("-V"))?;
    ensure!(curl.contains("libssh2"), "curl speaks no SFTP here: {curl}");
    Ok(())
}

pub(super) fn network() -> Result<()> {
    program("python3", "--version", &["python3"])?;
    files(NETWORK)
}

/// Files, and the packages that bring them.
fn files(files: &[(&str, &str)]) -> Result<()> {
    let missing = || files.iter().filter(|(file, _)| !Path::new(file).exists());
    let packages: Vec<&str> = missing().map(|&(_, package)| package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    install(&packages)?;
    let still: Vec<&str> = missing().map(|&(file, _)| file).collect();
    ensure!(
        still.is_empty(),
        "{packages:?} are installed, but not found are {still:?}"
    );
    Ok(())
}

pub(super) fn install(packages: &[&str]) -> Result<()> {
    eprintln!("setup: installing {} with apt-get", packages.join(", "));
    process::run(apt_get().arg("update").arg("-qq"))?;
    process::run(
        apt_get()
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(packages),
    )
}

/// As root, or by `sudo`.
fn apt_get() -> Command {
    let root = process::capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let mut command = if root {
        Command::new("apt-get")
    } else {
        Command::new("sudo")
    };
    if !root {
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    }
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// The configuration of an apt of its own in `dir`: the machine's own list of sources and of packages stays as it is.
pub(super) fn private(dir: &Path) -> Result<PathBuf> {
    let apt = dir.join("apt");
    for part in [
        "etc/apt.conf.d",
        "etc/preferences.d",
        "state/lists/partial",
        "cache/archives/partial",
    ] {
        std::fs::create_dir_all(apt.join(part))?;
    }
    std::fs::write(apt.join("state/status"), "")?;
    let sources = std::fs::read_to_string("/etc/apt/sources.list.d/debian.sources").unwrap_or_default();
    let uri = sources
        .lines()
        .find_map(|line| line.strip_prefix("URIs: "))
        .unwrap_or("http://deb.debian.org/debian");
    let suite = sources
        .lines()
        .find_map(|line| line.strip_prefix("Suites: "))
        .unwrap_or("bookworm");
    let suite = suite.split(' ').next().unwrap_or(suite);
    let signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
    let list = format!("deb-src {signed} {uri} {suite} main\ndeb {signed} {uri} {suite} main\n");
    std::fs::write(apt.join("etc/sources.list"), list)?;
    let at = apt.display();
    let config = format!(
        "Dir::Etc \"{at}/etc\";\nDir::Etc::sourcelist \"{at}/etc/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
         Dir::State \"{at}/state\";\nDir::State::status \"{at}/state/status\";\nDir::Cache \"{at}/cache\";\n\
         APT::Sandbox::User \"root\";\nAPT::Install-Recommends \"false\";\nAcquire::Languages \"none\";\n"
    );
    let path = apt.join("apt.conf");
    std::fs::write(&path, config)?;
    Ok(path)
}
