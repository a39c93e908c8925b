//! Typing at a shell.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::client::Got;
use super::door::Door;

/// Until the first prompt.
const LOGIN: Duration = Duration::from_secs(10);
/// A terminal that says nothing for so long, after a prompt, waits for its user.
const QUIET: Duration = Duration::from_millis(120);
/// The same without a prompt: an editor, a search in the history, a line that is not complete.
const BUSY: Duration = Duration::from_millis(550);
/// Until what was typed last has come to its end.
const LAST: Duration = Duration::from_secs(4);
/// Until it has said goodbye.
const END: Duration = Duration::from_millis(1500);

/// Types each piece once the one before has been answered, and gives back what the terminal showed after the first prompt.
pub(super) fn play(door: &Door, keys: &[String]) -> Result<Got> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let size = Winsize {
        ws_row: 40,
        ws_col: 180,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
    // `setsid --ctty` makes its standard input the controlling terminal, as a terminal emulator does.
    let program = door.ssh();
    let mut ssh = Command::new("setsid");
    ssh.args(["--ctty", "--wait"])
        .arg(program.get_program())
        .args(program.get_args());
    ssh.args(["-tt", "-e", "none"]).arg(door.name());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => ssh.env(name, value),
            None => ssh.env_remove(name),
        };
    }
    ssh.env("TERM", "xterm");
    let end = |fd: &OwnedFd| fd.try_clone().map(Stdio::from);
    ssh.stdin(end(&slave)?).stdout(end(&slave)?).stderr(end(&slave)?);
    let mut child = ssh.spawn().context("`setsid` could not be started")?;
    drop(ssh);
    drop(slave);
    let mut screen = Screen::of(master)?;
    let played = screen.play(keys);
    let deadline = Instant::now() + END;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status.code();
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            break None;
        }
        screen.read(Duration::from_millis(20));
    };
    played?;
    Ok(Got {
        status,
        stdout: screen.shown,
        stderr: Vec::new(),
    })
}

/// The user's side of a terminal.
struct Screen {
    keyboard: File,
    output: Receiver<Vec<u8>>,
    /// What was shown since the first prompt.
    shown: Vec<u8>,
    closed: bool,
}

