//! What understanding one text may cost.
//!
//! A text of a megabyte can ask for far more than a megabyte: stars of stars double the columns at each
//! level, and a table expression is copied wherever it is named. So whatever is made or looked through is
//! charged here, before it is made; when nothing is left, the text counts as not understood.

use std::cell::Cell;

use crate::parse::SyntaxError;

/// The most columns that the server lets one query have: `MaxTupleAttributeNumber`.
pub(crate) const MAX_TARGETS: usize = 1664;

/// What may be spent on one text. A unit is about 100 bytes kept, or 100 nanoseconds: the parser's limit on
/// the length of texts leaves every flat text well below this.
const UNITS: usize = 1_500_000;

/// Columns that are compared in the time of one unit.
const COMPARED_PER_UNIT: usize = 16;

/// Why a text is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Excess {
    /// A query has more columns than any server lets it have.
    Targets,
    /// All of it together is too much.
    Work,
}

/// What is left to spend.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<usize>,
    excess: Cell<Option<Excess>>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            left: Cell::new(UNITS),
            excess: Cell::new(None),
        }
    }
}

impl Budget {
    /// Spends `units`. False when that was too much, now or before: then nothing more is to be made.
    pub(crate) fn spend(&self, units: usize) -> bool {
        let left = self.left.get().checked_sub(units);
        self.left.set(left.unwrap_or(0));
        if left.is_none() {
            self.exceed(Excess::Work);
        }
        self.excess.get().is_none()
    }

    /// Spends what making these columns costs.
    pub(crate) fn make(&self, columns: usize) -> bool {
        self.spend(columns.saturating_mul(2))
    }

    /// Spends what comparing a name with these many others costs.
    pub(crate) fn compare(&self, names: usize) -> bool {
        self.spend(names / COMPARED_PER_UNIT)
    }

    /// Whether a query may have these many columns.
    pub(crate) fn targets(&self, count: usize) -> bool {
        if count > MAX_TARGETS {
            self.exceed(Excess::Targets);
        }
        self.excess.get().is_none()
    }

    fn exceed(&self, excess: Excess) {
        if self.excess.get().is_none() {
            self.excess.set(Some(excess));
        }
        self.left.set(0);
    }

    /// Whether nothing may be made any more.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.excess.get().is_some()
    }

    /// Nothing that was found holds, if it cost too much.
    pub(crate) fn settle(&self) -> Result<(), SyntaxError> {
        let message = match self.excess.get() {
            None => return Ok(()),
            Some(Excess::Targets) => {
                format!("this statement is too large to understand: a query may have {MAX_TARGETS} columns at most")
            }
            Some(Excess::Work) => {
                "this statement is too large to understand: its columns come from too many others".to_owned()
            }
        };
        Err(SyntaxError {
            message,
            position: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_too_much_once_stays_too_much() {
        let budget = Budget::default();
        assert!(budget.spend(UNITS) && budget.spend(0));
        assert!(!budget.spend(1) && !budget.spend(0));
        assert!(budget.is_exceeded() && budget.settle().is_err());
    }

    #[test]
    fn a_query_may_have_as_many_columns_as_the_server_allows() {
        let budget = Budget::default();
        assert!(budget.targets(MAX_TARGETS) && budget.settle().is_ok());
        assert!(!budget.targets(MAX_TARGETS + 1));
        let refusal = budget.settle().map_err(|e| e.message);
        assert!(refusal.is_err_and(|message| message.contains("1664")));
    }
}
