//! The record of administrative acts: one append-only file per state directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::damage::Damage;
use crate::durable::{Committer, Durability, Receipt, SyncedFile};
use crate::error::LedgerError;
use crate::frame::output::Output;
use crate::frame::pool::Pool;
use crate::frame::preamble::{Content, Preamble};
use crate::frame::reader::{FrameReader, Next};
use crate::frame::writer::{FrameWriter, Place};
use crate::frame::{FrameKind, MAX_PLAIN_BYTES};
use crate::key::{KEY_BYTES, RecordingKey, aead_key, fill_random, make_private_dir, write_private};
use crate::recording::seal::Root;

/// Name of the journal in the state directory.
const FILE_NAME: &str = "journal.rec";
/// Bytes of the salt from which a segment's key is derived.
const SALT_BYTES: usize = 32;

/// The kind of entry that has a sealed recording's root.
const SEALED: &str = "recording.seal";

/// One administrative act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What kind of act: `login`, `policy.load`, `request.approve`, `recording.replay` …
    pub kind: String,
    /// Who did it; `gateway` for what nobody asked for.
    pub actor: String,
    /// What else is known. Never a secret.
    pub details: serde_json::Value,
}

impl Entry {
    /// An act that happens now.
    #[must_use]
    pub fn now(kind: impl Into<String>, actor: impl Into<String>, details: serde_json::Value) -> Self {
        Self {
            at: OffsetDateTime::now_utc(),
            kind: kind.into(),
            actor: actor.into(),
            details,
        }
    }

    /// A recording is sealed: whoever takes it away or changes it from now on has this against them.
    #[must_use]
    pub fn sealed(root: &Root) -> Self {
        let details = serde_json::json!({
            "session": root.id,
            "root": hex::encode(root.hash),
            "frames": root.frames,
        });
        Self::now(SEALED, "gateway", details)
    }

    /// The root that the entry has of the recording of `session`, if it is about that.
    fn root_of(&self, session: Uuid) -> Option<Result<Root, Damage>> {
        #[derive(Deserialize)]
        struct Details {
            session: Uuid,
            #[serde(with = "hex::serde")]
            root: [u8; 32],
            frames: u64,
        }
        if self.kind != SEALED {
            return None;
        }
        let unreadable = || Damage::Content {
            frame: 0,
            what: format!("the entry of {} about a sealed recording", self.at),
        };
        match serde_json::from_value::<Details>(self.details.clone()) {
            Ok(details) if details.session != session => None,
            Ok(details) => Some(Ok(Root {
                id: session,
                hash: details.root,
                frames: details.frames,
            })),
            Err(_) => Some(Err(unreadable())),
        }
    }
}

/// What opening a journal found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Entries that were there.
    pub entries: u64,
    /// Bytes of an entry that a crash had cut. They were put aside in a file of their own, and the journal
    /// says so.
    pub torn_bytes: u64,
}

/// The journal, open for writing. One process at a time; shared by reference within it.
pub struct Journal {
    path: PathBuf,
    key: RecordingKey,
    frames: Mutex<FrameWriter>,
    synced: Option<(SyncedFile, Committer)>,
    /// Holds the lock that keeps other processes out.
    _file: Arc<File>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal in `state_dir`, or makes it. All of it is checked; the new entries continue its chain.
    ///
    /// # Errors
    /// [`LedgerError::DamagedFile`] if it is not what was written: the operator must look before anything is
    /// added. [`LedgerError::JournalInUse`], [`LedgerError::Io`].
    pub fn open(state_dir: &Path, key: &RecordingKey, durability: Durability) -> Result<(Self, Recovery), LedgerError> {
        make_private_dir(state_dir)?;
        let path = state_dir.join(FILE_NAME);
        let io = |action| {
            let path = path.clone();
            move |source| LedgerError::io(action, &path, source)
        };
        if !path.try_exists().map_err(io("look at"))? {
            let draft = state_dir.join(format!("{FILE_NAME}.{}.draft", std::process::id()));
            let preamble = Preamble::create(Content::Journal, Uuid::now_v7(), key)?;
            write_private(&draft, &preamble.bytes).map_err(io("make"))?;
            fs::rename(&draft, &path).map_err(io("make"))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LedgerError::JournalInUse(path)),
            Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
        }
        let (place, preamble, entries) = check_all(&path, key)?;
        let torn_bytes = set_aside(&mut file, &path, place.offset).map_err(io("repair"))?;
        let file = Arc::new(file);
        let output = Output::new(Arc::clone(&file), place.offset);
        let mut frames = FrameWriter::new(output, aead_key(&preamble.data_key)?, place, Pool::default());
        start_segment(&mut frames, &preamble.data_key)?;
        let synced = match durability {
            Durability::WriteAhead => None,
            Durability::Durable => {
                let committer = Committer::start().map_err(io("start syncing"))?;
                Some((committer.attach(Arc::clone(&file)), committer))
            }
        };
        let journal = Self {
            path,
            key: key.clone(),
            frames: Mutex::new(frames),
            synced,
            _file: file,
        };
        if torn_bytes > 0 {
            let details = serde_json::json!({ "torn_bytes": torn_bytes, "at_byte": place.offset });
            journal
                .record(&Entry::now("journal.recover", "gateway", details))?
                .wait()?;
        }
        Ok((journal, Recovery { entries, torn_bytes }))
    }

    /// Writes one entry. It is handed to the operating system when this returns, and durable, if the journal
    /// is, when the receipt is ready.
    ///
    /// # Errors
    /// [`LedgerError::TooLarge`]; [`LedgerError::Failed`], and then for every later entry.
    pub fn record(&self, entry: &Entry) -> Result<Receipt, LedgerError> {
        let text = serde_json::to_vec(entry).map_err(|source| LedgerError::Encode {
            what: "a journal entry",
            source,
        })?;
        if text.len() > MAX_PLAIN_BYTES {
            let (bytes, limit) = (text.len() as u64, MAX_PLAIN_BYTES as u64);
            return Err(LedgerError::TooLarge { bytes, limit });
        }
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.push(&text)?;
        frames.close(FrameKind::Events)?;
        let written = frames.place().offset;
        drop(frames);
        Ok(self
            .synced
            .as_ref()
            .map_or_else(Receipt::ready, |(file, _)| file.sync(written)))
    }

    /// The chain value after the last entry.
    #[must_use]
    pub fn head(&self) -> [u8; 32] {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).place().chain
    }

    /// The root that was written down when the recording of `session` was sealed. All of the journal is read for it, so
    /// call it where that hurts nobody.
    ///
    /// # Errors
    /// [`LedgerError::Io`]; [`LedgerError::Damaged`]
    pub fn root_of(&self, session: Uuid) -> Result<Option<Root>, LedgerError> {
        for entry in self.entries()? {
            if let Some(root) = entry?.root_of(session) {
                return root.map(Some).map_err(Into::into);
            }
        }
        Ok(None)
    }

    /// The entries so far, oldest first.
    ///
    /// # Errors
    /// [`LedgerError::Io`]
    pub fn entries(&self) -> Result<Entries, LedgerError> {
        Entries::open(&self.path, &self.key)
    }
}

