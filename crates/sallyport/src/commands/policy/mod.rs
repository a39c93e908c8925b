//! `sallyport policy`: what a platform engineer does with rules before they are in force, and what is asked of a gateway about
//! those that are or were. One module a command.

mod check;
mod diff;
mod explain;
mod formats;
mod init;
mod log;
mod names;
mod problems;
mod prove;
mod pull;
mod replay;
mod report;
mod revision;
mod schema;
mod show;
mod status;
mod test;
mod workbench;

use clap::{Args, Subcommand};

use self::check::CheckArgs;
use self::diff::DiffArgs;
use self::explain::ExplainArgs;
use self::init::InitArgs;
use self::log::LogArgs;
use self::names::NamesArgs;
use self::prove::ProveArgs;
use self::pull::PullArgs;
use self::replay::ReplayArgs;
use self::schema::SchemaArgs;
use self::show::ShowArgs;
use self::status::StatusArgs;
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
    Status(StatusArgs),
    Pull(PullArgs),
    Log(LogArgs),
    Show(ShowArgs),
    Diff(DiffArgs),
    Prove(ProveArgs),
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
            Action::Status(args) => args.run().await,
            Action::Pull(args) => args.run().await,
            Action::Log(args) => args.run().await,
            Action::Show(args) => args.run().await,
            Action::Diff(args) => args.run(),
            Action::Prove(args) => args.run(),
        }
    }
}
