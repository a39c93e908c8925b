//! The crate's error.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use uuid::Uuid;

use crate::damage::Damage;

/// Why the ledger could not write or read.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The operating system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// An earlier write failed; nothing more is taken, and the session must end.
    #[error("the recording failed earlier and takes nothing more: {0}")]
    Failed(String),
    /// One event is larger than [`crate::MAX_EVENT_BYTES`].
    #[error("an event of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// The event's size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is not what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// Something in `path` is damaged.
    #[error("`{}`: {damage}", path.display())]
    DamagedFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A session id that is not a version 7 UUID.
    #[error("`{0}` is not a session id")]
    SessionId(Uuid),
    /// No recording has this id.
    #[error("there is no recording `{0}`")]
    NotFound(Uuid),
    /// A recording with this id exists already, so two writers claim one session.
    #[error("a recording `{0}` exists already")]
    Exists(Uuid),
    /// The key file does not hold a key.
    #[error("`{}` does not hold a recording key: 64 hexadecimal digits are expected", .0.display())]
    KeyFile(PathBuf),
    /// Another process writes the journal.
    #[error("the journal `{}` is in use by another process", .0.display())]
    JournalInUse(PathBuf),
    /// A value could not be encoded.
    #[error("cannot encode {what}: {source}")]
    Encode {
        /// What was to be encoded.
        what: &'static str,
        /// Why not.
        source: serde_json::Error,
    },
    /// The cryptography library refused.
    #[error("cryptography failed while {0}")]
    Crypto(&'static str),
}

impl LedgerError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// Names the file in which damage was found.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        if let Self::Damaged(damage) = self {
            let path = path.to_owned();
            return Self::DamagedFile { path, damage };
        }
        self
    }
}
