//! `cargo xtask bench`: what the gateway costs, against what else stands between a client and a server.
//!
//! Everything that is compared runs in one run, interleaved round by round; what is reported are ratios of
//! medians, since absolute values do not carry over to another machine or hour.

mod contender;
mod history;
mod load;
mod proc;
mod ssh;
mod table;
mod tunnel;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::{Args, Subcommand};

use self::contender::{Contender, Field};
use self::load::Load;
use self::table::Table;
use crate::process;

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// The gateway in front of PostgreSQL, with policy, masking and recording on
    Postgres(Options),
    /// The gateway in front of an SSH host, against ProxyJump
    Ssh(ssh::SshOptions),
    /// The tunnel between an agent and the gateway, against a connection for each flow
    Tunnel(tunnel::TunnelOptions),
    /// Finding and replacing values in rows, with every built-in detector on
    Mask(MaskOptions),
    /// Deciding by 10 to 1,000 rules
    Policy(PolicyOptions),
}

/// How long to measure masking.
#[derive(Args)]
pub(crate) struct MaskOptions {
    /// Rounds; each goes once through all rows in every way
    #[arg(long, default_value_t = 100)]
    rounds: usize,
}

/// How long to measure decisions.
#[derive(Args)]
pub(crate) struct PolicyOptions {
    /// Rounds; each decides every command under every number of rules
    #[arg(long, default_value_t = 101)]
    rounds: usize,
    /// Commands that are recorded and decided again
    #[arg(long, default_value_t = 1_000_000)]
    replay: u64,
    /// Only deciding recorded commands again
    #[arg(long)]
    replay_only: bool,
}

/// How long to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for each measurement
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Rounds; each measures everything once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Numbers of clients
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    clients: Vec<u32>,
    /// Use `sallyport` and `relay` of this folder instead of building them
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Lines of `sallyport.toml` for the gateway, such as a number of workers
    #[arg(long, default_value_t)]
    settings: String,
    /// With TLS between the client and what it connects to, and only what pgbench measures
    #[arg(long)]
    tls: bool,
    /// Only loads whose name contains this
    #[arg(long)]
    only: Option<String>,
}

/// Runs the benchmarks and prints the tables.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Postgres(options) => postgres(options),
        Bench::Ssh(options) => ssh::run(options),
        Bench::Tunnel(options) => tunnel::run(options),
        Bench::Mask(options) => program("mask", options.rounds),
        Bench::Policy(options) => policy(options),
    }
}

fn policy(options: &PolicyOptions) -> Result<()> {
    if !options.replay_only {
        program("policy", options.rounds)?;
    }
    history::run(options.replay)
}

/// A program that measures itself; it is built as what is shipped is.
fn program(name: &str, rounds: usize) -> Result<()> {
    let build = [
        "build",
        "--release",
        "--quiet",
        "--package",
        "sallyport-bench",
        "--bin",
        name,
    ];
    process::run(process::cargo().args(build))?;
    let program = process::target_dir()?.join("release").join(name);
    let table = process::capture(Command::new(program).arg(rounds.to_string()))?;
    print!("{table}");
    Ok(())
}

fn postgres(options: &Options) -> Result<()> {
    let field = Field::prepare(options.programs.as_deref(), &options.settings, options.tls)?;
    let loads = load::all(options.seconds, &options.clients);
    let wanted = |load: &&Load| {
        let named = |only: &String| load.name().contains(only.as_str());
        options.only.as_ref().is_none_or(named) && (!options.tls || load.is_of_pgbench())
    };
    let mut tables: Vec<Table> = loads
        .iter()
        .filter(wanted)
        .map(|load| Table::new(load.clone()))
        .collect();
    for round in 1..=options.rounds {
        for table in tables.iter_mut().filter(|table| round == 1 || !table.load().once()) {
            eprintln!("round {round} of {}: {}", options.rounds, table.load().name());
            for contender in field.contenders() {
                let sample = measure(table.load(), contender)?;
                table.add(contender.name(), sample);
            }
        }
    }
    for table in &tables {
        table.print();
    }
    Ok(())
}

fn measure(load: &Load, contender: &Contender) -> Result<load::Sample> {
    let before = contender.cpu_us()?;
    let mut sample = load.run(contender)?;
    sample.proxy_us = contender.cpu_us()?.saturating_sub(before);
    Ok(sample)
}