impl Screen {
    fn of(master: OwnedFd) -> Result<Screen> {
        let keyboard = File::from(master);
        let mut reading = keyboard.try_clone()?;
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = vec![0; 1 << 16];
            // An error is how a terminal says that nobody is at its other end.
            while let Ok(read @ 1..) = reading.read(&mut bytes) {
                if sender.send(bytes.get(..read).unwrap_or_default().to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Screen {
            keyboard,
            output,
            shown: Vec::new(),
            closed: false,
        })
    }

    fn play(&mut self, keys: &[String]) -> Result<()> {
        let prompt = self.first_prompt()?;
        // Without a shell, what was said instead is what was shown.
        let Some(prompt) = prompt else { return Ok(()) };
        self.shown = prompt.clone().into_bytes();
        for (index, piece) in keys.iter().enumerate() {
            let last = index + 1 == keys.len();
            self.say(piece);
            self.wait(&prompt, if last { LAST } else { BUSY });
        }
        for piece in ["\x03", "\x15exit\r", "\x04"] {
            self.say(piece);
            self.wait(&prompt, QUIET);
        }
        Ok(())
    }

    /// What the shell shows when it waits: the last line, once nothing more comes.
    fn first_prompt(&mut self) -> Result<Option<String>> {
        let end = Instant::now() + LOGIN;
        while Instant::now() < end {
            let more = self.read(QUIET);
            if self.closed {
                return Ok(None);
            }
            let line = last_line(&self.shown);
            if !more && !line.trim().is_empty() {
                return Ok(Some(line));
            }
        }
        bail!("no prompt within {LOGIN:?}: {:?}", String::from_utf8_lossy(&self.shown))
    }

    fn say(&mut self, piece: &str) {
        // A terminal whose other end is gone takes nothing.
        let _ = self.keyboard.write_all(piece.as_bytes());
    }

    /// Reads until the prompt is back and nothing more comes, or nothing comes for so long.
    fn wait(&mut self, prompt: &str, patience: Duration) {
        let mut silent_since = Instant::now();
        while !self.closed {
            if self.read(QUIET) {
                silent_since = Instant::now();
                continue;
            }
            let back = last_line(&self.shown).trim_end() == prompt.trim_end();
            if back || silent_since.elapsed() >= patience {
                return;
            }
        }
    }

    /// Reads what comes within this time; whether anything did.
    fn read(&mut self, time: Duration) -> bool {
        match self.output.recv_timeout(time) {
            Ok(bytes) => {
                self.shown.extend(bytes);
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                self.closed = true;
                false
            }
        }
    }
}

/// The last line as a person sees it.
fn last_line(shown: &[u8]) -> String {
    plain(shown).rsplit('\n').next().unwrap_or_default().to_owned()
}

/// The lines that a terminal's output leaves, as far as one line's editing goes (ECMA-48): what moves between lines, colours
/// and asks for answers is left out.
pub(super) fn plain(shown: &[u8]) -> String {
    let text = String::from_utf8_lossy(shown);
    let mut lines = Vec::new();
    let mut line = Line::default();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' => lines.push(std::mem::take(&mut line).text()),
            '\r' => line.at = 0,
            '\x08' => line.at = line.at.saturating_sub(1),
            '\x1b' => match chars.next() {
                Some('[') => {
                    let mut parameter = String::new();
                    let end = chars.find(|c| {
                        parameter.extend(c.is_ascii_digit().then_some(*c));
                        ('\x40'..='\x7e').contains(c)
                    });
                    line.edit(end.unwrap_or_default(), parameter.parse().unwrap_or(1));
                }
                Some(']') => drop(chars.find(|c| matches!(c, '\x07' | '\x1b'))),
                Some('(') => drop(chars.next()),
                Some(_) | None => {}
            },
            c if c.is_control() => {}
            c => line.put(c),
        }
    }
    lines.push(line.text());
    lines.join("\n")
}

/// One line of a terminal, and where its cursor is.
#[derive(Default)]
struct Line {
    cells: Vec<char>,
    at: usize,
}

impl Line {
    fn put(&mut self, c: char) {
        match self.cells.get_mut(self.at) {
            Some(cell) => *cell = c,
            None => {
                self.cells.resize(self.at, ' ');
                self.cells.push(c);
            }
        }
        self.at += 1;
    }

    /// The control sequences that a line editor makes use of, with their final letter and their number.
    fn edit(&mut self, letter: char, count: usize) {
        // More than any line has.
        let count = count.min(1000);
        let to = (self.at + count).min(self.cells.len());
        match letter {
            'K' | 'J' => self.cells.truncate(self.at),
            'C' => self.at += count,
            'D' => self.at = self.at.saturating_sub(count),
            'G' => self.at = count.saturating_sub(1),
            'P' if self.at < to => drop(self.cells.drain(self.at..to)),
            '@' if self.at <= self.cells.len() => {
                self.cells.splice(self.at..self.at, std::iter::repeat_n(' ', count));
            }
            _ => {}
        }
    }

    fn text(self) -> String {
        self.cells.into_iter().collect::<String>().trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_a_person_sees() {
        assert_eq!(
            last_line(b"hello\r\n\x1b]0;title\x07\x1b[?2004h\x1b[1mP#\x1b[0m "),
            "P#"
        );
        let edited = [
            (&b"echo wrong\x08\x08\x08\x08\x08\x1b[Kright"[..], "echo right"),
            (
                b"cat /etc/adow\x08\x08\x08\x08sh\x1b[2@\x08\x08shadow",
                "cat /etc/shadow",
            ),
            (b"t x\r\x1b[2@ca", "cat x"),
            (b"abc\x1b[2Dx\x1b[1P", "ax"),
            (b"\x1b[5C\x1b(Bx", "     x"),
        ];
        for (bytes, line) in edited {
            assert_eq!(plain(bytes), line, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
