//! What can be wrong with a recording, by name.

use serde::Serialize;
use thiserror::Error;
use uuid::Uuid;

/// A finding that no crash explains: the file is not what the recorder wrote.
///
/// A file that merely stops early is not damage; see [`crate::Ending::Unsealed`].
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize)]
#[serde(rename_all = "snake_case", tag = "damage")]
pub enum Damage {
    /// The first bytes are not those of a recording or journal, or there are too few.
    #[error("the file does not begin as a recording does")]
    NotARecording,
    /// A version that this program does not read.
    #[error("the recording has format version {version}, which this program does not know")]
    Version {
        /// The version that the file names.
        version: u16,
    },
    /// The data key does not unwrap: another master key, or an altered preamble.
    #[error("the recording's key does not open: it belongs to another master key, or the preamble was altered")]
    Key,
    /// The file is the recording of another session: it was renamed or put in the place of another.
    #[error("this is the recording of session `{found}`")]
    OtherSession {
        /// The session that the file is about.
        found: Uuid,
    },
    /// A frame's fixed header contradicts itself.
    #[error("the frame header at byte {offset} was altered")]
    FrameHeader {
        /// Byte offset of the frame in the file.
        offset: u64,
    },
    /// A frame is missing, repeated or moved.
    #[error(
        "frame {expected} was expected at byte {offset} but frame {found} is there: frames were removed, repeated or moved"
    )]
    Sequence {
        /// Byte offset of the frame in the file.
        offset: u64,
        /// The frame number that belongs there.
        expected: u64,
        /// The frame number that is there.
        found: u64,
    },
    /// A frame, or one before it, does not carry the bytes that were written.
    #[error("frame {frame} at byte {offset} was altered, or the frame before it was")]
    Altered {
        /// Byte offset of the frame in the file.
        offset: u64,
        /// The frame's number.
        frame: u64,
    },
    /// What a frame holds is authentic but cannot be read by this program.
    #[error("frame {frame} holds {what} that cannot be read")]
    Content {
        /// The frame's number.
        frame: u64,
        /// What could not be read.
        what: String,
    },
    /// The trailer after the seal is missing, short or altered.
    #[error("the trailer at byte {offset} was altered or cut")]
    Trailer {
        /// Byte offset of the trailer in the file.
        offset: u64,
    },
    /// Bytes follow the trailer of a sealed recording.
    #[error("{bytes} bytes were appended after the recording was sealed")]
    Appended {
        /// How many.
        bytes: u64,
    },
}
