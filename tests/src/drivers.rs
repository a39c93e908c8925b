//! Real clients. Each runs a program of what such clients do and gives back what it saw, which must be the same
//! through the gateway as without it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sallyport_testbed::cache_dir;

use crate::Endpoint;

/// psycopg: synchronous, asynchronous, in pipeline mode.
///
/// # Errors
/// When the driver is missing or its program fails.
pub fn psycopg(endpoint: &Endpoint) -> Result<String> {
    run(Command::new(python())
        .arg(script("psycopg_driver.py"))
        .arg(endpoint.dsn()))
}

/// A few lines of Python with psycopg, which are given the connection string.
///
/// # Errors
/// When the driver is missing or the lines fail.
pub fn psycopg_lines(endpoint: &Endpoint, lines: &str) -> Result<String> {
    run(Command::new(python()).args(["-c", lines]).arg(endpoint.dsn()))
}

/// psycopg in pipeline mode, with statements in the middle that policy refuses.
///
/// # Errors
/// When the driver is missing or its program fails.
pub fn psycopg_refusal(endpoint: &Endpoint) -> Result<String> {
    run(Command::new(python())
        .arg(script("psycopg_refusal.py"))
        .arg(endpoint.dsn()))
}

/// asyncpg, which speaks binary and keeps its statements prepared.
///
/// # Errors
/// When the driver is missing or its program fails.
pub fn asyncpg(endpoint: &Endpoint) -> Result<String> {
    let mut command = Command::new(python());
    command
        .arg(script("asyncpg_driver.py"))
        .arg(&endpoint.host)
        .arg(endpoint.port.to_string());
    run(command.args([&endpoint.user, &endpoint.password, &endpoint.database]))
}

/// A client over TLS that reads long results more slowly than they come. It says `done` if all came to their end.
pub fn slow_reader(endpoint: &Endpoint) -> Command {
    let mut command = Command::new(python());
    command
        .arg(script("slow_reader.py"))
        .arg(&endpoint.host)
        .arg(endpoint.port.to_string())
        .args([&endpoint.user, &endpoint.password, &endpoint.database]);
    command
}

/// node-postgres.
///
/// # Errors
/// When the driver is missing or its program fails.
pub fn node_postgres(endpoint: &Endpoint) -> Result<String> {
    let mut command = Command::new("node");
    command.arg(script("node_driver.js")).arg(cache_dir().join("node"));
    command.arg(&endpoint.host).arg(endpoint.port.to_string());
    run(command.args([&endpoint.user, &endpoint.password, &endpoint.database]))
}

/// PostgreSQL's JDBC driver.
///
/// # Errors
/// When the driver is missing or its program fails.
pub fn jdbc(endpoint: &Endpoint) -> Result<String> {
    let url = format!(
        "jdbc:postgresql://{}:{}/{}",
        endpoint.host, endpoint.port, endpoint.database
    );
    let mut command = Command::new("java");
    command.args(["-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/postgresql.jar"]);
    command
        .arg(script("JdbcDriver.java"))
        .arg(url)
        .args([&endpoint.user, &endpoint.password]);
    run(&mut command)
}

/// psql with a script of everything that it does beyond plain statements.
///
/// # Errors
/// When psql is missing or fails.
pub fn psql(endpoint: &Endpoint) -> Result<String> {
    let mut command = endpoint.program("psql");
    run(command
        .args(["-X", "-a", "-v", "VERBOSITY=verbose", "-f"])
        .arg(script("psql_driver.sql")))
}

/// pgbench for a moment; gives back how many transactions were processed.
///
/// # Errors
/// When pgbench is missing, or a transaction fails.
pub fn pgbench(endpoint: &Endpoint, mode: &str, clients: u32) -> Result<u64> {
    let mut command = endpoint.program("pgbench");
    command.args(["-n", "-T", "2", "-j", "2", "-c", &clients.to_string(), "-M", mode]);
    let said = run(&mut command)?;
    let number = |label: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(label))?;
        line.trim().split([' ', '/']).next()?.parse::<u64>().ok()
    };
    let failed = number("number of failed transactions:").context("pgbench did not count failures")?;
    if failed > 0 {
        bail!("{failed} transactions failed: {said}");
    }
    number("number of transactions actually processed:").context("pgbench did not count transactions")
}

fn python() -> PathBuf {
    cache_dir().join("python/venv/bin/python")
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("drivers").join(name)
}

/// Runs a program to its end and returns what it printed.
///
/// # Errors
/// When it cannot be started or fails; the error has both outputs.
pub fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("`{program}` could not be started; `cargo xtask setup` installs it"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "`{program}` failed: {}\nafter: {said}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(said)
}
