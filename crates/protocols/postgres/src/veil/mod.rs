//! Masking beside the target (`mask_at = "agent"`): values that policy hides never leave the target's network.
//!
//! The gateway decides how each result is masked, as ever; the agent applies it, with the same code. Between the two
//! stand messages of their own within the stream, of a type that PostgreSQL does not have:
//!
//! - The gateway says what detectors look for and whether columns are hidden ([`Down::Standing`]), before anything
//!   else and whenever it changes, and how a result is masked ([`Down::Plan`]) once it knows the result's columns.
//! - The agent holds rows, COPY data and function results back until it has the plan of their result, and asks for it
//!   ([`Up::Ask`]): of results that are not described on their way the gateway would not know that they begin.
//!
//! - It says how much it has read and passed on ([`Up::Taken`]), and the gateway has only so much on its way.
//!
//! Both sides count the target's messages, rows and COPY data apart, so that a plan is never taken for another result
//! than it was made for. Errors, notices, notifications and settings are cleaned by detectors; where columns are
//! hidden, they lose everything that could be a value, as the agent knows no names.

mod drive;
mod machine;
mod plan;
#[cfg(test)]
mod tests;

use bytes::{BufMut, BytesMut};
use sallyport_mask::{Detector, Strategy};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use drive::carry;
pub(crate) use machine::{Veil, VeilError};
pub(crate) use plan::{Columns, Plan};

/// The type of the messages between gateway and agent.
pub(crate) const TYPE: u8 = 0xfe;
/// The longest of them, in bytes.
pub(crate) const MAX: usize = 4 << 20;
/// Bytes of a client that may be on their way to a target. An agent that waits for a plan reads all that the gateway says
/// even while the target takes nothing, for the plan stands behind it; so it is the gateway that stops.
pub(crate) const MAX_ON_THE_WAY: u64 = 1 << 20;
/// After so many bytes the agent says how far it is.
const REPORT: u64 = MAX_ON_THE_WAY / 8;
/// Bytes of the gateway's own that may wait for an agent that does not read.
pub(crate) const MAX_UNREAD: usize = 16 << 20;

/// What the gateway says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Down {
    /// What holds for everything that the target says from now on.
    Standing(Standing),
    /// How a result is masked.
    Plan {
        /// How many messages of the target the gateway had read, rows and COPY data apart.
        at: u64,
        /// How.
        plan: Plan,
    },
}

/// What holds for everything that a target says to one person under one policy.
#[derive(Serialize, Deserialize)]
pub(crate) struct Standing {
    /// What is looked for, and what replaces it.
    pub(crate) detectors: Vec<(Detector, Strategy)>,
    /// What makes keyed masks stable: a key for the agents of this name alone.
    pub(crate) key: Vec<u8>,
    /// Whether a column of the target is hidden from this person.
    pub(crate) hides_columns: bool,
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standing")
            .field("detectors", &self.detectors)
            .field("hides_columns", &self.hides_columns)
            .finish_non_exhaustive()
    }
}

/// What the agent says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Up {
    /// It masks. The first message of a flow, so that no agent that does not is taken for one that does.
    Veiled,
    /// A result begins whose plan has not come.
    Ask,
    /// So many bytes of the gateway have been read, and given to the target as far as they were for it.
    Taken {
        /// How many, since the flow began.
        bytes: u64,
    },
    /// Something cannot be masked, so nothing more comes.
    Failed {
        /// Why, without values.
        why: String,
    },
}

/// Appends a message.
pub(crate) fn encode(message: &impl Serialize, out: &mut BytesMut) {
    // Strings, numbers and lists: there is nothing in them that JSON cannot say.
    let body = serde_json::to_vec(message).unwrap_or_default();
    out.put_u8(TYPE);
    out.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
    out.put_slice(&body);
}

/// The message that `buf` begins with: its length, and what it says, when all of it is there.
///
/// # Errors
/// When it is longer than any, or makes no sense.
pub(crate) fn decode<T: DeserializeOwned>(buf: &[u8]) -> Result<Option<(usize, T)>, VeilError> {
    let Some(len) = buf.get(1..5).and_then(|len| len.first_chunk::<4>()) else {
        return Ok(None);
    };
    let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
    if !(4..=MAX).contains(&len) {
        return Err(VeilError::Nonsense);
    }
    let Some(body) = buf.get(5..len + 1) else {
        return Ok(None);
    };
    let message = serde_json::from_slice(body).map_err(|_| VeilError::Nonsense)?;
    Ok(Some((len + 1, message)))
}
