//! `cargo xtask corpus`: runs corpora of cases through the real gateway in front of a real PostgreSQL.

mod bundle;
mod case;
mod cluster;
mod cutter;
mod judge;
mod mask;
mod needles;
mod play;
mod report;
pub(crate) mod shell;
mod snapshot;
mod sql;
mod step;
mod through;
pub(crate) mod wire;
mod worker;

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;

use case::Verdict;

/// Which corpus to run.
#[derive(Subcommand)]
pub(crate) enum Corpus {
    /// Statements that try to get round a policy, and look-alikes that must pass
    Sql(Options),
    /// Values that must be masked, and look-alikes that must not
    Mask(Options),
    /// Command lines, terminals, files and forwards of SSH that try to get round a policy, and look-alikes that must pass
    Shell(shell::Arguments),
    /// Runs cases handed over by the parent process, in a network of its own
    #[command(hide = true)]
    Worker {
        /// The gateway's program; none to go without
        #[arg(long)]
        program: Option<PathBuf>,
        /// The worker has a network and a `/tmp/gwtest` of its own
        #[arg(long)]
        isolated: bool,
    },
    /// The same for cases about shells
    #[command(hide = true)]
    ShellWorker {
        /// The gateway's program; none to go without
        #[arg(long)]
        program: Option<PathBuf>,
        /// What an interactive shell is
        #[arg(long, value_enum)]
        mode: shell::Mode,
        /// The worker has a network of its own
        #[arg(long)]
        isolated: bool,
    },
}

/// How to run a corpus.
#[derive(Args)]
pub(crate) struct Options {
    /// The cases, one JSON object a line
    file: PathBuf,
    /// Without the gateway: checks the corpus and this runner, since every attack must then succeed
    #[arg(long)]
    direct: bool,
    /// Use this program instead of building it
    #[arg(long)]
    program: Option<PathBuf>,
    /// Cases at a time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Only cases whose id or class begins with this
    #[arg(long)]
    only: Vec<String>,
    /// Only so many attacks and so many look-alikes of each class
    #[arg(long)]
    per_class: Option<usize>,
}

impl Options {
    /// All cases of a file.
    pub(crate) fn of(file: PathBuf) -> Self {
        Self {
            file,
            direct: false,
            program: None,
            jobs: 2,
            only: Vec::new(),
            per_class: None,
        }
    }

    /// The first attacks and look-alikes of each class of a file.
    pub(crate) fn sample(file: PathBuf, per_class: usize) -> Self {
        Self {
            per_class: Some(per_class),
            ..Self::of(file)
        }
    }

    /// The gateway's program, built unless it is given; none when the cases go without it.
    fn program(&self) -> Result<Option<PathBuf>> {
        if self.direct {
            return Ok(None);
        }
        self.program.clone().map_or_else(crate::demo::build, Ok).map(Some)
    }

    /// Leaves the first attacks and look-alikes of each class, if that is asked for.
    fn thin<C>(&self, cases: &mut Vec<C>, of: impl Fn(&C) -> (&str, Verdict)) {
        let Some(most) = self.per_class else { return };
        let mut taken: HashMap<(String, bool), usize> = HashMap::new();
        cases.retain(|case| {
            let (class, verdict) = of(case);
            let attack = matches!(verdict, Verdict::MustBlock | Verdict::MustMask);
            let count = taken.entry((class.to_owned(), attack)).or_default();
            *count += 1;
            *count <= most
        });
    }

    fn wants(&self, id: &str, class: &str) -> bool {
        self.only.is_empty()
            || self
                .only
                .iter()
                .any(|only| id.starts_with(only) || class.starts_with(only))
    }
}

/// Runs a corpus; whether every case passed.
pub(crate) fn run(corpus: Corpus) -> Result<bool> {
    match corpus {
        Corpus::Sql(options) => sql::run(&options),
        Corpus::Mask(options) => mask::run(&options),
        Corpus::Shell(arguments) => shell::run(&arguments),
        Corpus::Worker { program, isolated } => sql::serve(program.as_deref(), isolated).map(|()| true),
        Corpus::ShellWorker {
            program,
            mode,
            isolated,
        } => shell::serve(program.as_deref(), mode, isolated).map(|()| true),
    }
}

/// Reads a file of JSON lines.
fn read<T: DeserializeOwned>(file: &std::path::Path) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("`{}` could not be read", file.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            serde_json::from_str(line).with_context(|| format!("{}:{}: not a case", file.display(), index + 1))
        })
        .collect()
}
