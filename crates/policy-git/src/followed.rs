//! Which commit is in force, remembered between runs: what comes next must come after it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::settings::Settings;

const FILE: &str = "followed.json";

/// The commit that is in force, of which branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Followed {
    pub(crate) repository: String,
    pub(crate) branch: String,
    pub(crate) path: Option<String>,
    pub(crate) commit: String,
    pub(crate) digest: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) committed: OffsetDateTime,
}

impl Followed {
    /// What is remembered, if it is of the same branch; another branch is the operator's decision, and begins anew.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub(crate) fn read(folder: &Path, settings: &Settings) -> Result<Option<Self>, String> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read `{}`: {error}", path.display())),
        };
        let followed: Self = serde_json::from_str(&text).map_err(|error| {
            format!(
                "`{}` makes no sense: {error}. It says which commit must come before the next; remove it to begin anew",
                path.display()
            )
        })?;
        let same = followed.repository == settings.repository.url() && followed.branch == settings.branch;
        Ok(same.then_some(followed))
    }

    /// Remembers it; on the disk when this returns.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let (path, new) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(folder)?.sync_all()
    }
}
