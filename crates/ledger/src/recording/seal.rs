//! The end of a recording: what it holds, its root, and a trailer by which the seal is found.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::damage::Damage;
use crate::error::LedgerError;
use crate::frame::CHAIN_BYTES;
use crate::frame::reader::FrameReader;
use crate::frame::writer::Place;
use crate::recording::index::Mark;

/// The last bytes of a sealed recording start with this.
const TRAILER_MAGIC: [u8; 8] = *b"SEALED\r\n";
/// Magic, then the seal's place: offset, sequence, chain value.
pub(crate) const TRAILER_BYTES: usize = 8 + 8 + 8 + CHAIN_BYTES;

/// What stands for a whole recording: whoever knows it can tell whether a file is that recording, unchanged
/// and complete, without any key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The session.
    pub id: Uuid,
    /// The chain value after the last frame.
    #[serde(with = "hex::serde")]
    pub hash: [u8; 32],
    /// Number of frames.
    pub frames: u64,
}

/// What the seal says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// When the recording was sealed, in microseconds since its start.
    pub ended_micros: u64,
    /// Number of events.
    pub events: u64,
    /// Number of commands.
    pub commands: u64,
    pub(crate) marks: Vec<Mark>,
}

/// The bytes after the seal's frame, which begins at `seal`.
pub(crate) fn trailer(seal: Place) -> [u8; TRAILER_BYTES] {
    let mut bytes = [0; TRAILER_BYTES];
    let fields = [
        &TRAILER_MAGIC[..],
        &seal.offset.to_le_bytes(),
        &seal.sequence.to_le_bytes(),
        &seal.chain,
    ];
    for (slot, byte) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
        *slot = *byte;
    }
    bytes
}

/// Where the last bytes of `file` say the seal is; `None` if they are no trailer.
pub(crate) fn find(file: &mut File) -> std::io::Result<Option<Place>> {
    let end = file.seek(SeekFrom::End(0))?;
    if end < TRAILER_BYTES as u64 {
        return Ok(None);
    }
    let mut bytes = [0; TRAILER_BYTES];
    file.seek(SeekFrom::End(-(TRAILER_BYTES as i64)))?;
    file.read_exact(&mut bytes)?;
    Ok(read_trailer(&bytes).filter(|place| place.offset < end))
}

fn read_trailer(bytes: &[u8; TRAILER_BYTES]) -> Option<Place> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let chain = *rest.first_chunk()?;
    let (offset, sequence) = (u64::from_le_bytes(*offset), u64::from_le_bytes(*sequence));
    (*magic == TRAILER_MAGIC).then_some(Place {
        offset,
        sequence,
        chain,
    })
}

/// Checks that nothing but the right trailer follows the seal that began at `seal`, which was just read.
pub(crate) fn check_end<R: Read + Seek>(frames: &mut FrameReader<R>, seal: Place) -> Result<(), LedgerError> {
    let offset = frames.place().offset;
    let mut bytes = [0; TRAILER_BYTES];
    if frames.read_raw(&mut bytes)? < TRAILER_BYTES || bytes != trailer(seal) {
        return Err(Damage::Trailer { offset }.into());
    }
    let extra = frames.count_rest()?;
    if extra > 0 {
        return Err(Damage::Appended { bytes: extra }.into());
    }
    Ok(())
}
