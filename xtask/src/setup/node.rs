//! Packages of npm: the OpenID provider that the identity tests log in at, and node-postgres.

use std::process::Command;

use anyhow::{Context, Result};

use super::{apt, stamp};
use crate::process;

const PACKAGES: &[&str] = &["oidc-provider@9.13.3", "pg@8.23.1"];

pub(super) fn ensure() -> Result<()> {
    apt::program("node", "--version", &["nodejs", "npm"])?;
    let recipe = format!("npm install {}", PACKAGES.join(" "));
    stamp::ensure("node", &recipe, |dir| {
        let manifest = dir.join("package.json");
        std::fs::write(&manifest, "{\"private\": true}\n").context("`package.json` could not be written")?;
        let flags = [
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--save-exact",
            "--loglevel=error",
        ];
        process::run(Command::new("npm").args(flags).args(PACKAGES).current_dir(dir))
    })?;
    Ok(())
}
