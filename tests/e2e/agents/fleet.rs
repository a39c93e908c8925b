//! Several agents for the same targets: spread, drained, revoked; and what people see of them.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use sallyport_testbed::{Agent, AgentOptions, join_token};
use sallyport_tests::raw::{Raw, error_field, query, tags};
use sallyport_tests::{AGENT, Behind, BehindPlan, DATABASE, journal, program, run, transcripts};
use serde_json::{Value, json};

use super::{PATIENCE, agents, connections, eventually, said};

fn works(session: &mut Raw) -> Result<()> {
    session.send(&query("SELECT 1"))?;
    let said = session.until(b'Z')?;
    ensure!(tags(&said) == "TDCZ", "{said:?}");
    Ok(())
}

/// The flows of each agent that is connected, by instance.
fn flows(behind: &Behind) -> Result<Vec<(String, u64)>> {
    let agents = agents(behind)?;
    let connected = agents.iter().filter_map(|agent| {
        let flows = agent.pointer("/connected/flows")?.as_u64()?;
        Some((agent.get("instance")?.as_str()?.to_owned(), flows))
    });
    Ok(connected.collect())
}

/// Waits for the end of a process that was asked to stop.
fn ends(agent: &Agent) -> Result<()> {
    eventually("the end of an agent", || Ok((!agent.is_running()).then_some(())))
}

#[test]
fn sessions_are_spread_and_an_agent_that_stops_lets_its_own_finish_and_takes_no_more() -> Result<()> {
    let behind = Behind::start(&BehindPlan::default())?;
    let second = behind.another()?;
    connections(&behind, 4)?;
    let alice = behind.through("alice")?;
    let mut sessions = (0..6).map(|_| Raw::login(&alice)).collect::<Result<Vec<_>>>()?;
    let spread: Vec<u64> = flows(&behind)?.into_iter().map(|(_, flows)| flows).collect();
    ensure!(spread == [3, 3], "{spread:?}");

    // One stops: its three go on, and new ones are the other's.
    second.signal("TERM")?;
    eventually("an agent that takes no more", || {
        let agents = agents(&behind)?;
        let draining = |agent: &&Value| agent.pointer("/connected/draining") == Some(&json!(true));
        Ok((agents.iter().filter(draining).count() == 1).then_some(()))
    })?;
    for session in &mut sessions {
        works(session)?;
    }
    ensure!(second.is_running(), "sessions are open: {}", second.log());
    let mut more = (0..4).map(|_| Raw::login(&alice)).collect::<Result<Vec<_>>>()?;
    for session in &mut more {
        works(session)?;
    }
    let begun = Instant::now();
    drop(sessions);
    ends(&second)?;
    ensure!(
        begun.elapsed() < PATIENCE / 4,
        "it waited for something: {}",
        second.log()
    );

    // One that nobody uses ends at once.
    let third = behind.another()?;
    connections(&behind, 4)?;
    let begun = Instant::now();
    third.signal("TERM")?;
    ends(&third)?;
    ensure!(begun.elapsed() < PATIENCE / 4, "it waited for nothing: {}", third.log());
    connections(&behind, 2)?;
    for session in &mut more {
        works(session)?;
    }
    // The last one dies: what it served is lost, and the next is told that nobody is there.
    behind.agent.signal("KILL")?;
    for session in &mut more {
        let said = session.rest()?;
        ensure!(
            error_field(&said, b'M').is_some_and(|words| words.contains("agent `eu-west`")),
            "{said:?}"
        );
    }
    let refusal = Raw::login(&alice).err().context("it was let in")?.to_string();
    ensure!(refusal.contains("no agent `eu-west`"), "{refusal}");
    Ok(())
}

fn connected(behind: &Behind) -> Result<u64> {
    Ok(sallyport_testbed::connected(&behind.gateway, &behind.admin)?)
}

