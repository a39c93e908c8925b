//! How fast recorded commands are decided again: real ones, that pgbench has sent through a gateway.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::contender::Field;
use super::proc;
use crate::process;

/// Clients that the commands come from.
const CLIENTS: u64 = 8;

/// Records as many commands, and decides them again under the policy that was in force.
pub(super) fn run(commands: u64) -> Result<()> {
    let field = Field::prepare(None, "", false)?;
    record(&field, commands)?;
    let gateway = field.gateway();
    let policy = process::root().join("policy");
    let before = proc::cpu_us(gateway.pid())?;
    let since = Instant::now();
    let output = Command::new(field.program())
        .args(["policy", "replay", "--json", "--against"])
        .arg(policy)
        .env("SALLYPORT_API", format!("http://{}", gateway.api().address()))
        .env("SALLYPORT_TOKEN", gateway.login("audrey")?)
        .stdin(Stdio::null())
        .output()?;
    let took = since.elapsed();
    let report: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no report: {}", String::from_utf8_lossy(&output.stderr)))?;
    let decided = report.get("commands").and_then(Value::as_u64).unwrap_or_default();
    ensure!(
        decided >= commands,
        "{decided} commands were decided again, of {commands}"
    );
    let changes = report.get("changes").and_then(Value::as_array).map(Vec::len);
    ensure!(changes == Some(0), "the same policy decides as it did: {report}");
    let gateway_s = proc::cpu_us(gateway.pid())?.saturating_sub(before) as f64 / 1e6;
    println!("\nRecorded commands decided again\n");
    println!("| commands | seconds | commands a second | CPU of the gateway, s |\n|---|---|---|---|");
    let seconds = took.as_secs_f64();
    println!(
        "| {decided} | {seconds:.1} | {:.0} | {gateway_s:.1} |",
        decided as f64 / seconds
    );
    Ok(())
}

/// Sends the commands through the gateway.
fn record(field: &Field, commands: u64) -> Result<()> {
    let sallyport = field.sallyport().context("no gateway is compared")?;
    eprintln!("recording {commands} commands");
    let mut pgbench = sallyport.libpq("pgbench");
    pgbench.args(["-n", "-S", "-M", "prepared", "-j", "2"]);
    pgbench.args([
        "-c",
        &CLIENTS.to_string(),
        "-t",
        &commands.div_ceil(CLIENTS).to_string(),
    ]);
    process::capture(&mut pgbench).map(drop)
}
