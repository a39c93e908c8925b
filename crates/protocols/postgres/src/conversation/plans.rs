//! How results are masked, remembered: a statement that runs again with the same columns is masked the same way.

use std::collections::HashMap;

use super::results::{Column, Masking};

/// Results that are remembered at once; beyond it the memory starts afresh.
const REMEMBERED: usize = 256;

/// A result: the shape of its command, and which of the command's statements it is of.
pub(super) type ResultOf = (u64, usize);

/// The maskers of results that are not being read, made under one policy and one view of the names.
#[derive(Debug, Default)]
pub(super) struct Plans {
    known: HashMap<ResultOf, Plan>,
}

#[derive(Debug)]
struct Plan {
    columns: Vec<Column>,
    /// `Undecided` while it is in use.
    masking: Masking,
}

impl Plans {
    /// The masker of a result with these columns, or what `make` makes. It comes back with [`Plans::give_back`].
    pub(super) fn take(&mut self, of: ResultOf, columns: &[Column], make: impl FnOnce() -> Masking) -> Masking {
        if let Some(plan) = self.known.get_mut(&of)
            && plan.columns == columns
            && !matches!(plan.masking, Masking::Undecided)
        {
            return std::mem::replace(&mut plan.masking, Masking::Undecided);
        }
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let columns = columns.to_vec();
        let masking = Masking::Undecided;
        self.known.insert(of, Plan { columns, masking });
        make()
    }

    /// The result has been read.
    pub(super) fn give_back(&mut self, of: ResultOf, used: Masking) {
        match used {
            Masking::Clear | Masking::Rows(_) => {
                if let Some(plan) = self.known.get_mut(&of) {
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
