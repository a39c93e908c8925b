//! Commands that were really run, decided again under a changed policy.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use sallyport_testbed::Gateway;
use sallyport_tests::{Plan, SshBed, SshPlan, Stage, TARGET, program, root, run};
use serde_json::{Value, json};

const CUSTOMERS: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text, email text, card_number text);
    INSERT INTO customers VALUES (1, 'Ada', 'ada@example.com', '4111111111111111'), (2, 'Bob', 'bob@example.com', '4111111111111111');
    CREATE TABLE payments (id int PRIMARY KEY, amount int);
    ALTER TABLE customers OWNER TO app;
    ALTER TABLE payments OWNER TO app;";

fn stage() -> Result<Stage> {
    let stage = Stage::start(&Plan::with_policy("policy"))?;
    stage.server.query("shop", CUSTOMERS)?;
    Ok(stage)
}

/// The bundle that the gateway has, for somebody to change.
fn copy(gateway: &Gateway, to: &Path) -> Result<PathBuf> {
    let bundle = to.join("changed");
    run(Command::new("cp")
        .arg("-r")
        .arg(gateway.dir().join("policy"))
        .arg(&bundle))?;
    Ok(bundle)
}

fn edit(bundle: &Path, file: &str, from: &str, to: &str) -> Result<()> {
    let path = bundle.join(file);
    let text = std::fs::read_to_string(&path)?;
    ensure!(text.contains(from), "{file} has no {from}");
    Ok(std::fs::write(path, text.replacen(from, to, 1))?)
}

/// `sallyport policy …` as an auditor.
fn policy(gateway: &Gateway, arguments: &[&str]) -> Result<Output> {
    let mut command = gateway.command();
    command.arg("policy").args(arguments).stdin(Stdio::null());
    command.env("SALLYPORT_API", format!("http://{}", gateway.api().address()));
    command.env("SALLYPORT_TOKEN", gateway.login("audrey")?);
    Ok(command.output()?)
}

