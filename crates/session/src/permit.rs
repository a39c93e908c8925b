//! Proof that a command was decided and written down (invariants I1 and I2).

/// The right to send one command to the target.
///
/// INVARIANT: only [`crate::Gate`] mints one, after the decision and after the record of the command was handed to the
/// operating system. It is not `Clone`: one decision forwards one command.
#[derive(Debug)]
#[must_use = "a permit that is dropped forwards nothing"]
pub struct Permit {
    seq: u64,
}

impl Permit {
    pub(crate) fn mint(seq: u64) -> Self {
        Self { seq }
    }

    /// The number of the command within its session, from 1.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub(crate) fn spend(self) -> Spent {
        Spent { seq: self.seq }
    }
}

/// A permit whose command was forwarded: the right to send what continues that very command, such as the data of a
/// permitted COPY or the next rows of a permitted portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    seq: u64,
}

impl Spent {
    /// The number of the command within its session, from 1.
    #[must_use]
    pub fn seq(self) -> u64 {
        self.seq
    }
}
