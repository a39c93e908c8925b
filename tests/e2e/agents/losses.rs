//! The agent dies, hangs or is cut off in the middle of everything, and comes back; and so does the gateway.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use sallyport_testbed::{Link, Network};
use sallyport_tests::raw::{Raw, error_field, message, query, tags};
use sallyport_tests::{ACCOUNT, Behind, BehindPlan, Endpoint, Places, commands, run, transcripts};
use serde_json::Value;

use super::{agents, connections, eventually, said};

/// Everything is permitted, but deletes wait.
const RULES: &str = r#"
    @id("work") permit (principal, action, resource);
    @id("deletes-wait") @hold("dba")
    forbid (principal, action == Sql::Action::"delete", resource)
    unless { context.approved_by.contains(Group::"dba") };"#;

fn plan(dir: &tempfile::TempDir) -> Result<BehindPlan> {
    std::fs::create_dir(dir.path().join("rules"))?;
    std::fs::write(dir.path().join("rules/all.cedar"), RULES)?;
    let policy = dir.path().to_owned();
    Ok(BehindPlan {
        policy,
        ..BehindPlan::default().with_ssh()
    })
}

/// What people are in the middle of.
struct Work {
    asking: Raw,
    copying: Raw,
    waiting: Raw,
    /// Only where the test's own machine reaches the gateway.
    shells: Option<(Child, Child)>,
}

impl Work {
    /// Begins a query, an upload into a table, a statement that is held, a command and an upload of a file.
    fn begin(behind: &Behind) -> Result<Work> {
        let alice = behind.through("alice")?;
        let mut asking = Raw::login(&alice)?;
        asking.send(&query("INSERT INTO runs VALUES ('once')"))?;
        ensure!(tags(&asking.until(b'Z')?) == "CZ");
        asking.send(&query("SELECT count(*) FROM runs, pg_sleep(3600)"))?;

        let mut copying = Raw::login(&alice)?;
        copying.send(&query("COPY runs FROM STDIN"))?;
        ensure!(tags(&copying.until(b'G')?) == "G");
        for _ in 0..1000 {
            copying.send(&message(b'd', b"copied\n"))?;
        }

        let mut waiting = Raw::login(&alice)?;
        waiting.send(&query("DELETE FROM runs"))?;
        let held = waiting.until(b'N')?;
        ensure!(held.last().is_some_and(|(tag, _)| *tag == b'N'), "{held:?}");
        running(behind, "pg_sleep(3600)")?;
        running(behind, "COPY runs")?;
        let shells = Some((command(behind)?, upload(behind)?));
        Ok(Work {
            asking,
            copying,
            waiting,
            shells,
        })
    }

    /// All of it ends, with words that name the agent.
    fn ends(self, behind: &Behind) -> Result<()> {
        for (what, mut session) in [
            ("the query", self.asking),
            ("the upload", self.copying),
            ("the hold", self.waiting),
        ] {
            let said = session.rest()?;
            let words = error_field(&said, b'M').with_context(|| format!("{what}: {said:?} {}", behind.logs()))?;
            ensure!(words.contains("agent `eu-west`"), "{what}: {words}");
            let hint = error_field(&said, b'H').unwrap_or_default();
            ensure!(hint.contains("connect again"), "{what}: {hint}");
            ensure!(error_field(&said, b'V').as_deref() == Some("FATAL"), "{what}: {said:?}");
            ensure!(!tags(&said).contains('C'), "{what} was done: {said:?}");
        }
        if let Some((command, upload)) = self.shells {
            for (what, child) in [("the command", command), ("the upload of a file", upload)] {
                let output = child.wait_with_output()?;
                let words = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.code().is_some_and(|code| code != 0), "{what}: {words}");
                ensure!(words.contains("agent `eu-west`"), "{what}: {words}");
            }
        }
        Ok(())
    }
}

/// Waits until the server runs something.
fn running(behind: &Behind, text: &str) -> Result<()> {
    let asked = format!("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{text}%' AND usename = 'app'");
    eventually("a statement at the server", || {
        Ok((behind.server.query("shop", &asked)? != "0").then_some(()))
    })
}

/// A command at the host that has begun.
fn command(behind: &Behind) -> Result<Child> {
    let mut ssh = behind.ssh()?.exec("echo >>~/begun; echo begun; exec sleep 3600");
    let mut child = ssh
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
    ensure!(line == "begun\n", "{line}");
    Ok(child)
}

