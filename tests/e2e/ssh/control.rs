//! What those who decide, and those who watch, can do to sessions.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sallyport_testbed::SshConfig;
use sallyport_tests::{SshBed, SshPlan, commands, transcripts};
use serde_json::{Value, json};

use super::{eventually, exec, feed, said};

/// What "at once" may take on a machine that does other things, too.
const AT_ONCE: Duration = Duration::from_secs(3);

const HOLD: &str = r#"
    @id("deployments-wait") @hold("dba") @message("deployments wait for a DBA")
    forbid (principal, action == Ssh::Action::"exec", resource)
    when { context.programs.contains("touch") }
    unless { context.approved_by.contains(Group::"dba") };"#;

/// Several channels over one connection.
fn shared(bed: &SshBed, config: &SshConfig) -> Result<impl Fn(&str) -> Command> {
    let socket = bed.dir().join("mux");
    let mut ssh = config.program("ssh");
    ssh.args(["-M", "-N", "-f", "-S"]).arg(&socket).arg(config.name());
    ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ensure!(ssh.status()?.success(), "no connection: {}", bed.logs());
    let config = config.clone();
    Ok(move |line: &str| {
        let mut ssh = config.program("ssh");
        ssh.arg("-S")
            .arg(&socket)
            .args(["-o", "ProxyCommand=false", config.name(), line]);
        ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ssh
    })
}

/// The one request that waits.
pub(super) fn request(bed: &SshBed, token: &str) -> Result<Value> {
    eventually("a request", || {
        let reply = bed.gateway.api().get("/v1/requests?state=open&wait=5", Some(token))?;
        Ok(reply.body.pointer("/0").cloned())
    })
}

pub(super) fn id(value: &Value) -> Result<&str> {
    value.get("id").and_then(Value::as_str).context("no id")
}

#[test]
fn a_held_command_waits_while_other_channels_go_on() -> Result<()> {
    let bed = SshBed::start(&SshPlan::with_rules(HOLD))?;
    let through = bed.through("alice")?;
    let channel = shared(&bed, &through)?;
    let held = channel("touch deployed && echo is done").spawn()?;
    let dana = bed.gateway.login("dana")?;
    let request = request(&bed, &dana)?;
    ensure!(
        request.to_string().contains("touch deployed"),
        "the reviewer sees the command: {request}"
    );
    for _ in 0..5 {
        let output = channel("echo meanwhile").output()?;
        ensure!(output.stdout == b"meanwhile\n", "{} {}", said(&output), bed.logs());
    }
    ensure!(!bed.sshd.home("deploy").join("deployed").exists(), "it waits");
    let path = format!("/v1/requests/{}/approve", id(&request)?);
    let reply = bed.gateway.api().post(&path, Some(&dana), &json!({}))?;
    ensure!(reply.status < 300, "{reply:?}");
    let output = held.wait_with_output()?;
    ensure!(
        output.status.success() && output.stdout == b"is done\n",
        "{}",
        said(&output)
    );
    ensure!(
        said(&output).contains("deployments wait for a DBA"),
        "who waits is told: {}",
        said(&output)
    );
    ensure!(bed.sshd.home("deploy").join("deployed").exists());
    Ok(())
}

#[test]
fn a_denied_command_does_not_run_and_one_that_is_given_up_neither() -> Result<()> {
    let bed = SshBed::start(&SshPlan::with_rules(HOLD))?;
    let through = bed.through("alice")?;
    let dana = bed.gateway.login("dana")?;
    let wait = |line: &str| {
        through
            .exec(line)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    };
    let held = wait("touch denied")?;
    let first = request(&bed, &dana)?;
    let path = format!("/v1/requests/{}/deny", id(&first)?);
    let reply = bed
        .gateway
        .api()
        .post(&path, Some(&dana), &json!({ "reason": "not today" }))?;
    ensure!(reply.status < 300, "{reply:?}");
    let output = held.wait_with_output()?;
    let words = said(&output);
    ensure!(
        !output.status.success() && words.contains("dana") && words.contains("not today"),
        "{words}"
    );

    let mut given_up = wait("touch given-up")?;
    let second = request(&bed, &dana)?;
    given_up.kill()?;
    given_up.wait()?;
    let path = format!("/v1/requests/{}", id(&second)?);
    eventually("the withdrawal", || {
        let reply = bed.gateway.api().get(&path, Some(&dana))?;
        Ok((reply.body.get("state") != Some(&json!("open"))).then_some(()))
    })?;
    ensure!(bed.ran()?.is_empty(), "{:?}", bed.ran()?);
    Ok(())
}

