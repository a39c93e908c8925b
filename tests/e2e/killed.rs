//! Killing the gateway loses no evidence: what the target executed is in a recording.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use anyhow::{Context, Result, ensure};
use sallyport_testbed::Options;
use sallyport_tests::{Endpoint, Plan, Stage, commands, transcripts};
use tokio_postgres::NoTls;

const KILLS: usize = 12;
const CLIENTS: u64 = 4;
/// How many statements are answered before each kill, at least.
const ANSWERS: u64 = 60;

/// One client that runs numbered statements until its connection breaks.
async fn work(endpoint: &Endpoint, numbers: &AtomicU64, answered: &mpsc::Sender<u64>, stop: &AtomicBool) {
    let Ok((client, connection)) = tokio_postgres::connect(&endpoint.dsn(), NoTls).await else {
        return;
    };
    let driving = tokio::spawn(connection);
    while !stop.load(Ordering::Relaxed) {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let done = if number.is_multiple_of(2) {
            client
                .batch_execute(&format!("SELECT 'statement {number}'"))
                .await
                .is_ok()
        } else {
            client
                .query(&format!("SELECT 'statement {number}', $1::int"), &[&1_i32])
                .await
                .is_ok()
        };
        if !done || answered.send(number).is_err() {
            break;
        }
    }
    drop(client);
    // The connection's task ends with the connection; how does not matter here.
    let _ = driving.await;
}

/// Runs clients in threads of their own until `enough` answers came, and calls `then` while they go on.
fn under_load(endpoint: &Endpoint, numbers: &AtomicU64, then: impl FnOnce() -> Result<()>) -> Result<Vec<u64>> {
    let stop = AtomicBool::new(false);
    let (sender, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (sender, stop) = (sender.clone(), &stop);
            scope.spawn(move || -> Result<()> {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(work(endpoint, numbers, &sender, stop));
                Ok(())
            });
        }
        drop(sender);
        let mut seen: Vec<u64> = answers.iter().take(usize::try_from(ANSWERS)?).collect();
        let result = then();
        stop.store(true, Ordering::Relaxed);
        seen.extend(answers.iter());
        result.map(|()| seen)
    })
}

#[test]
fn what_the_target_executed_is_recorded_however_often_the_gateway_is_killed() -> Result<()> {
    let mut plan = Plan::with_policy("tests/policies/permit-all");
    plan.server = Options {
        log_statements: true,
        ..Options::default()
    };
    let mut stage = Stage::start(&plan)?;
    let numbers = AtomicU64::new(0);
    let mut answered = Vec::new();
    for kill in 1..=KILLS {
        let endpoint = stage.through("alice")?;
        let mut killed = None;
        let pid = stage.gateway.pid();
        let answers = under_load(&endpoint, &numbers, || {
            let status = std::process::Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status()?;
            ensure!(status.success(), "the gateway was not there to be killed");
            Ok(())
        })?;
        ensure!(
            answers.len() as u64 >= ANSWERS,
            "kill {kill} came without load: {} answers",
            answers.len()
        );
        answered.extend(answers);
        killed.replace(stage.gateway.kill()?);
        stage.gateway = killed.take().context("no gateway to start again")?.start()?;
        stage.settled()?;
    }

    let recorded: HashSet<String> = commands(&transcripts(&stage.gateway, "audrey")?)
        .iter()
        .filter_map(|text| number(text))
        .collect();
    let executed: HashSet<String> = stage
        .server
        .statements()?
        .iter()
        .filter_map(|statement| number(&statement.text))
        .collect();
    ensure!(
        executed.len() >= answered.len(),
        "the target executed less than was answered"
    );
    let missing: Vec<&String> = executed.difference(&recorded).collect();
    ensure!(missing.is_empty(), "executed, but in no recording: {missing:?}");
    Ok(())
}

/// `statement 17`, wherever it stands.
fn number(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("'statement ")?;
    rest.split_once('\'').map(|(number, _)| number.to_owned())
}
