//! Which masks hold where and when: full-screen programs, rules that change while something runs. The same wherever they are
//! put on, in the gateway or at an agent.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sallyport_testbed::SshConfig;
use sallyport_tests::{SshBed, SshPlan, transcripts};

use super::{eventually, said};

const CARD: &str = "4111 1111 1111 1111";
const DETECTOR: &str = "[[detectors]]\nkind = \"credit_card\"\nclass = \"pci\"\n";

const REDACTED: &str = "@id(\"cards\") @mask(\"redact\") forbid (principal, action == Action::\"reveal\", resource);\n";
const EXEMPT: &str = "@id(\"cards\") @mask(\"redact\") forbid (principal, action == Action::\"reveal\", \
                      resource in Classification::\"pci\") unless { principal in Group::\"dba\" && context.full_screen };\n";

/// Where masks are put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Gateway,
    Agent,
}

const PLACES: [At; 2] = [At::Gateway, At::Agent];

fn start(at: At, rules: &str) -> Result<SshBed> {
    let plan = SshPlan {
        classify: DETECTOR.to_owned(),
        ..SshPlan::with_rules(rules)
    };
    SshBed::start(&match at {
        At::Gateway => plan,
        At::Agent => plan.masked_at_an_agent(),
    })
}

/// A command at a terminal.
fn at_terminal(config: &SshConfig, line: &str) -> Result<String> {
    let mut ssh = config.program("ssh");
    ssh.args(["-tt"]).arg(config.name()).arg(line).stdin(Stdio::null());
    let output = ssh.output()?;
    ensure!(output.status.success(), "{line}: {}", said(&output));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn full_screen_programs_are_exempt_by_rule_and_that_is_recorded() -> Result<()> {
    PLACES.into_iter().try_for_each(full_screen_programs_are_exempt)
}

fn full_screen_programs_are_exempt(at: At) -> Result<()> {
    let bed = start(at, EXEMPT)?;
    let line = format!("echo 'a {CARD} b'; printf '\\033[?1049hc {CARD} d\\033[?1049l'; echo 'e {CARD} f'");
    let shown = at_terminal(&bed.through("alice")?, &line)?;
    ensure!(!shown.contains(CARD), "alice is not exempt: {shown:?}");
    let shown = at_terminal(&bed.through("dana")?, &line)?;
    ensure!(
        shown.matches(CARD).count() == 1 && shown.contains(&format!("c {CARD} d")),
        "only the full screen is exempt: {shown:?}"
    );
    let both = eventually("the recordings", || {
        let all = transcripts(&bed.gateway, "audrey")?;
        let text = format!("{all:?}");
        Ok((text.matches("sealed").count() >= 2).then_some(text))
    })?;
    for on in ["true", "false"] {
        let note = format!("full_screen\\\":{on}");
        ensure!(both.matches(&note).count() == 1, "`{note}` once, of dana's: {both}");
    }
    Ok(())
}

#[test]
fn less_shows_what_its_reader_may_see() -> Result<()> {
    PLACES.into_iter().try_for_each(less_shows)
}

fn less_shows(at: At) -> Result<()> {
    let bed = start(at, EXEMPT)?;
    let file = bed.dir().join("cards.txt");
    std::fs::write(&file, format!("card {CARD} end\n"))?;
    let line = format!("stty rows 24 cols 80; TERM=xterm less -+F -+X -E {}", file.display());
    for (person, sees) in [("alice", false), ("dana", true)] {
        let shown = at_terminal(&bed.through(person)?, &line)?;
        ensure!(shown.contains(CARD) == sees, "{person}: {shown:?}");
    }
    Ok(())
}

#[test]
fn a_changed_rule_masks_what_a_running_command_says_from_then_on() -> Result<()> {
    PLACES.into_iter().try_for_each(a_changed_rule_masks)
}

fn a_changed_rule_masks(at: At) -> Result<()> {
    let bed = start(at, "")?;
    let through = bed.through("alice")?;
    let mut ssh: Command = through.program("ssh");
    ssh.arg(through.name())
        .arg("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = ssh.spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    let mut output = BufReader::new(child.stdout.take().context("no output")?);
    let mut echo = || -> Result<String> {
        writeln!(input, "card {CARD} end")?;
        let mut line = String::new();
        output.read_line(&mut line)?;
        Ok(line)
    };
    ensure!(echo()?.contains(CARD), "it is not masked yet");
    std::fs::write(bed.gateway.dir().join("policy/rules/more.cedar"), REDACTED)?;
    eventually("the change", || {
        let line = echo()?;
        ensure!(line.starts_with("card ") && line.ends_with(" end\n"), "{line}");
        Ok((!line.contains(CARD)).then_some(()))
    })?;
    drop(input);
    ensure!(child.wait()?.success(), "the command goes on to its end");
    Ok(())
}

/// What commands say, on both streams, at terminals, in pieces and in bulk, whatever else goes over the connection.
#[test]
fn output_is_masked_alike_in_the_agent_and_in_the_gateway() -> Result<()> {
    let (here, there) = (start(At::Gateway, REDACTED)?, start(At::Agent, REDACTED)?);
    let lines = [
        format!("echo 'a {CARD} b'; echo 'c {CARD} d' >&2; exit 3"),
        "for d in 4111 ' 1111' ' 1111' ' 1111'; do printf %s \"$d\"; done; echo".to_owned(),
        format!("printf 'no line end {CARD}'"),
        "head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; echo end".to_owned(),
        format!("cat; echo '{CARD}'"),
    ];
    for line in &lines {
        let (masked, expected) = (runs(&there, line)?, runs(&here, line)?);
        ensure!(
            masked == expected,
            "{line}: {} at the agent, {} in the gateway",
            differs(&masked, &expected),
            differs(&expected, &masked)
        );
        ensure!(
            !masked.1.contains(CARD) && !masked.2.contains(CARD),
            "{line}: {masked:?}"
        );
    }
    // Where a host that is busy pauses within a value, what came before it is shown: such lines are not the same each time.
    let bulk = format!("yes 'x {CARD} y' | head -n 20000");
    for bed in [&here, &there] {
        let (status, shown, words) = runs(bed, &bulk)?;
        let whole = shown
            .lines()
            .filter(|line| line.starts_with("x ") && line.ends_with(" y"));
        ensure!(
            status == Some(0) && whole.count() == 20_000 && !shown.contains(CARD),
            "{words}"
        );
        ensure!(
            shown.matches("x *** y\n").count() > 19_900,
            "{}",
            shown.matches("***").count()
        );
    }
    for line in &lines[..3] {
        let (masked, expected) = (terminal(&there, line)?, terminal(&here, line)?);
        ensure!(
            masked == expected && !masked.contains(CARD),
            "{line}: {masked:?} at the agent, {expected:?}"
        );
    }
    Ok(())
}

/// The exit status of a command, and what it said on either stream.
fn runs(bed: &SshBed, line: &str) -> Result<(Option<i32>, String, String)> {
    let output = bed.through("alice")?.exec(line).stdin(Stdio::null()).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((output.status.code(), text(output.stdout), text(output.stderr)))
}

/// The end of what was said, and the first line of it that the other did not say.
fn differs(one: &(Option<i32>, String, String), other: &(Option<i32>, String, String)) -> String {
    let first = one.1.lines().zip(other.1.lines()).find(|(one, other)| one != other);
    format!("{:?}, {} bytes, {first:?}, {:?}", one.0, one.1.len(), one.2)
}

fn terminal(bed: &SshBed, line: &str) -> Result<String> {
    let config = bed.through("alice")?;
    let mut ssh = config.program("ssh");
    ssh.args(["-tt"]).arg(config.name()).arg(line).stdin(Stdio::null());
    Ok(String::from_utf8_lossy(&ssh.output()?.stdout).into_owned())
}

/// Files, forwarded connections and shells go on as they are, with masks at the agent.
#[test]
fn what_is_no_output_passes_an_agent_that_masks() -> Result<()> {
    let bed = start(At::Agent, REDACTED)?;
    let config = bed.through("alice")?;
    let file = bed.dir().join("file");
    let bytes = sallyport_testbed::noise(3 << 20);
    std::fs::write(&file, &bytes)?;
    let home = bed.sshd.home(sallyport_tests::ACCOUNT);
    for legacy in [&[][..], &["-O"]] {
        let mut up = config.program("scp");
        up.args(legacy).arg(&file).arg(format!("{}:copied", config.name()));
        let output = up.output()?;
        ensure!(output.status.success(), "{}", said(&output));
        ensure!(
            std::fs::read(home.join("copied"))? == bytes,
            "{legacy:?}: another file arrived"
        );
        let back = bed.dir().join("back");
        let mut down = config.program("scp");
        down.args(legacy).arg(format!("{}:copied", config.name())).arg(&back);
        let output = down.output()?;
        ensure!(output.status.success(), "{}", said(&output));
        ensure!(std::fs::read(&back)? == bytes, "{legacy:?}: another file came back");
    }
    let mut shell = config.program("ssh");
    shell
        .args(["-tt"])
        .arg(config.name())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = shell.spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    writeln!(input, "echo 4111 1111 1111 1111; stty size; exit")?;
    let output = child.wait_with_output()?;
    let shown = String::from_utf8_lossy(&output.stdout);
    // The line was echoed before bash read it and once more when it did.
    ensure!(
        output.status.success() && !shown.contains(CARD) && shown.contains("echo"),
        "{shown:?}"
    );
    drop(input);
    Ok(())
}
