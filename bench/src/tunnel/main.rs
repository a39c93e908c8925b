//! One of the two ends of a tunnel, or of what it is compared with; `cargo xtask bench tunnel` starts both, each as a
//! process of its own. `tunnel gateway WAY DIR IP`, `tunnel agent WAY DIR ADDRESS CONNECTIONS`
//!
//! The gateway's end makes what the agent needs in DIR, opens flows, and is told on its standard input what to do with
//! them: one JSON object a line, and one comes back. The agent's end serves whatever is opened.
#![allow(clippy::print_stdout, reason = "a command-line program talks to its user")]

mod agent;
mod ask;
mod gateway;
mod load;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// How a flow gets to the other end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A connection for each.
    Tcp,
    /// A connection with TLS for each.
    Tls,
    /// As the product has it.
    Tunnel,
    /// The same through the second transport.
    WebSocket,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &'static str| arguments.next().with_context(|| format!("no {what}"));
    let end = next("end")?;
    let way = match next("way")?.as_str() {
        "tcp" => Way::Tcp,
        "tls" => Way::Tls,
        "tunnel" => Way::Tunnel,
        "websocket" => Way::WebSocket,
        other => bail!("`{other}` is no way"),
    };
    let dir = PathBuf::from(next("directory")?);
    // As the gateway and the agent have it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match end.as_str() {
        "gateway" => {
            let ip = next("address")?.parse()?;
            runtime.block_on(gateway::run(way, dir, ip))
        }
        "agent" => {
            let at = next("address")?.parse()?;
            let connections = next("number of connections")?.parse()?;
            runtime.block_on(agent::run(way, dir, at, connections))
        }
        other => bail!("`{other}` is no end"),
    }
}
