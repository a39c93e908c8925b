//! The policy in force, those that were, and where they come from.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The policy in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// The digest of the bundle.
    pub digest: String,
    /// Its commit, when it comes from a git repository.
    pub commit: Option<String>,
    /// How many bundles have been in force since the start.
    pub generation: u64,
    /// Why the newest version is not in force, if so.
    pub error: Option<String>,
    /// Where it comes from: a directory, or `git+https://host/repo#branch`.
    #[serde(default)]
    pub source: String,
    /// The branch that is followed, if one is.
    #[serde(default)]
    pub branch: Option<String>,
    /// When the bundle came into force here; after a start, when the gateway started.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub loaded: Option<OffsetDateTime>,
    /// When the git host last answered.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub fetched: Option<OffsetDateTime>,
    /// When the commit in force was made, as it says itself.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub committed: Option<OffsetDateTime>,
    /// The same as `error`, in parts.
    #[serde(default)]
    pub last_error: Option<PolicyLastError>,
}

/// Why the newest version is not in force, or is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyLastError {
    /// A word: `invalid`, `signature`, `rewind`, `content`, `keep`, `unreachable`, `branch`, `fetch`, `program`.
    pub kind: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// The commit that it is about.
    pub commit: Option<String>,
    /// What is wrong, in words.
    pub message: String,
    /// What is wrong with the bundle.
    pub problems: Vec<PolicyProblem>,
}

/// One thing that is wrong in one file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyProblem {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A bundle came into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleLoaded {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Its digest.
    pub digest: String,
    /// Its commit.
    pub commit: Option<String>,
    /// Where it came from.
    pub source: String,
}

/// A bundle that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleFiles {
    /// Its whole digest, which its files have.
    pub digest: String,
    /// When it came into force, newest first, as far back as the gateway looks.
    pub loaded: Vec<BundleLoaded>,
    /// The texts of its files, by path.
    pub files: BTreeMap<String, String>,
}

/// Why bundles that were in force cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum BundlesError {
    /// No bundle has such a digest, or several have.
    #[error("{0}")]
    NotFound(String),
    /// That is no digest.
    #[error("{0}")]
    NoDigest(String),
    /// They cannot be read, or are damaged.
    #[error("{0}")]
    Unreadable(String),
}

/// Why the newest policy is not in force after all.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PullError(pub String);

/// A look for a newer policy.
pub type Pulling = Pin<Box<dyn Future<Output = Result<(), PullError>> + Send>>;

/// What a message of a git host shows to prove where it comes from.
#[derive(Clone, Copy, Debug)]
pub enum WebhookProof<'a> {
    /// `X-Hub-Signature-256`.
    Signature(&'a str),
    /// `X-Gitlab-Token`.
    Token(&'a str),
}

/// Where the policy is known.
pub trait Policy: Send + Sync {
    /// The policy in force.
    fn status(&self) -> PolicyStatus;

    /// Looks for a newer one, now.
    fn pull(&self) -> Pulling;

    /// Whether a message of a git host with this proof is worth being read: what proves nothing before it is read is turned
    /// away before.
    fn awaits(&self, proof: WebhookProof<'_>) -> bool;

    /// A git host says that something has changed. Whether its word was taken.
    fn webhook(&self, proof: WebhookProof<'_>, body: &[u8]) -> bool;

    /// The last times that bundles came into force, newest first. It may read files.
    ///
    /// # Errors
    /// When they cannot be read.
    fn bundles(&self, limit: usize) -> Result<Vec<BundleLoaded>, BundlesError>;

    /// The one bundle that was in force whose digest begins with `prefix`. It may read files.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    fn bundle(&self, prefix: &str) -> Result<BundleFiles, BundlesError>;
}
