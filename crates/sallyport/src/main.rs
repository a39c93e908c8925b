//! The one binary: the gateway, the demo, and the person's side. Nothing else knows the whole.

mod agent;
mod agents;
mod commands;
mod config;
mod demo;
mod descriptors;
mod gateway;
mod history;
mod metrics;
mod names;
mod output;
mod policy;
mod ports;
mod protocols;
mod reviewing;
mod screen;
mod ssh_hosts;
mod ssh_keys;
mod state;
mod transcript;
mod watching;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::gateway::Gateway;

/// The gate between people and programs on one side and databases and hosts on the other.
#[derive(Debug, Parser)]
#[command(name = "sallyport", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Gateway {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = "sallyport.toml")]
        config: PathBuf,
    },
    Agent(Box<agent::AgentArgs>),
    /// Run everything in one process, on throw-away state, with a sample target.
    Demo(demo::DemoArgs),
    Login(commands::login::LoginArgs),
    Logout(commands::login::LogoutArgs),
    Token(commands::token::TokenArgs),
    SshCertificate(commands::ssh::CertificateArgs),
    SshConfig(commands::ssh::ConfigArgs),
    Keys(commands::keys::KeysArgs),
    People(commands::people::PeopleArgs),
    Agents(commands::agents::AgentsArgs),
    Requests(commands::requests::RequestsArgs),
    Approve(commands::approve::ApproveArgs),
    Deny(commands::approve::DenyArgs),
    Withdraw(commands::approve::WithdrawArgs),
    Sessions(commands::sessions::SessionsArgs),
    Replay(commands::replay::ReplayArgs),
    Policy(commands::policy::PolicyArgs),
    Doctor(commands::doctor::DoctorArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(cli.command)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Gateway { config } => {
            log_to_stderr("info");
            let config = Config::load(&config)?;
            let gateway = Gateway::open(&config).await?;
            let ssh = gateway.ssh_address.map(tracing::field::display);
            let agents = gateway.agents_address.map(tracing::field::display);
            tracing::info!(postgres = %gateway.postgres_address, ssh, api = %gateway.api_address, agents,
                "the gateway listens");
            gateway.run(told_to_stop()?).await
        }
        Command::Agent(args) => {
            log_to_stderr("info");
            agent::run(args.config()?, told_to_stop()?).await
        }
        Command::Demo(args) => {
            log_to_stderr("warn");
            let stop = told_to_stop()?;
            demo::run(args, stop).await
        }
        Command::Login(args) => args.run().await,
        Command::Logout(args) => args.run().await,
        Command::Token(args) => args.run().await,
        Command::SshCertificate(args) => args.run().await,
        Command::SshConfig(args) => args.run().await,
        Command::Keys(args) => args.run().await,
        Command::People(args) => args.run(),
        Command::Agents(args) => args.run().await,
        Command::Requests(args) => args.run().await,
        Command::Approve(args) => args.run().await,
        Command::Deny(args) => args.run().await,
        Command::Withdraw(args) => args.run().await,
        Command::Sessions(args) => args.run().await,
        Command::Replay(args) => args.run().await,
        Command::Policy(args) => args.run().await,
        Command::Doctor(args) => args.run().await,
    }
}

/// Resolves at Ctrl-C or SIGTERM.
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        let interrupted = std::pin::pin!(interrupt.recv());
        let terminated = std::pin::pin!(terminate.recv());
        futures_util::future::select(interrupted, terminated).await;
    })
}

/// Structured logs: text for a terminal, JSON for everything else. `SALLYPORT_LOG` chooses what is logged.
fn log_to_stderr(default: &str) {
    use std::io::IsTerminal;
    let filter = std::env::var("SALLYPORT_LOG").unwrap_or_else(|_| default.to_owned());
    // The grammar of shells would print command lines, and passwords in them.
    let filter = format!("{filter},parse=off,tokenize=off,expansion=off,arithmetic=off,brush_parser=off");
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.init();
    } else {
        builder.json().init();
    }
}
