//! bash's readline on a pseudo-terminal.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

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

pub(crate) struct Readline {
    _bindings: tempfile::NamedTempFile,
    bash: Child,
    terminal: std::fs::File,
    shown: mpsc::Receiver<Vec<u8>>,
}

impl Readline {
    /// Readline with these lines in its history.
    pub(crate) fn start(history: &[&str]) -> Self {
        let mut arguments = vec!["-c", READ, "bash"];
        arguments.extend(history);
        Self::run(&arguments)
    }

    fn run(arguments: &[&str]) -> Self {
        let (terminal, other) = open();
        let mut bindings = tempfile::NamedTempFile::new().unwrap();
        bindings.write_all(BINDINGS.as_bytes()).unwrap();
        let bash = Command::new("setsid")
            .args(["--ctty", "bash", "--norc", "--noprofile"])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .env("INPUTRC", bindings.path())
            .stdin(other.try_clone().unwrap())
            .stderr(other)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let terminal = std::fs::File::from(terminal);
        let (send, shown) = mpsc::channel();
        let mut screen = terminal.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The terminal's end is an error once nobody is at the other.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                if send.send(bytes.iter().copied().take(count).collect()).is_err() {
                    break;
                }
            }
        });
        Self {
            _bindings: bindings,
            bash,
            terminal,
            shown,
        }
    }

    /// What it submits for these keys; nothing if the input ended.
    pub(crate) fn submit(mut self, keys: &str) -> Option<String> {
        // Readline has set up the terminal once its prompt is there.
        let mut seen = Vec::new();
        while !seen.windows(6).any(|seen| seen == b"READY ") {
            seen.extend(self.shown.recv().unwrap());
        }
        self.terminal.write_all(keys.as_bytes()).unwrap();
        let (send, said) = mpsc::channel();
        let mut output = self.bash.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut said = Vec::new();
            let _ = output.read_to_end(&mut said);
            let _ = send.send(said);
        });
        let said = said.recv_timeout(Duration::from_secs(20));
        let said = said.unwrap_or_else(|_| panic!("readline does not answer to {keys:?}"));
        // Some of its commands cut characters in two.
        let said = String::from_utf8_lossy(&said);
        match said.split_at_checked(1) {
            Some(("L", line)) => Some(line.to_owned()),
            Some(("E", "")) => None,
            _ => panic!("readline said {said:?}"),
        }
    }
}

impl Drop for Readline {
    fn drop(&mut self) {
        let _ = self.bash.kill();
        let _ = self.bash.wait();
    }
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
