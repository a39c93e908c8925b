//! Reading a bundle's directory into memory, whole, bounded and consistent.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::code::Code;
use crate::problem::Problem;

/// No bundle needs more files than this.
pub(crate) const MAX_FILES: usize = 4096;
/// No file of a bundle needs more bytes than this.
pub(crate) const MAX_BYTES: u64 = 4 << 20;
/// How often a directory that changes while it is read is read again.
const ATTEMPTS: usize = 5;
/// How deep folders may lie in `rules/` and `tests/`.
pub(crate) const MAX_DEPTH: usize = 8;
/// The files that lie beside the folders.
pub(crate) const BESIDE: [&str; 3] = ["targets.toml", "classify.toml", "properties.toml"];
/// The folders, and how the names of their files end.
pub(crate) const FOLDERS: [(&str, &str); 2] = [("rules", ".cedar"), ("tests", ".toml")];

/// The files of a bundle by path relative to its directory, with `/` between the parts.
pub(crate) type Files = BTreeMap<String, String>;

/// Reads the bundle. It is read twice and must be the same, so that a state halfway through somebody's
/// writing is not taken for a bundle.
pub(crate) fn read(dir: &Path) -> Result<Files, Vec<Problem>> {
    let unreadable = |problems: Vec<Problem>| {
        problems
            .into_iter()
            .map(|p| p.coded(Code::UNREADABLE))
            .collect::<Vec<_>>()
    };
    let mut before = read_once(dir).map_err(unreadable)?;
    for _ in 0..ATTEMPTS {
        let after = read_once(dir).map_err(unreadable)?;
        if before == after {
            return Ok(after);
        }
        before = after;
    }
    Err(vec![
        Problem::in_file(".", "the directory keeps changing while it is read").coded(Code::UNREADABLE),
    ])
}

fn read_once(dir: &Path) -> Result<Files, Vec<Problem>> {
    let mut files = Files::new();
    let mut problems = Vec::new();
    for name in BESIDE {
        if dir.join(name).exists() {
            read_file(dir, name.to_owned(), &mut files, &mut problems);
        }
    }
    for (folder, ext) in FOLDERS {
        walk(dir, folder, ext, 0, &mut files, &mut problems);
    }
    if !dir.join("rules").is_dir() {
        problems.push(Problem::in_file("rules", "the bundle has no `rules` directory"));
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

/// Reads a file that lies beside the bundle and is no part of it, if it is there.
pub(crate) fn read_beside(dir: &Path, name: &str) -> Result<Option<String>, Problem> {
    if !dir.join(name).exists() {
        return Ok(None);
    }
    let (mut files, mut problems) = (Files::new(), Vec::new());
    read_file(dir, name.to_owned(), &mut files, &mut problems);
    match problems.pop() {
        Some(problem) => Err(problem.coded(Code::UNREADABLE)),
        None => Ok(files.remove(name)),
    }
}

fn walk(dir: &Path, under: &str, ext: &str, depth: usize, files: &mut Files, problems: &mut Vec<Problem>) {
    let Ok(entries) = fs::read_dir(dir.join(under)) else {
        return;
    };
    if depth > MAX_DEPTH {
        problems.push(Problem::in_file(under, "the folders are nested too deep"));
        return;
    }
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                problems.push(Problem::in_file(under, format!("cannot be read: {error}")));
                continue;
            }
        };
        let Ok(name) = entry.file_name().into_string() else {
            problems.push(Problem::in_file(under, "a file's name is not UTF-8"));
            continue;
        };
        let path = format!("{under}/{name}");
        if name.starts_with('.') {
            continue;
        }
        if entry.path().is_dir() {
            walk(dir, &path, ext, depth + 1, files, problems);
        } else if name.ends_with(ext) {
            if files.len() >= MAX_FILES {
                problems.push(Problem::in_file(
                    under,
                    format!("a bundle has at most {MAX_FILES} files"),
                ));
                return;
            }
            read_file(dir, path, files, problems);
        }
    }
}

fn read_file(dir: &Path, name: String, files: &mut Files, problems: &mut Vec<Problem>) {
    let path = dir.join(&name);
    let content = match fs::metadata(&path) {
        Ok(meta) if meta.len() > MAX_BYTES => Err(format!("is larger than {MAX_BYTES} bytes")),
        Ok(_) => fs::read_to_string(&path).map_err(|error| format!("cannot be read: {error}")),
        Err(error) => Err(format!("cannot be read: {error}")),
    };
    match content {
        Ok(text) => {
            files.insert(name, text);
        }
        Err(why) => problems.push(Problem::in_file(name, why)),
    }
}

/// The bundle's digest, as lower-case hexadecimal: SHA-256 over each file that decides something (not the
/// tests and the properties), sorted by path, as path, a zero byte, the length as eight big-endian bytes, and the content.
pub(crate) fn digest(files: &Files) -> String {
    let mut hash = Sha256::new();
    let decides = |path: &str| !path.starts_with("tests/") && path != "properties.toml";
    for (path, text) in files.iter().filter(|(path, _)| decides(path)) {
        hash.update(path.as_bytes());
        hash.update([0]);
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hex::encode(hash.finalize())
}
