//! Replication: refused unless a rule permits it, and where one does, the tools of PostgreSQL work as without a gateway.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use sallyport_tests::{Endpoint, Plan, Stage, bundle, commands, mask, transcripts};
use serde_json::Value;
use tempfile::TempDir;

const CLASSIFY: &str = "[[columns]]\ncolumn = \"public.cards.number\"\nclass = \"pci\"\n";
const CARD: &str = "4111111111111111";

/// DBAs may replicate, and see what others see masked.
const REPLICATION: &str = r#"
@id("dbas-replicate")
permit (principal in Group::"dba", action in Replication::Action::"any", resource);
@id("no-drops")
@message("nothing is dropped here")
forbid (principal, action in Sql::Action::"drop", resource);
@id("cards")
@mask("keep-last(4)")
forbid (principal, action == Action::"reveal", resource in Classification::"pci")
unless { principal in Group::"dba" };
"#;

/// A server that may be replicated, with a table of cards.
fn stage(policy: &TempDir) -> Result<Stage> {
    let mut plan = Plan::with_bundle(policy);
    plan.server.settings = vec![
        ("wal_level".to_owned(), "logical".to_owned()),
        ("max_wal_senders".to_owned(), "8".to_owned()),
    ];
    prepared(&plan)
}

fn prepared(plan: &Plan) -> Result<Stage> {
    let stage = Stage::start(plan)?;
    stage.server.query(
        "shop",
        &format!(
            "ALTER ROLE app REPLICATION; CREATE TABLE cards (id int PRIMARY KEY, number text); \
             INSERT INTO cards VALUES (1, '{CARD}'); GRANT ALL ON cards TO app"
        ),
    )?;
    Ok(stage)
}

fn permitting() -> Result<(Stage, TempDir)> {
    let policy = bundle(CLASSIFY, REPLICATION)?;
    Ok((stage(&policy)?, policy))
}

/// A tool for physical replication: it cannot choose the name of a database.
fn physical(endpoint: &Endpoint, program: &str) -> Command {
    let mut command = endpoint.program(program);
    command
        .env("PGOPTIONS", format!("-c sallyport.target={}", endpoint.database))
        .env_remove("PGDATABASE");
    command
}

/// psql on a replication connection, one command a line.
fn psql(endpoint: &Endpoint, mode: &str, commands: &[&str]) -> Result<Output> {
    let mut command = endpoint.program("psql");
    command.env_remove("PGDATABASE").args(["-XAt", "-d"]);
    command.arg(format!("dbname={} replication={mode}", endpoint.database));
    for text in commands {
        command.args(["-c", text]);
    }
    Ok(command.output()?)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn succeeded(output: Output) -> Result<Output> {
    ensure!(output.status.success(), "{}", stderr(&output));
    Ok(output)
}

fn refused(output: &Output, why: &str) -> Result<()> {
    let said = stderr(output);
    ensure!(
        !output.status.success() && said.contains(why),
        "`{why}` is not in: {said}"
    );
    Ok(())
}

fn lines<'t>(transcripts: &'t [Vec<Value>], kind: &str) -> Vec<&'t Value> {
    let of_kind = |line: &&Value| line.get("kind").is_some_and(|k| k == kind);
    transcripts.iter().flatten().filter(of_kind).collect()
}

/// What the recordings say of streams: for each stretch, its bytes.
fn stretches(stage: &Stage) -> Result<Vec<Value>> {
    let recorded = transcripts(&stage.gateway, "audrey")?;
    let notices = lines(&recorded, "notice").into_iter();
    let texts = notices.filter_map(|line| line.get("text")?.as_str());
    Ok(texts.filter_map(|text| serde_json::from_str(text).ok()).collect())
}

