//! What a case changed on its host.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

/// What changes in every run, or belongs to the corpus.
const OURS: &[&str] = &["/run/audit", "/run/gw.log", "/run/sshd", "/var/log", "/opt", "/dev"];

/// What a shell writes when it ends, if it is the host's.
const HISTORY: &str = ".bash_history";

/// The paths of what was made, changed or removed, without directories that only hold such.
pub(super) fn changed(upper: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    walk(upper, "", &mut found)?;
    Ok(found)
}

fn walk(dir: &Path, name: &str, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = format!("{name}/{}", entry.file_name().to_string_lossy());
        if OURS.contains(&path.as_str()) || entry.file_name() == HISTORY {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &path, found)?;
            if std::fs::read_dir(entry.path())?.next().is_none() {
                found.insert(path);
            }
        } else {
            found.insert(path);
        }
    }
    Ok(())
}