#[test]
fn what_was_sent_to_a_held_command_is_there_when_it_runs() -> Result<()> {
    let bed = SshBed::start(&SshPlan::with_rules(HOLD))?;
    let through = bed.through("alice")?;
    let mut ssh = through.exec("touch held; cat; echo end");
    let waiting = std::thread::spawn(move || feed(&mut ssh, b"sent early, and no more follows\n"));
    let dana = bed.gateway.login("dana")?;
    let request = request(&bed, &dana)?;
    let path = format!("/v1/requests/{}/approve", id(&request)?);
    let reply = bed.gateway.api().post(&path, Some(&dana), &json!({}))?;
    ensure!(reply.status < 300, "{reply:?}");
    let output = waiting.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
    ensure!(
        output.stdout == b"sent early, and no more follows\nend\n",
        "{}",
        said(&output)
    );
    Ok(())
}

/// A session that says `ready` and then goes on for ever.
struct Session {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Session {
    fn open(mut command: Command) -> Result<Session> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        if line.trim_end() != "ready" {
            child.kill()?;
            bail!("{line:?} {}", said(&child.wait_with_output()?));
        }
        Ok(Session { child, output })
    }

    /// Waits until it ends; how long that took, and what it said.
    fn ended(mut self) -> Result<(Duration, String)> {
        let start = Instant::now();
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest)?;
        let took = start.elapsed();
        let output = self.child.wait_with_output()?;
        Ok((took, said(&output)))
    }
}

/// With a terminal, so that the host ends it when the connection does: sshd leaves alone what has none.
const FOR_EVER: &str = "echo ready; exec sleep 1000";

/// Whether what the session ran has ended at the host, too.
fn host_is_quiet(bed: &SshBed) -> Result<()> {
    eventually("the end of the command at the host", || {
        let output = exec(&bed.direct()?, "pgrep -u deploy -x sleep || echo none")?;
        Ok((output.stdout == b"none\n").then_some(()))
    })
}

#[test]
fn a_session_that_is_ended_ends_at_once_and_says_why() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let through = bed.through("alice")?;
    let mut ssh = through.program("ssh");
    ssh.args(["-tt", through.name(), FOR_EVER]);
    let session = Session::open(ssh)?;
    let adam = bed.gateway.login("adam")?;
    let api = bed.gateway.api();
    let sessions = api.get("/v1/sessions?limit=10", Some(&adam))?;
    let open = sessions.body.pointer("/0").context("no session")?;
    let reply = api.post(&format!("/v1/sessions/{}/end", id(open)?), Some(&adam), &json!({}))?;
    ensure!(reply.status < 300, "{reply:?}");
    let (took, words) = session.ended()?;
    ensure!(took < AT_ONCE, "it took {took:?}");
    ensure!(words.contains("adam"), "who ended it is said: {words}");
    host_is_quiet(&bed)
}