#[test]
fn nobody_replicates_whom_no_rule_permits_it() -> Result<()> {
    // The policy that is shipped lets nobody in for it.
    let shipped = prepared(&Plan::with_policy("policy"))?;
    let dir = tempfile::tempdir()?;
    let mut backup = physical(&shipped.through("dana")?, "pg_basebackup");
    let output = backup.arg("-D").arg(dir.path().join("backup")).output()?;
    refused(&output, "a replication connection would copy everything past the masks")?;

    // One that permits every statement, and every connection, permits none of the walsender's commands.
    let policy = bundle(CLASSIFY, "")?;
    let stage = stage(&policy)?;
    let dana = stage.through("dana")?;
    for mode in ["database", "true"] {
        if mode == "true" {
            let mut receive = physical(&dana, "pg_receivewal");
            let output = receive.arg("-n").arg("-D").arg(dir.path()).output()?;
            refused(&output, "no rule permits `")?;
            continue;
        }
        for command in [
            "IDENTIFY_SYSTEM",
            "CREATE_REPLICATION_SLOT s PHYSICAL",
            "START_REPLICATION 0/0",
            "BASE_BACKUP",
        ] {
            let output = psql(&dana, mode, &[command])?;
            refused(&output, "no rule permits `")?;
        }
        refused(
            &psql(&dana, mode, &["BASE_BACKUP SOMEHOW"])?,
            "not a replication command",
        )?;
    }
    let slots = stage
        .server
        .query("shop", "SELECT count(*) FROM pg_replication_slots")?;
    ensure!(slots.trim() == "0", "{slots}");
    Ok(())
}

#[test]
fn statements_on_a_replication_connection_are_judged_as_statements() -> Result<()> {
    let (stage, _policy) = permitting()?;
    let alice = stage.through("alice")?;
    let output = succeeded(psql(
        &alice,
        "database",
        &["SELECT number FROM cards", "SHOW wal_level"],
    )?)?;
    ensure!(stdout(&output) == "************1111\nlogical", "{}", stdout(&output));
    refused(
        &psql(&alice, "database", &["DROP TABLE cards"])?,
        "nothing is dropped here",
    )?;
    refused(
        &psql(&alice, "database", &["IDENTIFY_SYSTEM; DROP TABLE cards"])?,
        "not a replication command",
    )?;
    // A transaction, as the subscriber of a publication begins: nothing of the gateway's own comes between.
    let dana = stage.through("dana")?;
    let text = [
        "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ",
        "CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL pgoutput (SNAPSHOT 'use')",
        "SELECT count(*) FROM cards",
        "COMMIT",
    ];
    let output = succeeded(psql(&dana, "database", &text)?)?;
    ensure!(stdout(&output).contains("pgoutput\n1\nCOMMIT"), "{}", stdout(&output));
    Ok(())
}

#[test]
fn what_cannot_be_masked_is_for_those_who_see_everything() -> Result<()> {
    let policy = bundle(
        CLASSIFY,
        &format!(
            "{}{}",
            REPLICATION.replace("\"dba\"", "\"developers\""),
            mask("pci", "redact")
        ),
    )?;
    let stage = stage(&policy)?;
    let alice = stage.through("alice")?;
    succeeded(psql(&alice, "database", &["IDENTIFY_SYSTEM"])?)?;
    stage.server.query(
        "shop",
        "SELECT pg_create_logical_replication_slot('l', 'test_decoding')",
    )?;
    let dir = tempfile::tempdir()?;
    for command in [
        "BASE_BACKUP",
        "START_REPLICATION 0/0",
        "START_REPLICATION SLOT l LOGICAL 0/0",
    ] {
        let output = psql(&alice, "database", &[command])?;
        refused(&output, "the result carries `pci` data")?;
        ensure!(stderr(&output).contains("rule `pci`"), "{}", stderr(&output));
    }
    let mut backup = physical(&alice, "pg_basebackup");
    let output = backup.arg("-D").arg(dir.path().join("backup")).output()?;
    refused(&output, "the result carries `pci` data")
}

#[test]
fn a_base_backup_through_the_gateway_is_whole() -> Result<()> {
    let (stage, _policy) = permitting()?;
    let dir = tempfile::tempdir()?;
    let backup = dir.path().join("backup");
    for way in ["stream", "fetch"] {
        let mut program = physical(&stage.through("dana")?, "pg_basebackup");
        program.args(["-X", way, "-c", "fast", "-D"]).arg(&backup);
        succeeded(program.output()?)?;
        succeeded(
            Command::new(stage.server.bin_dir().join("pg_verifybackup"))
                .arg(&backup)
                .output()?,
        )?;
        std::fs::remove_dir_all(&backup)?;
    }
    let recorded = transcripts(&stage.gateway, "audrey")?;
    let commands = commands(&recorded);
    ensure!(
        commands.iter().any(|text| text.starts_with("BASE_BACKUP")),
        "{commands:?}"
    );
    ensure!(
        commands.iter().any(|text| text.starts_with("START_REPLICATION")),
        "{commands:?}"
    );
    // The bytes are told of, and not kept.
    let bytes: u64 = stretches(&stage)?.iter().filter_map(|s| s.get("bytes")?.as_u64()).sum();
    ensure!(bytes > 20_000_000, "{bytes} bytes are told of");
    ensure!(lines(&recorded, "output").len() < 1000, "the bytes are kept");
    Ok(())
}

