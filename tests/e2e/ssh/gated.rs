//! Gated shells: the host's own shell, at which each line waits at Enter.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use sallyport_tests::{SshBed, SshPlan, commands, transcripts};
use serde_json::json;

use super::control::{id, request};
use super::shells::Terminal;
use super::{eventually, feed, said};

const RULES: &str = r#"
    @id("no-rm") @message("nothing is removed")
    forbid (principal, action == Ssh::Action::"run", resource) when { context.program == "rm" };
    @id("nothing-unparsed") @message("this is not understood")
    forbid (principal, action == Action::"unparsed", resource);
    @id("nothing-hidden") @message("what this makes of other lines cannot be known")
    forbid (principal, action == Ssh::Action::"exec", resource)
    when { context.opaque.containsAny(["history-expansion", "lasting-state", "alias", "shell-state"]) };
    @id("touching-waits") @hold("dba") @message("touching waits for a DBA")
    forbid (principal, action == Ssh::Action::"exec", resource)
    when { context.programs.contains("touch") }
    unless { context.approved_by.contains(Group::"dba") };"#;

fn gated() -> SshPlan {
    SshPlan {
        rules: RULES.to_owned(),
        target: "shell = \"gated\"".to_owned(),
        ..SshPlan::default()
    }
}

/// A bed with a shell that has shown its prompt, and a file that nobody may remove.
struct Seat {
    bed: SshBed,
    terminal: Terminal,
    victim: PathBuf,
}

impl Seat {
    fn take() -> Result<Self> {
        let bed = SshBed::start(&gated())?;
        let victim = victim(&bed)?;
        let terminal = Terminal::open(&bed)?;
        terminal.wait("$ ")?;
        Ok(Self { bed, terminal, victim })
    }

    fn is_safe(&self) -> Result<()> {
        ensure!(self.victim.exists(), "what was refused ran: {}", self.bed.logs());
        Ok(())
    }
}

/// Where the account may write.
fn home(bed: &SshBed) -> PathBuf {
    bed.sshd.home(sallyport_tests::ACCOUNT)
}

fn victim(bed: &SshBed) -> Result<PathBuf> {
    let victim = home(bed).join("victim");
    std::fs::write(&victim, "still here")?;
    Ok(victim)
}

#[test]
fn a_refused_line_does_not_run_and_the_shell_goes_on() -> Result<()> {
    let mut seat = Seat::take()?;
    seat.terminal.press("echo o''ne\r")?;
    seat.terminal.wait("one\r\n")?;
    seat.terminal.wait("$ ")?;
    let removing = format!("rm -f {}\r", seat.victim.display());
    seat.terminal.press(&removing)?;
    seat.terminal.wait("nothing is removed")?;
    seat.terminal.wait("$ ")?;
    seat.terminal.press("x=kept; echo t''wo $x\r")?;
    seat.terminal.wait("two kept\r\n")?;
    seat.terminal.wait("$ ")?;
    // It is one shell: what a line leaves is there for the next.
    seat.terminal.press("echo $x a''gain\r")?;
    seat.terminal.wait("kept again\r\n")?;
    seat.is_safe()?;
    seat.terminal.press("exit 3\r")?;
    ensure!(seat.terminal.child.wait()?.code() == Some(3));
    Ok(())
}

#[test]
fn a_held_line_waits_and_runs_when_it_is_approved_and_can_be_given_up() -> Result<()> {
    let mut seat = Seat::take()?;
    let dana = seat.bed.gateway.login("dana")?;
    let made = home(&seat.bed).join("made");
    seat.terminal
        .press(&format!("touch {0} && echo is do''ne\r", made.display()))?;
    seat.terminal.wait("touching waits for a DBA")?;
    let held = request(&seat.bed, &dana)?;
    ensure!(
        held.to_string().contains("touch "),
        "the reviewer sees the line: {held}"
    );
    ensure!(!made.exists(), "it waits");
    let path = format!("/v1/requests/{}/approve", id(&held)?);
    let reply = seat.bed.gateway.api().post(&path, Some(&dana), &json!({}))?;
    ensure!(reply.status < 300, "{reply:?}");
    seat.terminal.wait("is done\r\n")?;
    ensure!(made.exists());
    seat.terminal.wait("$ ")?;
    let other = home(&seat.bed).join("other");
    seat.terminal
        .press(&format!("touch {0}\recho ne''ver\r", other.display()))?;
    seat.terminal.wait("touching waits for a DBA")?;
    seat.terminal.press("\x03")?;
    seat.terminal.wait("is withdrawn")?;
    seat.terminal.wait("$ ")?;
    seat.terminal.press("echo go''ing on\r")?;
    seat.terminal.wait("going on\r\n")?;
    ensure!(!other.exists(), "what was given up ran");
    let reply = seat.bed.gateway.api().get("/v1/requests?state=open", Some(&dana))?;
    ensure!(reply.body.as_array().is_some_and(Vec::is_empty), "{reply:?}");
    Ok(())
}

