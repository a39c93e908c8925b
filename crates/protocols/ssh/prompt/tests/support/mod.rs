//! bash on a pseudo-terminal.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{Read, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// How long an answer may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads one line with readline, says what it was, and does nothing with it.
const READ: &str = r#"
set -o emacs
for line; do history -s -- "$line"; done
if IFS= read -e -r -p 'READY ' line; then printf 'L%s' "$line"; else printf E; fi
"#;

/// What distributions bind besides readline's own.
const BINDINGS: &str = r#"
"\e[1~": beginning-of-line
"\e[4~": end-of-line
"\e[7~": beginning-of-line
"\e[8~": end-of-line
"\e[3~": delete-char
"\e\e[C": forward-word
"\e\e[D": backward-word
"\e[1;2C": forward-char
"\e[1;2D": backward-char
"\e[99~": redraw-current-line
"#;

/// Says which commands are run, and runs none: there are no programs on its path.
const RECORD: &str = r#"
command_not_found_handle() { printf '%s|' "$@"; printf '\0'; }
PATH=/nonexistent PS1='READY ' HISTFILE=
"#;

/// A bash whose standard input and error are a terminal.
struct Bash {
    _files: tempfile::TempDir,
    child: Child,
    terminal: std::fs::File,
    shown: mpsc::Receiver<Vec<u8>>,
    said: mpsc::Receiver<Vec<u8>>,
    /// What it showed that was not waited for yet.
    seen: String,
}

impl Bash {
    fn start(arguments: &[&str]) -> Self {
        let (terminal, other) = open();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("inputrc"), BINDINGS).unwrap();
        std::fs::write(files.path().join("record"), RECORD).unwrap();
        let mut child = Command::new("setsid")
            .args(["--ctty", "bash", "--noprofile"])
            .args(arguments)
            .current_dir(files.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .env("INPUTRC", files.path().join("inputrc"))
            .stdin(other.try_clone().unwrap())
            .stderr(other)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let terminal = std::fs::File::from(terminal);
        let shown = listen(terminal.try_clone().unwrap());
        let said = listen(child.stdout.take().unwrap());
        Self {
            _files: files,
            child,
            terminal,
            shown,
            said,
            seen: String::new(),
        }
    }

    /// Readline has set up the terminal once its prompt is there.
    fn wait_for_prompt(&mut self) {
        self.wait_for("READY ");
    }

    /// Waits for something behind all that was waited for before.
    fn wait_for(&mut self, wanted: &str) {
        loop {
            if let Some((_, rest)) = self.seen.split_once(wanted) {
                self.seen = rest.to_owned();
                return;
            }
            match self.shown.recv_timeout(PATIENCE) {
                Ok(more) => self.seen.push_str(&String::from_utf8_lossy(&more)),
                Err(_) => panic!("no {wanted:?}: {:?}", self.seen),
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// All that it says on its standard output, up to its end.
    fn said(&self, keys: &str) -> String {
        let mut said = Vec::new();
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(more) => said.extend(more),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("bash does not end after {keys:?}"),
            }
        }
        // Some of readline's commands cut characters in two.
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Bash {
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
            if send.send(bytes.iter().copied().take(count).collect()).is_err() {
                break;
            }
        }
    });
    receive
}

/// A bash that reads one line with readline.
pub(crate) struct Readline(Bash);

impl Readline {
    /// With these lines in its history.
    pub(crate) fn start(history: &[&str]) -> Self {
        let mut arguments = vec!["--norc", "-c", READ, "bash"];
        arguments.extend(history);
        Self(Bash::start(&arguments))
    }

    /// What it submits for these keys; nothing if the input ended.
    pub(crate) fn submit(mut self, keys: &str) -> Option<String> {
        self.0.wait_for_prompt();
        self.0.press(keys);
        let said = self.0.said(keys);
        match said.split_at_checked(1) {
            Some(("L", line)) => Some(line.to_owned()),
            Some(("E", "")) => None,
            _ => panic!("readline said {said:?}"),
        }
    }
}

/// An interactive bash.
pub(crate) struct Shell(Bash);

impl Shell {
    pub(crate) fn start() -> Self {
        Self(Bash::start(&["--rcfile", "record", "-i"]))
    }

    /// The commands that it runs for what is typed. After each piece it shows its prompt.
    pub(crate) fn type_in(mut self, pieces: &[&str]) -> Vec<String> {
        self.0.wait_for_prompt();
        for piece in pieces {
            self.0.press(piece);
            // The end of a search shows the prompt too.
            self.0.wait_for("\x1b[?2004l");
            self.0.wait_for_prompt();
        }
        self.0.press("\x04");
        commands(&self.0.said(&pieces.concat()))
    }
}

/// The commands that bash runs for a line.
pub(crate) fn run(line: &str) -> Vec<String> {
    let script = format!("{RECORD}\n{line}\n");
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", &script])
        .output()
        .unwrap();
    commands(&String::from_utf8_lossy(&output.stdout))
}

fn commands(said: &str) -> Vec<String> {
    said.split_terminator('\0').map(str::to_owned).collect()
}

fn open() -> (OwnedFd, OwnedFd) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let name = name.to_str().unwrap();
    let other = std::fs::File::options().read(true).write(true).open(name).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&other, size).unwrap();
    let mut modes = tcgetattr(&other).unwrap();
    // Ctrl-S and Ctrl-Q are keys.
    modes.input_modes -= InputModes::IXON;
    tcsetattr(&other, OptionalActions::Now, &modes).unwrap();
    (terminal, other.into())
}
