//! The record of administrative acts: one append-only file per state directory.

mod seals;

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
use seals::Seals;

/// Name of the journal in the state directory.
const FILE_NAME: &str = "journal.rec";
/// Bytes of the salt from which a segment's key is derived.
const SALT_BYTES: usize = 32;
type Salt = [u8; SALT_BYTES];

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

    /// The root of a recording, if the entry says that it was sealed.
    fn root(&self) -> Option<Root> {
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
        let details: Details = serde_json::from_value(self.details.clone()).ok()?;
        Some(Root {
            id: details.session,
            hash: details.root,
            frames: details.frames,
        })
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
    writing: Mutex<Writing>,
    synced: Option<(SyncedFile, Committer)>,
    /// Holds the lock that keeps other processes out.
    _file: Arc<File>,
}

/// The journal's end, and where in it recordings were sealed.
struct Writing {
    frames: FrameWriter,
    /// Of the segment that is written.
    salt: Salt,
    seals: Seals,
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
        let Checked {
            place,
            preamble,
            entries,
            seals,
        } = check_all(&path, key)?;
        let torn_bytes = set_aside(&mut file, &path, place.offset).map_err(io("repair"))?;
        let file = Arc::new(file);
        let output = Output::new(Arc::clone(&file), place.offset);
        let mut frames = FrameWriter::new(output, aead_key(&preamble.data_key)?, place, Pool::default());
        let salt = start_segment(&mut frames, &preamble.data_key)?;
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
            writing: Mutex::new(Writing { frames, salt, seals }),
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
        let sealed = entry.root().map(|root| root.id);
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = (writing.frames.place(), writing.salt);
        writing.frames.push(&text)?;
        writing.frames.close(FrameKind::Events)?;
        writing.seals.note(sealed, before);
        let written = writing.frames.place().offset;
        drop(writing);
        Ok(self
            .synced
            .as_ref()
            .map_or_else(Receipt::ready, |(file, _)| file.sync(written)))
    }

    /// The chain value after the last entry.
    #[must_use]
    pub fn head(&self) -> [u8; 32] {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        writing.frames.place().chain
    }

    /// Why nothing more can be written, if an earlier write failed. Only another start mends that.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        writing.frames.failure().map(str::to_owned)
    }

    /// The root that was written down when the recording of `session` was sealed. A few entries are read for it, however
    /// long the journal is.
    ///
    /// # Errors
    /// [`LedgerError::Io`]; [`LedgerError::Damaged`]
    pub fn root_of(&self, session: Uuid) -> Result<Option<Root>, LedgerError> {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((place, salt)) = writing.seals.near(session) else {
            return Ok(None);
        };
        drop(writing);
        for entry in Entries::open_at(&self.path, &self.key, place, &salt)? {
            let root = entry?.root();
            if root.is_some_and(|root| root.id == session) {
                return Ok(root);
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
    /// Of the segment that the reader is in.
    salt: Salt,
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
            salt: [0; SALT_BYTES],
            torn_bytes: 0,
            done: false,
        })
    }

    /// Begins at a place in the segment of this salt.
    fn open_at(path: &Path, key: &RecordingKey, place: Place, salt: &Salt) -> Result<Self, LedgerError> {
        let mut entries = Self::open(path, key)?;
        entries.frames.seek(place)?;
        entries.enter(salt)?;
        Ok(entries)
    }

    /// Goes on with the key of the segment of this salt.
    fn enter(&mut self, salt: &Salt) -> Result<(), LedgerError> {
        self.salt = *salt;
        self.frames
            .set_segment_key(aead_key(&segment_key(&self.data_key, salt))?);
        Ok(())
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
                    at,
                    plain,
                } => *plain
                    .first_chunk()
                    .filter(|salt| salt.len() == plain.len())
                    .ok_or_else(|| {
                        let what = "a salt".to_owned();
                        Damage::Content {
                            frame: at.sequence,
                            what,
                        }
                    })?,
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
            self.enter(&salt)?;
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

/// What a whole journal holds.
struct Checked {
    /// Where its last whole frame ends.
    place: Place,
    preamble: Preamble,
    entries: u64,
    seals: Seals,
}

/// Reads the whole journal.
fn check_all(path: &Path, key: &RecordingKey) -> Result<Checked, LedgerError> {
    let named = |error: LedgerError| error.in_file(path);
    let (frames, preamble) = FrameReader::open(path, Content::Journal, Some(key)).map_err(named)?;
    let mut entries = Entries {
        frames,
        data_key: preamble.data_key.clone(),
        salt: [0; SALT_BYTES],
        torn_bytes: 0,
        done: false,
    };
    let (mut count, mut seals) = (0, Seals::default());
    loop {
        let before = (entries.frames.place(), entries.salt);
        let Some(entry) = entries.next() else { break };
        let entry = entry.map_err(named)?;
        seals.note(entry.root().map(|root| root.id), before);
        count += 1;
    }
    Ok(Checked {
        place: entries.frames.place(),
        preamble,
        entries: count,
        seals,
    })
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
fn start_segment(frames: &mut FrameWriter, data_key: &[u8; KEY_BYTES]) -> Result<Salt, LedgerError> {
    let mut salt = [0; SALT_BYTES];
    fill_random(&mut salt)?;
    frames.push(&salt)?;
    frames.close(FrameKind::Segment)?;
    frames.set_key(aead_key(&segment_key(data_key, &salt))?);
    Ok(salt)
}

fn segment_key(data_key: &[u8; KEY_BYTES], salt: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
    Zeroizing::new(*blake3::keyed_hash(data_key, salt).as_bytes())
}
