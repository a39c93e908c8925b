//! The clients of the cases: OpenSSH's.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::case::Act;
use super::door::Door;
use super::host::Host;
use super::terminal;

const PATIENCE: Duration = Duration::from_secs(15);
/// Scripts start servers and wait for them.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(30);

/// The name of a script's processes.
const CLIENT: &str = "client";

/// What a client got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Got {
    /// The exit status; none when the client had to be ended.
    pub(super) status: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Got {
    /// Whether a text is anywhere in it.
    pub(super) fn contains(&self, needle: &str) -> bool {
        let found = |bytes: &[u8]| {
            bytes
                .windows(needle.len().max(1))
                .any(|window| window == needle.as_bytes())
        };
        found(&self.stdout) || found(&self.stderr)
    }

    /// The end of what was said, for a report.
    pub(super) fn tail(&self) -> String {
        let text = [
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr),
        ]
        .concat();
        let skip = text.chars().count().saturating_sub(200);
        text.chars().skip(skip).collect::<String>().escape_debug().to_string()
    }
}

/// Does what the case says.
pub(super) fn play(act: Act<'_>, host: &Host, door: &Door) -> Result<Got> {
    match act {
        Act::Exec(line) => {
            let mut ssh = door.ssh();
            // After `--` nothing of the command line is taken for an option.
            let mut child = spawn(ssh.arg(door.name()).arg("--").arg(line).stdin(Stdio::null()))?;
            collect(&mut child, PATIENCE)
        }
        Act::Feed(text) => {
            let mut ssh = door.ssh();
            let mut child = spawn(ssh.arg("-T").arg(door.name()).stdin(Stdio::piped()))?;
            if let Some(mut stdin) = child.stdin.take() {
                // A shell that was refused does not read.
                let _ = stdin.write_all(text.as_bytes());
            }
            collect(&mut child, PATIENCE)
        }
        Act::Type(keys) => terminal::play(door, keys),
        Act::Script(text) => script(text, host, door),
    }
}

/// Runs a script at the client's side: in the host's files, since scripts start servers there for the host to reach, but
/// with a client of its own.
fn script(text: &str, host: &Host, door: &Door) -> Result<Got> {
    let file = host.aside().join("root/tmp/client.sh");
    std::fs::write(&file, text)?;
    let words = ["/bin/bash", "-c", "cd /tmp && exec /bin/bash /tmp/client.sh"];
    let mut command = door.inside(host, CLIENT, &words);
    let mut child = spawn(command.stdin(Stdio::null()))?;
    let got = collect_until(&mut child, SCRIPT_PATIENCE, || host.end(CLIENT))?;
    host.forget(CLIENT);
    Ok(got)
}

fn spawn(command: &mut Command) -> Result<Child> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{program}` could not be started"))
}

fn collect(child: &mut Child, patience: Duration) -> Result<Got> {
    collect_until(child, patience, || ())
}

/// Reads what the child says until it ends. After `patience` it is ended, and so is what `end` ends.
fn collect_until(child: &mut Child, patience: Duration, end: impl Fn()) -> Result<Got> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let stdout = scope.spawn(move || drain(stdout));
        let stderr = scope.spawn(move || drain(stderr));
        let deadline = Instant::now() + patience;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status.code();
            }
            if Instant::now() > deadline {
                end();
                child.kill()?;
                child.wait()?;
                break None;
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        Ok(Got {
            status,
            stdout: stdout.join().unwrap_or_default(),
            stderr: stderr.join().unwrap_or_default(),
        })
    })
}

/// More than any case says, so that none fills the memory.
const MOST: u64 = 64 << 20;

fn drain(stream: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What came before an error counts.
        let _ = stream.take(MOST).read_to_end(&mut bytes);
    }
    bytes
}