/// Iterates over a journal's entries, oldest first. Ends after the last whole one, or after an error.
pub struct Entries {
    frames: FrameReader,
    data_key: Zeroizing<[u8; KEY_BYTES]>,
    torn_bytes: u64,
    done: bool,
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries")
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl Entries {
    /// Reads the journal in `state_dir`, which a gateway may be writing.
    ///
    /// # Errors
    /// [`LedgerError::Io`]; [`LedgerError::Damaged`] if it is no journal, or not under `key`.
    pub fn of(state_dir: &Path, key: &RecordingKey) -> Result<Self, LedgerError> {
        Self::open(&state_dir.join(FILE_NAME), key)
    }

    fn open(path: &Path, key: &RecordingKey) -> Result<Self, LedgerError> {
        let (frames, preamble) = FrameReader::open(path, Content::Journal, Some(key))?;
        Ok(Self {
            frames,
            data_key: preamble.data_key,
            torn_bytes: 0,
            done: false,
        })
    }

    /// Bytes after the last whole entry; known once the iteration has ended.
    #[must_use]
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    fn advance(&mut self) -> Result<Option<Entry>, LedgerError> {
        loop {
            let salt = match self.frames.next_frame()? {
                Next::Frame {
                    kind: FrameKind::Events,
                    at,
                    plain,
                } => {
                    let unreadable = |_| Damage::Content {
                        frame: at.sequence,
                        what: "an entry".to_owned(),
                    };
                    return Ok(Some(serde_json::from_slice(plain).map_err(unreadable)?));
                }
                Next::Frame {
                    kind: FrameKind::Segment,
                    plain,
                    ..
                } => plain.to_vec(),
                Next::Frame {
                    kind: FrameKind::Header | FrameKind::Seal,
                    at,
                    ..
                } => {
                    let what = "a frame of a kind that does not belong there".to_owned();
                    return Err(Damage::Content {
                        frame: at.sequence,
                        what,
                    }
                    .into());
                }
                Next::End => return Ok(None),
                Next::Torn { bytes } => {
                    self.torn_bytes = bytes;
                    return Ok(None);
                }
            };
            self.frames
                .set_segment_key(aead_key(&segment_key(&self.data_key, &salt))?);
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.advance();
        self.done = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// Reads the whole journal; says where its last whole frame ends.
fn check_all(path: &Path, key: &RecordingKey) -> Result<(Place, Preamble, u64), LedgerError> {
    let named = |error: LedgerError| error.in_file(path);
    let (frames, preamble) = FrameReader::open(path, Content::Journal, Some(key)).map_err(named)?;
    let mut entries = Entries {
        frames,
        data_key: preamble.data_key.clone(),
        torn_bytes: 0,
        done: false,
    };
    let mut count = 0;
    for entry in entries.by_ref() {
        entry.map_err(named)?;
        count += 1;
    }
    Ok((entries.frames.place(), preamble, count))
}

/// Copies what follows `end` to a file beside the journal, cuts it off, and leaves `file` at its end.
fn set_aside(file: &mut File, path: &Path, end: u64) -> std::io::Result<u64> {
    let mut torn = Vec::new();
    file.seek(SeekFrom::Start(end))?;
    file.read_to_end(&mut torn)?;
    if !torn.is_empty() {
        write_private(&path.with_extension(format!("rec.torn-{end}")), &torn)?;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
    }
    Ok(torn.len() as u64)
}

/// Starts a stretch under a key of its own, so that no frame number is ever used twice with one key, even
/// if a crash cut a frame that was then written again.
fn start_segment(frames: &mut FrameWriter, data_key: &[u8; KEY_BYTES]) -> Result<(), LedgerError> {
    let mut salt = [0; SALT_BYTES];
    fill_random(&mut salt)?;
    frames.push(&salt)?;
    frames.close(FrameKind::Segment)?;
    frames.set_key(aead_key(&segment_key(data_key, &salt))?);
    Ok(())
}

fn segment_key(data_key: &[u8; KEY_BYTES], salt: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
    Zeroizing::new(*blake3::keyed_hash(data_key, salt).as_bytes())
}
