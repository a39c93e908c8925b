//! bash on a pseudo-terminal, with the reader of what is typed beside it.

use std::io::{Read, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use sallyport_typed::{Line, Patience, Size, Step, Typed, Verdict};

/// How long an answer may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const COLUMNS: u16 = 40;
const ROWS: u16 = 12;

/// Says which commands are run, and runs none: there are no programs on its path.
const RECORD: &str = r#"
command_not_found_handle() { printf '%s|' "$@" >&7; printf '\0' >&7; }
PATH=/nonexistent PS1='READY:\w$ ' HISTFILE=
history -c
history -s 'remembered one'
history -s 'other two'
"#;

/// An interactive bash, and what is read of it.
pub(crate) struct Seat {
    files: tempfile::TempDir,
    child: Child,
    terminal: std::fs::File,
    shown: mpsc::Receiver<Vec<u8>>,
    said: mpsc::Receiver<Vec<u8>>,
    pub(crate) typed: Typed,
    /// What it showed that was not waited for yet.
    seen: String,
}

/// Open quotes and a backslash at the end: enough for what is typed here.
pub(crate) fn incomplete(text: &str) -> bool {
    let open = |quote| text.matches(quote).count() % 2 == 1;
    text.ends_with('\\') || open('\'') || open('"')
}

pub(crate) fn line(keys: Option<&str>, screen: Option<&str>) -> Verdict {
    Verdict::Line(Line {
        keys: keys.map(str::to_owned),
        screen: screen.map(str::to_owned),
    })
}

pub(crate) fn agreed(text: &str) -> Verdict {
    line(Some(text), None)
}

pub(crate) fn seen(text: &str) -> Verdict {
    line(None, Some(text))
}

impl Seat {
    /// With these lines of its start-up file beside.
    pub(crate) fn take(more: &str) -> Self {
        let (terminal, other) = open();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("alphabet"), "").unwrap();
        std::fs::write(files.path().join("alphorn"), "").unwrap();
        std::fs::write(files.path().join("unique name"), "").unwrap();
        let made = Command::new("mkfifo").arg(files.path().join("gate")).status().unwrap();
        assert!(made.success());
        let record = files.path().join(".record");
        std::fs::write(&record, format!("{RECORD}\n{more}\n")).unwrap();
        let mut child = Command::new("setsid")
            .args([
                "--ctty",
                "bash",
                "-c",
                "exec 7>&1 >&2; exec bash --noprofile --rcfile .record -i",
            ])
            .current_dir(files.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", files.path())
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .env("INPUTRC", "/dev/null")
            .stdin(other.try_clone().unwrap())
            .stderr(other)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let terminal = std::fs::File::from(terminal);
        let shown = listen(terminal.try_clone().unwrap());
        let said = listen(child.stdout.take().unwrap());
        let size = Size {
            columns: COLUMNS.into(),
            rows: ROWS.into(),
        };
        let mut seat = Self {
            files,
            child,
            terminal,
            shown,
            said,
            typed: Typed::new(size, incomplete),
            seen: String::new(),
        };
        seat.wait_for("$ ");
        seat.typed.quiet();
        seat
    }

    /// Lets a shell go on that reads from `gate`.
    pub(crate) fn open_gate(&self) {
        std::fs::write(self.files.path().join("gate"), "x\n").unwrap();
    }

    /// Reads what is shown until something is there, behind all that was waited for before.
    pub(crate) fn wait_for(&mut self, wanted: &str) {
        loop {
            if let Some((_, rest)) = self.seen.split_once(wanted) {
                self.seen = rest.to_owned();
                return;
            }
            self.hear(wanted);
        }
    }

    fn hear(&mut self, wanted: &str) {
        match self.shown.recv_timeout(PATIENCE) {
            Ok(more) => {
                self.typed.shown(&more);
                self.seen.push_str(&String::from_utf8_lossy(&more));
            }
            Err(_) => panic!("no {wanted:?}: {:?}", self.seen),
        }
    }

    /// Waits until the shell waits for keys: one that is interrupted between its answer and that shows no prompt.
    pub(crate) fn rests(&self) {
        let stat = format!("/proc/{}/stat", self.child.id());
        let waits = || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            stat.rsplit_once(") ").unwrap().1.starts_with('S')
        };
        while !waits() {
            std::thread::yield_now();
        }
    }

    /// Types without submitting.
    pub(crate) fn press(&mut self, keys: &str) {
        let mut rest = keys.as_bytes();
        while !rest.is_empty() {
            match self.typed.keys(rest) {
                Step::Pass(count) => {
                    self.terminal.write_all(&rest[..count]).unwrap();
                    rest = &rest[count..];
                }
                other @ (Step::Swallow(_) | Step::Submit(_)) => panic!("{keys:?} gave {other:?}"),
            }
        }
    }

    /// Types, and waits until the line is read as this.
    pub(crate) fn reads(&mut self, keys: &str, expected: &Verdict) {
        self.press(keys);
        // What both readers know needs no silence.
        let agreed = *expected == Verdict::GoesOn
            || matches!(expected, Verdict::Line(line) if line.keys.is_some() && line.screen.is_none());
        let patience = if agreed { Patience::Fresh } else { Patience::Settled };
        loop {
            let verdict = self.typed.judge(patience);
            if verdict == *expected {
                return;
            }
            self.hear(&format!("{expected:?}, but {verdict:?}"));
        }
    }

    /// Submits the line, and waits until the shell shows a prompt that ends with this.
    pub(crate) fn enter(&mut self, prompt: &str) {
        self.submit();
        self.wait_for(prompt);
        self.typed.quiet();
    }

    /// Submits the line, and waits until the shell has it.
    pub(crate) fn submit(&mut self) {
        self.seen.clear();
        self.terminal.write_all(b"\r").unwrap();
        self.typed.submitted(b"\r");
        self.wait_for("\x1b[?2004l");
    }

    /// Submits what is no line of the shell.
    pub(crate) fn answer(&mut self, prompt: &str) {
        self.terminal.write_all(b"\r").unwrap();
        self.typed.submitted(b"\r");
        self.wait_for(prompt);
        self.typed.quiet();
    }

    /// A line from its first key to the next prompt.
    pub(crate) fn line(&mut self, keys: &str, expected: &Verdict) {
        self.reads(keys, expected);
        self.enter("$ ");
    }

    /// The commands that bash ran.
    pub(crate) fn ran(mut self) -> Vec<String> {
        // It stands at a prompt: what it ran is over.
        self.child.kill().unwrap();
        let mut said = Vec::new();
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(more) => said.extend(more),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("bash does not end: {:?}", self.seen),
            }
        }
        let said = String::from_utf8(said).unwrap();
        said.split_terminator('\0').map(str::to_owned).collect()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads all that comes, so that nobody waits for it to be read.
fn listen(mut from: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        // The terminal's end is an error once nobody is at the other.
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if send.send(bytes[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receive
}

fn open() -> (OwnedFd, OwnedFd) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let name = name.to_str().unwrap();
    let other = std::fs::File::options().read(true).write(true).open(name).unwrap();
    let size = Winsize {
        ws_row: ROWS,
        ws_col: COLUMNS,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&other, size).unwrap();
    (terminal, other.into())
}