#[test]
fn a_revoked_token_ends_its_session_at_once() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let api = bed.gateway.api();
    let login = bed.gateway.login("alice")?;
    let made = api.post("/v1/tokens", Some(&login), &json!({}))?;
    let token = made.body.get("token").and_then(Value::as_str).context("no token")?;
    let (config, askpass) = bed.through_with_token("alice", token)?;
    let asking = |line: &str| {
        let mut ssh = config.program("ssh");
        ssh.args(["-tt", config.name(), line]);
        ssh.env("SSH_ASKPASS", &askpass)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null());
        ssh
    };
    let session = Session::open(asking(FOR_EVER))?;
    let reply = api.delete(&format!("/v1/tokens/{}", id(&made.body)?), Some(&login))?;
    ensure!(reply.status < 300, "{reply:?}");
    let (took, words) = session.ended()?;
    ensure!(took < AT_ONCE, "it took {took:?}: {words}");
    let again = asking("echo in").output()?;
    ensure!(!again.status.success(), "{}", said(&again));
    host_is_quiet(&bed)
}

#[test]
fn a_changed_rule_is_in_force_for_the_next_command_of_an_open_session() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let through = bed.through("alice")?;
    let channel = shared(&bed, &through)?;
    ensure!(channel("echo before").output()?.stdout == b"before\n");
    let rule = "@id(\"not-any-more\") forbid (principal, action == Ssh::Action::\"exec\", resource);\n";
    std::fs::write(bed.gateway.dir().join("policy/rules/more.cedar"), rule)?;
    // One that runs when the rule comes is ended, and may have no time to hear why.
    eventually("a refusal by the new rule", || {
        let output = channel("echo after").output()?;
        Ok(said(&output).contains("not-any-more").then_some(()))
    })
}

#[test]
fn what_ran_and_what_it_said_is_in_the_recording_and_no_credential_is() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let through = bed.through("alice")?;
    let output = exec(&through, "echo recorded output; echo recorded error >&2")?;
    ensure!(output.status.success(), "{} {}", said(&output), bed.logs());
    let text = eventually("the seal", || {
        let transcripts = transcripts(&bed.gateway, "audrey")?;
        let ran = commands(&transcripts);
        let text = format!("{transcripts:?}");
        Ok((ran.iter().any(|line| line.contains("echo recorded output")) && text.contains("sealed")).then_some(text))
    })?;
    for words in ["recorded output", "recorded error"] {
        ensure!(text.contains(words), "`{words}` is not in {text}");
    }
    let key = std::fs::read_to_string(bed.dir().join("login"))?;
    let middle = key.lines().nth(2).context("a short key")?;
    let mut log = std::fs::read(bed.gateway.dir().join("log"))?;
    log.extend(text.bytes());
    ensure!(
        !String::from_utf8_lossy(&log).contains(middle),
        "the key of the gateway is in a log or a transcript"
    );
    Ok(())
}

#[test]
fn a_lent_agent_is_taken_back_with_what_it_was_lent_to() -> Result<()> {
    let rule = "@id(\"lent\") permit (principal, action == Ssh::Action::\"agent_forward\", resource);\n";
    for shell in ["recorded", "guarded"] {
        let bed = SshBed::start(&SshPlan {
            target: format!("shell = {shell:?}"),
            ..SshPlan::with_rules(rule)
        })?;
        let through = bed.through("alice")?;
        let socket = bed.dir().join("agent");
        let mut agent = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()?;
        eventually("the agent's socket", || Ok(socket.exists().then_some(())))?;
        let mut ssh = through.program("ssh");
        ssh.args(["-A", "-T", "-o", "IdentityAgent=SSH_AUTH_SOCK"])
            .arg(through.name())
            .env("SSH_AUTH_SOCK", &socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = ssh.spawn()?;
        let mut input = child.stdin.take().context("no input")?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        // ssh-add says this of an agent that answers, and has no keys.
        writeln!(input, "ssh-add -l")?;
        let mut line = String::new();
        output.read_line(&mut line)?;
        if !line.contains("no identities") {
            child.kill()?;
            bail!("{shell}: {line:?} {:?} {}", child.wait_with_output()?, bed.logs());
        }
        std::fs::write(bed.gateway.dir().join("policy/rules/more.cedar"), "")?;
        let ended = child.wait_with_output()?;
        agent.kill()?;
        agent.wait()?;
        let words = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure!(words.contains("no rule permits"), "{shell}: {words:?}");
    }
    Ok(())
}
