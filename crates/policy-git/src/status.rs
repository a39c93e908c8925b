//! What is known of the branch, and who is told.

use time::OffsetDateTime;

use crate::trouble::Trouble;

/// What is known of the branch.
#[derive(Debug, Clone)]
pub struct Status {
    /// The whole address in one line.
    pub source: String,
    /// The branch.
    pub branch: String,
    /// The folder within the repository.
    pub path: Option<String>,
    /// When the host last answered.
    pub fetched: Option<OffsetDateTime>,
    /// When the commit in force was made, as it says itself.
    pub committed: OffsetDateTime,
    /// Why the newest commit is not in force, or not known; and since when.
    pub trouble: Option<(OffsetDateTime, Trouble)>,
}

/// What changed, once a change and not once a look.
#[derive(Debug, Clone)]
pub enum Event {
    /// A commit was refused; the bundle before goes on.
    Refused(Trouble),
    /// The branch's newest commit cannot be had.
    Failed(Trouble),
    /// The trouble is over.
    Recovered {
        /// The commit that is in force.
        commit: String,
    },
}
