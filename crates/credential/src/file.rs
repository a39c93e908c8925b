//! Secrets in files.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::{CredentialError, SecretKind, text::MAX_SECRET};

/// The longest file with authorities, in bytes. All that an operating system trusts are a quarter of it.
const MAX_AUTHORITIES: u64 = 1 << 20;

/// The first line of a file, or the whole of it for what has several.
pub(crate) async fn secret(kind: SecretKind, path: &Path, within: Duration) -> Result<SecretString, CredentialError> {
    let text = read(kind, path, within).await?;
    let secret = if kind.is_one_line() {
        text.lines().next()
    } else {
        Some(text.as_str())
    };
    let secret = secret.filter(|secret| !secret.is_empty()).map(SecretString::from);
    secret.ok_or_else(|| CredentialError::Content {
        kind,
        path: path.to_owned(),
    })
}

/// The text of a file. A file system that hangs holds up one thread and nobody else.
pub(crate) async fn read(
    kind: SecretKind,
    path: &Path,
    within: Duration,
) -> Result<Zeroizing<String>, CredentialError> {
    let owned = path.to_owned();
    let task = tokio::task::spawn_blocking(move || read_now(&owned));
    let read = match tokio::time::timeout(within, task).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => Err(io::Error::other("the read broke off")),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the file system does not answer",
        )),
    };
    read.map_err(|source| CredentialError::File {
        kind,
        path: path.to_owned(),
        source: Arc::new(source),
    })
}

fn read_now(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = open(path)?;
    let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET + 1));
    let most = u64::try_from(MAX_SECRET).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1)).read_to_string(&mut text)?;
    if text.len() > MAX_SECRET {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is longer than any secret",
        ));
    }
    Ok(text)
}

/// The bytes of a file with authorities.
pub(crate) fn authorities(path: &Path) -> io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    open(path)?.take(MAX_AUTHORITIES + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > MAX_AUTHORITIES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than a MiB"));
    }
    Ok(pem)
}

/// A regular file, which has an end.
fn open(path: &Path) -> io::Result<File> {
    // Opening a pipe would wait for whoever writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    File::open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn authorities_that_have_no_end_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("long");
        File::create(&long).unwrap().set_len(MAX_AUTHORITIES + 1).unwrap();
        for path in [Path::new("/dev/zero"), dir.path(), &long] {
            assert!(authorities(path).is_err(), "{}", path.display());
        }
        fs::write(&long, "short").unwrap();
        assert_eq!(authorities(&long).unwrap(), b"short");
    }
}
