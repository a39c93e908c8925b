//! Every bundle that came into force, kept so that it can be shown years later.
//!
//! Under the directory is a folder for each digest, which is the bundle itself, and `log.jsonl`: a line for each time that a
//! bundle came into force. A folder appears whole, after everything in it is on the disk, or not at all.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;

use crate::bundle::Bundle;
use crate::files;

const LOG: &str = "log.jsonl";
/// How the names of folders begin that are not whole yet.
const UNFINISHED: &str = ".new-";
/// How the names of folders begin that were found changed.
const DAMAGED: &str = ".damaged-";
/// How much of the log's end is read: some ten thousand lines.
const MAX_LOG_BYTES: u64 = 4 << 20;
/// The shortest beginning of a digest that is looked for.
const MIN_PREFIX: usize = 4;

/// A bundle came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Its digest.
    pub digest: String,
    /// Its commit, if it is of one.
    pub commit: Option<String>,
    /// Where it came from: a directory, or a branch of a git repository.
    pub source: String,
}

/// Why a bundle cannot be kept or shown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeptError {
    /// No bundle has such a digest.
    #[error("no bundle that was in force has a digest that begins with `{0}`")]
    Unknown(String),
    /// Several bundles have such a digest.
    #[error("the digests of several bundles begin with `{0}`: give more of it")]
    Ambiguous(String),
    /// That is no digest.
    #[error("`{0}` is no digest: at least 4 and at most 64 hexadecimal digits")]
    NoDigest(String),
    /// What is kept is not what was kept.
    #[error("the files kept for `{0}` are damaged: they have another digest now")]
    Damaged(String),
    /// The disk.
    #[error("`{path}`: {source}")]
    Disk {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
}

/// The bundles that were in force.
#[derive(Debug)]
pub struct Kept {
    dir: PathBuf,
    /// One writer at a time.
    writing: Mutex<()>,
}

impl Kept {
    /// Opens the directory, and makes it (mode 0700) if it is not there.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn open(dir: &Path) -> Result<Self, KeptError> {
        private_dir(dir, true)?;
        // What a crash left unfinished decided nothing.
        for name in names(dir)?.iter().filter(|name| name.starts_with(UNFINISHED)) {
            let path = dir.join(name);
            fs::remove_dir_all(&path).map_err(at(&path))?;
        }
        Ok(Self::at(dir))
    }

    /// The directory as it is, to be read only.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            writing: Mutex::default(),
        }
    }

    /// Keeps a bundle that is about to come into force. When this returns, all of it is on the disk.
    ///
    /// # Errors
    /// When it cannot be kept; then it must not come into force.
    pub fn keep(&self, bundle: &Bundle, source: &str, now: OffsetDateTime) -> Result<(), KeptError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = bundle.digest();
        let folder = self.dir.join(digest);
        match self.files(digest) {
            Ok(_) => {}
            Err(KeptError::Damaged(_)) => {
                let aside = self
                    .dir
                    .join(format!("{DAMAGED}{}-{digest}", now.unix_timestamp_nanos()));
                tracing::error!(digest, aside = %aside.display(), "a kept bundle was changed; it is put aside");
                fs::rename(&folder, &aside).map_err(at(&folder))?;
                self.write(bundle, &folder)?;
            }
            Err(_) => self.write(bundle, &folder)?,
        }
        self.note(&Arrival {
            at: now,
            digest: digest.to_owned(),
            commit: bundle.commit().map(ToOwned::to_owned),
            source: source.to_owned(),
        })
    }

    /// The whole digest of the one bundle whose digest begins so.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(&self, prefix: &str) -> Result<String, KeptError> {
        let prefix = prefix.to_ascii_lowercase();
        let good = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
        if !(MIN_PREFIX..=64).contains(&prefix.len()) || !good(&prefix) {
            return Err(KeptError::NoDigest(prefix));
        }
        let mut found = names(&self.dir)?;
        found.retain(|name| name.len() == 64 && good(name) && name.starts_with(&prefix));
        match found.len() {
            0 => Err(KeptError::Unknown(prefix)),
            1 => Ok(found.swap_remove(0)),
            _ => Err(KeptError::Ambiguous(prefix)),
        }
    }

    /// The files of a bundle, by its whole digest, which is verified.
    ///
    /// # Errors
    /// When it is not there, or is not what it was.
    pub fn files(&self, digest: &str) -> Result<BTreeMap<String, String>, KeptError> {
        let folder = self.dir.join(digest);
        if digest.len() != 64 || !folder.is_dir() {
            return Err(KeptError::Unknown(digest.to_owned()));
        }
        match files::read(&folder) {
            Ok(found) if files::digest(&found) == digest => Ok(found),
            Ok(_) | Err(_) => Err(KeptError::Damaged(digest.to_owned())),
        }
    }

    /// The last arrivals, newest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn arrivals(&self, limit: usize) -> Result<Vec<Arrival>, KeptError> {
        let path = self.dir.join(LOG);
        let text = match tail(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at(&path)(error)),
        };
        // A line that a crash cut is none: what it would have said did not come into force.
        let lines = text.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
        Ok(lines.take(limit).collect())
    }

    fn write(&self, bundle: &Bundle, folder: &Path) -> Result<(), KeptError> {
        let unfinished = self.dir.join(format!("{UNFINISHED}{}", bundle.digest()));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(at(&unfinished))?;
        }
        private_dir(&unfinished, false)?;
        let mut folders = vec![unfinished.clone()];
        for (path, text) in bundle.files() {
            let path = unfinished.join(path);
            if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
                private_dir(parent, true)?;
                let below = parent.ancestors().take_while(|folder| *folder != unfinished);
                folders.extend(below.map(Path::to_owned));
            }
            write_synced(&path, text).map_err(at(&path))?;
        }
        for folder in folders.iter().rev() {
            sync(folder)?;
        }
        fs::rename(&unfinished, folder).map_err(at(folder))?;
        sync(&self.dir)
    }

    /// Adds a line to the log, unless the last one says the same.
    fn note(&self, arrival: &Arrival) -> Result<(), KeptError> {
        let same = |last: &Arrival| {
            (&last.digest, &last.commit, &last.source) == (&arrival.digest, &arrival.commit, &arrival.source)
        };
        if self.arrivals(1)?.first().is_some_and(same) {
            return Ok(());
        }
        let path = self.dir.join(LOG);
        let line = serde_json::to_string(arrival).map_err(|error| at(&path)(error.into()))?;
        append(&path, &line).map_err(at(&path))?;
        sync(&self.dir)
    }
}

/// Appends a line, behind a line end if the last one was cut.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let start = if last == *b"\n" { "" } else { "\n" };
    file.write_all(format!("{start}{line}\n").as_bytes())?;
    file.sync_all()
}

/// The end of a file, from the beginning of a line on.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(MAX_LOG_BYTES);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(MAX_LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match text.split_once('\n') {
        Some((_, rest)) if skipped > 0 => rest.to_owned(),
        Some(_) | None => text,
    })
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn private_dir(path: &Path, recursive: bool) -> Result<(), KeptError> {
    let mut builder = DirBuilder::new();
    builder.recursive(recursive).mode(0o700);
    builder.create(path).map_err(at(path))
}

fn sync(dir: &Path) -> Result<(), KeptError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}

fn names(dir: &Path) -> Result<Vec<String>, KeptError> {
    let entries = fs::read_dir(dir).map_err(at(dir))?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect())
}

fn at(path: &Path) -> impl Fn(io::Error) -> KeptError + '_ {
    move |source| KeptError::Disk {
        path: path.to_owned(),
        source,
    }
}
