//! Secrets that a program prints.

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::{Instant, timeout_at},
};
use zeroize::Zeroizing;

use crate::{
    CredentialError, Environment, SecretKind,
    error::CommandFault,
    names::Checked,
    text::{MAX_SECRET, Wiped},
};

/// The variables that programs get, if they are set here.
const PASSED: &[&str] = &["HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME"];
/// Where programs find others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MAX_ARGUMENTS: usize = 64;
const MAX_TIMEOUT_S: u64 = 300;

/// What a program prints. No shell reads its arguments.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct CommandSource {
    /// The program, by its whole path, and its arguments. They are seen by everybody on the machine: no secrets in them.
    pub argv: Vec<String>,
    /// How long it may take, in seconds; 10 when absent.
    pub timeout_s: Option<u64>,
    /// Variables that it gets besides a few harmless ones.
    #[serde(default)]
    pub environment: Vec<String>,
}

impl CommandSource {
    pub(crate) fn check(&self) -> Checked {
        let Some(program) = self.argv.first() else {
            return Err("`argv` is empty".to_owned());
        };
        if !program.starts_with('/') {
            return Err("`argv`: the program must be written with its whole path".to_owned());
        }
        if self.argv.len() > MAX_ARGUMENTS || self.argv.iter().any(|argument| argument.contains('\0')) {
            return Err(format!(
                "`argv` has more than {MAX_ARGUMENTS} words, or one with a zero byte"
            ));
        }
        if self
            .timeout_s
            .is_some_and(|timeout| timeout == 0 || timeout > MAX_TIMEOUT_S)
        {
            return Err(format!("`timeout_s` must be from 1 to {MAX_TIMEOUT_S}"));
        }
        let bad = |name: &&String| name.is_empty() || name.contains(['=', '\0']);
        match self.environment.iter().find(bad) {
            Some(_) => Err("`environment` has something that is no name of a variable".to_owned()),
            None => Ok(()),
        }
    }

    /// Runs the program and takes the first line of what it prints, or all of it for what has several lines.
    ///
    /// # Cancel safety
    /// If this is dropped, the program and what it started are killed.
    pub(crate) async fn run(
        &self,
        kind: SecretKind,
        environment: &Environment,
        standard: Duration,
    ) -> Result<SecretString, CredentialError> {
        let within = self.timeout_s.map_or(standard, Duration::from_secs);
        let secret = match self.output(environment, within).await {
            Ok(output) => pick(kind, &output),
            Err(fault) => Err(fault),
        };
        secret.map_err(|fault| CredentialError::Command {
            kind,
            program: self.argv.first().map(PathBuf::from).unwrap_or_default(),
            fault,
        })
    }

    async fn output(&self, environment: &Environment, within: Duration) -> Result<Wiped, CommandFault> {
        let deadline = Instant::now() + within;
        let mut group = Group::start(self.command(environment)?)?;
        let Some(stdout) = group.child.stdout.take() else {
            return Err(CommandFault::Empty);
        };
        let mut output = Wiped::with_capacity(MAX_SECRET);
        let mut buffer = Zeroizing::new([0_u8; 4096]);
        let mut stdout = stdout;
        loop {
            let read = timeout_at(deadline, stdout.read(buffer.as_mut())).await;
            let read = read.map_err(|_| CommandFault::Slow(within))?;
            let read = read.map_err(|error| CommandFault::Read(Arc::new(error)))?;
            if read == 0 {
                break;
            }
            if output.bytes().len() + read > MAX_SECRET {
                return Err(CommandFault::Long(MAX_SECRET));
            }
            output.push(buffer.get(..read).unwrap_or_default());
        }
        let status = timeout_at(deadline, group.end()).await;
        let status = status.map_err(|_| CommandFault::Slow(within))??;
        if status.success() {
            Ok(output)
        } else {
            Err(CommandFault::Status(status.to_string()))
        }
    }

    fn command(&self, environment: &Environment) -> Result<Command, CommandFault> {
        let (program, arguments) = self.argv.split_first().ok_or(CommandFault::Empty)?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir("/").env_clear().env("PATH", PATH);
        let passed = PASSED
            .iter()
            .copied()
            .chain(self.environment.iter().map(String::as_str));
        for name in passed {
            if let Some(value) = environment.get(name) {
                command.env(name, value);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command.process_group(0).kill_on_drop(true);
        Ok(command)
    }
}

/// A program and what it started. They are killed if this is dropped before the program has ended.
struct Group {
    child: Child,
    /// Gone once the program has been waited for: its number may be another's then.
    id: Option<Pid>,
}

impl Group {
    fn start(mut command: Command) -> Result<Self, CommandFault> {
        let child = command.spawn().map_err(|error| CommandFault::Start(Arc::new(error)))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, id })
    }

    async fn end(&mut self) -> Result<ExitStatus, CommandFault> {
        let status = self.child.wait().await;
        self.id = None;
        status.map_err(|error| CommandFault::Read(Arc::new(error)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // It may have ended by itself.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

fn pick(kind: SecretKind, output: &Wiped) -> Result<SecretString, CommandFault> {
    let text = output.text().ok_or(CommandFault::Empty)?;
    let secret = if kind.is_one_line() {
        text.lines().next()
    } else {
        Some(text)
    };
    let secret = secret.filter(|secret| !secret.is_empty() && !secret.contains('\0'));
    secret.map(SecretString::from).ok_or(CommandFault::Empty)
}
