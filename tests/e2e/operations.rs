//! What those who run the gateway, and those who decide about commands, rely on.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sallyport_tests::{Endpoint, Plan, Stage, transcripts};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

const ORDERS: &str = "
    CREATE TABLE orders (id int PRIMARY KEY, note text);
    INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 1000) n;
    ANALYZE orders;
    ALTER TABLE orders OWNER TO app;";

fn stage(policy: &str) -> Result<Stage> {
    let stage = Stage::start(&Plan::with_policy(policy))?;
    stage.server.query("shop", ORDERS)?;
    Ok(stage)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

/// A client, and what resolves when its connection ends.
async fn connect(endpoint: &Endpoint) -> Result<(Client, tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>)> {
    let (client, connection) = tokio_postgres::connect(&endpoint.dsn(), NoTls).await?;
    Ok((client, tokio::spawn(connection)))
}

/// Tries until it succeeds: for what happens at intervals and tells nobody.
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = attempt()? {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("{what} did not happen within {PATIENCE:?}")
}

#[test]
fn a_refused_change_of_identity_ends_the_session() -> Result<()> {
    let stage = stage("policy")?;
    let mut psql = stage.through("alice")?.program("psql");
    psql.args(["-XAt", "-v", "VERBOSITY=verbose"]);
    psql.args(["-c", "SET ROLE postgres", "-c", "SELECT 'this' || ' ran'"]);
    let output = psql.stdin(Stdio::null()).output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(
        said.contains("FATAL:  42501") && said.contains("no-change-of-identity"),
        "{said}"
    );
    ensure!(!said.contains("this ran"), "{said}");
    Ok(())
}

#[test]
fn a_reviewer_sees_what_a_held_statement_would_change() -> Result<()> {
    const HOLD: &str = r#"
        @id("work") permit (principal, action, resource);
        @id("deletes-wait") @hold("dba")
        forbid (principal, action == Sql::Action::"delete", resource)
        unless { context.approved_by.contains(Group::"dba") };"#;
    let policy = tempfile::tempdir()?;
    std::fs::create_dir(policy.path().join("rules"))?;
    std::fs::write(policy.path().join("rules/all.cedar"), HOLD)?;
    let mut plan = Plan::with_policy("policy");
    plan.policy = policy.path().to_owned();
    let stage = Stage::start(&plan)?;
    stage.server.query("shop", ORDERS)?;

    let alice = stage.through("alice")?;
    let deleting = std::thread::spawn(move || -> Result<u64> {
        runtime()?.block_on(async {
            let (client, _connection) = connect(&alice).await?;
            let deleted = client.execute("DELETE FROM orders WHERE id <= $1", &[&250_i32]);
            Ok(deleted.await?)
        })
    });
    let token = stage.gateway.login("dana")?;
    let api = stage.gateway.api();
    let (id, impact) = eventually("the impact of the request", || {
        let reply = api.get("/v1/requests?state=open&wait=5", Some(&token))?;
        let Some(id) = reply.body.pointer("/0/id").and_then(Value::as_str) else {
            return Ok(None);
        };
        let request = api.get(&format!("/v1/requests/{id}"), Some(&token))?;
        let impact = request.body.get("impact").filter(|impact| !impact.is_null());
        Ok(impact.map(|impact| (id.to_owned(), impact.clone())))
    })?;
    let plan = impact.get("plan").and_then(Value::as_str).context("no plan")?;
    ensure!(plan.contains("Delete on orders"), "{impact}");
    ensure!(
        impact.get("estimated_rows") == Some(&json!(250)),
        "the parameter that was bound is planned with: {impact}"
    );
    ensure!(
        stage.server.query("shop", "SELECT count(*) FROM orders")? == "1000",
        "planning ran nothing"
    );
    api.post(&format!("/v1/requests/{id}/approve"), Some(&token), &json!({}))?;
    let deleted = deleting.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
    ensure!(deleted == 250, "{deleted} rows");
    Ok(())
}

#[test]
fn what_is_made_beside_the_gateway_is_noticed_by_open_sessions() -> Result<()> {
    let stage = stage("policy")?;
    let runtime = runtime()?;
    let (client, _connection) = runtime.block_on(connect(&stage.through("alice")?))?;
    let see = || runtime.block_on(client.simple_query("SELECT * FROM fresh"));
    ensure!(see().is_err(), "there is no such table yet");
    stage
        .server
        .query("shop", "CREATE TABLE fresh (a int); GRANT SELECT ON fresh TO app")?;
    eventually("the session's knowing the table", || Ok(see().ok()))?;
    Ok(())
}

struct Psql(Child);

impl Psql {
    fn tell(&mut self, text: &str) -> Result<()> {
        let stdin = self.0.stdin.as_mut().context("no way to tell psql")?;
        stdin.write_all(text.as_bytes())?;
        Ok(stdin.flush()?)
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_gateway_that_ends_lets_transactions_finish() -> Result<()> {
    let stage = stage("policy")?;
    let runtime = runtime()?;
    let (_idle, connection) = runtime.block_on(connect(&stage.through("alice")?))?;
    let mut command = stage.through("alice")?.program("psql");
    command
        .args(["-XAt"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut psql = Psql(command.spawn()?);
    let mut lines = BufReader::new(psql.0.stdout.take().context("no output")?).lines();
    psql.tell("BEGIN;\nINSERT INTO orders VALUES (2000, 'late');\nSELECT 'in' || 'side';\n")?;
    ensure!(
        lines.any(|line| line.is_ok_and(|line| line == "inside")),
        "psql is in its transaction"
    );

    let asked = Command::new("kill").arg(stage.gateway.pid().to_string()).status()?;
    ensure!(asked.success(), "the gateway was asked to end");
    // The session that rests is told so at once; by then the gateway is on its way out.
    let told = runtime.block_on(async { tokio::time::timeout(PATIENCE, connection).await })??;
    let state = told
        .err()
        .and_then(|error| error.code().map(|code| code.code().to_owned()));
    ensure!(state.as_deref() == Some("57P01"), "{state:?}");

    psql.tell("UPDATE orders SET note = 'in time' WHERE id = 2000;\nSELECT 'still ' || 'inside';\n")?;
    ensure!(
        lines.any(|line| line.is_ok_and(|line| line == "still inside")),
        "the transaction goes on"
    );
    psql.tell("COMMIT;\n")?;
    ensure!(
        lines.any(|line| line.is_ok_and(|line| line == "COMMIT")),
        "the transaction is committed"
    );
    psql.tell("SELECT 'too ' || 'late';\n\\q\n")?;
    ensure!(
        !lines.any(|line| line.is_ok_and(|line| line == "too late")),
        "the session is over"
    );
    let note = stage.server.query("shop", "SELECT note FROM orders WHERE id = 2000")?;
    ensure!(note == "in time", "{note}");
    eventually("the gateway's end", || Ok((!stage.gateway.is_running()).then_some(())))
}

#[test]
fn the_gateway_counts_and_says_what_ails_it() -> Result<()> {
    let stage = stage("policy")?;
    let runtime = runtime()?;
    let (client, _connection) = runtime.block_on(connect(&stage.through("alice")?))?;
    runtime.block_on(client.simple_query("SELECT note FROM orders WHERE id = 1"))?;
    ensure!(runtime.block_on(client.simple_query("DROP TABLE orders")).is_err());
    let api = stage.gateway.api();
    let reply = api.get("/metrics", None)?;
    let metrics = reply.body.as_str().context("metrics are text")?;
    for line in [
        r#"sallyport_sessions_open{target="orders"} 1"#,
        r#"sallyport_commands_total{target="orders",outcome="deny"} 1"#,
        r#"sallyport_handshakes_total{outcome="session"} 1"#,
        "sallyport_decision_seconds_bucket",
        "sallyport_recording_event_bytes_total",
    ] {
        ensure!(metrics.contains(line), "`{line}` is not in\n{metrics}");
    }
    ensure!(api.get("/healthz", None)?.status == 200, "all is well");
    let recordings = stage.gateway.dir().join("state/recordings");
    ensure!(recordings.is_dir(), "`{}`", recordings.display());
    let aside = stage.gateway.dir().join("aside");
    std::fs::rename(&recordings, &aside)?;
    let reply = api.get("/healthz", None)?;
    ensure!(
        reply.status == 503 && reply.body.to_string().contains("recordings"),
        "{reply:?}"
    );
    std::fs::rename(&aside, &recordings)?;
    ensure!(api.get("/healthz", None)?.status == 200, "all is well again");
    Ok(())
}

/// Everything in `dir` with its mode.
fn modes(dir: &Path, found: &mut Vec<(PathBuf, u32)>) -> Result<()> {
    found.push((dir.to_owned(), std::fs::metadata(dir)?.permissions().mode() & 0o777));
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            modes(&entry.path(), found)?;
        } else {
            found.push((entry.path(), metadata.permissions().mode() & 0o777));
        }
    }
    Ok(())
}

#[test]
fn nobody_else_can_look_into_the_state() -> Result<()> {
    let stage = stage("policy")?;
    let runtime = runtime()?;
    let (client, _connection) = runtime.block_on(connect(&stage.through("alice")?))?;
    runtime.block_on(client.simple_query("SELECT note FROM orders WHERE id = 1"))?;
    let mut found = Vec::new();
    modes(&stage.gateway.dir().join("state"), &mut found)?;
    let files = found.iter().filter(|(path, _)| path.is_file()).count();
    ensure!(files >= 6, "keys, store, journal, recording: {found:?}");
    for (path, mode) in &found {
        ensure!(mode & 0o077 == 0, "`{}` has mode {mode:o}", path.display());
    }
    Ok(())
}

#[test]
fn a_replay_says_whether_the_journal_has_the_same_root() -> Result<()> {
    let stage = stage("policy")?;
    let mut psql = stage.through("alice")?.program("psql");
    let output = psql
        .args(["-XAt", "-c", "SELECT note FROM orders WHERE id = 1"])
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    let end = |transcripts: Vec<Vec<Value>>| -> Result<Value> {
        let lines = transcripts.into_iter().next().context("no session")?;
        Ok(lines.last().context("no line")?.clone())
    };
    // A client is gone a moment before its recording is sealed.
    let sealed = eventually("the seal", || {
        let end = end(transcripts(&stage.gateway, "audrey")?)?;
        Ok((end.get("journal") == Some(&json!("same_root"))).then_some(end))
    })?;
    ensure!(sealed.get("state") == Some(&json!("sealed")), "{sealed}");
    ensure!(sealed.get("problem") == Some(&Value::Null), "{sealed}");

    let mut found = Vec::new();
    modes(&stage.gateway.dir().join("state/recordings"), &mut found)?;
    let (recording, _) = found.iter().find(|(path, _)| path.is_file()).context("no recording")?;
    let file = std::fs::OpenOptions::new().write(true).open(recording)?;
    file.set_len(file.metadata()?.len() - 200)?;
    let cut = end(transcripts(&stage.gateway, "audrey")?)?;
    ensure!(cut.get("journal") == Some(&json!("other_root")), "{cut}");
    ensure!(
        cut.get("problem")
            .is_some_and(|problem| problem.to_string().contains("journal")),
        "{cut}"
    );
    Ok(())
}

/// The command line of somebody who watches a session.
fn watch(stage: &Stage, person: &str, session: &str) -> Result<Child> {
    let mut command = Command::new(sallyport_tests::program()?);
    command
        .args(["sessions", "watch", session, "--rows"])
        .env("SALLYPORT_API", format!("http://{}", stage.gateway.api().address()))
        .env("SALLYPORT_TOKEN", stage.gateway.login(person)?);
    Ok(command.stdout(Stdio::piped()).spawn()?)
}

#[test]
fn an_auditor_watches_a_session_of_psql_while_it_goes_on() -> Result<()> {
    let stage = stage("policy")?;
    let mut psql = stage.through("alice")?.program("psql");
    let mut psql = psql.arg("-XAt").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut keys = psql.stdin.take().context("no input")?;
    writeln!(keys, "SELECT 'before ' || count(*) FROM orders;")?;
    let token = stage.gateway.login("audrey")?;
    let id = eventually("a session", || {
        let reply = stage.gateway.api().get("/v1/sessions?live=true", Some(&token))?;
        Ok(reply.body.pointer("/0/id").and_then(Value::as_str).map(str::to_owned))
    })?;
    let mut watch = watch(&stage, "audrey", &id)?;
    let mut lines = BufReader::new(watch.stdout.take().context("no output")?).lines();
    let mut until = |words: &str| -> Result<()> {
        for line in lines.by_ref() {
            if line?.contains(words) {
                return Ok(());
            }
        }
        bail!("`{words}` was not shown")
    };
    until("before 1000")?;
    writeln!(keys, "SELECT 'while ' || note FROM orders WHERE id = 7;")?;
    until("while order 7")?;
    drop(keys);
    until("closed: the client left")?;
    ensure!(watch.wait()?.success());
    psql.wait()?;
    Ok(())
}

#[test]
fn a_moderated_session_of_psql_begins_and_goes_on_only_while_it_is_watched() -> Result<()> {
    const MODERATED: &str = r#"
        @id("work") permit (principal, action, resource);
        @id("sessions-are-moderated") @moderate("dba") @message("sessions here are moderated")
        forbid (principal, action == Action::"connect", resource)
        unless { context.watched_by.contains(Group::"dba") };"#;
    let policy = tempfile::tempdir()?;
    std::fs::create_dir(policy.path().join("rules"))?;
    std::fs::write(policy.path().join("rules/all.cedar"), MODERATED)?;
    let mut plan = Plan::with_policy("policy");
    plan.policy = policy.path().to_owned();
    let stage = Stage::start(&plan)?;
    stage.server.query("shop", ORDERS)?;

    let mut psql = stage.through("alice")?.program("psql");
    let mut psql = psql
        .arg("-XAt")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut keys = psql.stdin.take().context("no input")?;
    let mut rows = BufReader::new(psql.stdout.take().context("no output")?).lines();
    let token = stage.gateway.login("dana")?;
    let session = eventually("a request", || {
        let reply = stage.gateway.api().get("/v1/requests?wait=5", Some(&token))?;
        Ok(reply
            .body
            .pointer("/0/session")
            .and_then(Value::as_str)
            .map(str::to_owned))
    })?;
    let mut dana = watch(&stage, "dana", &session)?;
    writeln!(keys, "SELECT 'moderated ' || count(*) FROM orders;")?;
    ensure!(rows.next().transpose()?.as_deref() == Some("moderated 1000"));
    dana.kill()?;
    dana.wait()?;
    let audrey = stage.gateway.login("audrey")?;
    let api = stage.gateway.api();
    eventually("the end of the session", || {
        let live = api.get("/v1/sessions?live=true", Some(&audrey))?;
        Ok(live.body.pointer("/0").is_none().then_some(()))
    })?;
    writeln!(keys, "SELECT 'nobody watches';")?;
    drop(keys);
    let rest: Vec<String> = rows.collect::<std::io::Result<_>>()?;
    let output = psql.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        rest.is_empty() && said.contains("sessions here are moderated"),
        "{rest:?} {said}"
    );
    let reply = api.get(&format!("/v1/sessions/{session}/replay"), Some(&audrey))?;
    let transcript = reply.body.to_string();
    ensure!(
        transcript.contains("nobody of `dba` watches this session"),
        "{said}\n{transcript}"
    );
    Ok(())
}
