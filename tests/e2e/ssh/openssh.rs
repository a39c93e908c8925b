//! OpenSSH's client must not notice the gateway, except where it forbids.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sallyport_testbed::{SshConfig, What, noise};
use sallyport_tests::{SshBed, SshPlan, run, ssh_script};

use super::{exec, feed, said};

/// Command lines, what they are given, and whether they have a terminal.
const LINES: &[(&str, &str)] = &[
    ("echo out; echo err >&2; echo out again", ""),
    ("exit 7", ""),
    ("true", ""),
    ("kill -TERM $$", ""),
    ("cat; echo end", "some input\nwithout an end of line"),
    ("wc -c", ""),
    ("read a; echo \"$a\"; exec 0<&-; echo read", "first\nsecond\n"),
    ("printf '\\000\\001\\377\\376' | od -An -tx1", ""),
    ("echo \"$LC_TEST ${SECRET-unset}\"", ""),
    ("echo 'quotes \"and\" $dollars'; # and a comment", ""),
    ("tty; echo $?", ""),
    ("exec 1>&-; echo gone >&2; sleep 0.1; exit 3", ""),
    ("no-such-program", ""),
];

fn command_lines(config: &SshConfig) -> Result<String> {
    let mut transcript = String::new();
    for (line, input) in LINES {
        let mut ssh = config.program("ssh");
        ssh.args(["-o", "SendEnv=LC_TEST SECRET"])
            .env("LC_TEST", "C.UTF-8")
            .env("SECRET", "yes");
        let output = feed(ssh.arg(config.name()).arg(line), input.as_bytes())?;
        transcript.push_str(&format!(
            "{line}\n  {:?} {:?} {:?}\n",
            output.status.code(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(transcript + "done\n")
}

#[test]
fn command_lines_notice_nothing() -> Result<()> {
    let plan = SshPlan {
        sshd: vec!["AcceptEnv *".to_owned()],
        target: "accept_env = [\"LC_*\"]".to_owned(),
        ..SshPlan::default()
    };
    let bed = SshBed::start(&plan)?;
    let expected = command_lines(&bed.direct()?)?;
    let got = command_lines(&bed.through("alice")?).with_context(|| bed.logs())?;
    // A variable that the target does not accept is the one difference.
    let expected = expected.replace("C.UTF-8 yes", "C.UTF-8 unset");
    for (wanted, got) in expected.lines().zip(got.lines()) {
        ensure!(wanted == got, "{got:?} instead of {wanted:?}");
    }
    ensure!(expected == got, "{got}");
    let lines = LINES.iter().map(|(line, _)| What::Exec((*line).to_owned()));
    let ran: Vec<What> = bed.ran()?;
    let twice: Vec<What> = lines.clone().chain(lines).collect();
    ensure!(ran == twice, "the host ran exactly what was asked for: {ran:?}");
    Ok(())
}

#[test]
fn a_terminal_notices_nothing() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let terminal = |config: &SshConfig| {
        run(Command::new("expect")
            .arg(ssh_script("ssh_terminal.exp"))
            .arg(config.path())
            .arg(config.name()))
    };
    bed.notices_nothing(terminal, "done")
}

#[test]
fn a_hundred_megabytes_arrive_as_they_were() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let through = bed.through("alice")?;
    let bytes = noise(100 << 20);
    let output = feed(&mut through.exec("cat"), &bytes).with_context(|| bed.logs())?;
    ensure!(
        output.status.success(),
        "{:?} {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(
        output.stdout == bytes,
        "{} bytes came back, or others",
        output.stdout.len()
    );
    Ok(())
}

/// A connection that others share. Dropping it closes it.
struct Master<'a> {
    config: &'a SshConfig,
    socket: std::path::PathBuf,
}

impl<'a> Master<'a> {
    fn open(bed: &SshBed, config: &'a SshConfig) -> Result<Master<'a>> {
        let socket = bed.dir().join("mux");
        let mut ssh = config.program("ssh");
        ssh.args(["-M", "-N", "-f", "-S"]).arg(&socket).arg(config.name());
        let output = ssh
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?
            .wait_with_output()?;
        ensure!(output.status.success(), "{} {}", said(&output), bed.logs());
        Ok(Master { config, socket })
    }

    fn exec(&self, line: &str) -> Command {
        let mut ssh = self.config.program("ssh");
        // A channel of the connection that is there, or nothing.
        ssh.arg("-S")
            .arg(&self.socket)
            .args(["-o", "ControlMaster=no", "-o", "ProxyCommand=false"]);
        ssh.arg(self.config.name()).arg(line);
        ssh
    }
}

impl Drop for Master<'_> {
    fn drop(&mut self) {
        let mut ssh = self.config.program("ssh");
        ssh.arg("-S")
            .arg(&self.socket)
            .args(["-O", "exit"])
            .arg(self.config.name());
        // It may have ended with the gateway.
        let _ = ssh.stderr(Stdio::null()).status();
    }
}

#[test]
fn ten_channels_of_one_connection_do_not_mix() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let through = bed.through("alice")?;
    let master = Master::open(&bed, &through)?;
    let mut channels = Vec::new();
    for number in 0..10 {
        let mut child = master
            .exec(&format!("echo ready {number}; cat; exit {number}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        ensure!(line == format!("ready {number}\n"), "{line:?} {}", bed.logs());
        channels.push((number, child, output));
    }
    // All ten are open at once; each gets its own and ends by itself.
    for (number, child, _) in channels.iter_mut().rev() {
        let mut stdin = child.stdin.take().context("no input")?;
        stdin.write_all(format!("for {number}\n").as_bytes())?;
    }
    for (number, mut child, mut output) in channels {
        let mut rest = String::new();
        output.read_to_string(&mut rest)?;
        ensure!(rest == format!("for {number}\n"), "{number}: {rest:?}");
        ensure!(child.wait()?.code() == Some(number), "the status of {number}");
    }
    drop(master);
    Ok(())
}

#[test]
fn every_one_of_many_short_commands_has_its_output_and_its_status() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let through = bed.through("alice")?;
    let master = Master::open(&bed, &through)?;
    for number in 0..60 {
        let line = format!("cat; echo {number}; exit {}", number % 7);
        let output = feed(&mut master.exec(&line), b"input\n")?;
        ensure!(
            output.status.code() == Some(number % 7) && output.stdout == format!("input\n{number}\n").into_bytes(),
            "{number}: {} {}",
            said(&output),
            bed.logs()
        );
    }
    Ok(())
}

#[test]
fn a_channel_that_nobody_reads_blocks_no_other() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let through = bed.through("alice")?;
    let master = Master::open(&bed, &through)?;
    let mut stuck = master.exec("yes").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    // The first bytes are there, so the channel is open and its window fills up.
    let mut first = [0; 4];
    stuck.stdout.as_mut().context("no output")?.read_exact(&mut first)?;
    for _ in 0..20 {
        let output = master.exec("echo through").stdin(Stdio::null()).output()?;
        ensure!(output.stdout == b"through\n", "{}", said(&output));
    }
    stuck.kill()?;
    stuck.wait()?;
    Ok(())
}