fn revoke(behind: &Behind, which: &str) -> Result<()> {
    let mut command = behind.command("adam")?;
    let (ok, words) = self::said(command.args(["agents", "revoke", which]))?;
    ensure!(ok, "{words}");
    Ok(())
}

#[test]
fn a_revoked_agent_loses_its_sessions_at_once_and_does_not_come_back() -> Result<()> {
    let mut behind = Behind::start(&BehindPlan::default())?;
    let alice = behind.through("alice")?;
    let mut session = Raw::login(&alice)?;
    works(&mut session)?;
    let (stolen, _) = flows(&behind)?.pop().context("no agent")?;
    let second = behind.another()?;
    connections(&behind, 4)?;
    revoke(&behind, &stolen)?;
    let said = session.rest()?;
    let words = error_field(&said, b'M').with_context(|| format!("{said:?}"))?;
    ensure!(words.contains("revoked"), "{words}");
    connections(&behind, 2)?;
    // It knocks, and is not let in; neither is one that starts with what it has.
    behind
        .agent
        .wait_until(|| Ok(behind.agent.log().matches("no connection to the gateway").count() >= 3))?;
    behind.agent.kill_and_start(|| ())?;
    behind
        .agent
        .wait_until(|| Ok(behind.agent.log().contains("no connection to the gateway")))?;
    ensure!(connected(&behind)? == 2, "it came back: {}", behind.agent.log());
    let mut other = Raw::login(&alice)?;
    works(&mut other)?;

    // The name: nobody of it is left, and a token that was made for it before lets nobody in.
    let token = join_token(&behind.gateway, &behind.admin, AGENT)?;
    revoke(&behind, AGENT)?;
    let words = error_field(&other.rest()?, b'M').unwrap_or_default();
    ensure!(words.contains("revoked"), "{words}");
    connections(&behind, 0)?;
    drop(second);
    let url = format!("https://{}", behind.gateway.agents());
    let late = Agent::launch(&program()?, &url, &token, &behind.options)?;
    ends(&late)?;
    ensure!(late.log().contains("does not let the agent join"), "{}", late.log());
    let journal = journal(&behind.gateway)?;
    let count = |kind: &str| journal.iter().filter(|entry| entry.kind == kind).count();
    ensure!(
        count("agent.revoke") == 2 && count("agent.join.refused") == 1,
        "{journal:?}"
    );
    Ok(())
}

/// What an agent says it has is used only as far as policy says the same.
#[test]
fn an_agent_that_announces_what_is_others_is_never_asked_for_it() -> Result<()> {
    let behind = Behind::start(&BehindPlan::default().with_ssh())?;
    let alice = behind.through("alice")?;
    works(&mut Raw::login(&alice)?)?;
    // Another name, which says that it has the same target; and one of the right name to which it is a host.
    let postgres = |name: &str| {
        format!(
            "[[target]]\nname = \"{name}\"\nprotocol = \"postgres\"\naddress = \"localhost:1\"\nuser = \"x\"\n\
             password_file = \"password\"\ntls = \"disable\"\n"
        )
    };
    let liar = AgentOptions {
        name: "liar".to_owned(),
        targets: postgres("orders") + &postgres("other"),
        ..behind.options.clone()
    };
    let confused = AgentOptions {
        targets: postgres("web-1"),
        ..behind.options.clone()
    };
    let liar = Agent::start(&program()?, &behind.gateway, &behind.admin, &liar)?;
    let confused = Agent::start(&program()?, &behind.gateway, &behind.admin, &confused)?;
    connections(&behind, 6)?;
    for _ in 0..4 {
        works(&mut Raw::login(&alice)?)?;
        let (ok, words) = said(&mut behind.ssh()?.exec("true"))?;
        ensure!(ok, "{words}");
    }
    for agent in [&liar, &confused] {
        let log = agent.log();
        ensure!(
            !log.contains("no login at a target") && !log.contains("asks for what is not here"),
            "it was asked: {log}"
        );
    }
    let mut shown: Vec<(Value, Value)> = agents(&behind)?
        .iter()
        .filter_map(|agent| {
            Some((
                agent.pointer("/connected/serves")?.clone(),
                agent.pointer("/connected/unassigned")?.clone(),
            ))
        })
        .collect();
    shown.sort_by_key(|(_, unassigned)| unassigned.to_string());
    let wanted = [
        (json!([]), json!(["orders", "other"])),
        (json!([]), json!(["web-1"])),
        (json!(["orders", "web-1"]), json!([])),
    ];
    ensure!(shown == wanted, "{shown:?}");
    // Without the one that policy means, there is nobody.
    behind.agent.signal("KILL")?;
    connections(&behind, 4)?;
    let refusal = Raw::login(&alice).err().context("it was let in")?.to_string();
    ensure!(refusal.contains("no agent `eu-west`"), "{refusal}");
    Ok(())
}

