//! Which masks hold where and when: full-screen programs, rules that change while something runs.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sallyport_testbed::SshConfig;
use sallyport_tests::{SshBed, SshPlan, transcripts};

use super::{eventually, said};

const CARD: &str = "4111 1111 1111 1111";
const DETECTOR: &str = "[[detectors]]\nkind = \"credit_card\"\nclass = \"pci\"\n";

fn with_rules(rules: &str) -> SshPlan {
    SshPlan {
        classify: DETECTOR.to_owned(),
        ..SshPlan::with_rules(rules)
    }
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
    let bed = SshBed::start(&with_rules(
        "@id(\"cards\") @mask(\"redact\") forbid (principal, action == Action::\"reveal\", \
         resource in Classification::\"pci\") unless { principal in Group::\"dba\" && context.full_screen };\n",
    ))?;
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
    let bed = SshBed::start(&with_rules(
        "@id(\"cards\") @mask(\"redact\") forbid (principal, action == Action::\"reveal\", \
         resource in Classification::\"pci\") unless { principal in Group::\"dba\" && context.full_screen };\n",
    ))?;
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
    let bed = SshBed::start(&with_rules(""))?;
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
    let rule = "@id(\"cards\") @mask(\"redact\") forbid (principal, action == Action::\"reveal\", resource);\n";
    std::fs::write(bed.gateway.dir().join("policy/rules/more.cedar"), rule)?;
    eventually("the change", || {
        let line = echo()?;
        ensure!(line.starts_with("card ") && line.ends_with(" end\n"), "{line}");
        Ok((!line.contains(CARD)).then_some(()))
    })?;
    drop(input);
    ensure!(child.wait()?.success(), "the command goes on to its end");
    Ok(())
}
