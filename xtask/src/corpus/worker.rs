//! Several cases at a time, each in a network of its own.
//!
//! The cases name a fixed port and a fixed directory, so each worker is a process with its own network and
//! its own `/tmp/gwtest`. Where that is not permitted, one worker runs without.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cluster;
use super::report::Outcome;
use crate::process;

const OWN_NETWORK: &[&str] = &["--net", "--mount", "--propagation", "private", "--"];

/// Whether workers can have networks of their own here.
pub(super) fn isolated() -> bool {
    process::capture(Command::new("unshare").args(OWN_NETWORK).arg("true")).is_ok()
}

/// Runs the cases in worker processes and returns the outcomes in the order of the cases. `words` begin the command line of
/// `xtask corpus` by which a worker is started.
pub(super) fn run<C: Serialize + Send>(cases: Vec<C>, jobs: usize, words: &[OsString]) -> Result<Vec<Outcome>> {
    let isolated = isolated();
    let jobs = if isolated { jobs.clamp(1, cases.len().max(1)) } else { 1 };
    if !isolated {
        eprintln!("corpus: no network namespaces here, so one case runs at a time");
    }
    let total = cases.len();
    let queue = Mutex::new(cases.into_iter().enumerate());
    let done: Mutex<Vec<(usize, Outcome)>> = Mutex::new(Vec::with_capacity(total));
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..jobs)
            .map(|_| scope.spawn(|| drive(&queue, &done, total, isolated, words)))
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(result) => result?,
                Err(_) => bail!("a worker's thread panicked"),
            }
        }
        Ok(())
    })?;
    let mut outcomes = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    outcomes.sort_by_key(|(index, _)| *index);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

type Queue<C> = Mutex<std::iter::Enumerate<std::vec::IntoIter<C>>>;

fn drive<C: Serialize>(
    queue: &Queue<C>,
    done: &Mutex<Vec<(usize, Outcome)>>,
    total: usize,
    isolated: bool,
    words: &[OsString],
) -> Result<()> {
    let mut worker = start(isolated, words)?;
    let mut input = worker.stdin.take().context("a worker without input")?;
    let output = worker.stdout.take().context("a worker without output")?;
    let mut lines = BufReader::new(output).lines();
    loop {
        let next = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
        let Some((index, case)) = next else { break };
        writeln!(input, "{}", serde_json::to_string(&case)?).context("a worker ended early")?;
        let line = lines.next().context("a worker ended early")??;
        let outcome: Outcome = serde_json::from_str(&line).context("a worker spoke nonsense")?;
        let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !outcome.passed {
            eprintln!("[{}/{total}] {} failed", done.len() + 1, outcome.id);
        } else if (done.len() + 1).is_multiple_of(50) {
            eprintln!("[{}/{total}]", done.len() + 1);
        }
        done.push((index, outcome));
    }
    drop(input);
    let status = worker.wait()?;
    if !status.success() {
        bail!("a worker failed ({status})");
    }
    Ok(())
}

fn start(isolated: bool, words: &[OsString]) -> Result<Child> {
    let own = std::env::current_exe()?;
    let mut command = if isolated {
        Command::new("unshare")
    } else {
        Command::new(&own)
    };
    if isolated {
        command.args(OWN_NETWORK).arg(&own);
    }
    command.arg("corpus").args(words);
    command.args(isolated.then_some("--isolated"));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("a worker could not be started")
}

/// A worker: reads cases, writes outcomes.
pub(super) fn serve<C: DeserializeOwned>(mut judge: impl FnMut(&C) -> Outcome) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let case: C = serde_json::from_str(&line?)?;
        let outcome = judge(&case);
        println!("{}", serde_json::to_string(&outcome)?);
    }
    Ok(())
}

/// The loopback of the new network, and files that no other worker sees.
pub(super) fn isolate() -> Result<()> {
    std::fs::create_dir_all(cluster::FILES)?;
    process::capture(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    process::capture(Command::new("mount").args(["-t", "tmpfs", "tmpfs", cluster::FILES]))?;
    Ok(())
}
