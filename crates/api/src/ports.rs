//! What the API needs of the rest of the gateway.

mod agents;
mod history;
mod journal;
mod policy;
mod targets;

use std::future::Future;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::pin::Pin;

use sallyport_identity::Principal;
use sallyport_identity::messages::SshInfo;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use agents::{Agent, Agents, Connected, Pending};
pub use history::{Past, PastCommand, PastSession, Period};
pub use journal::{Act, Entry, Journal, JournalError};
pub use policy::{
    BundleFiles, BundleLoaded, BundlesError, Policy, PolicyLastError, PolicyProblem, PolicyStatus, PullError, Pulling,
    WebhookProof,
};
pub use targets::{NamesError, Targets};

/// Whether a session goes on, and if not, how its recording was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It goes on.
    Live,
    /// It ended, and its recording is complete.
    Sealed,
    /// Its gateway died; the recording is complete up to then.
    Interrupted,
}

/// One session, live or recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The id, a version 7 UUID.
    pub id: String,
    /// Whether it goes on.
    pub state: SessionState,
    /// Who.
    pub principal: String,
    /// The key that all identities of that person share. Not told to anybody.
    #[serde(skip)]
    pub person: String,
    /// In which groups, when it began.
    pub groups: Vec<String>,
    /// While it goes on: the groups of which somebody had to watch it.
    #[serde(skip)]
    pub moderators: Vec<String>,
    /// To which target.
    pub target: String,
    /// The database, namespace or the like within the target.
    pub database: Option<String>,
    /// The target's protocol.
    pub protocol: String,
    /// The task.
    pub task: Option<String>,
    /// Where the client is.
    pub client_address: Option<String>,
    /// What the client says it is.
    pub client_tool: Option<String>,
    /// The name of the agents that log in to the target, unless the gateway itself does.
    pub agent: Option<String>,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// How long it lasted, in microseconds, if that is known.
    pub duration_micros: Option<u64>,
    /// How many commands it had, if that is known.
    pub commands: Option<u64>,
    /// The size of its recording in bytes, if that is known.
    pub bytes: Option<u64>,
    /// The digest of the policy when it began.
    pub policy_digest: String,
    /// The commit of the policy when it began.
    pub policy_commit: Option<String>,
}

/// The sessions that go on.
pub trait Sessions: Send + Sync {
    /// All of them.
    fn list(&self) -> Vec<Session>;

    /// One of them.
    fn get(&self, id: &str) -> Option<Session> {
        self.list().into_iter().find(|session| session.id == id)
    }

    /// Ends a session; its client is told `reason`. False when there is no such session.
    fn end(&self, id: &str, by: &str, reason: Option<&str>) -> bool;

    /// Somebody watches a session from now on, until what this gives is dropped. It may read files.
    ///
    /// # Errors
    /// When that cannot be.
    fn watch(
        &self,
        id: &str,
        watcher: Watcher,
        options: TranscriptOptions,
        from_now: bool,
    ) -> Result<Box<dyn Watching>, WatchError>;
}

/// Somebody who watches a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watcher {
    /// The principal.
    pub id: String,
    /// The groups for which their presence counts.
    pub groups: Vec<String>,
}

/// The transcript of a session that goes on.
pub trait Watching: Send {
    /// Gives the lines that came since the last call to `line`, until it breaks off; what belongs to the same event still
    /// comes. True when [`What::End`] was among them. It reads files; the API calls it where that hurts nobody.
    fn lines(&mut self, line: &mut dyn FnMut(Line) -> ControlFlow<()>) -> bool;

