//! Files that only their owner may read.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::secret::random_text;

/// Makes `path` of `bytes` with mode 0600, whole or not at all; `false` when there is something already.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    let fresh = fresh_beside(path)?;
    let linked = write_new(&fresh, bytes).and_then(|()| std::fs::hard_link(&fresh, path));
    // It may not have been made; the first error is the one to tell.
    let _ignored = std::fs::remove_file(&fresh);
    match linked {
        Ok(()) => sync_folder(path).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Replaces `path` by `bytes` with mode 0600, so that a reader sees the old file or the new one, never half of it.
///
/// # Errors
/// When it cannot be written; then the old file is as it was.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    // Written through a link, the file behind it is what changes.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fresh = fresh_beside(&path)?;
    let done = write_new(&fresh, bytes).and_then(|()| std::fs::rename(&fresh, &path));
    if done.is_err() {
        // It may not have been made; the first error is the one to tell.
        let _ignored = std::fs::remove_file(&fresh);
        return done;
    }
    sync_folder(&path)
}

/// A name in the same folder that nobody has.
fn fresh_beside(path: &Path) -> Result<PathBuf, Error> {
    let mut name = path
        .file_name()
        .ok_or_else(|| Error::other("it has no name"))?
        .to_owned();
    name.push(format!(".{}.new", random_text::<9>().map_err(Error::other)?));
    Ok(path.with_file_name(name))
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
