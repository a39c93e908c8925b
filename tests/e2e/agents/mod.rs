//! Targets behind agents: reached, judged, recorded and masked as others are.

mod basics;
mod clients;
mod fleet;
mod losses;
mod masked;
mod networks;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use sallyport_tests::{Behind, Endpoint, run};
use serde_json::Value;

/// How long anything here may take: silence is noticed within 20 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tries until it succeeds: for what happens elsewhere and tells nobody here.
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = attempt()? {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("{what} did not happen within {PATIENCE:?}")
}

/// Whether a program succeeded, and what it said on both outputs.
fn said(command: &mut Command) -> Result<(bool, String)> {
    let output = command.stdin(Stdio::null()).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// The agents as the API has them.
fn agents(behind: &Behind) -> Result<Vec<Value>> {
    let reply = behind.gateway.api().get("/v1/agents", Some(&behind.admin))?;
    ensure!(reply.status == 200, "{reply:?}");
    Ok(reply.body.as_array().cloned().unwrap_or_default())
}

/// Waits until agents have so many connections in all.
fn connections(behind: &Behind, wanted: u64) -> Result<()> {
    eventually("the connections of agents", || {
        let now = sallyport_testbed::connected(&behind.gateway, &behind.admin)?;
        Ok((now == wanted).then_some(()))
    })
}

/// What psql says of a statement.
fn ask(endpoint: &Endpoint, statement: &str) -> Result<String> {
    run(endpoint.program("psql").args(["-X", "-A", "-t", "-c", statement]))
}
