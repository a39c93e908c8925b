//! Debian's packages.

use std::process::Command;

use anyhow::{Result, bail};
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
