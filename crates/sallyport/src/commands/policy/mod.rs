//! `sallyport policy`: what a platform engineer does with rules before they are in force. One module a command.

mod check;

use clap::{Args, Subcommand};

use self::check::CheckArgs;

/// Work with policy bundles: directories with rules, targets and classifications.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Check(CheckArgs),
}

impl PolicyArgs {
    /// Does what is asked.
    ///
    /// # Errors
    /// As the command says.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Check(args) => args.run(),
        }
    }
}
