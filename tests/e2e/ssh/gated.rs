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
        let victim = bed.dir().join("victim");
        std::fs::write(&victim, "still here")?;
        let terminal = Terminal::open(&bed)?;
        terminal.wait("$ ")?;
        Ok(Self { bed, terminal, victim })
    }

    fn is_safe(&self) -> Result<()> {
        ensure!(self.victim.exists(), "what was refused ran: {}", self.bed.logs());
        Ok(())
    }
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
