//! `cargo xtask fuzz`: builds the fuzzer, and runs each of its targets for a while.
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

/// Gives the crates of this workspace, and nothing else, the fuzzer's instruments.
const COMPILER: &str = "rustc.sh";
/// Says to the fuzzer which target it is.
const NAME: &str = "SALLYPORT_FUZZ";
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

impl Arguments {
    /// All targets, each for so many seconds.
    pub(crate) fn all(seconds: u32) -> Self {
        Self {
            targets: Vec::new(),
            seconds,
        }
    }
}

/// Builds the targets and runs each for a while; an error when one of them found something.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::run(setup::FOR_FUZZING)?;
    let program = build()?;
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
                    match fuzz(&name, &program, arguments.seconds) {
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
    let dir = root().join("src").join("targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("`{}` could not be read", dir.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Builds the fuzzer, which is all targets; where it is.
fn build() -> Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo.env("RUSTC_WORKSPACE_WRAPPER", root().join(COMPILER));
    cargo.env("CARGO_INCREMENTAL", "0");
    cargo.args(["build", "--quiet", "--locked", "--package", "sallyport-fuzz"]);
    cargo.args(["--features", "libfuzzer", "--bin", "fuzz"]);
    process::run(&mut cargo)?;
    Ok(process::target_dir()?.join("debug").join("fuzz"))
}

/// Runs one target; how often it ran. What it finds stays in `fuzz/artifacts`.
fn fuzz(name: &str, program: &Path, seconds: u32) -> Result<String> {
    let (corpus, artifacts) = (root().join("corpus").join(name), root().join("artifacts").join(name));
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&artifacts)?;
    let log = artifacts.join("log");
    let file = File::create(&log).with_context(|| format!("`{}` could not be made", log.display()))?;
    let mut command = Command::new(program);
    command
        .env(NAME, name)
        .arg(&corpus)
        .args([root().join("seeds").join(name)].iter().filter(|dir| dir.is_dir()));
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={HANG_S}"),
        format!("-rss_limit_mb={MEMORY_MB}"),
        "-print_final_stats=1".to_owned(),
        format!("-artifact_prefix={}/", artifacts.display()),
    ]);
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