fn position(stage: &Stage) -> Result<String> {
    Ok(stage
        .server
        .query("shop", "SELECT pg_current_wal_flush_lsn()")?
        .trim()
        .to_owned())
}

#[test]
fn the_log_that_is_received_is_the_server_s() -> Result<()> {
    let (stage, _policy) = permitting()?;
    let dana = stage.through("dana")?;
    let dir = tempfile::tempdir()?;
    let receive = |arguments: &[&str]| -> Result<Output> {
        let mut program = physical(&dana, "pg_receivewal");
        succeeded(program.args(["-n", "--slot", "s"]).args(arguments).output()?)
    };
    receive(&["--create-slot"])?;
    stage.server.query(
        "shop",
        "INSERT INTO cards SELECT i, repeat('x', 100) FROM generate_series(2, 20000) i",
    )?;
    let end = position(&stage)?;
    let here = dir.path().to_str().context("a path")?;
    receive(&["--endpos", &end, "-D", here])?;
    let mut segments = 0;
    for entry in std::fs::read_dir(dir.path())? {
        let entry = entry?;
        let name = entry.file_name();
        let name = Path::new(&name);
        let plain = name
            .file_stem()
            .filter(|_| name.extension().is_some())
            .unwrap_or(name.as_os_str());
        let there = std::fs::read(stage.server.data_dir().join("pg_wal").join(plain))?;
        let here = std::fs::read(entry.path())?;
        // Up to the position that was asked for both are the same; a segment that goes on is longer at the server.
        let len = if name.extension().is_some() {
            offset(&end)?
        } else {
            here.len()
        };
        ensure!(here.get(..len) == there.get(..len), "{name:?} differs");
        segments += 1;
    }
    ensure!(segments > 0);
    receive(&["--drop-slot"])?;
    let told = stretches(&stage)?;
    let reached = told
        .iter()
        .any(|stretch| stretch.get("to").and_then(Value::as_str).is_some());
    ensure!(reached, "the recordings tell of no position: {told:?}");
    Ok(())
}

/// Where in its segment a position is.
fn offset(position: &str) -> Result<usize> {
    let (_, low) = position.split_once('/').context("no position")?;
    Ok(usize::from_str_radix(low, 16)? % (16 << 20))
}

#[test]
fn changes_are_decoded_as_without_a_gateway_and_recorded() -> Result<()> {
    let (stage, _policy) = permitting()?;
    let dana = stage.through("dana")?;
    let receive = |arguments: &[&str]| -> Result<Output> {
        let mut program = dana.program("pg_recvlogical");
        program.args(["-n", "--slot", "s", "-d", &dana.database]);
        succeeded(program.args(arguments).output()?)
    };
    receive(&["--create-slot", "--plugin", "test_decoding"])?;
    stage.server.query(
        "shop",
        "INSERT INTO cards VALUES (2, 'two'); UPDATE cards SET number = 'zwei' WHERE id = 2; DELETE FROM cards WHERE id = 2",
    )?;
    let wanted = stage
        .server
        .query("shop", "SELECT data FROM pg_logical_slot_peek_changes('s', NULL, NULL)")?;
    ensure!(wanted.contains("zwei"), "{wanted}");
    let end = position(&stage)?;
    let output = receive(&["--start", "--endpos", &end, "-f", "-"])?;
    ensure!(stdout(&output) == wanted.trim(), "{}", stdout(&output));
    receive(&["--drop-slot"])?;
    let recorded = transcripts(&stage.gateway, "audrey")?;
    let recorded = serde_json::to_string(&recorded)?;
    ensure!(recorded.contains("zwei"), "the changes are not in the recording");
    Ok(())
}
