//! The story that the README tells, against the example policy.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use sallyport_tests::{Plan, Stage, commands, transcripts};
use serde_json::{Value, json};

const CUSTOMERS: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text, email text, card_number text, national_id text);
    INSERT INTO customers VALUES (1, 'Ada Byron', 'ada@example.com', '4111111111111111', '532-71-9001');
    ALTER TABLE customers OWNER TO app;";

fn stage() -> Result<Stage> {
    let stage = Stage::start(&Plan::with_policy("policy"))?;
    stage.server.query("shop", CUSTOMERS)?;
    Ok(stage)
}

fn psql(stage: &Stage, person: &str, statement: &str) -> Result<Command> {
    let mut command = stage.through(person)?.program("psql");
    command.args(["-XAt", "-c", statement]);
    Ok(command)
}

/// What psql printed on both of its outputs, and whether it succeeded.
fn said(command: &mut Command) -> Result<(bool, String)> {
    let output = command.stdin(Stdio::null()).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

#[test]
fn a_developer_sees_masks_and_not_numbers() -> Result<()> {
    let stage = stage()?;
    let (ok, text) = said(&mut psql(
        &stage,
        "alice",
        "SELECT name, card_number, national_id FROM customers",
    )?)?;
    ensure!(ok && text.contains("Ada Byron"), "{text}");
    ensure!(
        text.contains("************1111") && !text.contains("4111111111111111"),
        "{text}"
    );
    ensure!(!text.contains("532-71-9001"), "{text}");
    let seen = serde_json::to_string(&transcripts(&stage.gateway, "audrey")?)?;
    ensure!(
        seen.contains("************1111"),
        "the recording has the row as the client saw it: {seen}"
    );
    ensure!(
        !seen.contains("4111111111111111") && !seen.contains("532-71-9001"),
        "{seen}"
    );
    Ok(())
}

#[test]
fn a_refusal_names_the_rule_and_says_what_it_says() -> Result<()> {
    let stage = stage()?;
    let (ok, text) = said(&mut psql(&stage, "alice", "DROP TABLE customers")?)?;
    ensure!(!ok, "{text}");
    ensure!(
        text.contains("no-drops-in-production") && text.contains("ask the DBAs for a change"),
        "{text}"
    );
    ensure!(
        stage.server.query("shop", "SELECT count(*) FROM customers")? == "1",
        "the table is still there"
    );
    ensure!(
        commands(&transcripts(&stage.gateway, "audrey")?)
            .iter()
            .any(|text| text == "DROP TABLE customers")
    );
    Ok(())
}

struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first request that somebody could decide on, as soon as there is one.
fn request(stage: &Stage, reviewer: &str) -> Result<(String, Value)> {
    let token = stage.gateway.login(reviewer)?;
    let reply = stage
        .gateway
        .api()
        .get("/v1/requests?state=open&wait=30", Some(&token))?;
    let request = reply
        .body
        .get(0)
        .cloned()
        .with_context(|| format!("no request: {reply:?}"))?;
    Ok((token, request))
}

#[test]
fn a_held_statement_runs_once_it_is_approved_by_somebody_else() -> Result<()> {
    const STATEMENT: &str = "ALTER TABLE customers ADD COLUMN vip boolean";
    let stage = stage()?;
    let mut command = psql(&stage, "alice", STATEMENT)?;
    let mut held = Held(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?,
    );
    let (dana, request) = request(&stage, "dana")?;
    let id = request
        .get("id")
        .and_then(Value::as_str)
        .context("a request without an id")?;
    ensure!(
        request.to_string().contains(STATEMENT),
        "the reviewer sees the exact statement: {request}"
    );
    let columns = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'vip'";
    ensure!(
        stage.server.query("shop", columns)? == "0",
        "nothing ran before the approval"
    );

    let path = format!("/v1/requests/{id}/approve");
    let alice = stage.gateway.login("alice")?;
    let own = stage.gateway.api().post(&path, Some(&alice), &json!({}))?;
    ensure!(own.status >= 400, "nobody approves their own command: {own:?}");
    let approved = stage
        .gateway
        .api()
        .post(&path, Some(&dana), &json!({ "reason": "agreed" }))?;
    ensure!(approved.status < 300, "{approved:?}");
    let status = held.0.wait()?;
    ensure!(status.success(), "the client went on after the approval");
    ensure!(stage.server.query("shop", columns)? == "1", "the statement ran");

    let seen = serde_json::to_string(&transcripts(&stage.gateway, "audrey")?)?;
    ensure!(
        seen.contains(id) && seen.contains("dana"),
        "the recording says who approved: {seen}"
    );
    Ok(())
}

#[test]
fn an_auditor_does_not_connect() -> Result<()> {
    let stage = stage()?;
    let (ok, text) = said(&mut psql(&stage, "audrey", "SELECT 1")?)?;
    ensure!(!ok && text.contains("auditors read the ledger"), "{text}");
    Ok(())
}
