//! `sallyport policy`: what a platform engineer does with rules before they are in force. One module a command.

mod check;
mod formats;
mod init;
mod schema;

use clap::{Args, Subcommand};

use self::check::CheckArgs;
use self::init::InitArgs;
use self::schema::SchemaArgs;

/// Work with policy bundles: directories with rules, targets and classifications.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Init(InitArgs),
    Check(CheckArgs),
    Schema(SchemaArgs),
}

impl PolicyArgs {
    /// Does what is asked.
    ///
    /// # Errors
    /// As the command says.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Init(args) => args.run(),
            Action::Check(args) => args.run(),
            Action::Schema(args) => args.run(),
        }
    }
}
