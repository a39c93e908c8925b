//! What is written down of administrative acts.

use std::net::IpAddr;

use serde::Serialize;

/// An administrative act that the API does for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What.
    pub act: Act,
    /// Who did or tried it: the principal, or the name that was claimed.
    pub actor: String,
    /// From where.
    pub source: IpAddr,
}

/// What is done by way of the API and must be written down (invariant I9). Approvals have their own witness, see
/// [`sallyport_review::Witness`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Somebody logged in.
    Login {
        /// `password`, `oidc` or `device`.
        method: &'static str,
    },
    /// Somebody tried to.
    LoginFailed {
        /// `password`, `oidc` or `device`.
        method: &'static str,
        /// Why it failed.
        reason: String,
    },
    /// Somebody logged out.
    Logout,
    /// A token for targets was issued.
    TokenIssued {
        /// Its name.
        token: String,
        /// The one target that it opens.
        target: Option<String>,
    },
    /// A token was revoked.
    TokenRevoked {
        /// Its name.
        token: String,
    },
    /// An SSH certificate was issued, which is a token too.
    SshCertificateIssued {
        /// The token's name.
        token: String,
    },
    /// An SSH key was registered.
    SshKeyAdded {
        /// Its fingerprint.
        fingerprint: String,
        /// What its owner calls it.
        name: String,
    },
    /// A registered SSH key was removed.
    SshKeyRemoved {
        /// Its id.
        key: String,
    },
    /// A session was ended by somebody.
    SessionEnded {
        /// The session.
        session: String,
        /// Why.
        reason: Option<String>,
    },
    /// Somebody made the gateway look for a newer policy.
    PolicyPulled,
    /// Somebody began to watch a session.
    Watched {
        /// The session.
        session: String,
        /// Whether with the rows of its results.
        rows: bool,
    },
    /// The commands of a period were read, to be decided again.
    HistoryRead {
        /// From when on.
        since: String,
        /// Until when.
        until: Option<String>,
        /// Whose.
        principal: Option<String>,
        /// On which target.
        target: Option<String>,
    },
    /// The names at a target were read there.
    NamesRead {
        /// The target.
        target: String,
    },
    /// A recording was replayed.
    Replayed {
        /// The session.
        session: String,
        /// Whether with the rows of its results.
        rows: bool,
    },
}

impl Act {
    /// The word for it in a journal: `login`, `token.issue` …
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Login { .. } => "login",
            Self::LoginFailed { .. } => "login.failed",
            Self::Logout => "logout",
            Self::TokenIssued { .. } => "token.issue",
            Self::TokenRevoked { .. } => "token.revoke",
            Self::SshCertificateIssued { .. } => "ssh.certificate",
            Self::SshKeyAdded { .. } => "ssh.key.add",
            Self::SshKeyRemoved { .. } => "ssh.key.remove",
            Self::SessionEnded { .. } => "session.end",
            Self::PolicyPulled => "policy.pull",
            Self::Watched { .. } => "session.watch",
            Self::Replayed { .. } => "recording.replay",
            Self::NamesRead { .. } => "names.read",
            Self::HistoryRead { .. } => "history.read",
        }
    }
}

/// Takes administrative acts down.
pub trait Journal: Send + Sync {
    /// Writes `entry` down. It may write to a disk. What cannot be written down must not happen.
    ///
    /// # Errors
    /// When it could not be written.
    fn record(&self, entry: &Entry) -> Result<(), JournalError>;
}

/// Why an act could not be written down.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JournalError(pub String);
