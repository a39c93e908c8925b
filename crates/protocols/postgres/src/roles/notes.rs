//! What is written down of roles before they are made: a file for each, on the disk before the server is asked.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::name;

/// Longer files are none of ours, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// A role, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The target's name.
    pub(super) target: String,
    /// The database that its session is in.
    pub(super) database: String,
    /// Its name.
    pub(super) role: String,
}

/// Where a note is.
#[derive(Clone, Debug)]
pub(super) struct File(PathBuf);

/// A directory of notes.
#[derive(Clone, Debug)]
pub(super) struct Notes {
    directory: PathBuf,
}

impl Notes {
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let directory = directory.to_owned();
        Ok(Self { directory })
    }

    /// Writes a note. It is on the disk when this returns.
    pub(super) async fn write(&self, note: &Note) -> io::Result<File> {
        let chance = name::random(16).ok_or_else(|| io::Error::other("no random bytes"))?;
        let path = self.directory.join(format!("{chance}.json"));
        let (text, directory, file) = (serde_json::to_vec(note)?, self.directory.clone(), path.clone());
        let write = move || {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(file)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::File::open(directory)?.sync_all()
        };
        spawn_blocking(write).await.map_err(io::Error::other)??;
        Ok(File(path))
    }

    /// Removes a note. One that comes back after a crash is found to be about nothing.
    pub(super) async fn remove(&self, file: &File) {
        let path = file.0.clone();
        let removed = spawn_blocking(move || fs::remove_file(path)).await;
        if let Ok(Err(error)) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, "the note of a role that was ended cannot be removed");
        }
    }

    /// All notes, with how old they are.
    pub(super) async fn all(&self) -> Vec<(File, Note, Duration)> {
        let directory = self.directory.clone();
        let read = spawn_blocking(move || read_all(&directory)).await;
        match read {
            Ok(Ok(notes)) => notes,
            Ok(Err(error)) => {
                tracing::error!(%error, "the notes of roles cannot be read");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }
}

fn read_all(directory: &Path) -> io::Result<Vec<(File, Note, Duration)>> {
    let mut notes = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match read(&path) {
            Ok((note, age)) => notes.push((File(path), note, age)),
            // It was written only in part, so its role was never asked for; or somebody else removed it.
            Err(error) => tracing::warn!(%error, file = %path.display(), "a note of a role is passed over"),
        }
    }
    Ok(notes)
}

fn read(path: &Path) -> io::Result<(Note, Duration)> {
    let metadata = fs::metadata(path)?;
    if metadata.len() > MAX_FILE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let age = metadata.modified()?.elapsed().unwrap_or_default();
    Ok((serde_json::from_slice(&fs::read(path)?)?, age))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn notes_outlive_whoever_wrote_them() {
        let dir = tempfile::tempdir().unwrap();
        let notes = Notes::open(&dir.path().join("roles")).unwrap();
        let note = Note {
            target: "orders".to_owned(),
            database: "shop".to_owned(),
            role: "sp_alice_1".to_owned(),
        };
        let file = notes.write(&note).await.unwrap();
        fs::write(dir.path().join("roles/torn.json"), "{\"target\":").unwrap();
        let again = Notes::open(&dir.path().join("roles")).unwrap();
        let found = again.all().await;
        assert_eq!(found.len(), 1);
        assert_eq!(found.first().unwrap().1, note);
        again.remove(&file).await;
        again.remove(&file).await;
        assert!(again.all().await.is_empty());
    }
}
