//! Why an act was refused.

use sallyport_store::StoreError;
use sallyport_store::requests::RequestState;

use crate::witness::WitnessError;

/// Why a request could not be made or decided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewError {
    /// The rule that holds the command names nobody who could approve it.
    #[error("the rule that holds this command names nobody who could approve it")]
    NobodyToAsk,
    /// The rule asks for more approvals than can be collected.
    #[error("the rule that holds this command asks for {0} approvals; at most {max} can be collected", max = crate::needs::MAX_APPROVALS)]
    TooManyApprovals(u64),
    /// The principal has too many open requests.
    #[error("`{principal}` has {limit} open requests already; withdraw one or wait for reviewers")]
    TooManyOfYours {
        /// The principal.
        principal: String,
        /// The most that one principal may have.
        limit: u32,
    },
    /// There are too many open requests.
    #[error("there are {limit} open requests already; wait for reviewers")]
    TooMany {
        /// The most that there may be.
        limit: u32,
    },
    /// There is no such request, or it is not for the reader's eyes.
    #[error("there is no request `{0}` that you may see")]
    NotFound(String),
    /// The reviewer asked for it themselves (invariant I5).
    #[error("`{reviewer}` asked for `{id}`, and nobody decides about their own request")]
    OwnRequest {
        /// The request.
        id: String,
        /// The identity that tried.
        reviewer: String,
    },
    /// The reviewer is in none of the groups that are asked.
    #[error("`{id}` waits for {groups}, and `{reviewer}` is in none of them")]
    NotAReviewer {
        /// The request.
        id: String,
        /// The identity that tried.
        reviewer: String,
        /// The groups that are asked.
        groups: String,
    },
    /// A machine identity cannot review.
    #[error("`{0}` is a machine identity, and only people review")]
    NotAPerson(String),
    /// The person has approved already.
    #[error(
        "`{reviewer}` or another identity of the same person has approved `{id}` already; it still waits for {missing}"
    )]
    AlreadyApproved {
        /// The request.
        id: String,
        /// The identity that tried.
        reviewer: String,
        /// What is still missing.
        missing: String,
    },
    /// The groups of this reviewer have approved; others are missing.
    #[error("the groups of `{reviewer}` have approved `{id}` already; it still waits for {missing}")]
    NotNeeded {
        /// The request.
        id: String,
        /// The identity that tried.
        reviewer: String,
        /// What is still missing.
        missing: String,
    },
    /// It waits for somebody of this reviewer's groups to watch, not for an approval of theirs.
    #[error("`{id}` goes on when you watch it: `sallyport sessions watch {session}`")]
    ToBeWatched {
        /// The request.
        id: String,
        /// The session that must be watched.
        session: String,
    },
    /// Only who asked can withdraw.
    #[error("only who asked for `{0}` can withdraw it")]
    NotYours(String),
    /// It is too late.
    #[error("`{id}` is {state} already")]
    Over {
        /// The request.
        id: String,
        /// Where it stands.
        state: RequestState,
    },
    /// The reason is too long.
    #[error("the reason has {length} bytes; at most {max} are kept", max = crate::request::MAX_REASON_BYTES)]
    ReasonTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The act could not be witnessed, so it did not happen.
    #[error("the act could not be written to the journal, so it did not happen: {0}")]
    Witness(#[from] WitnessError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored request cannot be read.
    #[error("the stored request `{id}` cannot be read: {source}")]
    Unreadable {
        /// The request.
        id: String,
        /// Why.
        source: serde_json::Error,
    },
    /// No free identifier was found.
    #[error("no free identifier for the request was found")]
    NoFreeId,
}
