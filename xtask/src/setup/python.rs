//! Packages of PyPI, in a virtual environment: the drivers that Python people use.

use std::process::Command;

use anyhow::Result;

use super::{apt, stamp};
use crate::process;

const PACKAGES: &[&str] = &["psycopg[binary]==3.3.9", "asyncpg==0.32.0"];

pub(super) fn ensure() -> Result<()> {
    apt::program("python3", "--version", &["python3", "python3-venv"])?;
    let recipe = format!("pip install {}", PACKAGES.join(" "));
    stamp::ensure("python", &recipe, |dir| {
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
        process::run(Command::new(venv.join("bin/pip")).args(flags).args(PACKAGES))
    })?;
    Ok(())
}
