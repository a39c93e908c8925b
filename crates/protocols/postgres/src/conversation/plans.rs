//! How results are masked, remembered: a statement that runs again with the same columns is masked the same way.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use sallyport_sql::Facts;

use super::results::{Column, Masking};

/// Results that are remembered at once; beyond it the memory starts afresh.
const REMEMBERED: usize = 256;

/// A result: the facts of its command, and which of the command's statements it is of. Not the shape: the statements inside
/// several `PREPARE`s of one text share that of the text.
#[derive(Debug, Clone)]
pub(super) struct ResultOf {
    pub(super) facts: Arc<Facts>,
    pub(super) statement: usize,
}

impl ResultOf {
    /// Facts are known by their address, which is theirs as long as somebody keeps them.
    fn key(&self) -> (usize, usize) {
        (Arc::as_ptr(&self.facts).addr(), self.statement)
    }
}

/// The maskers of results that are not being read, made under one policy and one view of the names.
#[derive(Debug, Default)]
pub(super) struct Plans {
    known: FxHashMap<(usize, usize), Plan>,
}

#[derive(Debug)]
struct Plan {
    /// INVARIANT: those of the key, so that no others can have their address.
    _facts: Arc<Facts>,
    columns: Vec<Column>,
    /// `Undecided` while it is in use.
    masking: Masking,
}

impl Plans {
    /// The masker of a result with these columns, or what `make` makes. It comes back with [`Plans::give_back`].
    pub(super) fn take(&mut self, of: &ResultOf, columns: &[Column], make: impl FnOnce() -> Masking) -> Masking {
        if let Some(plan) = self.known.get_mut(&of.key())
            && plan.columns == columns
            && !matches!(plan.masking, Masking::Undecided)
        {
            return std::mem::replace(&mut plan.masking, Masking::Undecided);
        }
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let plan = Plan {
            columns: columns.to_vec(),
            masking: Masking::Undecided,
            _facts: Arc::clone(&of.facts),
        };
        self.known.insert(of.key(), plan);
        make()
    }

    /// The result has been read.
    pub(super) fn give_back(&mut self, of: &ResultOf, used: Masking) {
        match used {
            Masking::Clear | Masking::Rows(_) => {
                if let Some(plan) = self.known.get_mut(&of.key()) {
                    plan.masking = used;
                }
            }
            Masking::Undecided | Masking::Copy(_) => {}
        }
    }

    /// Policy or names changed.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}
