//! `cargo xtask test` and `cargo xtask ci`

use std::time::Instant;

use anyhow::{Result, ensure};
use sallyport_testbed::SKIPPED;

use crate::{corpus, demo, docs, fuzz, process, regress, setup, tidy};

/// Installs what is missing and runs the tests.
pub(crate) fn test(filters: &[String]) -> Result<()> {
    setup::run(setup::FOR_TESTS)?;
    // The end-to-end tests start the real program.
    demo::build()?;
    if filters.is_empty() {
        process::run(process::cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
    }
    let skipped = tempfile::NamedTempFile::new()?;
    let ran = process::run(
        setup::nextest()
            .args(["run", "--workspace", "--no-fail-fast"])
            .args(filters)
            .env(SKIPPED, skipped.path()),
    );
    eprint!("{}", std::fs::read_to_string(skipped.path())?);
    ran
}

/// For each fuzz target: enough for its seeds, and to find what anybody would stumble over. `cargo xtask fuzz` looks longer.
const FUZZ_S: u32 = 5;

type Step = fn() -> Result<()>;

/// Everything that continuous integration runs; the tests come last, so that their summary ends the output.
pub(crate) fn ci() -> Result<()> {
    setup::run(setup::FOR_CI)?;
    let steps: &[(&str, Step)] = &[
        ("tidy", tidy::run),
        ("docs", docs::run),
        ("fmt", || {
            process::run(process::cargo().args(["fmt", "--all", "--check"]))
        }),
        ("clippy", clippy),
        ("deny", deny),
        ("doc", doc),
        ("fuzz", || fuzz::run(&fuzz::Arguments::all(FUZZ_S))),
        ("corpora", corpora),
        ("regress", regress),
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

/// The repository's own corpora, through the real gateway in front of a real server.
fn corpora() -> Result<()> {
    let path = |name: &str| process::root().join("tests").join("corpus").join(name);
    let file = |name: &str| corpus::Options::of(path(name));
    let sql = corpus::run(corpus::Corpus::Sql(file("sql_cases.jsonl")))?;
    // The whole takes many minutes.
    let attacks = corpus::Options::sample(path("attacks.jsonl"), 1);
    let attacks = corpus::run(corpus::Corpus::Sql(attacks))?;
    let mask = corpus::run(corpus::Corpus::Mask(file("mask_cases.jsonl")))?;
    let shell = corpus::shell::Arguments::of(path("shell_cases.jsonl"));
    let shell = corpus::run(corpus::Corpus::Shell(shell))?;
    let around = corpus::shell::Arguments::sample(path("shell_attacks.jsonl"), 2);
    let around = corpus::run(corpus::Corpus::Shell(around))?;
    ensure!(sql && attacks && mask && shell && around, "cases of the corpora failed");
    Ok(())
}

/// PostgreSQL's own tests.
fn regress() -> Result<()> {
    ensure!(
        regress::run(&regress::Arguments::default())?,
        "PostgreSQL's own tests give other results through the gateway"
    );
    Ok(())
}