    /// Resolves when there are more.
    fn more(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Why a session cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It does not go on.
    #[error("the session is over")]
    Over,
    /// As many people watch it as may.
    #[error("too many people watch the session")]
    Crowded,
    /// Its recording cannot be read.
    #[error(transparent)]
    Unreadable(#[from] RecordingsError),
}

/// Which recorded sessions are wanted.
#[derive(Clone, Debug, Default)]
pub struct RecordingFilter {
    /// Only those of this principal.
    pub principal: Option<String>,
    /// Only those to this target.
    pub target: Option<String>,
    /// Only those that began before this one.
    pub before: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// How much of a transcript is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranscriptOptions {
    /// Whether the rows of results are wanted too.
    pub rows: bool,
}

/// One line of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Microseconds since the session began.
    pub at_micros: u64,
    /// The command that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What would have become of a command if the rules and targets that only observe were in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// `deny` or `hold`.
    pub outcome: String,
    /// The rules that would have made it so; none when no rule permits it.
    #[serde(default)]
    pub rules: Vec<String>,
    /// What the person would have been told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What happened in a session, in the order of the recording. Everything is as the client saw it, so masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// The first line: which session it is.
    Opened {
        /// It.
        session: Box<Session>,
    },
    /// A command arrived.
    Command {
        /// Its text.
        text: String,
        /// Its parameters in words.
        parameters: Vec<String>,
    },
    /// Policy decided.
    Decision {
        /// `allow`, `deny` or `hold`.
        outcome: String,
        /// The rules that made it so.
        rules: Vec<String>,
        /// What the first of them says.
        message: Option<String>,
        /// The digest of the policy.
        policy: Option<String>,
        /// The commit of the policy.
        commit: Option<String>,
        /// The request whose approval allowed it.
        request: Option<String>,
        /// What it would have been if what only observes were in force.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        observed: Option<Observed>,
    },
    /// The command waits for people.
    Hold {
        /// The request.
        request: String,
        /// Who is asked, in words.
        waits_for: Vec<String>,
    },
    /// The waiting ended.
    Review {
        /// `approved`, or what else.
        outcome: String,
        /// The request.
        request: Option<String>,
        /// Who approved.
        approved_by: Vec<String>,
        /// What the refusal said.
        message: Option<String>,
    },
    /// Data that the client sent within a command.
    Input {
        /// It, as text.
        text: String,
    },
    /// A line that was typed at a shell of the host's own, as far as it can be reconstructed. It proves nothing of what the
    /// shell ran.
    Typed {
        /// It, in words.
        text: String,
    },
    /// A result begins.
    Columns {
        /// The names of its columns.
        names: Vec<String>,
    },
    /// A row of a result. Only on request.
    Row {
        /// Its values; `None` is null.
        values: Vec<Option<String>>,
    },
    /// Something else that the client was told: a notice, an error, the end of a statement.
    Output {
        /// `notice`, `error`, `complete` or another word of the protocol's.
        name: String,
        /// The text.
        text: String,
    },
    /// A command is over.
    Ended {
        /// How, in words.
        how: String,
        /// How many rows its result had.
        rows: Option<u64>,
    },
    /// Something about the session itself.
    Notice {
        /// What.
        text: String,
    },
    /// The session is over.
    Closed {
        /// Why.
        reason: String,
    },
    /// The last line: without it, the transcript was cut off.
    End {
        /// How the recording was left.
        state: SessionState,
        /// The head of the recording's hash chain, in hexadecimal.
        root: Option<String>,
        /// What is wrong with the recording, if anything is.
        problem: Option<String>,
        /// Whether the journal has this root.
        #[serde(default)]
        journal: InJournal,
    },
}

/// What the journal has of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InJournal {
    /// The same root: the recording is what was sealed then.
    SameRoot,
    /// Another root: the recording was changed, or is another one.
    OtherRoot,
    /// Nothing: the recording is not sealed, or was not by a gateway that writes this journal.
    #[default]
    Nothing,
}

/// The recordings. The methods may read files; the API calls them where that hurts nobody.
pub trait Recordings: Send + Sync {
    /// The sessions that `filter` wants, newest first; live ones may be among them.
    ///
    /// # Errors
    /// When the recordings cannot be read.
    fn list(&self, filter: &RecordingFilter) -> Result<Vec<Session>, RecordingsError>;

    /// One session. `None` when there is no recording of it.
    ///
    /// # Errors
    /// When the recording cannot be read.
    fn get(&self, id: &str) -> Result<Option<Session>, RecordingsError>;

    /// Gives the lines of a session to `line` until it breaks off, ending with [`What::End`].
    ///
    /// # Errors
    /// When the recording cannot be opened. What is wrong later on is said in [`What::End`].
    fn transcript(
        &self,
        id: &str,
        options: TranscriptOptions,
        line: &mut dyn FnMut(Line) -> ControlFlow<()>,
    ) -> Result<(), RecordingsError>;

    /// Gives the commands of a period to `line` until it breaks off: each line a [`Past`] in JSON, ending with [`Past::End`].
    ///
    /// # Errors
    /// When the recordings cannot be listed. What is wrong with one of them is said in [`Past::Damaged`].
    fn history(&self, period: &Period, line: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), RecordingsError>;
}

/// Why recordings cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RecordingsError(pub String);

/// The gateway's SSH, as people use it.
pub trait Ssh: Send + Sync {
    /// How `principal` reaches hosts by way of this gateway; `None` when it has no SSH.
    fn describe(&self, principal: &Principal, source: IpAddr) -> Option<SshInfo>;
}

/// Whether the gateway does its work.
pub trait Health: Send + Sync {
    /// What is wrong, a short word each; empty when all is well. Anybody may ask, so no details.
    fn problems(&self) -> Vec<String>;

    /// What somebody should look at although all is well as yet, a short word each.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The metrics in Prometheus' text format.
pub trait Metrics: Send + Sync {
    /// All of them.
    fn render(&self) -> String;
}

impl<F: Fn() -> String + Send + Sync> Metrics for F {
    fn render(&self) -> String {
        self()
    }
}

impl<F: Fn() -> Vec<String> + Send + Sync> Health for F {
    fn problems(&self) -> Vec<String> {
        self()
    }
}
