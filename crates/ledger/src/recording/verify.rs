//! Checking a recording from end to end.

use std::path::Path;

use serde::Serialize;

use crate::damage::Damage;
use crate::error::LedgerError;
use crate::frame::FrameKind;
use crate::frame::preamble::Content;
use crate::frame::reader::{FrameReader, Next};
use crate::key::RecordingKey;
use crate::recording::reader::{Ending, Reader};
use crate::recording::seal::{self, Root};

/// What was found in a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Stands for what is intact; absent if nothing is.
    pub root: Option<Root>,
    /// Whether the recording is complete: sealed, and intact up to the seal.
    pub sealed: bool,
    /// Number of events that are intact.
    pub events: u64,
    /// Number of commands that are intact.
    pub commands: u64,
    /// Bytes at the end of a frame that was not written whole, as a crash leaves them.
    pub torn_bytes: u64,
    /// What no crash explains.
    pub damage: Option<Damage>,
}

/// Reads the recording at `path` from end to end and says what is intact.
///
/// # Errors
/// [`LedgerError::Io`]: the file cannot be read. What is wrong *in* it is in the report.
pub fn verify(path: &Path, key: &RecordingKey) -> Result<Report, LedgerError> {
    let mut report = Report {
        root: None,
        sealed: false,
        events: 0,
        commands: 0,
        torn_bytes: 0,
        damage: None,
    };
    let mut events = match Reader::open(path, key) {
        Ok(reader) => reader.events(),
        Err(LedgerError::Damaged(damage)) => {
            return Ok(Report {
                damage: Some(damage),
                ..report
            });
        }
        Err(error) => return Err(error),
    };
    let failure = events.by_ref().find_map(Result::err);
    report.root = Some(events.root());
    report.events = events.events_read();
    report.commands = events.commands_read();
    match (failure, events.ending()) {
        (Some(LedgerError::Damaged(damage)), _) => report.damage = Some(damage),
        (Some(error), _) => return Err(error),
        (None, Some(Ending::Sealed { .. })) => report.sealed = true,
        (None, Some(Ending::Unsealed { torn_bytes, .. })) => report.torn_bytes = *torn_bytes,
        (None, None) => {}
    }
    Ok(report)
}

/// Follows the chain of the recording at `path` without any key: the root it has, and whether it is sealed. It
/// is the recording that a known root stands for exactly if the roots are equal.
///
/// # Errors
/// [`LedgerError::Io`]; [`LedgerError::Damaged`] for what can be seen without a key.
pub fn chain_head(path: &Path) -> Result<(Root, bool), LedgerError> {
    let (mut frames, preamble) = FrameReader::open(path, Content::Session, None)?;
    let sealed = loop {
        match frames.next_frame()? {
            Next::Frame {
                kind: FrameKind::Seal,
                at,
                ..
            } => {
                seal::check_end(&mut frames, at)?;
                break true;
            }
            Next::Frame {
                kind: FrameKind::Header | FrameKind::Events | FrameKind::Segment,
                ..
            } => {}
            Next::End | Next::Torn { .. } => break false,
        }
    };
    let place = frames.place();
    Ok((
        Root {
            id: preamble.id,
            hash: place.chain,
            frames: place.sequence,
        },
        sealed,
    ))
}
