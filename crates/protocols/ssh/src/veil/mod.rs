//! Masking beside the host (`mask_at = "agent"`): values that policy hides in what commands and shells say never leave
//! the host's network.
//!
//! The gateway says what is looked for and what runs on each channel, as it knows it anyway; the agent masks, with the same
//! code. Between the two stand messages of their own, of types that RFC 4250 (section 4.1.2) leaves to local extensions:
//!
//! - [`WORDS`]: what either says to the other, in JSON ([`Down`], [`Up`]).
//! - [`MASKED`]: what a host said on a channel, masked, and how long it was before, so that the windows of the channel stay
//!   what they are.
//!
//! Before the gateway has said what a channel is, the agent passes nothing that a host says there.

mod machine;
#[cfg(test)]
mod tests;

use bytes::{BufMut, BytesMut};
use sallyport_mask::{Detector, Strategy};
use sallyport_ssh_transport::wire::Reader;
use serde::{Deserialize, Serialize};

pub(crate) use machine::{Veil, VeilError};

/// The type of messages between the two about themselves.
pub(crate) const WORDS: u8 = 192;
/// The type of messages with what a host said, masked.
pub(crate) const MASKED: u8 = 193;

/// What the gateway says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Down {
    /// What holds for everything that the host says from now on.
    Standing(Standing),
    /// What is about to begin on a channel.
    Channel {
        /// The gateway's number of it.
        number: u32,
        /// The host's number, if it is known by then: what is sent there is what somebody types.
        theirs: Option<u32>,
        /// What it is.
        kind: Kind,
    },
    /// The terminal on a channel has so many columns.
    Columns {
        /// The gateway's number of the channel.
        number: u32,
        /// How many; 0 if nobody knows.
        columns: u32,
    },
}

/// What holds for everything that a host says to one person under one policy.
#[derive(Serialize, Deserialize)]
pub(crate) struct Standing {
    /// What is looked for, and what replaces it.
    pub(crate) detectors: Vec<(Detector, Strategy)>,
    /// Instead of it while a full-screen program draws, if policy makes a difference of that.
    pub(crate) full_screen: Option<Vec<(Detector, Strategy)>>,
    /// What makes keyed masks stable: a key for the agents of this name alone.
    pub(crate) key: Vec<u8>,
}

/// What is said on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Text.
    Text,
    /// What a terminal of so many columns shows: what a person types comes back at once.
    Terminal {
        /// How many; 0 if nobody knows.
        columns: u32,
    },
    /// Data, which masks would break.
    Data,
    /// Data, and words for people beside it on the standard error.
    DataAndWords,
}

/// What the agent says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Up {
    /// It masks. The first message of a flow, so that no agent that does not is taken for one that does.
    Veiled,
    /// A full-screen program began or ended to draw under masks of its own.
    Turn {
        /// The gateway's number of the channel.
        number: u32,
        /// It began.
        on: bool,
    },
}

/// What a host said on a channel, masked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Masked<'a> {
    /// The gateway's number of the channel.
    pub(crate) channel: u32,
    /// 0 for the standard output, 1 for the standard error.
    pub(crate) stream: u32,
    /// How many bytes of the host's it stands for.
    pub(crate) raw: u32,
    /// What can be shown of them, and of those before.
    pub(crate) data: &'a [u8],
}

impl<'a> Masked<'a> {
    /// All but the data, which follows.
    pub(crate) fn head(&self) -> [u8; 13] {
        let mut head = [MASKED; 13];
        let numbers = [self.channel, self.stream, self.raw];
        for (place, number) in head
            .iter_mut()
            .skip(1)
            .zip(numbers.iter().flat_map(|number| number.to_be_bytes()))
        {
            *place = number;
        }
        head
    }

    /// Reads a payload of its type.
    pub(crate) fn read(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(payload.get(1..)?);
        Some(Self {
            channel: reader.u32().ok()?,
            stream: reader.u32().ok()?,
            raw: reader.u32().ok()?,
            data: reader.rest(),
        })
    }
}

/// The payload of a message of words.
pub(crate) fn words(said: &impl Serialize) -> BytesMut {
    let mut payload = BytesMut::new();
    payload.put_u8(WORDS);
    // Strings, numbers and lists: there is nothing in them that JSON cannot say.
    payload.put_slice(&serde_json::to_vec(said).unwrap_or_default());
    payload
}