/// Each gateway has its own people, rules and records, and what happens to one is nothing to the other.
#[test]
fn an_agent_serves_two_gateways_and_the_loss_of_one_is_nothing_to_the_other() -> Result<()> {
    let (mut here, there) = (
        Behind::start(&BehindPlan::default())?,
        Behind::start(&BehindPlan::default())?,
    );
    let gateways = [&here, &there].map(|behind| {
        let token = join_token(&behind.gateway, &behind.admin, AGENT)?;
        Ok::<_, anyhow::Error>((format!("https://{}", behind.gateway.agents()), token))
    });
    let gateways = gateways.into_iter().collect::<Result<Vec<_>>>()?;
    let both = Agent::launch_for(&program()?, &gateways, &here.options)?;
    for behind in [&here, &there] {
        connections(behind, 4)?;
        behind.agent.signal("KILL")?;
        connections(behind, 2)?;
    }
    let mut sessions = [
        Raw::login(&here.through("alice")?)?,
        Raw::login(&there.through("alice")?)?,
    ];
    for session in &mut sessions {
        works(session)?;
    }
    let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND query = 'SELECT 1'";
    ensure!(here.server.query(DATABASE, count)?.trim() == "2", "they lead elsewhere");

    let killed = here.gateway.kill()?;
    let [_, other] = &mut sessions;
    works(other)?;
    works(&mut Raw::login(&there.through("alice")?)?)?;
    here.gateway = killed.start()?;
    here.admin = here.gateway.login("adam")?;
    connections(&here, 2)?;
    works(&mut Raw::login(&here.through("alice")?)?)?;
    works(other)?;
    ensure!(both.is_running(), "{}", both.log());
    Ok(())
}

/// A word in place of what differs between runs.
fn redacted(text: &str, behind: &Behind) -> Result<String> {
    let agents = agents(behind)?;
    let agent = agents.first().context("no agent")?;
    let mut text = text.to_owned();
    for (name, pointer) in [
        ("INSTANCE", "/instance"),
        ("HOST", "/host"),
        ("VERSION", "/version"),
        ("ADDRESS", "/connected/address"),
    ] {
        let value = agent
            .pointer(pointer)
            .and_then(Value::as_str)
            .context("no such field")?;
        text = text.replace(value, name);
    }
    Ok(text)
}

