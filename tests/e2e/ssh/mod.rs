//! SSH: real clients, the real gateway, a real sshd.

mod clients;
mod control;
mod files;
mod forwards;
mod gated;
mod guarded;
mod guarded_clients;
mod hostile;
mod masks;
mod memory;
mod openssh;
mod shells;
mod watch;

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sallyport_testbed::SshConfig;
use sallyport_tests::SshBed;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a program to its end with this input.
fn feed(command: &mut Command, input: &[u8]) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{:?}` could not be started", command.get_program()))?;
    let mut stdin = child.stdin.take().context("no input")?;
    let input = input.to_vec();
    // What the program says must be read while it is fed.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output()?;
    // A program that ends early leaves its input.
    let _ = writer.join();
    Ok(output)
}

/// Status and both outputs of a command line at the host.
fn exec(config: &SshConfig, line: &str) -> Result<Output> {
    Ok(config.exec(line).stdin(Stdio::null()).output()?)
}

/// What an output says, in one text.
fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{:?} {}{}",
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr)
    )
}

/// Tries until it succeeds: for what happens elsewhere and tells nobody here.
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = attempt()? {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("{what} did not happen within {PATIENCE:?}")
}

/// The most memory that the gateway has taken so far, in MiB.
fn peak(bed: &SshBed) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", bed.gateway.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: usize = line.context("no peak")?.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024)
}
