//! `cargo xtask fuzz`: builds every fuzz target, and runs each for a while.
//!
//! It does what `cargo fuzz` does, but with stable Rust: the coverage that libFuzzer steers by takes no unstable flag. Only
//! the address sanitizer does; `fuzz/README.md` says how to run with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{process, setup};

/// Each edge is counted, and each comparison shown.
const INSTRUMENTS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];
/// A hang, as opposed to a slow machine.
const HANG_S: u32 = 30;
const MEMORY_MB: u32 = 2048;
const TARGETS_AT_A_TIME: usize = 2;

/// What to run, and for how long.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these targets
    targets: Vec<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Builds the targets and runs each for a while; an error when one of them found something.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::run(setup::FOR_FUZZING)?;
    let binaries = build()?;
    let mut targets = all_targets()?;
    if !arguments.targets.is_empty() {
        for name in &arguments.targets {
            anyhow::ensure!(targets.contains(name), "no fuzz target is called `{name}`");
        }
        targets.retain(|name| arguments.targets.contains(name));
    }
    let queue = Mutex::new(targets.into_iter());
    let failures = Mutex::new(Vec::new());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..TARGETS_AT_A_TIME {
            scope.spawn(|| {
                while let Some(name) = next() {
                    match fuzz(&name, &binaries, arguments.seconds) {
                        Ok(summary) => eprintln!("fuzz: {name}: {summary}"),
                        Err(error) => {
                            eprintln!("fuzz: {name}: {error:#}");
                            failures.lock().unwrap_or_else(PoisonError::into_inner).push(name);
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failures.is_empty() {
        bail!("something was found by {}", failures.join(", "));
    }
    Ok(())
}

/// The targets are the files of their folder.
fn all_targets() -> Result<Vec<String>> {
    let dir = root().join("fuzz_targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("`{}` could not be read", dir.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Builds all of them; where they are.
fn build() -> Result<PathBuf> {
    let machine = machine()?;
    let mut cargo = process::cargo();
    cargo.current_dir(root()).env("RUSTFLAGS", INSTRUMENTS.join(" "));
    // With a target given, what only builds (scripts, macros) goes without the instruments.
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--bins",
        "--locked",
        "--target",
        &machine,
    ]);
    process::run(&mut cargo)?;
    Ok(root().join("target").join(machine).join("release"))
}

fn machine() -> Result<String> {
    let said = process::capture(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .context("rustc does not say what machine this is")
}

/// Runs one target; how often it ran. What it finds stays in `fuzz/artifacts`.
fn fuzz(name: &str, binaries: &Path, seconds: u32) -> Result<String> {
    let (corpus, artifacts) = (root().join("corpus").join(name), root().join("artifacts").join(name));
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&artifacts)?;
    let log = artifacts.join("log");
    let file = File::create(&log).with_context(|| format!("`{}` could not be made", log.display()))?;
    let mut command = Command::new(binaries.join(name));
    command
        .arg(&corpus)
        .args([root().join("seeds").join(name)].iter().filter(|dir| dir.is_dir()));
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={HANG_S}"),
        format!("-rss_limit_mb={MEMORY_MB}"),
        "-print_final_stats=1".to_owned(),
        format!("-artifact_prefix={}/", artifacts.display()),
    ]);
    let dictionary = root().join("dictionaries").join(name);
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    let status = command.stdout(file.try_clone()?).stderr(file).status()?;
    let said = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
    if !status.success() {
        let lines: Vec<&str> = said.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(40)..)
            .unwrap_or_default()
            .join("\n");
        bail!("it failed ({status}); the input is in {}:\n{tail}", artifacts.display());
    }
    let stat = |label: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(label));
        line.map_or("?", str::trim).to_owned()
    };
    let edges = said
        .lines()
        .rev()
        .find_map(|line| line.split("cov: ").nth(1)?.split(' ').next());
    let runs = stat("stat::number_of_executed_units:");
    Ok(format!(
        "{runs} runs, {} edges, {} MB",
        edges.unwrap_or("?"),
        stat("stat::peak_rss_mb:")
    ))
}

fn root() -> PathBuf {
    process::root().join("fuzz")
}
