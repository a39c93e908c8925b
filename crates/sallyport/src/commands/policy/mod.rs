//! `sallyport policy`: what a platform engineer does with rules before they are in force. One module a command.

mod check;
mod diff;
mod prove;
mod report;
mod revision;

use clap::{Args, Subcommand};

use self::check::CheckArgs;
use self::diff::DiffArgs;
use self::prove::ProveArgs;

/// Work with policy bundles: directories with rules, targets and classifications.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Check(CheckArgs),
    Diff(DiffArgs),
    Prove(ProveArgs),
}

impl PolicyArgs {
    /// Does what is asked.
    ///
    /// # Errors
    /// As the command says.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Check(args) => args.run(),
            Action::Diff(args) => args.run(),
            Action::Prove(args) => args.run(),
        }
    }
}
