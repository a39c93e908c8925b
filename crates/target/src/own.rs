//! What is a process's own, and no credential of a target: its keys would be sent to wherever a target says that it is.

use std::path::{Path, PathBuf};

/// What the names of a process's own variables begin with.
const OWN_VARIABLES: &str = "SALLYPORT_";
/// Where a process finds itself: its environment, and its open files.
const ITSELF: &str = "/proc";

/// The files that are a process's own.
#[derive(Default)]
pub(crate) struct Own {
    /// Folders, with all that is in them, and files. Without any, whoever writes the targets may read all of them.
    paths: Vec<PathBuf>,
}

impl Own {
    pub(crate) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let paths = paths.into_iter().collect();
        Self { paths }
    }

    /// Whether a target may name this file, wherever links lead.
    ///
    /// # Errors
    /// When it is the process's own.
    pub(crate) fn check_file(&self, path: &Path) -> Result<(), String> {
        if self.paths.is_empty() {
            return Ok(());
        }
        let place = real(path);
        let itself = path.starts_with(ITSELF) || place.starts_with(ITSELF);
        if itself || self.paths.iter().any(|own| place.starts_with(real(own))) {
            return Err(format!(
                "`{}` is the gateway's own, and would be sent to a target: put what targets need elsewhere",
                path.display()
            ));
        }
        Ok(())
    }

    /// Whether a target may name this variable.
    ///
    /// # Errors
    /// When it is the process's own.
    pub(crate) fn check_variable(&self, name: &str) -> Result<(), String> {
        if self.paths.is_empty() || !name.starts_with(OWN_VARIABLES) {
            return Ok(());
        }
        Err(format!(
            "variables that begin with `{OWN_VARIABLES}` are the gateway's own"
        ))
    }
}

/// Where a path leads. Of one that leads nowhere yet, as much as is there.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let Some(parent) = path.parent() else {
        return path.to_owned();
    };
    let mut place = if parent.as_os_str().is_empty() {
        real(Path::new("."))
    } else {
        real(parent)
    };
    match path.file_name() {
        Some(name) => place.push(name),
        // It ends with `..`.
        None => {
            place.pop();
        }
    }
    place
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn nothing_of_its_own_is_named_by_any_way() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("state/keys")).unwrap();
        fs::create_dir(at("stateless")).unwrap();
        fs::write(at("state/keys/recording.key"), "k").unwrap();
        fs::write(at("token"), "t").unwrap();
        symlink(at("state"), at("link")).unwrap();
        symlink(at("state/keys/recording.key"), at("stateless/password")).unwrap();
        symlink(at("state"), at("as-configured")).unwrap();
        let own = Own::of([at("as-configured"), at("token")]);
        for path in [
            "state",
            "state/keys/recording.key",
            "state/keys/not-yet/x",
            "link/keys/recording.key",
            "stateless/password",
            "stateless/../state/keys/recording.key",
            "gone/../state/keys/recording.key",
            "token",
        ] {
            assert!(own.check_file(&at(path)).is_err(), "{path}");
        }
        for path in [
            "/proc/self/environ",
            "/proc/self/root/etc/passwd",
            "/a/../proc/self/environ",
        ] {
            assert!(own.check_file(Path::new(path)).is_err(), "{path}");
        }
        for path in ["stateless/other", "tokens", "gone", "state.key"] {
            assert_eq!(own.check_file(&at(path)), Ok(()), "{path}");
        }
        assert!(own.check_variable("SALLYPORT_TOKEN").is_err());
        assert_eq!(own.check_variable("ORDERS_PASSWORD"), Ok(()));
        assert_eq!(Own::default().check_file(&at("token")), Ok(()));
    }
}
