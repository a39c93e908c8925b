//! `sallyport policy`: what a platform engineer does with rules before they are in force. One module a command.

mod check;
mod explain;
mod formats;
mod init;
mod names;
mod problems;
mod replay;
mod schema;
mod test;
mod workbench;

use clap::{Args, Subcommand};

use self::check::CheckArgs;
use self::explain::ExplainArgs;
use self::init::InitArgs;
use self::names::NamesArgs;
use self::replay::ReplayArgs;
use self::schema::SchemaArgs;
use self::test::TestArgs;

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
    Test(TestArgs),
    Explain(ExplainArgs),
    Names(NamesArgs),
    Replay(ReplayArgs),
    Schema(SchemaArgs),
}

impl PolicyArgs {
    /// Does what is asked.
    ///
    /// # Errors
    /// As the command says.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Init(args) => args.run(),
            Action::Check(args) => args.run(),
            Action::Test(args) => args.run(),
            Action::Explain(args) => args.run(),
            Action::Names(args) => args.run().await,
            Action::Replay(args) => args.run().await,
            Action::Schema(args) => args.run(),
        }
    }
}
