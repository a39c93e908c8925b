//! Cargo's companions. Those that are missing are built once, into the cache.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use sallyport_testbed::cache_dir;

use crate::process;

const NEXTEST: &str = "0.9.143";
const DENY: &str = "0.20.2";
const RUSTY_VAULT: &str = "0.2.1";

pub(super) fn ensure_nextest() -> Result<()> {
    let present = process::capture(nextest().arg("--version")).is_ok();
    if present {
        Ok(())
    } else {
        build("cargo-nextest", NEXTEST)
    }
}

pub(super) fn ensure_deny() -> Result<()> {
    let present = process::capture(deny().arg("--version")).is_ok();
    if present { Ok(()) } else { build("cargo-deny", DENY) }
}

/// `rvault`. Tests that need it say that they are skipped when it cannot be had.
pub(super) fn try_rvault() {
    if installed("rvault").exists() {
        return;
    }
    if let Err(error) = build("rusty_vault", RUSTY_VAULT) {
        eprintln!("setup: no rvault, tests against it are skipped (`test(rvault)`): {error:#}");
    }
}

/// `cargo nextest`, of the machine or of the cache.
pub(crate) fn nextest() -> Command {
    companion("cargo-nextest", "nextest")
}

/// `cargo deny`, of the machine or of the cache.
pub(crate) fn deny() -> Command {
    companion("cargo-deny", "deny")
}

fn companion(program: &str, subcommand: &str) -> Command {
    let cached = installed(program);
    if !cached.exists() {
        let mut cargo = process::cargo();
        cargo.arg(subcommand);
        return cargo;
    }
    let mut command = Command::new(cached);
    command.arg(subcommand).current_dir(process::root());
    command
}

fn installed(program: &str) -> PathBuf {
    cache_dir().join("tools").join("bin").join(program)
}

fn build(program: &str, version: &str) -> Result<()> {
    eprintln!("setup: building {program} {version} with cargo install (some minutes, once)");
    let mut cargo = process::cargo();
    cargo.args(["install", "--locked", "--quiet", program, "--version", version]);
    cargo.arg("--root").arg(cache_dir().join("tools"));
    process::run(&mut cargo)
}