/// An upload that has begun, and takes long.
fn upload(behind: &Behind) -> Result<Child> {
    let file = behind.dir().join("large");
    std::fs::write(&file, vec![7; 64 << 20])?;
    let config = behind.ssh()?;
    let mut scp = config.program("scp");
    scp.args(["-l", "4000"])
        .arg(&file)
        .arg(format!("{}:large", config.name()));
    let child = scp.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = child.spawn()?;
    let arrived = behind.sshd()?.home(ACCOUNT).join("large");
    eventually("the first bytes of a file", || {
        Ok(std::fs::metadata(&arrived)
            .is_ok_and(|file| file.len() > 0)
            .then_some(()))
    })?;
    Ok(child)
}

fn table(behind: &Behind) -> Result<()> {
    let made = "CREATE TABLE runs (what text); ALTER TABLE runs OWNER TO app";
    Ok(behind.server.query("shop", made).map(drop)?)
}

/// Nothing of what was lost runs on at the servers, or ran twice; and all of it is in the ledger.
fn nothing_remains(behind: &Behind) -> Result<()> {
    eventually("the end of the upload at the server", || {
        let copying = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY runs%'";
        Ok((behind.server.query("shop", copying)? == "0").then_some(()))
    })?;
    let rows = behind.server.query("shop", "SELECT string_agg(what, ',') FROM runs")?;
    ensure!(rows == "once", "{rows}");
    let audrey = behind.gateway.login("audrey")?;
    eventually("the end of all sessions", || {
        let reply = behind.gateway.api().get("/v1/sessions?live=true", Some(&audrey))?;
        Ok((reply.body.as_array().map(Vec::len) == Some(0)).then_some(()))
    })?;
    let open = behind.gateway.api().get("/v1/requests?state=open", Some(&audrey))?;
    ensure!(
        open.body.as_array().map(Vec::len) == Some(0),
        "what is lost waits: {open:?}"
    );
    let recorded = transcripts(&behind.gateway, "audrey")?;
    let ran = commands(&recorded);
    for text in [
        "INSERT INTO runs VALUES ('once')",
        "SELECT count(*) FROM runs, pg_sleep(3600)",
        "COPY runs FROM STDIN",
        "DELETE FROM runs",
        "echo >>~/begun; echo begun; exec sleep 3600",
    ] {
        let times = ran.iter().filter(|ran| *ran == text).count();
        ensure!(times == 1, "{times} times in the ledger: {text}: {ran:?}");
    }
    let lost = recorded
        .iter()
        .flatten()
        .filter_map(|line| line.get("reason")?.as_str());
    let lost = lost.filter(|reason| reason.contains("the agent `eu-west`")).count();
    ensure!(
        lost == 5,
        "{lost} sessions ended for the loss of the agent: {recorded:?}"
    );
    for transcript in &recorded {
        let sealed = transcript.last().and_then(|end| end.get("state")?.as_str());
        ensure!(sealed == Some("sealed"), "{transcript:?}");
        let text = serde_json::to_string(transcript)?;
        ensure!(text.contains("eu-west"), "no agent is named: {text}");
    }
    Ok(())
}

fn works(endpoint: &Endpoint) -> Result<()> {
    let said = run(endpoint.program("psql").args(["-XAt", "-c", "SELECT 'it works'"]))?;
    ensure!(said == "it works\n", "{said}");
    Ok(())
}

/// Open files of a process, once what was opened for a moment is closed.
fn files(pid: u32) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

#[test]
fn an_agent_that_is_killed_takes_its_sessions_with_it_and_comes_back() -> Result<()> {
    let policy = tempfile::tempdir()?;
    let mut behind = Behind::start(&plan(&policy)?)?;
    table(&behind)?;
    works(&behind.through("alice")?)?;
    connections(&behind, 2)?;
    let before = files(behind.gateway.pid())?;
    let work = Work::begin(&behind)?;
    behind.agent.signal("KILL")?;
    work.ends(&behind)?;
    // Nobody is there who could log in, and whoever asks is told.
    connections(&behind, 0)?;
    let (ok, words) = said(behind.through("alice")?.program("psql").args(["-X", "-c", "SELECT 1"]))?;
    ensure!(!ok && words.contains("no agent `eu-west`"), "{words}");
    let (ok, words) = said(&mut behind.ssh()?.exec("true"))?;
    ensure!(!ok && words.contains("no agent `eu-west`"), "{words}");
    behind.agent.kill_and_start(|| ())?;
    connections(&behind, 2)?;
    works(&behind.through("alice")?)?;
    nothing_remains(&behind)?;
    eventually("the gateway's files", || {
        Ok((files(behind.gateway.pid())? <= before).then_some(()))
    })?;
    Ok(())
}