#[test]
fn the_agent_and_x11_stay_at_home() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let through = bed.through("alice")?;
    let socket = bed.dir().join("agent");
    let mut agent = Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()?;
    super::eventually("the agent's socket", || Ok(socket.exists().then_some(())))?;
    let asked = "echo \"${SSH_AUTH_SOCK-none} ${DISPLAY-none}\"";
    let through_with = |options: &[&str]| {
        let mut ssh = through.program("ssh");
        ssh.args(options).env("SSH_AUTH_SOCK", &socket).env("DISPLAY", ":99");
        ssh.args(["-o", "IdentityAgent=SSH_AUTH_SOCK"])
            .arg(through.name())
            .arg(asked)
            .stdin(Stdio::null())
            .output()
    };
    let (lent, shown) = (through_with(&["-A"])?, through_with(&["-Y"])?);
    agent.kill()?;
    agent.wait()?;
    for output in [lent, shown] {
        ensure!(
            output.status.success(),
            "the command itself runs: {} {}",
            said(&output),
            bed.logs()
        );
        ensure!(output.stdout == b"none none\n", "{}", said(&output));
    }
    Ok(())
}

#[test]
fn a_token_is_a_password_and_a_wrong_one_is_none() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let token = bed.gateway.token("alice")?;
    for (token, expected) in [(token.as_str(), true), ("wrong", false)] {
        let (config, askpass) = bed.through_with_token("alice", token)?;
        let mut ssh = config.exec("echo in");
        ssh.env("SSH_ASKPASS", askpass)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null());
        let output = ssh.output()?;
        ensure!(output.status.success() == expected, "{} {}", said(&output), bed.logs());
    }
    Ok(())
}

#[test]
fn somebody_else_s_key_opens_nothing() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let dana = bed.through("dana")?;
    let output = dana
        .program("ssh")
        .args(["-l", "alice@web-1", "web-1", "true"])
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        output.status.code() == Some(255) && said(&output).contains("Permission denied"),
        "{}",
        said(&output)
    );
    ensure!(bed.ran()?.is_empty(), "nothing ran");
    Ok(())
}

#[test]
fn a_refusal_names_the_rule_and_nothing_runs() -> Result<()> {
    let rules = r#"
        @id("no-touching") @message("files are made by the deployment")
        forbid (principal, action == Ssh::Action::"exec", resource)
        when { context.programs.contains("touch") };"#;
    let bed = SshBed::start(&SshPlan::with_rules(rules))?;
    let through = bed.through("alice")?;
    let output = exec(&through, "touch made-by-hand")?;
    let words = said(&output);
    ensure!(
        words.contains("no-touching") && words.contains("files are made by the deployment"),
        "{words}"
    );
    ensure!(
        output.status.code().is_some_and(|code| code != 0) && output.stdout.is_empty(),
        "{words}"
    );
    ensure!(
        bed.ran()?.is_empty(),
        "the host was asked for nothing: {:?}",
        bed.ran()?
    );
    ensure!(
        exec(&through, "echo still here")?.stdout == b"still here\n",
        "other commands go on"
    );
    Ok(())
}