#[test]
fn what_completion_and_history_make_of_a_line_is_judged() -> Result<()> {
    let mut seat = Seat::take()?;
    seat.terminal.press("echo fi''rst\r")?;
    seat.terminal.wait("first\r\n")?;
    seat.terminal.wait("$ ")?;
    // The name of the program is completed by the shell.
    let full = home(&seat.bed).join("full");
    std::fs::create_dir_all(full.join("of"))?;
    let rmdi = format!("rmdi\t{}\r", full.display());
    seat.terminal.press(&rmdi)?;
    seat.terminal.wait("Directory not empty")?;
    seat.terminal.wait("$ ")?;
    // The line comes out of the history, where it is by a way that nobody judged.
    let history = home(&seat.bed).join(".bash_history");
    std::fs::write(&history, format!("rm -f {}\n", seat.victim.display()))?;
    let mut terminal = Terminal::open(&seat.bed)?;
    terminal.wait("$ ")?;
    terminal.press("echo fi''rst\r")?;
    terminal.wait("first\r\n")?;
    terminal.wait("$ ")?;
    terminal.press("\x1b[A")?;
    terminal.wait("echo fi''rst")?;
    terminal.press("\x1b[A")?;
    terminal.wait("rm -f ")?;
    terminal.press("\r")?;
    terminal.wait("nothing is removed")?;
    terminal.wait("$ ")?;
    // Searched for, and with all keys at once.
    terminal.press("\x12rm -f\r")?;
    terminal.wait("nothing is removed")?;
    terminal.wait("$ ")?;
    terminal.press("\x1b[A\x1b[A\x01\r")?;
    terminal.wait("nothing is removed")?;
    terminal.wait("$ ")?;
    terminal.press("!rm\r")?;
    terminal.wait("what this makes of other lines")?;
    terminal.wait("$ ")?;
    terminal.press("echo la''st\r")?;
    terminal.wait("last\r\n")?;
    seat.is_safe()
}

#[test]
fn of_lines_that_are_pasted_none_runs_behind_one_that_is_refused() -> Result<()> {
    let mut seat = Seat::take()?;
    let removing = format!("rm -f {}", seat.victim.display());
    let made = home(&seat.bed).join("made");
    let lines = format!("echo o''ne\r{removing}\recho > {0}\r", made.display());
    seat.terminal.press(&lines)?;
    seat.terminal.wait("one\r\n")?;
    seat.terminal.wait("nothing is removed")?;
    seat.terminal.wait("$ ")?;
    // Between the marks of a paste, which the shell may or may not know.
    let lines = format!("\x1b[200~{removing}\recho > {0}\x1b[201~\r", made.display());
    seat.terminal.press(&lines)?;
    seat.terminal.wait("nothing is removed")?;
    seat.terminal.wait("$ ")?;
    let lines = format!("\x1b[200~echo tw''o\r{removing}\recho > {0}\x1b[201~\r", made.display());
    seat.terminal.press(&lines)?;
    seat.terminal.wait("nothing is removed")?;
    seat.terminal.wait("$ ")?;
    seat.terminal.press("\x1b[200~echo th''ree\recho fo''ur\x1b[201~\r")?;
    seat.terminal.wait("three\r\n")?;
    seat.terminal.wait("four\r\n")?;
    seat.terminal.press("echo la''st\r")?;
    seat.terminal.wait("last\r\n")?;
    ensure!(!made.exists(), "a line behind one that was refused ran");
    seat.is_safe()
}

#[test]
fn a_line_that_goes_on_is_judged_as_a_whole() -> Result<()> {
    let mut seat = Seat::take()?;
    seat.terminal.press("for i in 1 2; do\r")?;
    seat.terminal.wait("> ")?;
    seat.terminal.press("echo n''umber $i\r")?;
    seat.terminal.wait("> ")?;
    seat.terminal.press("done\r")?;
    seat.terminal.wait("number 1\r\nnumber 2\r\n")?;
    seat.terminal.wait("$ ")?;
    seat.terminal.press("rm \\\r")?;
    seat.terminal.wait("> ")?;
    seat.terminal.press(&format!("-f {}\r", seat.victim.display()))?;
    seat.terminal.wait("nothing is removed")?;
    seat.terminal.wait("$ ")?;
    // All at once, as a paste without marks.
    seat.terminal.press("if true\rthen echo wh''ole\rfi\r")?;
    seat.terminal.wait("whole\r\n")?;
    seat.is_safe()
}

