//! Who writes the acts down.

use serde::Serialize;
use time::OffsetDateTime;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActKind {
    /// A command was held and people are asked.
    Requested,
    /// The same command came again, and its client waits again.
    Resumed,
    /// The client stopped waiting; the request can still be decided.
    TimedOut,
    /// One person approved; others are still missing.
    Approved,
    /// The last approval came: there is a grant.
    Granted,
    /// The grant was used.
    Used,
    /// A reviewer said no.
    Denied,
    /// The person who asked, or their connection, went away.
    Withdrawn,
    /// Time ran out.
    Expired,
}

impl ActKind {
    /// The word in journals and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Resumed => "resumed",
            Self::TimedOut => "timed_out",
            Self::Approved => "approved",
            Self::Granted => "granted",
            Self::Used => "used",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }
}

/// One act about a request. It has no statement and no values: the recording has those.
#[derive(Clone, Debug, Serialize)]
pub struct Act {
    /// What was done.
    pub kind: ActKind,
    /// The request.
    pub request: String,
    /// The session whose command it is.
    pub session: String,
    /// Who asked.
    pub principal: String,
    /// The target.
    pub target: String,
    /// The task.
    pub task: Option<String>,
    /// The command's digest, in hexadecimal.
    pub digest: String,
    /// The digest of the policy that held it.
    pub policy_digest: String,
    /// Who acted; `None`: the gateway.
    pub by: Option<String>,
    /// What they wrote.
    pub reason: Option<String>,
    /// The groups that have all their approvals, once there is a grant.
    pub groups: Vec<String>,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// Takes acts down, before they take effect.
pub trait Witness: Send + Sync {
    /// Writes `act` down. An error means that the act must not happen.
    ///
    /// # Errors
    /// When it could not be written.
    fn witness(&self, act: &Act) -> Result<(), WitnessError>;
}

/// Why an act could not be written down.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WitnessError(pub String);

/// Writes nothing down: for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWitness;

impl Witness for NoWitness {
    fn witness(&self, _: &Act) -> Result<(), WitnessError> {
        Ok(())
    }
}
