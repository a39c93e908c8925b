//! What a held command would do, for the people who decide about it.

use crate::hold::{Asking, Waiting};

/// What the target expects of a held command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// The target's plan, as text.
    pub plan: String,
    /// How many rows it expects to return or change.
    pub rows: Option<u64>,
}

/// Asks a target, beside the session, what a held command would do. Nothing of the command may run by it: no row is
/// read for the client or changed, and no code of the target's users is called.
pub trait Impact: std::fmt::Debug + Send + Sync {
    /// `None` when this command's impact cannot be asked for safely; the future gives `None` when the target does not
    /// say. It ends within seconds.
    fn estimate(&self, asking: &Asking) -> Option<Waiting<Option<Estimate>>>;
}