#[test]
fn people_see_who_is_connected_and_through_whom_a_session_went() -> Result<()> {
    let behind = Behind::start(&BehindPlan::default())?;
    let alice = behind.through("alice")?;
    run(alice.program("psql").args(["-X", "-c", "SELECT 'hello'"]))?;
    let operator = |person: &str, words: &[&str]| -> Result<String> {
        let (ok, text) = said(behind.command(person)?.args(words))?;
        ensure!(ok, "{words:?}: {text}");
        Ok(text)
    };
    let list = redacted(&operator("adam", &["agents"])?, &behind)?;
    let row: Vec<&str> = list.trim_end().split('\t').collect();
    ensure!(
        row.starts_with(&[AGENT, "INSTANCE", "HOST", "VERSION"]) && row.ends_with(&["orders"]),
        "{row:?}"
    );
    let [.., flows, latency, _] = row.as_slice() else {
        bail!("{row:?}");
    };
    ensure!(row.len() == 8 && *flows == "0" && latency.ends_with(" ms"), "{row:?}");

    let shown: Value = serde_json::from_str(&operator("adam", &["agents", "--json"])?)?;
    let agent = shown.get(0).context("no agent")?;
    let mut fields: Vec<&String> = agent.as_object().context("no object")?.keys().collect();
    fields.sort();
    ensure!(
        fields
            == [
                "connected",
                "expires",
                "host",
                "instance",
                "joined",
                "method",
                "name",
                "proof",
                "seen",
                "version"
            ],
        "{fields:?}"
    );
    ensure!(agent.get("method") == Some(&json!("token")), "{agent}");
    ensure!(agent.pointer("/connected/connections") == Some(&json!(2)), "{agent}");

    let token = operator("adam", &["agents", "token", "us-east"])?;
    ensure!(token.lines().count() == 1 && token.len() > 40, "{token}");
    let tokens = operator("adam", &["agents", "tokens"])?;
    ensure!(
        tokens.contains("us-east") && tokens.contains("adam") && !tokens.contains(token.trim()),
        "{tokens}"
    );
    // Others see none of it.
    for person in ["alice", "dana"] {
        let (ok, words) = said(behind.command(person)?.arg("agents"))?;
        ensure!(!ok, "{person}: {words}");
    }

    let audrey = behind.gateway.login("audrey")?;
    let session = eventually("the session", || {
        let reply = behind.gateway.api().get("/v1/sessions", Some(&audrey))?;
        Ok(reply.body.pointer("/0/id").and_then(Value::as_str).map(str::to_owned))
    })?;
    let replay = redacted(&operator("audrey", &["replay", &session])?, &behind)?;
    ensure!(replay.contains("  through   agent eu-west\n"), "{replay}");
    ensure!(
        replay.contains("* through agent eu-west (instance INSTANCE, on HOST)\n"),
        "{replay}"
    );
    let recorded = serde_json::to_string(&transcripts(&behind.gateway, "audrey")?)?;
    ensure!(recorded.contains("SELECT 'hello'"), "{recorded}");
    let journal = journal(&behind.gateway)?;
    for kind in ["agent.token.issue", "agent.join", "agent.connect"] {
        let entry = journal.iter().find(|entry| entry.kind == kind);
        let entry = entry.with_context(|| format!("the journal has no `{kind}`"))?;
        ensure!(format!("{entry:?}").contains(AGENT), "{entry:?}");
    }
    Ok(())
}

/// What is secret is in no log, no argument and no recording, whoever looks.
#[test]
fn no_secret_of_a_target_is_in_a_log_of_either_side_or_in_what_the_gateway_keeps() -> Result<()> {
    let behind = Behind::start(&BehindPlan::default().with_ssh())?;
    works(&mut Raw::login(&behind.through("alice")?)?)?;
    let (ok, words) = said(&mut behind.ssh()?.exec("true"))?;
    ensure!(ok, "{words}");
    let key = std::fs::read_to_string(behind.agent.dir().join("login"))?;
    let line = key.lines().nth(2).context("no key")?.to_owned();
    for (secret, what) in [
        (sallyport_tests::ROLE_PASSWORD, "the password"),
        (line.as_str(), "the key"),
    ] {
        let mut grep = Command::new("grep");
        grep.args(["-rlF", "--", secret]).arg(behind.gateway.dir());
        let found = grep.stdin(Stdio::null()).output()?;
        // It searched, and found nothing.
        ensure!(
            found.stdout.is_empty() && found.status.code() == Some(1),
            "{what}: {}{}",
            String::from_utf8_lossy(&found.stdout),
            String::from_utf8_lossy(&found.stderr)
        );
        ensure!(!behind.agent.log().contains(secret), "{what} is in the agent's log");
    }
    Ok(())
}
