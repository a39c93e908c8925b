//! Clusters made once and copied after that.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Options, Postgres, as_server_user, find_postgres, give_to_server_user, new_dir};
use crate::TestbedError;
use crate::cache::{cache_dir, copy_tree, run};

/// A stopped cluster in the cache, to be copied.
#[derive(Debug, Clone)]
pub struct Template {
    data: PathBuf,
    superuser: String,
}

impl Template {
    /// A cluster as `initdb` leaves it (UTF-8, `C.UTF-8`, WAL segments of 1 MB), with this superuser.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or `initdb` fails.
    pub fn empty(superuser: &str) -> Result<Template, TestbedError> {
        let bin = find_postgres().ok_or(TestbedError::NoPostgres)?;
        let data = cached(&["empty", superuser, &release(&bin)?]);
        if !data.exists() {
            let dir = new_dir(None)?;
            let made = init(&bin, &dir, superuser).and_then(|made| keep(&made, &data));
            let _ = std::fs::remove_dir_all(&dir);
            made?;
        }
        Ok(Template {
            data,
            superuser: superuser.to_owned(),
        })
    }

    /// A cluster that `fill` has filled. It is made once for each `key`, so whatever `fill` depends on
    /// belongs into the key.
    ///
    /// # Errors
    /// When the server does not start, or `fill` fails.
    pub fn filled(
        superuser: &str,
        key: &str,
        options: &Options,
        fill: impl FnOnce(&Postgres) -> Result<(), TestbedError>,
    ) -> Result<Template, TestbedError> {
        let bin = find_postgres().ok_or(TestbedError::NoPostgres)?;
        let data = cached(&["filled", superuser, key, &format!("{options:?}"), &release(&bin)?]);
        if !data.exists() {
            let postgres = Postgres::from_template(&Template::empty(superuser)?, options)?;
            fill(&postgres)?;
            let dir = new_dir(None)?;
            let made = dir.join("data");
            let kept = postgres.freeze(&made).and_then(|()| keep(&made, &data));
            let _ = std::fs::remove_dir_all(&dir);
            kept?;
        }
        Ok(Template {
            data,
            superuser: superuser.to_owned(),
        })
    }

    /// The cluster's files.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// The superuser's name.
    pub fn superuser(&self) -> &str {
        &self.superuser
    }
}

fn init(bin: &Path, dir: &Path, superuser: &str) -> Result<PathBuf, TestbedError> {
    give_to_server_user(dir)?;
    let made = dir.join("data");
    let mut initdb = as_server_user(&bin.join("initdb"));
    initdb
        .arg("-D")
        .arg(&made)
        .args(["-U", superuser, "--auth=trust", "-E", "UTF8"]);
    initdb
        .args(["--locale=C.UTF-8", "--wal-segsize=1", "-N"])
        .current_dir("/");
    run(&mut initdb)?;
    Ok(made)
}

/// Moves a copy into the cache in one step; when two do so at once, either copy serves.
fn keep(made: &Path, data: &Path) -> Result<(), TestbedError> {
    let parent = data.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).map_err(TestbedError::file(parent))?;
    let aside = tempfile::Builder::new()
        .prefix("making-")
        .tempdir_in(parent)
        .map_err(TestbedError::file(parent))?;
    let copy = aside.path().join("data");
    copy_tree(made, &copy)?;
    match std::fs::rename(&copy, data) {
        Err(_) if data.exists() => Ok(()),
        other => other.map_err(TestbedError::file(data)),
    }
}

fn cached(parts: &[&str]) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    cache_dir().join("postgres").join(format!("{:016x}", hasher.finish()))
}

/// The exact release, since a cluster belongs to the programs that made it.
fn release(bin: &Path) -> Result<String, TestbedError> {
    let output = Command::new(bin.join("postgres"))
        .arg("--version")
        .output()
        .map_err(|source| TestbedError::Spawn {
            program: "postgres".to_owned(),
            source,
        })?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