#[test]
fn an_agent_that_hangs_is_noticed_and_so_is_its_return() -> Result<()> {
    let policy = tempfile::tempdir()?;
    let behind = Behind::start(&plan(&policy)?)?;
    table(&behind)?;
    works(&behind.through("alice")?)?;
    connections(&behind, 2)?;
    let both = || Ok::<_, anyhow::Error>((files(behind.gateway.pid())?, files(behind.agent.pid())?));
    let before = both()?;
    let work = Work::begin(&behind)?;
    behind.agent.signal("STOP")?;
    work.ends(&behind)?;
    behind.agent.signal("CONT")?;
    connections(&behind, 2)?;
    works(&behind.through("alice")?)?;
    nothing_remains(&behind)?;
    eventually("the files of both", || {
        let now = both()?;
        Ok((now.0 <= before.0 && now.1 <= before.1).then_some(()))
    })?;
    Ok(())
}

/// The client's, the gateway's, the agent's and the target's hosts, each with a wire to the next only.
fn network(network: &mut Network) -> Result<(sallyport_testbed::Host, Places, Link)> {
    let client = network.host("client")?;
    let places = Places {
        gateway: network.host("gateway")?,
        agent: network.host("agent")?,
        target: network.host("target")?,
    };
    network.link(&client, &places.gateway)?;
    let link = network.link(&places.gateway, &places.agent)?;
    network.link(&places.agent, &places.target)?;
    Ok((client, places, link))
}

#[test]
fn an_agent_that_is_cut_off_is_noticed_by_both_sides_and_comes_back_by_itself() -> Result<()> {
    let name = "an_agent_that_is_cut_off_is_noticed_by_both_sides_and_comes_back_by_itself";
    let Some(mut wires) = Network::or_skip(name)? else {
        return Ok(());
    };
    let (client, places, link) = network(&mut wires)?;
    let behind = Behind::start(&BehindPlan {
        places: Some(places),
        ..BehindPlan::default()
    })?;
    table(&behind)?;
    let alice = behind.through("alice")?;
    let psql = |text: &str| -> Result<Command> {
        let mut psql = alice.program("psql");
        psql.args(["-XAt", "-c", text]);
        Ok(client.wrap(&psql))
    };
    let begun = psql("INSERT INTO runs SELECT 'once' FROM pg_sleep(3600)")?;
    let child = { begun }.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    running(&behind, "pg_sleep(3600)")?;
    link.cut()?;
    let output = child.wait_with_output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && words.contains("agent `eu-west`"), "{words}");
    ensure!(words.contains("has not answered for"), "{words}");
    connections(&behind, 0)?;
    // The agent notices by itself, and lets go of the server.
    behind
        .agent
        .wait_until(|| Ok(behind.agent.log().contains("the gateway has not answered for")))?;
    link.mend()?;
    connections(&behind, 2)?;
    let (ok, words) = said(&mut psql("SELECT count(*) FROM runs")?)?;
    ensure!(ok && words.trim() == "0", "{words}");
    Ok(())
}

#[test]
fn agents_come_back_to_a_gateway_that_was_killed() -> Result<()> {
    let mut behind = Behind::start(&BehindPlan::default())?;
    let second = behind.another()?;
    connections(&behind, 4)?;
    let instances = |behind: &Behind| -> Result<Vec<Value>> {
        let agents = agents(behind)?;
        let connected = agents
            .iter()
            .filter(|agent| !agent.get("connected").is_none_or(Value::is_null));
        let mut instances: Vec<Value> = connected.filter_map(|agent| agent.get("instance").cloned()).collect();
        instances.sort_by_key(Value::to_string);
        Ok(instances)
    };
    let before = instances(&behind)?;
    let alice = behind.through("alice")?;
    let mut session = Raw::login(&alice)?;
    session.send(&query("SELECT pg_sleep(3600)"))?;
    running(&behind, "pg_sleep(3600)")?;
    let killed = behind.gateway.kill()?;
    ensure!(session.rest()?.is_empty());
    // Both have noticed, and knock.
    behind.gateway = killed.start()?;
    behind.admin = behind.gateway.login("adam")?;
    connections(&behind, 4)?;
    ensure!(
        instances(&behind)? == before && before.len() == 2,
        "they are who they were: {before:?}"
    );
    works(&behind.through("alice")?)?;
    drop(second);
    Ok(())
}
