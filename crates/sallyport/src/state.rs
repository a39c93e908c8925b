//! The state directory: it has keys and recordings, so nobody but the gateway may get at it.

use std::fs::{self, DirBuilder, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The folders whose every entry is looked at. What is below `recordings/` is out of reach as long as that is private.
const FOLDERS: [&str; 4] = ["", "keys", "tls", "recordings"];

/// Makes the directory (mode 0700) if it is not there.
///
/// # Errors
/// When it cannot be made, or when others may put files into it: then nothing in it can be trusted.
pub(crate) fn prepare(dir: &Path) -> anyhow::Result<()> {
    let metadata = match fs::metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .with_context(|| format!("cannot make `{}`", dir.display()));
        }
        found => found.with_context(|| format!("cannot look at `{}`", dir.display()))?,
    };
    let mode = metadata.permissions().mode();
    if mode & 0o022 != 0 {
        bail!(
            "others can write to the state directory `{}` (mode {:04o}): chmod it to 0700 and look at what is in it",
            dir.display(),
            mode & 0o7777
        );
    }
    if mode & 0o077 != 0 {
        tracing::warn!(directory = %dir.display(), "others can look into the state directory: chmod it to 0700");
    }
    Ok(())
}

/// What of the state others can get at, as far as modes say.
pub(crate) fn exposed(dir: &Path) -> Vec<PathBuf> {
    let mut exposed = Vec::new();
    let mut look = |path: PathBuf, metadata: std::io::Result<Metadata>| {
        if metadata.is_ok_and(|metadata| !metadata.is_symlink() && metadata.permissions().mode() & 0o077 != 0) {
            exposed.push(path);
        }
    };
    look(dir.to_owned(), fs::metadata(dir));
    for folder in FOLDERS {
        for entry in fs::read_dir(dir.join(folder)).into_iter().flatten().flatten() {
            look(entry.path(), entry.metadata());
        }
    }
    exposed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn it_is_made_private_and_one_that_others_write_to_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("var/state");
        prepare(&dir).unwrap();
        assert_eq!(mode(&dir), 0o700);
        for (given, accepted) in [(0o700, true), (0o755, true), (0o770, false), (0o702, false)] {
            fs::set_permissions(&dir, fs::Permissions::from_mode(given)).unwrap();
            let result = prepare(&dir);
            assert_eq!(result.is_ok(), accepted, "{given:o}: {result:?}");
            assert_eq!(exposed(&dir).is_empty(), given == 0o700, "{given:o}");
        }
    }

    #[test]
    fn every_file_that_others_can_read_is_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        for file in ["keys/mask.key", "tls/server.key", "journal.rec", "sallyport.db-wal"] {
            let path = dir.path().join(file);
            let parent = path.parent().unwrap();
            fs::create_dir_all(parent).unwrap();
            fs::set_permissions(parent, fs::Permissions::from_mode(0o700)).unwrap();
            fs::write(&path, "secret").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert_eq!(exposed(dir.path()), Vec::<PathBuf>::new());
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert_eq!(exposed(dir.path()), std::slice::from_ref(&path));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}
