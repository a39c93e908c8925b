//! Who writes down what was done about agents.

use time::OffsetDateTime;
use uuid::Uuid;

use super::messages::HostDescription;

/// Something that was done, or is about to be.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum AgentAct<'a> {
    /// A join token is made.
    TokenIssued {
        /// Its id.
        id: &'a str,
        /// The agent that may join with it.
        agent: &'a str,
        /// Who asked for it.
        by: &'a str,
        /// When it ends.
        expires: OffsetDateTime,
    },
    /// A join token was revoked.
    TokenRevoked {
        /// Its id.
        id: &'a str,
        /// The agent that could have joined with it.
        agent: &'a str,
        /// Who revoked it.
        by: &'a str,
    },
    /// An instance joins.
    Joined {
        /// The agent's name.
        name: &'a str,
        /// The new instance.
        instance: Uuid,
        /// How it joins.
        method: &'a str,
        /// What its proof said.
        proof: &'a serde_json::Value,
        /// What it said of its machine.
        host: &'a HostDescription,
        /// When its certificate ends.
        expires: OffsetDateTime,
    },
    /// An instance gets a new certificate.
    Renewed {
        /// The agent's name.
        name: &'a str,
        /// The instance.
        instance: Uuid,
        /// When the new certificate ends.
        expires: OffsetDateTime,
    },
    /// Instances were revoked: one, or all of a name.
    Revoked {
        /// The agent's name.
        name: &'a str,
        /// The instances.
        instances: &'a [Uuid],
        /// Ids of the join tokens that were revoked with the name.
        tokens: &'a [String],
        /// Who revoked them.
        by: &'a str,
    },
    /// A machine may join once more.
    MachineForgotten {
        /// The machine as the proof of its agent named it.
        machine: &'a str,
        /// Who allowed it.
        by: &'a str,
    },
}

/// Writes down what is done about agents.
pub trait AgentWitness: Send + Sync + std::fmt::Debug {
    /// Writes it down; it may write to a disk. What gives power and cannot be written down does not happen. What takes
    /// power away happens all the same, and whoever asked for it is told.
    ///
    /// # Errors
    /// When it could not be written.
    fn witness(&self, act: &AgentAct<'_>) -> Result<(), String>;
}
