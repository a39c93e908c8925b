//! One line of a corpus of shell cases. The format's own description says what each field means.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::corpus::case::Verdict;

/// A case of the shell corpora; fields that only describe are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShellCase {
    pub(crate) id: String,
    pub(crate) class: String,
    pub(crate) channel: Channel,
    pub(crate) verdict: Verdict,
    pub(crate) oracle: String,
    /// A command line, or what is sent to a shell's standard input.
    #[serde(default)]
    pub(crate) command: Option<String>,
    /// What is typed, piece by piece.
    #[serde(default)]
    pub(crate) keystrokes: Option<Vec<String>>,
    /// What runs at the client's side.
    #[serde(default)]
    pub(crate) client_script: Option<String>,
}

/// How a case reaches the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Channel {
    Exec,
    Pty,
    ShellStdin,
    ExecOverSsh,
    Subsystem,
    Forward,
    Env,
}

/// What a client does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act<'a> {
    /// Runs a command line at the host.
    Exec(&'a str),
    /// Feeds a shell without a terminal.
    Feed(&'a str),
    /// Types at a shell with a terminal.
    Type(&'a [String]),
    /// Runs a script at its own side.
    Script(&'a str),
}

impl ShellCase {
    /// What the client does.
    pub(crate) fn act(&self) -> Result<Act<'_>> {
        let command = || self.command.as_deref().context("a case without a command");
        let script = || self.client_script.as_deref().or(self.command.as_deref());
        Ok(match self.channel {
            Channel::Exec => Act::Exec(command()?),
            Channel::ShellStdin => Act::Feed(command()?),
            Channel::Pty => Act::Type(self.keystrokes.as_deref().context("a case without keystrokes")?),
            Channel::ExecOverSsh | Channel::Subsystem | Channel::Forward | Channel::Env => {
                Act::Script(script().context("a case without a script")?)
            }
        })
    }

    /// The same, typed at a shell with a terminal if it is a command line.
    pub(crate) fn typed(mut self) -> Self {
        // Of an unsafe one it is seen only whether anything reached the host, and a shell does.
        if self.channel == Channel::Exec
            && !self.is_unsafe()
            && let Some(command) = &self.command
        {
            self.keystrokes = Some(vec![format!("{command}\r")]);
            self.channel = Channel::Pty;
        }
        self
    }

    /// Whether it could hurt the machine if it ran.
    pub(crate) fn is_unsafe(&self) -> bool {
        self.oracle == "unsafe"
    }
}
