//! `cargo xtask test` and `cargo xtask ci`

use std::time::Instant;

use anyhow::Result;

use crate::{demo, process, setup, tidy};

/// Installs what is missing and runs the tests.
pub(crate) fn test(filters: &[String]) -> Result<()> {
    setup::run(setup::FOR_TESTS)?;
    // The end-to-end tests start the real program.
    demo::build()?;
    if filters.is_empty() {
        process::run(process::cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
    }
    process::run(
        setup::nextest()
            .args(["run", "--workspace", "--no-fail-fast"])
            .args(filters),
    )
}

type Step = fn() -> Result<()>;

/// Everything that continuous integration runs; the tests come last, so that their summary ends the output.
pub(crate) fn ci() -> Result<()> {
    setup::run(setup::FOR_CI)?;
    let steps: &[(&str, Step)] = &[
        ("tidy", tidy::run),
        ("fmt", || {
            process::run(process::cargo().args(["fmt", "--all", "--check"]))
        }),
        ("clippy", clippy),
        ("deny", deny),
        ("doc", doc),
        ("test", || test(&[])),
    ];
    for (name, step) in steps {
        let start = Instant::now();
        eprintln!("== {name}");
        step()?;
        eprintln!("== {name}: {} s", start.elapsed().as_secs());
    }
    Ok(())
}

fn clippy() -> Result<()> {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    process::run(process::cargo().args(arguments))
}

/// The advisory database lives on a host that not every machine reaches, so it is not part of this.
fn deny() -> Result<()> {
    setup::run(&[setup::Layer::Deny])?;
    process::run(setup::deny().args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))
}

fn doc() -> Result<()> {
    let mut cargo = process::cargo();
    cargo
        .args(["doc", "--workspace", "--no-deps", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings");
    process::run(&mut cargo)
}
