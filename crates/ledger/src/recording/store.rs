//! Where the recordings are.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::damage::Damage;
use crate::durable::{Committer, Durability};
use crate::error::LedgerError;
use crate::frame::FrameKind;
use crate::frame::output::Output;
use crate::frame::pool::Pool;
use crate::frame::preamble::{Content, PREAMBLE_BYTES, Preamble};
use crate::frame::writer::{FrameWriter, Place};
use crate::header::SessionHeader;
use crate::key::{RecordingKey, aead_key, make_private_dir};
use crate::recording::reader::Reader;
use crate::recording::recorder::Recorder;
use crate::recording::seal::Sealed;

/// The recordings under one directory, one file per session, by day (UTC) of the session's id:
/// `YYYY/MM/DD/<id>.rec`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RecordingStore {
    root: PathBuf,
    key: RecordingKey,
    pool: Pool,
    committer: Option<Arc<Committer>>,
}

/// Whether a recording is complete, judged by its last bytes and its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its session goes on.
    Open,
    /// Its session ended and it is complete.
    Sealed,
    /// It is not sealed and nobody writes it: its gateway died.
    Interrupted,
}

/// What can be said of a recording without reading it all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Who, what, when.
    pub header: SessionHeader,
    /// Whether it is complete.
    pub state: State,
    /// How long the session lasted, in microseconds, if sealed.
    pub duration_micros: Option<u64>,
    /// Number of commands, if sealed.
    pub commands: Option<u64>,
    /// Size of the file in bytes.
    pub bytes: u64,
}

impl RecordingStore {
    /// The recordings under `state_dir/recordings`.
    ///
    /// # Errors
    /// [`LedgerError::Io`]
    pub fn open(state_dir: &Path, key: RecordingKey, durability: Durability) -> Result<Self, LedgerError> {
        let root = state_dir.join("recordings");
        make_private_dir(&root)?;
        let committer = match durability {
            Durability::WriteAhead => None,
            Durability::Durable => {
                let started = Committer::start();
                Some(Arc::new(
                    started.map_err(|source| LedgerError::io("start syncing", &root, source))?,
                ))
            }
        };
        Ok(Self {
            root,
            key,
            pool: Pool::default(),
            committer,
        })
    }

