//! Masks in what commands say, and the guarded shell.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use sallyport_tests::{SshBed, SshPlan, commands, transcripts};

use super::{eventually, exec, feed, said};

const CARD: &str = "4111 1111 1111 1111";

fn masking() -> SshPlan {
    SshPlan {
        rules: "@id(\"cards\") @mask(\"keep-last(4)\") forbid (principal, action == Action::\"reveal\", \
                resource in Classification::\"pci\");\n"
            .to_owned(),
        classify: "[[detectors]]\nkind = \"credit_card\"\nclass = \"pci\"\n".to_owned(),
        ..SshPlan::default()
    }
}

fn guarded() -> SshPlan {
    SshPlan {
        rules: "@id(\"no-rm\") @message(\"nothing is removed\") forbid (principal, action == Ssh::Action::\"run\", resource) \
                when { context.program == \"rm\" };\n\
                @id(\"nothing-unparsed\") forbid (principal, action == Action::\"unparsed\", resource);\n"
            .to_owned(),
        target: "shell = \"guarded\"".to_owned(),
        ..SshPlan::default()
    }
}

#[test]
fn what_a_command_says_is_masked_on_both_streams_wherever_it_is_cut_and_in_the_recording() -> Result<()> {
    let bed = SshBed::start(&masking())?;
    let through = bed.through("alice")?;
    let lines = [
        format!("echo pay {CARD} now"),
        format!("echo pay {CARD} now >&2"),
        "printf 'pay 4111 1111'; sleep 0.05; printf ' 1111 1111 now'".to_owned(),
        "printf 'pay \\033[1m4111 1111\\033[0m 1111 1111 now'".to_owned(),
    ];
    for line in &lines {
        let output = exec(&through, line)?;
        let plain = said(&output).replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
        ensure!(plain.contains("**** 1111") && !plain.contains(CARD), "{line}: {plain}");
    }
    let recorded = eventually("the recordings", || {
        let transcripts = transcripts(&bed.gateway, "audrey")?;
        let all = commands(&transcripts).len() > lines.len();
        Ok(all.then(|| format!("{transcripts:?}")))
    })?;
    ensure!(
        recorded.contains("1111 now") || recorded.contains("**** 1111"),
        "nothing was recorded"
    );
    let answers = recorded.replace(&format!("echo pay {CARD}"), "");
    ensure!(!answers.contains(CARD), "a card number is in a recording: {answers}");
    Ok(())
}

#[test]
fn a_guarded_script_keeps_its_place_and_runs_no_line_that_is_refused() -> Result<()> {
    let bed = SshBed::start(&guarded())?;
    let through = bed.through("alice")?;
    let victim = bed.dir().join("victim");
    std::fs::write(&victim, "still here")?;
    let script = format!(
        "cd /usr\npwd\nexport GREETING='a b'\necho \"[$GREETING]\"\nrm -f {0}\n\
         cd() {{ :; }}; pwd() {{ rm -f {0}; }}\nfalse\necho status $?\nif true\nthen echo whole\nfi\nexit 5\necho never\n",
        victim.display()
    );
    let output = feed(through.program("ssh").arg("-T").arg(through.name()), script.as_bytes())?;
    let text = said(&output);
    ensure!(output.status.code() == Some(5), "{text}");
    for words in [
        "/usr\n",
        "[a b]\n",
        "status 1\n",
        "whole\n",
        "nothing is removed",
        "no-rm",
        "may not be called",
    ] {
        ensure!(text.contains(words), "`{words}` is missing: {text}");
    }
    ensure!(!text.contains("never"), "{text}");
    ensure!(
        victim.exists(),
        "a line that was refused ran, or a function did behind the line that defines it"
    );
    Ok(())
}

/// A terminal whose screen is read while it is typed on.
pub(super) struct Terminal {
    pub(super) child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    pub(super) fn open(bed: &SshBed) -> Result<Self> {
        let through = bed.through("alice")?;
        let mut ssh = through.program("ssh");
        ssh.args(["-tt"]).arg(through.name());
        let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let keys = child.stdin.take().context("no input")?;
        let mut out = child.stdout.take().context("no output")?;
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut piece) {
                let text = String::from_utf8_lossy(piece.get(..count).unwrap_or_default()).into_owned();
                shown.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        Ok(Self { child, keys, screen })
    }

    /// Waits until these words are shown, and forgets what was shown up to them.
    pub(super) fn wait(&self, words: &str) -> Result<()> {
        let found = eventually(words, || {
            let mut screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(screen.find(words).map(|at| {
                screen.drain(..at + words.len());
            }))
        });
        found.with_context(|| format!("{:?}", self.screen.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(super) fn press(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes())?;
        Ok(self.keys.flush()?)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_guarded_terminal_feels_like_a_shell() -> Result<()> {
    let bed = SshBed::start(&guarded())?;
    let mut terminal = Terminal::open(&bed)?;
    terminal.wait("$ ")?;
    // Typed wrongly, gone back to, and put right.
    terminal.press("ehco one\x01\x1b[C\x1b[C\x14\r")?;
    terminal.wait("one\r\n")?;
    terminal.wait("$ ")?;
    terminal.press("read -p 'name? ' n && echo \"got $n\"\r")?;
    terminal.wait("name? ")?;
    terminal.wait("name? ")?;
    terminal.press("ada\r")?;
    terminal.wait("got ada")?;
    terminal.wait("$ ")?;
    terminal.press("sleep 60\r")?;
    eventually("the program", || {
        let ran = format!("{:?}", bed.sshd.ran()?);
        Ok(ran.contains("sleep 60").then_some(()))
    })?;
    terminal.press("\x03")?;
    terminal.wait("$ ")?;
    terminal.press("echo status $?\r")?;
    terminal.wait("status 1")?;
    terminal.wait("$ ")?;
    terminal.press("\x1b[A")?;
    terminal.wait("echo status $?")?;
    terminal.press("\x15rm -rf /nowhere\r")?;
    terminal.wait("nothing is removed")?;
    terminal.wait("$ ")?;
    terminal.press("exit 3\r")?;
    ensure!(terminal.child.wait()?.code() == Some(3));
    Ok(())
}
