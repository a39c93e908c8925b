//! The shell corpus: each case on a host of its own, through the gateway.
//!
//! A host is Debian's files under an overlay in memory, with its own processes, and a real sshd in the worker's network,
//! which has nothing but loopback. The gateway runs outside of the host's files. What happened on the host says
//! whether a case passed, not what was answered.

mod case;
mod client;
mod door;
mod host;
mod judge;
mod root;
mod terminal;
mod tree;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use super::case::Verdict;
use super::{Options, read, report, worker};
use crate::process;
use case::{Act, Channel, ShellCase};
use door::Door;
use host::Host;

/// How to run the corpus.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// What an interactive shell is through the gateway
    #[arg(long, value_enum, default_value_t = Mode::Guarded)]
    mode: Mode,
}

/// What an interactive shell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Refused: there are commands only
    Exec,
    /// The gateway's own: what is not permitted cannot run
    Guarded,
    /// The host's, where each line waits for a decision; command lines are typed at it, and the shares are measured
    Gated,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Exec => "exec",
            Mode::Guarded => "guarded",
            Mode::Gated => "gated",
        }
    }
}

impl Arguments {
    /// All cases of a file, with shells of the gateway's own.
    pub(crate) fn of(file: PathBuf) -> Arguments {
        Arguments {
            options: Options::of(file),
            mode: Mode::Guarded,
        }
    }

    /// So many cases of each class of a file, with shells of the gateway's own.
    pub(crate) fn sample(file: PathBuf, per_class: usize) -> Arguments {
        Arguments {
            options: Options::sample(file, per_class),
            mode: Mode::Guarded,
        }
    }
}

/// Runs a corpus of shell cases; whether all passed. What gets through a gated shell is counted and fails nothing.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let options = &arguments.options;
    let mut cases: Vec<ShellCase> = read(&options.file)?;
    cases.retain(|case| options.wants(&case.id, &case.class));
    let all = cases.len();
    cases.retain(|case| case.verdict != Verdict::Either);
    let mut notes = report::unscored(all - cases.len());
    options.thin(&mut cases, |case| (&case.class, case.verdict));
    let runnable = |case: &ShellCase| {
        let refused =
            arguments.mode == Mode::Exec && case.channel == Channel::Pty && case.verdict == Verdict::MustAllow;
        let unsafe_here = options.direct && case.is_unsafe();
        !(refused || unsafe_here)
    };
    let all = cases.len();
    cases.retain(runnable);
    if cases.len() < all {
        notes.push(format!(
            "{} not run (unsafe without the gateway, or without a shell)",
            all - cases.len()
        ));
    }
    ensure!(
        worker::isolated(),
        "the shell corpus needs root: a host of its own for each case is made of namespaces"
    );
    // Made here, so that the workers do not each make it.
    root::base()?;
    let mut words: Vec<OsString> = vec!["shell-worker".into(), "--mode".into(), arguments.mode.name().into()];
    let program = options.program()?;
    let heads = match &program {
        Some(_) => ["stopped", "let through"],
        None => ["reproduced", "harmless"],
    };
    if let Some(program) = program {
        words.extend(["--program".into(), program.into_os_string()]);
    }
    if arguments.mode == Mode::Gated {
        cases = cases.into_iter().map(ShellCase::typed).collect();
        notes.push("a measurement: gated shells are best effort, and what got through fails nothing".to_owned());
    }
    let outcomes = worker::run(cases, options.jobs, &words)?;
    let passed = report::print(&outcomes, heads, &notes);
    Ok(passed || (arguments.mode == Mode::Gated && !options.direct))
}

/// A worker: reads cases, writes outcomes.
pub(crate) fn serve(program: Option<&Path>, mode: Mode, isolated: bool) -> Result<()> {
    ensure!(isolated, "a worker without a network of its own");
    process::capture(std::process::Command::new("ip").args(["link", "set", "lo", "up"]))?;
    let host = Host::new()?;
    let door = match program {
        Some(program) => Door::gateway(program, mode, &host).context("the gateway")?,
        None => Door::direct(&host)?,
    };
    works(&host, &door)?;
    worker::serve(|case| judge::judge(case, &host, &door))
}

/// Where nothing works, nothing harmful happens either, and every attack would count as stopped.
fn works(host: &Host, door: &Door) -> Result<()> {
    let _running = host.start(false)?;
    for act in [Act::Exec("true"), Act::Script("ssh root@127.0.0.1 true")] {
        let got = client::play(act, host, door)?;
        ensure!(
            got.status == Some(0),
            "{act:?} does not work: {} {}",
            got.tail(),
            door.log()
        );
    }
    Ok(())
}
