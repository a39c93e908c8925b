//! The project's chores: `cargo xtask <command>`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program talks to its user"
)]

mod bench;
mod check;
mod corpus;
mod demo;
mod docs;
mod fuzz;
mod process;
mod regress;
mod setup;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the Sallyport project")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing on this machine, saying what and how
    Setup {
        /// Only what the demo needs
        #[arg(long)]
        demo: bool,
    },
    /// Start the demo: everything in one process, on throw-away state
    Demo {
        /// Passed on to `sallyport demo`, such as `--json`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run every test, or those whose name contains one of the filters
    Test {
        /// Passed on to `cargo nextest run`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filters: Vec<String>,
    },
    /// Run everything that continuous integration runs
    Ci,
    /// Run a corpus of cases through the gateway, in front of a real server
    #[command(subcommand)]
    Corpus(corpus::Corpus),
    /// Measure what the gateway costs, against what else could stand in its place
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run PostgreSQL's own regression tests with and without the gateway, and compare
    Regress(regress::Arguments),
    /// Build the fuzz targets and run each for a while
    Fuzz(fuzz::Arguments),
    /// Check that the book and the other pages hold together
    Docs,
    /// Check the habits that a program can check (`docs/` says which)
    Tidy,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::Setup { demo } => setup::run(if demo { setup::FOR_DEMO } else { setup::FOR_CI })?,
        Command::Demo { arguments } => demo::run(&arguments)?,
        Command::Test { filters } => check::test(&filters)?,
        Command::Ci => check::ci()?,
        Command::Corpus(corpus) => {
            let passed = corpus::run(corpus)?;
            return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Bench(bench) => bench::run(&bench)?,
        Command::Regress(arguments) => {
            let same = regress::run(&arguments)?;
            return Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Fuzz(arguments) => fuzz::run(&arguments)?,
        Command::Docs => docs::run()?,
        Command::Tidy => tidy::run()?,
    }
    Ok(ExitCode::SUCCESS)
}
