//! Rules and targets that only observe: commands go on, and everybody who looks sees what would have happened.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sallyport_tests::{Plan, Stage, bundle, mask, transcripts};
use serde_json::{Value, json};

/// How long a changed policy may take to come into force.
const PATIENCE: Duration = Duration::from_secs(30);

const ORDERS: &str = "
    CREATE TABLE orders (id int PRIMARY KEY, card text);
    INSERT INTO orders VALUES (1, '4111111111111111'), (2, '5500005555555559');
    ALTER TABLE orders OWNER TO app;";

const CLASSIFY: &str = "columns = [{ column = \"public.*.card\", class = \"pci\" }]";

/// What psql printed on both of its outputs, and whether it succeeded.
fn psql(stage: &Stage, person: &str, statement: &str) -> Result<(bool, String)> {
    let mut command = stage.through(person)?.program("psql");
    let output = command.args(["-XAt", "-c", statement]).stdin(Stdio::null()).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

fn stage(rules: &str, target: &str) -> Result<Stage> {
    let bundle = bundle(CLASSIFY, rules)?;
    let mut plan = Plan::with_bundle(&bundle);
    plan.target += target;
    let stage = Stage::start(&plan)?;
    stage.server.query("shop", ORDERS)?;
    Ok(stage)
}

/// The session in which this command was run, and what its recording says of it.
fn recorded(stage: &Stage, text: &str) -> Result<(String, Value)> {
    let is = |line: &Value, name: &str, value: &str| line.get(name).is_some_and(|found| found == value);
    for lines in transcripts(&stage.gateway, "audrey")? {
        let Some(command) = lines
            .iter()
            .find(|line| is(line, "kind", "command") && is(line, "text", text))
        else {
            continue;
        };
        let of_it = |line: &&Value| is(line, "kind", "decision") && line.get("seq") == command.get("seq");
        let decision = lines.iter().find(of_it).context("no decision")?;
        let opened = lines.first().context("an empty transcript")?;
        let id = opened.pointer("/session/id").and_then(Value::as_str).context("no id")?;
        return Ok((id.to_owned(), decision.clone()));
    }
    bail!("`{text}` is not recorded")
}

fn metrics(stage: &Stage) -> Result<String> {
    let reply = stage.gateway.api().get("/metrics", None)?;
    Ok(reply.body.as_str().context("metrics are text")?.to_owned())
}

#[test]
fn what_a_rule_that_observes_would_refuse_goes_on_and_is_recorded_as_that() -> Result<()> {
    const RULE: &str = "@id(\"name-the-rows\") @enforce(\"false\") @message(\"say which rows\")
        forbid (principal, action in Sql::Action::\"any\", resource)
        unless { context.unrestricted.isEmpty() };";
    let stage = stage(RULE, "")?;
    let (ok, text) = psql(&stage, "alice", "UPDATE orders SET id = id + 10")?;
    ensure!(ok && text.contains("UPDATE 2"), "{text}");
    let (session, decision) = recorded(&stage, "UPDATE orders SET id = id + 10")?;
    ensure!(decision.get("outcome") == Some(&json!("allow")), "{decision}");
    let would = json!({ "outcome": "deny", "rules": ["name-the-rows"], "message": "say which rows" });
    ensure!(decision.get("observed") == Some(&would), "{decision}");

    let mut replay = Command::new(sallyport_tests::program()?);
    replay
        .args(["replay", &session])
        .env("SALLYPORT_API", format!("http://{}", stage.gateway.api().address()))
        .env("SALLYPORT_TOKEN", stage.gateway.login("audrey")?);
    let shown = String::from_utf8(replay.output()?.stdout)?;
    ensure!(
        shown.contains("would have been refused by rule name-the-rows: say which rows"),
        "{shown}"
    );
    let counted = metrics(&stage)?;
    for line in [
        r#"sallyport_commands_observed_total{target="orders",outcome="deny"} 1"#,
        r#"sallyport_policy_observing{kind="rule"} 1"#,
        r#"sallyport_policy_observing{kind="target"} 0"#,
    ] {
        ensure!(counted.contains(line), "`{line}` is not in\n{counted}");
    }

    let rules = stage.gateway.dir().join("policy/rules/more.cedar");
    std::fs::write(rules, RULE.replace("@enforce(\"false\")", ""))?;
    let start = Instant::now();
    loop {
        let (ok, text) = psql(&stage, "alice", "UPDATE orders SET card = card")?;
        if !ok {
            ensure!(
                text.contains("say which rows") && text.contains("name-the-rows"),
                "{text}"
            );
            break;
        }
        ensure!(start.elapsed() < PATIENCE, "the rule is not in force");
    }
    ensure!(metrics(&stage)?.contains(r#"sallyport_policy_observing{kind="rule"} 0"#));
    Ok(())
}

#[test]
fn a_target_that_observes_masks_and_lets_in_as_always() -> Result<()> {
    let rules = format!(
        "{}
        @id(\"no-writes\") forbid (principal, action in Sql::Action::\"write\", resource);
        @id(\"wait\") @hold(\"dba\") forbid (principal, action in Sql::Action::\"ddl\", resource)
        unless {{ context.approved_by.contains(Group::\"dba\") }};
        @id(\"not-dana\") forbid (principal == User::\"dana\", action == Action::\"connect\", resource);",
        mask("pci", "keep-last(4)")
    );
    let stage = stage(&rules, "\nenforce = false")?;
    for (statement, outcome, rule) in [
        ("DELETE FROM orders WHERE id = 2", "deny", "no-writes"),
        ("ALTER TABLE orders ADD note text", "hold", "wait"),
    ] {
        let (ok, text) = psql(&stage, "alice", statement)?;
        ensure!(ok, "{text}");
        let (_, decision) = recorded(&stage, statement)?;
        ensure!(decision.get("outcome") == Some(&json!("allow")), "{decision}");
        ensure!(
            decision.pointer("/observed/outcome") == Some(&json!(outcome)),
            "{decision}"
        );
        ensure!(
            decision.pointer("/observed/rules") == Some(&json!([rule])),
            "{decision}"
        );
    }
    let (ok, text) = psql(&stage, "alice", "SELECT id, card FROM orders")?;
    ensure!(ok && text.trim() == "1|************1111", "{text}");
    let seen = serde_json::to_string(&transcripts(&stage.gateway, "audrey")?)?;
    ensure!(!seen.contains("4111111111111111"), "{seen}");

    let (ok, text) = psql(&stage, "alice", "SELEC 1")?;
    ensure!(!ok && text.contains("syntax error"), "{text}");
    let (ok, text) = psql(&stage, "dana", "SELECT 1")?;
    ensure!(!ok && text.contains("not-dana"), "{text}");
    ensure!(metrics(&stage)?.contains(r#"sallyport_policy_observing{kind="target"} 1"#));
    Ok(())
}