fn replay(gateway: &Gateway, bundle: &Path, more: &[&str]) -> Result<Value> {
    let bundle = bundle.display().to_string();
    let output = policy(gateway, &[&["replay", "--json", "--against", &bundle], more].concat())?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no report: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Kind, rules, person, how and an example of each group.
fn changes(report: &Value) -> Vec<[String; 5]> {
    let text = |value: &Value, path: &str| {
        value
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let groups = report
        .get("changes")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let paths = [
        "/what/kind",
        "/what/rules",
        "/what/principal",
        "/what/how",
        "/found/text",
    ];
    groups.iter().map(|group| paths.map(|path| text(group, path))).collect()
}

fn psql(stage: &Stage, person: &str, commands: &[&str]) -> Result<()> {
    let mut psql = stage.through(person)?.program("psql");
    psql.arg("-XAtq")
        .args(commands.iter().flat_map(|command| ["-c", command]));
    // What is refused fails, and that is what is recorded.
    psql.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(())
}

const WORK: [&str; 5] = [
    "SELECT name, card_number FROM customers WHERE id = 1",
    "DELETE FROM payments",
    "UPDATE payments SET amount = 1 WHERE id = 7",
    "SELECT email FROM customers WHERE id = 2",
    "SELEC 1",
];

#[test]
fn what_a_change_would_have_done_to_real_commands() -> Result<()> {
    let (stage, scratch) = (stage()?, tempfile::tempdir()?);
    psql(&stage, "alice", &WORK)?;
    psql(&stage, "audrey", &["SELECT 1"])?;
    let bundle = copy(&stage.gateway, scratch.path())?;
    let same = replay(&stage.gateway, &bundle, &["--reread"])?;
    ensure!(
        changes(&same).is_empty(),
        "an unchanged bundle decides as it did: {same}"
    );
    // Whether each is prepared first is psql's business.
    ensure!(same.get("commands").and_then(Value::as_u64) >= Some(7), "{same}");
    ensure!(same.get("complete") == Some(&json!(true)), "{same}");

    edit(
        &bundle,
        "rules/changes.cedar",
        "context.unrestricted.isEmpty()",
        "context.statement_count == 1",
    )?;
    edit(
        &bundle,
        "rules/masks.cedar",
        "@mask(\"keep-last(4)\")",
        "@mask(\"keep-last(8)\")",
    )?;
    std::fs::write(
        bundle.join("rules/more.cedar"),
        "@id(\"no-updates-of-payments\") @message(\"not here\") forbid (principal, action == Sql::Action::\"update\", resource)
         when { context.writes.contains(\"public.payments\") };",
    )?;
    edit(
        &bundle,
        "rules/access.cedar",
        "principal in Group::\"auditors\",",
        "principal in Group::\"nobody\",",
    )?;
    let report = replay(&stage.gateway, &bundle, &[])?;
    let said = changes(&report);
    let found = |wanted: [&str; 5]| {
        said.iter()
            .any(|has| has.iter().zip(wanted).all(|(has, wanted)| has == wanted))
    };
    for wanted in [
        [
            "newly-allowed",
            "changes-name-their-rows",
            "alice",
            "deny → allow",
            "DELETE FROM payments",
        ],
        [
            "newly-refused",
            "no-updates-of-payments",
            "alice",
            "allow → deny",
            "UPDATE payments SET amount = 1 WHERE id = 7",
        ],
        [
            "weaker-masks",
            "card-numbers",
            "alice",
            "`pci`: keep-last(4) → keep-last(8)",
            WORK[0],
        ],
    ] {
        ensure!(found(wanted), "{wanted:?} is not in {said:#?}");
    }
    ensure!(
        !said.iter().any(|has| has.iter().any(|word| word == "audrey")),
        "no rule lets auditors in: {said:?}"
    );
    let few = replay(&stage.gateway, &bundle, &["--principal", "audrey"])?;
    ensure!(
        few.get("sessions").and_then(Value::as_u64) <= Some(2) && changes(&few).is_empty(),
        "{few}"
    );
    let none = replay(&stage.gateway, &bundle, &["--until", "2026-01-01T00:00:00Z"])?;
    ensure!(none.get("commands") == Some(&json!(0)), "{none}");

    let shown = bundle.display().to_string();
    let failed = policy(
        &stage.gateway,
        &[
            "replay",
            "--against",
            &shown,
            "--fail-on",
            "newly-allowed=0",
            "--format",
            "markdown",
            "--texts",
        ],
    )?;
    ensure!(!failed.status.success(), "one is newly allowed");
    let comment = String::from_utf8_lossy(&failed.stdout).into_owned();
    ensure!(
        comment.contains("| newly-allowed | 1 |") && comment.contains("<code>DELETE FROM payments</code>"),
        "{comment}"
    );
    let permitted = policy(
        &stage.gateway,
        &["replay", "--against", &shown, "--fail-on", "newly-allowed=1"],
    )?;
    ensure!(permitted.status.success(), "{permitted:?}");
    let read = sallyport_tests::journal(&stage.gateway)?;
    ensure!(
        read.iter()
            .any(|entry| entry.kind == "history.read" && entry.actor == "audrey"),
        "it is journaled"
    );
    Ok(())
}

#[test]
fn what_is_classified_anew_counts_for_what_was_run_before() -> Result<()> {
    let (stage, scratch) = (stage()?, tempfile::tempdir()?);
    psql(
        &stage,
        "alice",
        &[
            "SELECT name FROM customers WHERE id = 1",
            "SELECT name FROM customers ORDER BY email",
        ],
    )?;
    let bundle = copy(&stage.gateway, scratch.path())?;
    let classify = std::fs::read_to_string(bundle.join("classify.toml"))?;
    let more = "[[columns]]\ncolumn = \"public.customers.name\"\nclass = \"national-id\"\n[[columns]]\ncolumn = \"public.customers.email\"\nclass = \"pci\"\n";
    std::fs::write(bundle.join("classify.toml"), format!("{classify}\n{more}"))?;
    let report = replay(&stage.gateway, &bundle, &[])?;
    let said = changes(&report);
    let has = |kind: &str, how: &str, text: &str| {
        said.iter()
            .any(|[k, _, _, h, t]| k == kind && h == how && t.contains(text))
    };
    ensure!(
        has("stronger-masks", "`national-id`: clear → redact", "WHERE id = 1"),
        "{said:#?}"
    );
    ensure!(
        has("newly-refused", "allow → deny", "ORDER BY email"),
        "sorting by a card number tells of it: {said:#?}"
    );
    Ok(())
}

#[test]
fn who_may_read_history_and_names() -> Result<()> {
    let (stage, scratch) = (stage()?, tempfile::tempdir()?);
    let alice = stage.gateway.login("alice")?;
    let api = stage.gateway.api();
    for path in [
        "/v1/history?since=2026-01-01T00:00:00Z".to_owned(),
        format!("/v1/targets/{TARGET}/names"),
    ] {
        let refused = api.get(&path, Some(&alice))?;
        ensure!(refused.status == 403, "{path}: {refused:?}");
    }
    let bundle = copy(&stage.gateway, scratch.path())?;
    let shown = bundle.display().to_string();
    let written = policy(&stage.gateway, &["names", TARGET, "--policy", &shown])?;
    ensure!(written.status.success(), "{written:?}");
    let names = std::fs::read_to_string(bundle.join(format!("names/{TARGET}.jsonl")))?;
    ensure!(
        names.contains("card_number") && !names.contains("4111111111111111"),
        "names and no data"
    );
    let explained = policy(
        &stage.gateway,
        &[
            "explain",
            "--policy",
            &shown,
            "--as",
            "alice",
            "--group",
            "developers",
            "--target",
            TARGET,
            "SELECT * FROM customers",
        ],
    )?;
    let words = String::from_utf8_lossy(&explained.stdout).into_owned();
    ensure!(words.contains("public.customers.card_number"), "{words}");
    let missing = policy(&stage.gateway, &["names", "nowhere", "--policy", &shown])?;
    ensure!(
        String::from_utf8_lossy(&missing.stderr).contains("there is no target `nowhere`"),
        "{missing:?}"
    );
    Ok(())
}

#[test]
fn lines_and_files_of_hosts_are_decided_again() -> Result<()> {
    let (bed, scratch) = (SshBed::start(&SshPlan::default())?, tempfile::tempdir()?);
    let through = bed.through("alice")?;
    for line in ["cat /etc/hostname", "cd /tmp && echo x > made"] {
        through.exec(line).stdin(Stdio::null()).output()?;
    }
    let batch = scratch.path().join("batch");
    std::fs::write(&batch, "get /etc/hosts fetched\n")?;
    let batch = batch.display().to_string();
    through
        .program("sftp")
        .args(["-q", "-b", &batch, "web-1"])
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .output()?;
    let bundle = copy(&bed.gateway, scratch.path())?;
    ensure!(changes(&replay(&bed.gateway, &bundle, &["--reread"])?).is_empty());
    std::fs::write(
        bundle.join("classify.toml"),
        "[[paths]]\npath = [\"/etc/hostname\", \"/etc/hosts\", \"/tmp/made\"]\nclass = \"ours\"\n",
    )?;
    std::fs::write(
        bundle.join("rules/zz.cedar"),
        "@id(\"not-read\") forbid (principal, action == Ssh::Action::\"run\", resource) when { context.reads_classes.contains(Classification::\"ours\") };
         @id(\"not-written\") forbid (principal, action == Ssh::Action::\"exec\", resource) when { context.writes_classes.contains(Classification::\"ours\") };
         @id(\"not-fetched\") forbid (principal, action == Ssh::Action::\"file_read\", resource) when { context.classes.contains(Classification::\"ours\") };",
    )?;
    let said = changes(&replay(&bed.gateway, &bundle, &[])?);
    for (rule, text) in [
        ("not-read", "cat /etc/hostname"),
        ("not-written", "cd /tmp && echo x > made"),
        ("not-fetched", "SFTP get /etc/hosts"),
    ] {
        let found = said
            .iter()
            .any(|[kind, rules, _, _, example]| kind == "newly-refused" && rules == rule && example.contains(text));
        ensure!(found, "{rule} of `{text}` is not in {said:#?}");
    }
    Ok(())
}

/// A repository with the gateway's bundle in it, and a change that is not committed.
fn repository(gateway: &Gateway, at: &Path) -> Result<()> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
            "-c",
            "init.defaultBranch=main",
        ]);
        run(git.args(arguments).current_dir(at))
    };
    std::fs::create_dir_all(at)?;
    run(Command::new("cp")
        .arg("-r")
        .arg(gateway.dir().join("policy"))
        .arg(at.join("policy")))?;
    for name in ["names", "properties.toml"] {
        run(Command::new("cp")
            .arg("-r")
            .arg(root().join("policy").join(name))
            .arg(at.join("policy")))?;
    }
    // The cases of the example are about its own targets.
    std::fs::copy(root().join("policy/targets.toml"), at.join("policy/targets.toml"))?;
    git(&["init", "-q"])?;
    git(&["add", "."])?;
    git(&["commit", "-qm", "the policy"])?;
    Ok(())
}

#[test]
fn continuous_integration_says_what_a_change_does() -> Result<()> {
    let (stage, scratch) = (stage()?, tempfile::tempdir()?);
    psql(&stage, "alice", &WORK)?;
    let at = scratch.path().join("repository");
    repository(&stage.gateway, &at)?;
    let look = || -> Result<(bool, String)> {
        let program = program()?;
        let dir = program.parent().context("the program is nowhere")?;
        let path = std::env::var("PATH").unwrap_or_default();
        let mut script = Command::new("sh");
        script
            .arg(root().join("docs/ci/policy-report.sh"))
            .args(["main", "policy", "report.md"]);
        script.current_dir(&at).env("PATH", format!("{}:{path}", dir.display()));
        script.env("SALLYPORT_API", format!("http://{}", stage.gateway.api().address()));
        script
            .env("SALLYPORT_TOKEN", stage.gateway.login("audrey")?)
            .env("MIN_COVERAGE", "100");
        let fine = script.stdin(Stdio::null()).output()?.status.success();
        Ok((fine, std::fs::read_to_string(at.join("report.md"))?))
    };
    // Targets of the stage are not the example's: what was run there is refused, and that is no reason to fail.
    std::fs::write(
        at.join("policy/rules/more.cedar"),
        "@id(\"no-vacuum\") forbid (principal, action == Sql::Action::\"vacuum\", resource);",
    )?;
    let (fine, report) = look()?;
    ensure!(
        !fine && report.contains("`no-vacuum`"),
        "a rule without a case lowers the coverage: {report}"
    );
    let case = "[[case]]\nname = \"no vacuum\"\nwho = { user = \"dana\", groups = [\"dba\"] }\ntarget = \"orders\"\ncommand = \"VACUUM orders\"\nexpect = \"deny\"\nrule = \"no-vacuum\"\n";
    std::fs::write(at.join("policy/tests/more.toml"), case)?;
    let (fine, report) = look()?;
    ensure!(fine, "refusing more is fine: {report}");
    for title in [
        "Is it valid?",
        "What must always be true",
        "What it changes",
        "last 30d",
    ] {
        ensure!(
            report.contains(&format!("### {title}")) || report.contains(title),
            "{title} is missing: {report}"
        );
    }
    edit(
        &at.join("policy"),
        "rules/changes.cedar",
        "context.unrestricted.isEmpty()",
        "context.statement_count == 1",
    )?;
    let (fine, report) = look()?;
    ensure!(!fine && report.contains("newly-allowed"), "{report}");
    Ok(())
}

#[test]
fn what_was_withheld_and_what_was_approved_is_told_once() -> Result<()> {
    let (scratch, rules) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let policy_dir = rules.path().join("policy");
    run(Command::new("cp").arg("-r").arg(root().join("policy")).arg(&policy_dir))?;
    // Nobody sees a national id, not even masked.
    edit(
        &policy_dir,
        "rules/masks.cedar",
        "@id(\"national-ids\")\n@mask(\"redact\")",
        "@id(\"national-ids\")",
    )?;
    let mut plan = Plan::with_policy("policy");
    plan.policy = policy_dir;
    let stage = Stage::start(&plan)?;
    let ids = "ALTER TABLE customers ADD COLUMN national_id text DEFAULT '123-45-6789'";
    stage.server.query("shop", CUSTOMERS)?;
    stage.server.query("shop", ids)?;
    psql(
        &stage,
        "alice",
        &["SELECT national_id FROM customers", "SELECT name FROM customers"],
    )?;
    let mut waiting = stage.through("alice")?.program("psql");
    waiting.args(["-XAtqc", "ALTER TABLE payments ADD COLUMN vip boolean"]);
    let mut waiting = waiting
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let dana = stage.gateway.login("dana")?;
    let requests = stage
        .gateway
        .api()
        .get("/v1/requests?state=open&wait=30", Some(&dana))?;
    let id = requests
        .body
        .pointer("/0/id")
        .and_then(Value::as_str)
        .context("no request")?
        .to_owned();
    stage
        .gateway
        .api()
        .post(&format!("/v1/requests/{id}/approve"), Some(&dana), &json!({}))?;
    ensure!(waiting.wait()?.success(), "what was approved runs");

    let bundle = copy(&stage.gateway, scratch.path())?;
    let same = replay(&stage.gateway, &bundle, &[])?;
    ensure!(
        changes(&same).is_empty(),
        "an unchanged bundle decides as it did: {same}"
    );
    edit(
        &bundle,
        "rules/changes.cedar",
        "forbid (\n  principal,\n  action in [Sql::Action::\"ddl\", Sql::Action::\"code\"],",
        "forbid (\n  principal,\n  action in [Sql::Action::\"code\"],",
    )?;
    let report = replay(&stage.gateway, &bundle, &[])?;
    let said = changes(&report);
    let mut held = said.iter().filter(|[kind, ..]| kind == "no-longer-held");
    let first = held
        .next()
        .is_some_and(|[.., text]| text.contains("ALTER TABLE payments"));
    ensure!(first && held.next().is_none(), "{report}");
    ensure!(report.pointer("/counts/no-longer-held") == Some(&json!(1)), "{report}");
    Ok(())
}