    /// Starts the recording of a session. When it returns, the header is written.
    ///
    /// # Errors
    /// [`LedgerError::Exists`] if another gateway records this session; [`LedgerError::SessionId`];
    /// [`LedgerError::Io`]; [`LedgerError::Failed`].
    pub fn create(&self, header: &SessionHeader) -> Result<Recorder, LedgerError> {
        let path = self.path(header.id)?;
        let io = |action| {
            let path = path.clone();
            move |source| LedgerError::io(action, &path, source)
        };
        let file = match create_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                path.parent().map_or(Ok(()), make_private_dir)?;
                create_file(&path)
            }
            other => other,
        };
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(LedgerError::Exists(header.id));
            }
            other => Arc::new(other.map_err(io("make the recording"))?),
        };
        file.lock().map_err(io("lock the recording"))?;
        let preamble = Preamble::create(Content::Session, header.id, &self.key)?;
        let place = Place {
            offset: 0,
            sequence: 0,
            chain: preamble.chain(),
        };
        let mut frames = FrameWriter::new(
            Output::new(Arc::clone(&file), 0),
            aead_key(&preamble.data_key)?,
            place,
            self.pool.clone(),
        );
        frames.write_raw(&preamble.bytes)?;
        let text = serde_json::to_vec(&header.bounded()).map_err(|source| LedgerError::Encode {
            what: "a session header",
            source,
        })?;
        frames.push(&text)?;
        frames.close(FrameKind::Header)?;
        let synced = match &self.committer {
            Some(committer) => {
                let parent = path.parent().unwrap_or(&self.root);
                File::open(parent)
                    .and_then(|dir| dir.sync_all())
                    .map_err(io("sync the directory of"))?;
                Some(committer.attach(Arc::clone(&file)))
            }
            None => {
                frames.reserve_ahead();
                None
            }
        };
        debug_assert!(frames.place().offset > PREAMBLE_BYTES as u64, "the header is written");
        Ok(Recorder::new(header.id, file, frames, synced))
    }

    /// Opens a recording for reading.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`]; as [`Reader::open`].
    pub fn read(&self, id: Uuid) -> Result<Reader, LedgerError> {
        let path = self.path(id)?;
        match Reader::open(&path, &self.key) {
            Err(LedgerError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(LedgerError::NotFound(id))
            }
            Ok(reader) if reader.header().id != id => {
                let damage = Damage::OtherSession {
                    found: reader.header().id,
                };
                Err(LedgerError::DamagedFile { path, damage })
            }
            other => other.map_err(|error| error.in_file(&path)),
        }
    }

    /// What can be said of a recording by reading its beginning and its end.
    ///
    /// # Errors
    /// As [`RecordingStore::read`].
    pub fn summary(&self, id: Uuid) -> Result<Summary, LedgerError> {
        let path = self.path(id)?;
        let reader = self.read(id)?;
        let file = File::open(&path).map_err(|source| LedgerError::io("open", &path, source))?;
        let bytes = file
            .metadata()
            .map_err(|source| LedgerError::io("look at", &path, source))?
            .len();
        let state = match (reader.sealed(), file.try_lock_shared()) {
            (Some(_), _) => State::Sealed,
            (None, Ok(())) => State::Interrupted,
            (None, Err(TryLockError::WouldBlock)) => State::Open,
            (None, Err(TryLockError::Error(source))) => {
                return Err(LedgerError::io("look at", &path, source));
            }
        };
        let sealed = reader.sealed();
        Ok(Summary {
            header: reader.header().clone(),
            state,
            duration_micros: sealed.map(|sealed: &Sealed| sealed.ended_micros),
            commands: sealed.map(|sealed| sealed.commands),
            bytes,
        })
    }

    /// Ids of at most `limit` recordings, newest first, older than `before` if given.
    ///
    /// # Errors
    /// [`LedgerError::Io`]
    pub fn list(&self, before: Option<Uuid>, limit: usize) -> Result<Vec<Uuid>, LedgerError> {
        let mut found = Vec::new();
        let mut waiting = vec![(self.root.clone(), 0)];
        // Names sort as times do, so the newest of each directory comes first.
        while let Some((path, depth)) = waiting.pop() {
            if depth == 3 {
                let ids = names(&path)?.into_iter().rev().filter_map(|name| id_of(&name));
                found.extend(
                    ids.filter(|id| before.is_none_or(|before| *id < before))
                        .take(limit - found.len()),
                );
                if found.len() >= limit {
                    break;
                }
                continue;
            }
            let numbers = names(&path)?
                .into_iter()
                .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
            waiting.extend(numbers.map(|name| (path.join(name), depth + 1)));
        }
        Ok(found)
    }

    /// Where the recording of a session is, or would be.
    ///
    /// # Errors
    /// [`LedgerError::SessionId`]: the id does not hold a time.
    pub fn path(&self, id: Uuid) -> Result<PathBuf, LedgerError> {
        let (seconds, _) = id.get_timestamp().ok_or(LedgerError::SessionId(id))?.to_unix();
        let day = i64::try_from(seconds)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        let day = day
            .filter(|_| id.get_version_num() == 7)
            .ok_or(LedgerError::SessionId(id))?;
        let folder = format!("{:04}/{:02}/{:02}", day.year(), u8::from(day.month()), day.day());
        Ok(self.root.join(folder).join(format!("{id}.rec")))
    }

    /// The master key, for [`crate::verify`].
    #[must_use]
    pub fn key(&self) -> &RecordingKey {
        &self.key
    }
}

fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Names in a directory, sorted.
fn names(path: &Path) -> Result<Vec<String>, LedgerError> {
    let io = |source| LedgerError::io("list", path, source);
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(io)? {
        names.extend(entry.map_err(io)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

fn id_of(name: &str) -> Option<Uuid> {
    name.strip_suffix(".rec")?.parse().ok()
}
