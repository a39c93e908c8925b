//! A server that cannot outlive the process that started it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::TestbedError;
use crate::cache::run;

/// A machine that does much else takes long to start a server.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// `$1` the signal that ends the server, `$2` the directory to remove, the rest the server's command line.
///
/// The server gets no standard input; `read` returns when the parent closes the pipe, be it by a drop or by
/// its death.
const SCRIPT: &str = r#"
trap '' INT HUP TERM
sig=$1 dir=$2; shift 2
"$@" </dev/null >>"$dir/log" 2>&1 &
pid=$!
echo $pid
exec >/dev/null 2>&1
read -r _
kill -s "$sig" $pid
wait $pid
rm -rf -- "$dir"
"#;

/// A running server with its directory. Dropping it ends the server and removes the directory.
#[derive(Debug)]
pub struct Supervised {
    supervisor: Child,
    lifeline: Option<ChildStdin>,
    pid: u32,
    dir: PathBuf,
}

impl Supervised {
    /// Starts `command` under a supervisor that ends it with `signal` (a name such as `QUIT`).
    ///
    /// The server's output goes to `log` in `dir`. From here on `dir` belongs to the supervisor.
    ///
    /// # Errors
    /// When the supervisor cannot be started.
    pub fn start(command: &Command, signal: &str, dir: &Path) -> Result<Supervised, TestbedError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let spawn = |source| TestbedError::Spawn {
            program: program.clone(),
            source,
        };
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "supervisor", signal]).arg(dir);
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.current_dir("/").process_group(0);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut supervisor = shell.spawn().map_err(spawn)?;
        let lifeline = supervisor.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = supervisor.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(spawn)?;
        }
        let pid = line.trim().parse().map_err(|_| TestbedError::Failed {
            program: program.clone(),
            output: "its supervisor gave no process id".to_owned(),
        })?;
        Ok(Supervised {
            supervisor,
            lifeline,
            pid,
            dir: dir.to_owned(),
        })
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The server's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The last part of what the server wrote to its log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(self.dir.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Whether the server still runs (it has ended when the kernel holds only its exit status).
    pub fn is_running(&self) -> bool {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)) else {
            return false;
        };
        let state = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.trim_start().chars().next());
        !matches!(state, None | Some('Z' | 'X'))
    }

    /// Waits until something holds, which is asked every few milliseconds, or the server has ended.
    ///
    /// # Errors
    /// When it does not hold in time; the error calls the server `program` and has the end of its log.
    pub fn wait_until(
        &self,
        program: &str,
        mut holds: impl FnMut() -> Result<bool, TestbedError>,
    ) -> Result<(), TestbedError> {
        let start = Instant::now();
        while start.elapsed() < READY_TIMEOUT {
            if holds()? {
                return Ok(());
            }
            if !self.is_running() {
                return Err(TestbedError::Failed {
                    program: program.to_owned(),
                    output: self.log_tail(),
                });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(TestbedError::NotReady {
            seconds: READY_TIMEOUT.as_secs(),
            log: self.log_tail(),
        })
    }

    /// Ends the server and waits until it is gone and its directory is removed.
    pub fn stop(mut self) {
        self.end();
    }

    /// Kills the server (SIGKILL) and waits until it has ended; its directory stays until the drop.
    ///
    /// # Errors
    /// When `kill` cannot be run.
    pub fn kill(&self) -> Result<(), TestbedError> {
        run(Command::new("kill").args(["-KILL", &self.pid.to_string()]))?;
        while self.is_running() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn end(&mut self) {
        drop(self.lifeline.take());
        // The supervisor always ends: the signal it sends is one that the server obeys at once.
        let _ = self.supervisor.wait();
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.end();
    }
}