#[test]
fn full_screens_passwords_and_what_is_typed_ahead_go_through() -> Result<()> {
    let mut seat = Seat::take()?;
    let file = home(&seat.bed).join("edited");
    // A line before, so that the prompt is known.
    seat.terminal.press("echo fi''rst\r")?;
    seat.terminal.wait("first\r\n")?;
    seat.terminal.wait("$ ")?;
    seat.terminal.press(&format!("vi -u NONE -N {}\r", file.display()))?;
    seat.terminal.wait("\x1b[?1049h")?;
    seat.terminal.wait("edited")?;
    seat.terminal.press("irm -rf /nowhere\rtwo\x1b:wq\r")?;
    eventually("the file", || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        Ok((text == "rm -rf /nowhere\ntwo\n").then_some(()))
    })?;
    seat.terminal.wait("$ ")?;
    seat.terminal
        .press("read -s -p 'Password: ' word; echo go''t $word\r")?;
    seat.terminal.wait("t $word\r\n")?;
    seat.terminal.wait("Password: ")?;
    seat.terminal.press("rm s3cret\r")?;
    seat.terminal.wait("got rm s3cret\r\n")?;
    seat.terminal.wait("$ ")?;
    // While a program runs that does not read.
    seat.terminal.press("sleep 1; echo slo''wly\r")?;
    seat.terminal.press("echo a''head\r")?;
    seat.terminal.wait("slowly\r\n")?;
    seat.terminal.wait("ahead\r\n")?;
    seat.terminal.wait("$ ")?;
    seat.terminal.press("sleep 60; echo ne''ver\r")?;
    seat.terminal.press(&format!("rm -f {}\r", seat.victim.display()))?;
    seat.terminal.wait("nothing is removed")?;
    seat.terminal.wait("$ ")?;
    seat.is_safe()?;
    seat.terminal.press("exit\r")?;
    seat.terminal.child.wait()?;
    let recorded = eventually("the recording", || {
        let transcripts = transcripts(&seat.bed.gateway, "audrey")?;
        let over = format!("{transcripts:?}").contains("closed");
        Ok(over.then_some(transcripts))
    })?;
    let commands = commands(&recorded);
    ensure!(
        commands.iter().any(|line| line == "echo a''head"),
        "a line is a command: {commands:?}"
    );
    ensure!(
        !commands.iter().any(|line| line.contains("s3cret")),
        "a password is no command: {commands:?}"
    );
    ensure!(
        format!("{recorded:?}").contains("no echo"),
        "that it was typed is noted"
    );
    Ok(())
}

#[test]
fn ways_to_hide_a_line_are_refused() -> Result<()> {
    let mut seat = Seat::take()?;
    let removing = format!("rm -f {}", seat.victim.display());
    for line in [
        "stty -echo",
        "alias ls=rm",
        "ls() { rm \"$@\"; }",
        "bind '\"q\": \"x\"'",
    ] {
        seat.terminal.press(&format!("{line}\r"))?;
        seat.terminal.wait("what this makes of other lines")?;
        seat.terminal.wait("$ ")?;
    }
    // A shell that shows its prompt in the alternate screen is a shell.
    seat.terminal.press("printf '\\033[?1049h'; echo scr''een\r")?;
    seat.terminal.wait("screen\r\n")?;
    seat.terminal.wait("$ ")?;
    seat.terminal.press(&format!("{removing}\r"))?;
    seat.terminal.wait("nothing is removed")?;
    seat.terminal.wait("$ ")?;
    // What an editor leaves would run without an Enter at the prompt; and the keys of a macro.
    seat.terminal.press("\x18\x05")?;
    seat.terminal.wait("\x07")?;
    seat.terminal.press("\x03")?;
    seat.terminal.wait("$ ")?;
    // A terminal that does not echo, by a program that nobody took for one that does that.
    let script = seat.bed.dir().join("quiet");
    std::fs::write(&script, "stty -echo")?;
    seat.terminal
        .press(&format!("sh {}; echo qui''et\r", script.display()))?;
    seat.terminal.wait("quiet\r\n")?;
    seat.terminal.wait("$ ")?;
    seat.terminal.press(&format!("{removing}\r"))?;
    seat.terminal.wait("nothing is removed")?;
    seat.is_safe()
}

