//! Packages of PyPI, in virtual environments: the database drivers and the SSH clients that Python people
//! use, and moto, which plays AWS.

use std::process::Command;

use anyhow::Result;

use super::{apt, stamp};
use crate::process;

const DRIVERS: &[&str] = &["psycopg[binary]==3.3.9", "asyncpg==0.32.0"];
/// The newest Ansible that runs on Debian 12's Python.
const SSH: &[&str] = &[
    "paramiko==5.1.0",
    "asyncssh==2.24.1",
    "ansible-core==2.19.14",
    "pexpect==4.9.0",
];

const WEBSOCKET: &[&str] = &["websockets==17.4"];
/// AWS, as others play it, and AWS's own signatures.
const AWS: &[&str] = &["moto[server,secretsmanager,sts]==5.2.5"];

/// psycopg and asyncpg, in `python` of the cache.
pub(super) fn drivers() -> Result<()> {
    ensure("python", DRIVERS)
}

/// paramiko, asyncssh, Ansible and pexpect, in `python-ssh` of the cache.
pub(super) fn ssh() -> Result<()> {
    ensure("python-ssh", SSH)
}

/// websockets, in `python-websocket` of the cache.
pub(super) fn websocket() -> Result<()> {
    ensure("python-websocket", WEBSOCKET)
}

/// moto, in `python-aws` of the cache.
pub(super) fn aws() -> Result<()> {
    ensure("python-aws", AWS)
}

fn ensure(name: &str, packages: &[&str]) -> Result<()> {
    apt::program("python3", "--version", &["python3", "python3-venv"])?;
    let recipe = format!("pip install {}", packages.join(" "));
    stamp::ensure(name, &recipe, |dir| {
        let venv = dir.join("venv");
        if process::run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).is_err() {
            apt::program("false", "", &["python3-venv"])?;
            process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        }
        let flags = [
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
        ];
        process::run(Command::new(venv.join("bin/pip")).args(flags).args(packages))
    })?;
    Ok(())
}
