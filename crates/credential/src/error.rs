//! Why a secret could not be had. Nothing here ever says what was found, or what a service answered.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use crate::SecretKind;

/// A secret could not be had. It is never replaced by an older one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("cannot read the {kind} file `{}`: {source}", .path.display())]
    File {
        /// What should be in it.
        kind: SecretKind,
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The file's first line is empty, or it is too long or not text.
    #[error("the {kind} file `{}` holds no {kind} in its first line", .path.display())]
    Content {
        /// What should be in it.
        kind: SecretKind,
        /// The file.
        path: PathBuf,
    },
    /// The variable is not set, or is not text.
    #[error("the environment variable `{name}` holds no {kind}")]
    Environment {
        /// What should be in it.
        kind: SecretKind,
        /// Its name.
        name: String,
    },
    /// The command gave nothing.
    #[error("the command `{}` gave no {kind}: {fault}", .program.display())]
    Command {
        /// What it should have given.
        kind: SecretKind,
        /// What was run, without its arguments.
        program: PathBuf,
        /// What went wrong.
        fault: CommandFault,
    },
    /// A service did not give what was asked of it.
    #[error("{service}: {fault}")]
    Service {
        /// Which one, and where.
        service: Arc<str>,
        /// What went wrong.
        fault: ServiceFault,
    },
    /// What was found cannot be used.
    #[error("{place} holds no usable {kind}: {why}")]
    Unfit {
        /// What it should have been.
        kind: SecretKind,
        /// Where it was found.
        place: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What a login at a store needs is not there.
    #[error("{store} cannot be logged in to: {why}")]
    Login {
        /// The store.
        store: String,
        /// What is missing.
        why: String,
    },
    /// The source cannot be used as it is written, or not for this.
    #[error("{0}")]
    Setting(String),
}

/// What went wrong with a command. Its standard error is not read, since programs write secrets there, too.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandFault {
    /// It could not be started.
    #[error("it cannot be started: {0}")]
    Start(Arc<io::Error>),
    /// Its output cannot be read.
    #[error("its output cannot be read: {0}")]
    Read(Arc<io::Error>),
    /// It did not end in time, and was killed.
    #[error("it did not end within {} s and was killed", .0.as_secs_f32())]
    Slow(Duration),
    /// It ended with an error.
    #[error("it ended with {0} (run it by hand to see what it says)")]
    Status(String),
    /// It said too much.
    #[error("it wrote more than {0} bytes")]
    Long(usize),
    /// It said nothing that can be used.
    #[error("its standard output is empty or not text")]
    Empty,
}

/// What went wrong with a service.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceFault {
    /// No connection, or it broke.
    #[error("cannot be reached for {doing}: {why}")]
    Unreachable {
        /// What was asked for.
        doing: &'static str,
        /// What the connection said.
        why: String,
    },
    /// No answer in time.
    #[error("did not answer {doing} within {} s", .within.as_secs_f32())]
    Slow {
        /// What was asked for.
        doing: &'static str,
        /// How long was waited.
        within: Duration,
    },
    /// The answer is larger than any good one.
    #[error("answers {doing} with more than {most} bytes")]
    Long {
        /// What was asked for.
        doing: &'static str,
        /// The bound.
        most: usize,
    },
    /// It sends us elsewhere.
    #[error("answers {doing} with a redirect, which is not followed: write the address that answers itself")]
    Redirect {
        /// What was asked for.
        doing: &'static str,
    },
    /// It says no.
    #[error("refuses {doing} (HTTP {status}): {advice}")]
    Refused {
        /// What was asked for.
        doing: &'static str,
        /// The status.
        status: u16,
        /// What to do about it.
        advice: &'static str,
    },
    /// The answer is not what it should be.
    #[error("gives an answer to {doing} that is not understood: {why}")]
    NotUnderstood {
        /// What was asked for.
        doing: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file with its authorities cannot be used.
    #[error("the authorities in `{}` cannot be used: {why}", .path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl CredentialError {
    /// The HTTP status of a refusal.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Service {
                fault: ServiceFault::Refused { status, .. },
                ..
            } => Some(*status),
            Self::Service { .. }
            | Self::File { .. }
            | Self::Content { .. }
            | Self::Environment { .. }
            | Self::Command { .. }
            | Self::Unfit { .. }
            | Self::Login { .. }
            | Self::Setting(_) => None,
        }
    }
}
