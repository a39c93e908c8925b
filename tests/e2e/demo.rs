//! `sallyport demo --json`: one line when ready, everything usable, nothing left behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use sallyport_tests::{Endpoint, program, run};
use serde_json::Value;

/// A running demo, which is killed at the latest when this is dropped.
pub(crate) struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a demo; what it says when it is ready.
pub(crate) fn start() -> Result<(Demo, Value)> {
    let mut child = Command::new(program()?)
        .args(["demo", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("no output")?;
    let demo = Demo(child);
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let ready = serde_json::from_str(&line).with_context(|| format!("not one line of JSON: {line:?}"))?;
    Ok((demo, ready))
}

/// A text in what a demo says.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> Result<&'a str> {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .with_context(|| format!("no text at {path} in {value}"))
}

fn signal(demo: &Demo, signal: &str) -> Result<()> {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), &demo.0.id().to_string()])
        .status()?;
    ensure!(status.success(), "the demo was not there to be stopped");
    Ok(())
}

#[test]
fn the_demo_is_usable_and_leaves_nothing_behind() -> Result<()> {
    for stop in ["INT", "TERM"] {
        let (mut demo, ready) = start()?;
        let state = text(&ready, "/state_dir")?;
        ensure!(Path::new(state).is_dir(), "{ready}");
        ensure!(Path::new(text(&ready, "/target_log")?).is_file(), "{ready}");
        ensure!(text(&ready, "/api")?.starts_with("http://127.0.0.1:"), "{ready}");
        for person in ["alice", "dana", "audrey"] {
            ensure!(
                ready
                    .pointer(&format!("/people/{person}/groups"))
                    .is_some_and(Value::is_array),
                "{ready}"
            );
        }
        let port = ready
            .pointer("/postgres/port")
            .and_then(Value::as_u64)
            .context("no port")?;
        let alice = Endpoint {
            host: text(&ready, "/postgres/host")?.to_owned(),
            port: u16::try_from(port)?,
            user: "alice".to_owned(),
            password: text(&ready, "/people/alice/token")?.to_owned(),
            database: text(&ready, "/postgres/database")?.to_owned(),
            tls: true,
        };
        ensure!(alice.database == "orders", "{ready}");
        let count = run(alice.program("psql").args(["-XAtc", "SELECT count(*) FROM customers"]))?;
        ensure!(
            count.trim().parse::<u64>()? >= 10_000,
            "ten thousand rows or more: {count}"
        );
        let config = text(&ready, "/people/alice/ssh_config")?;
        let log = run(Command::new("ssh").args(["-F", config, text(&ready, "/ssh/target")?, "cat app.log"]))?;
        ensure!(log.contains("**** 1111") && log.contains("order 18"), "{log}");
        signal(&demo, stop)?;
        let status = demo.0.wait()?;
        ensure!(status.success(), "stopped by SIG{stop}: {status}");
        ensure!(!Path::new(state).exists(), "the state is still there: {state}");
    }
    Ok(())
}

#[test]
fn killing_the_demo_ends_its_server_too() -> Result<()> {
    let (mut demo, ready) = start()?;
    let log = Path::new(text(&ready, "/target_log")?).to_owned();
    let state = text(&ready, "/state_dir")?.to_owned();
    signal(&demo, "KILL")?;
    demo.0.wait()?;
    let start = std::time::Instant::now();
    while log.exists() {
        ensure!(start.elapsed().as_secs() < 20, "the server's directory is still there");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Nobody is left who could remove the gateway's own state.
    std::fs::remove_dir_all(state)?;
    Ok(())
}
