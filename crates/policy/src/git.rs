//! Which commit a directory's repository is at, read from the repository's files without a git program.

use std::fs;
use std::path::{Path, PathBuf};

/// The commit that `HEAD` names, in lower-case hexadecimal; `None` outside a repository, and before its
/// first commit. Says nothing about whether the working tree was changed since: the bundle's digest does.
pub(crate) fn commit(dir: &Path) -> Option<String> {
    let dir = fs::canonicalize(dir).ok()?;
    let git = dir.ancestors().find_map(|folder| repository(&folder.join(".git")))?;
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(reference) = head.trim().strip_prefix("ref: ") else {
        return object(head.trim());
    };
    let reference = reference.trim();
    let shared =
        fs::read_to_string(git.join("commondir")).map_or_else(|_| git.clone(), |common| git.join(common.trim()));
    [&git, &shared]
        .into_iter()
        .find_map(|folder| object(fs::read_to_string(folder.join(reference)).ok()?.trim()))
        .or_else(|| packed(&shared, reference))
}

/// The folder of the repository's own files: `.git` itself, or where a worktree's `.git` file points.
fn repository(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_owned());
    }
    let text = fs::read_to_string(git).ok()?;
    let target = text.trim().strip_prefix("gitdir:")?.trim();
    Some(git.parent()?.join(target))
}

fn packed(git: &Path, reference: &str) -> Option<String> {
    let text = fs::read_to_string(git.join("packed-refs")).ok()?;
    text.lines().find_map(|line| {
        let (id, name) = line.split_once(' ')?;
        if name.trim() == reference { object(id) } else { None }
    })
}

fn object(id: &str) -> Option<String> {
    let long_enough = matches!(id.len(), 40 | 64);
    (long_enough && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_ascii_lowercase())
}