#[test]
fn a_script_runs_the_lines_that_are_permitted_and_no_others() -> Result<()> {
    let bed = SshBed::start(&gated())?;
    let victim = victim(&bed)?;
    let through = bed.through("alice")?;
    let script = format!(
        "x=kept\nrm -f {}\necho one $x\nif true\nthen echo whole\nfi\n\necho last",
        victim.display()
    );
    let output = feed(through.program("ssh").arg("-T").arg(through.name()), script.as_bytes())?;
    let text = said(&output);
    for words in ["one kept\n", "whole\n", "last\n", "nothing is removed", "no-rm"] {
        ensure!(text.contains(words), "`{words}` is missing: {text}");
    }
    ensure!(output.status.code() == Some(0), "{text}");
    ensure!(victim.exists(), "what was refused ran");
    Ok(())
}

#[test]
fn a_stricter_policy_ends_the_line_that_runs() -> Result<()> {
    let mut seat = Seat::take()?;
    seat.terminal.press("echo st''arted; sleep 60\r")?;
    seat.terminal.wait("started\r\n")?;
    let rules = format!(
        "{RULES}\n@id(\"no-sleep\") @message(\"nobody sleeps\") forbid (principal, action == Ssh::Action::\"run\", resource) \
         when {{ context.program == \"sleep\" }};"
    );
    std::fs::write(seat.bed.gateway.dir().join("policy/rules/more.cedar"), rules)?;
    seat.terminal.wait("nobody sleeps")?;
    seat.terminal.child.wait().context("the shell is over")?;
    Ok(())
}

#[test]
fn a_replay_shows_the_lines_that_were_typed_at_a_shell_that_only_records() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let mut terminal = Terminal::open(&bed)?;
    terminal.wait("$ ")?;
    terminal.press("echo on''ce\r")?;
    terminal.wait("once\r\n")?;
    terminal.wait("$ ")?;
    terminal.press("\x1b[A")?;
    terminal.wait("echo on''ce")?;
    terminal.press(" more\r")?;
    terminal.wait("once more\r\n")?;
    terminal.wait("$ ")?;
    terminal.press("exit\r")?;
    terminal.child.wait()?;
    let typed = eventually("the recording", || {
        let transcripts = transcripts(&bed.gateway, "audrey")?;
        let lines = transcripts.iter().flatten();
        let typed: Vec<_> = lines
            .filter(|line| line.get("kind").is_some_and(|kind| kind == "typed"))
            .filter_map(|line| line.get("text")?.as_str().map(str::to_owned))
            .collect();
        Ok((typed.len() >= 3).then_some(typed))
    })?;
    // What was typed in one go is known by its keys; what came out of the history, as far as it was shown.
    ensure!(typed.first().is_some_and(|line| line == "echo on''ce"), "{typed:?}");
    ensure!(
        typed.get(1).is_some_and(|line| line.starts_with("echo on''ce")),
        "{typed:?}"
    );
    ensure!(typed.get(2).is_some_and(|line| line == "exit"), "{typed:?}");
    let commands = commands(&transcripts(&bed.gateway, "audrey")?);
    ensure!(
        !commands.iter().any(|text| text.contains("echo")),
        "none of them is a command: {commands:?}"
    );
    Ok(())
}

#[test]
fn a_line_out_of_the_history_that_masks_would_change_is_given_up_and_recorded_nowhere() -> Result<()> {
    let card = "4111 1111 1111 1111";
    let bed = SshBed::start(&SshPlan {
        classify: "[[detectors]]\nkind = \"credit_card\"\nclass = \"pci\"\n".to_owned(),
        rules: format!(
            "{RULES}\n@id(\"cards\") @mask(\"redact\") forbid (principal, action == Action::\"reveal\", resource);"
        ),
        ..gated()
    })?;
    std::fs::write(home(&bed).join(".bash_history"), format!("echo pay {card} now\n"))?;
    let mut terminal = Terminal::open(&bed)?;
    terminal.wait("$ ")?;
    terminal.press("echo fir''st\r")?;
    terminal.wait("first\r\n")?;
    terminal.wait("$ ")?;
    terminal.press("\x1b[A\x1b[A")?;
    terminal.wait(" now")?;
    terminal.press("\r")?;
    terminal.wait("a value that is masked here")?;
    terminal.press("echo o''n\r")?;
    terminal.wait("on\r\n")?;
    terminal.press("exit\r")?;
    let recorded = eventually("the recording", || {
        let text = format!("{:?}", transcripts(&bed.gateway, "audrey")?);
        Ok(text.contains("sealed").then_some(text))
    })?;
    ensure!(!recorded.contains(card), "{recorded}");
    let ran = format!("{:?}", bed.ran()?);
    ensure!(!ran.contains(card), "{ran}");
    Ok(())
}
