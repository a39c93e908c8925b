//! The first bytes of a file: magic, version, what it is, its id, and its wrapped data key.

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::damage::Damage;
use crate::error::LedgerError;
use crate::frame::CHAIN_BYTES;
use crate::key::{KEY_BYTES, RecordingKey, WRAPPED_BYTES, fill_random, random_key};

/// The first eight bytes of every file: a letter no text starts with, the name, and a line end that a
/// transfer in text mode would change.
const MAGIC: [u8; 8] = *b"\x8eSALLY\r\n";
/// The format's version.
const VERSION: u16 = 1;
const SALT_BYTES: usize = 16;
/// Magic, version, content, id, salt.
const OPEN_BYTES: usize = 8 + 2 + 2 + 16 + SALT_BYTES;
/// Bytes of the whole preamble.
pub(crate) const PREAMBLE_BYTES: usize = OPEN_BYTES + WRAPPED_BYTES;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// One session.
    Session = 1,
    /// Administrative acts.
    Journal = 2,
}

/// A file's beginning, made or read.
pub(crate) struct Preamble {
    pub(crate) bytes: [u8; PREAMBLE_BYTES],
    pub(crate) id: Uuid,
    /// The data key; all zero when the preamble was read without a master key.
    pub(crate) data_key: Zeroizing<[u8; KEY_BYTES]>,
}

impl Preamble {
    /// For a new file.
    pub(crate) fn create(content: Content, id: Uuid, master: &RecordingKey) -> Result<Self, LedgerError> {
        let data_key = random_key()?;
        let mut salt = [0; SALT_BYTES];
        fill_random(&mut salt)?;
        let mut open = [0; OPEN_BYTES];
        let fields = [
            &MAGIC[..],
            &VERSION.to_le_bytes(),
            &(content as u16).to_le_bytes(),
            id.as_bytes(),
            &salt,
        ];
        for (slot, byte) in open.iter_mut().zip(fields.into_iter().flatten()) {
            *slot = *byte;
        }
        let wrapped = master.wrap(&open, &data_key)?;
        let mut bytes = [0; PREAMBLE_BYTES];
        for (slot, byte) in bytes.iter_mut().zip(open.iter().chain(&wrapped)) {
            *slot = *byte;
        }
        Ok(Self { bytes, id, data_key })
    }

    /// Reads one and opens its data key, if there is a master key to open it with.
    pub(crate) fn read(
        bytes: [u8; PREAMBLE_BYTES],
        content: Content,
        master: Option<&RecordingKey>,
    ) -> Result<Self, LedgerError> {
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(Damage::NotARecording)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or(Damage::NotARecording)?;
        let (kind, rest) = rest.split_first_chunk::<2>().ok_or(Damage::NotARecording)?;
        let (id, _) = rest.split_first_chunk::<16>().ok_or(Damage::NotARecording)?;
        if *magic != MAGIC || u16::from_le_bytes(*kind) != content as u16 {
            return Err(Damage::NotARecording.into());
        }
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Err(Damage::Version { version }.into());
        }
        let id = Uuid::from_bytes(*id);
        let (open, wrapped) = bytes.split_first_chunk::<OPEN_BYTES>().ok_or(Damage::NotARecording)?;
        let wrapped = wrapped.first_chunk::<WRAPPED_BYTES>().ok_or(Damage::NotARecording)?;
        let data_key = match master {
            Some(master) => master.unwrap(open, wrapped)?.ok_or(Damage::Key)?,
            None => Zeroizing::new([0; KEY_BYTES]),
        };
        Ok(Self { bytes, id, data_key })
    }

    /// The chain value before the first frame.
    pub(crate) fn chain(&self) -> [u8; CHAIN_BYTES] {
        *blake3::hash(&self.bytes).as_bytes()
    }
}
