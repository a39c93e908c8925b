//! Commands of the past, as they were decided.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

/// Which commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// From when on.
    pub since: OffsetDateTime,
    /// Until when.
    pub until: Option<OffsetDateTime>,
    /// Only those of this principal.
    pub principal: Option<String>,
    /// Only those on this target.
    pub target: Option<String>,
}

/// One line of a history. Lines about a session follow its [`Past::Session`], in the order in which they happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Past {
    /// A session begins.
    Session(PastSession),
    /// The session is for this task from here on.
    Task(String),
    /// A command was decided.
    Command(PastCommand),
    /// What is wrong with the recording of the session; what follows is of another.
    Damaged(String),
    /// The last line: without it, the history was cut off.
    End {
        /// How many sessions it has.
        sessions: u64,
    },
}

/// The session that lines are about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastSession {
    /// Its id.
    pub id: String,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// Who.
    pub principal: String,
    /// `user` or `machine`.
    pub kind: String,
    /// The groups.
    pub groups: Vec<String>,
    /// The target.
    pub target: String,
    /// The target's protocol.
    pub protocol: String,
    /// The client's address.
    pub source: Option<String>,
    /// The task that it began for.
    pub task: Option<String>,
    /// The version of the gateway, and so of what understood the commands.
    pub version: String,
    /// The digest of the policy at its beginning.
    pub policy: String,
}

/// A command, and a decision about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastCommand {
    /// Its number in the session.
    pub seq: u64,
    /// When, in microseconds after the session began.
    pub at_micros: u64,
    /// The beginning of its text.
    pub text: String,
    /// The text goes on.
    #[serde(default)]
    pub cut: bool,
    /// It is outside the period, and here for what it carries alone.
    #[serde(default)]
    pub outside: bool,
    /// It was only prepared.
    #[serde(default)]
    pub prepare: bool,
    /// The decision as the recording has it: `outcome`, `rules`, `as`; with the first of a number `facts`, `shows` and `carries`; with
    /// the first and each change `reveals`.
    pub decision: Value,
}
