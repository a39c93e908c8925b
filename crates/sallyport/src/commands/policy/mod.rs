//! `sallyport policy`: what a platform engineer does with rules before they are in force, and what is asked of a gateway about
//! those that are or were. One module a command.

mod check;
mod log;
mod pull;
mod show;
mod status;

use clap::{Args, Subcommand};

use self::check::CheckArgs;
use self::log::LogArgs;
use self::pull::PullArgs;
use self::show::ShowArgs;
use self::status::StatusArgs;

/// Work with policy bundles: directories with rules, targets and classifications.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Check(CheckArgs),
    Status(StatusArgs),
    Pull(PullArgs),
    Log(LogArgs),
    Show(ShowArgs),
}

impl PolicyArgs {
    /// Does what is asked.
    ///
    /// # Errors
    /// As the command says.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Check(args) => args.run(),
            Action::Status(args) => args.run().await,
            Action::Pull(args) => args.run().await,
            Action::Log(args) => args.run().await,
            Action::Show(args) => args.run().await,
        }
    }
}
