//! Files of a bundle that come from elsewhere than a directory: the bounds of [`crate::files`] for them.

use std::collections::BTreeMap;

use crate::files::{BESIDE, FOLDERS, Files, MAX_BYTES, MAX_DEPTH, MAX_FILES};
use crate::problem::Problem;

/// The bounds of a bundle, for who reads its files from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most files.
    pub files: usize,
    /// The most bytes of one file.
    pub file_bytes: u64,
    /// The most bytes of all files together.
    pub total_bytes: u64,
}

impl Bounds {
    /// Those of every bundle that comes from elsewhere than a directory.
    pub const BUNDLE: Self = Self {
        files: MAX_FILES,
        file_bytes: MAX_BYTES,
        total_bytes: 64 << 20,
    };
}

/// Whether a bundle that has this file reads it. What is hidden is not read.
#[must_use]
pub fn is_part(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let plain = |part: &&str| !part.is_empty() && !part.starts_with('.') && !part.contains(char::is_control);
    match parts.as_slice() {
        [name] => BESIDE.contains(name),
        [folder, below @ ..] => {
            let ext = FOLDERS.iter().find(|(name, _)| name == folder).map(|(_, ext)| ext);
            ext.is_some_and(|ext| path.ends_with(ext)) && below.iter().all(plain)
        }
        [] => false,
    }
}

/// Whether a path is one of a bundle's files or folders, or below one: where there may be nothing but plain files.
#[must_use]
pub fn is_within(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or(path);
    BESIDE.contains(&first) || FOLDERS.iter().any(|(folder, _)| *folder == first)
}

/// The digest that a bundle of these files has.
#[must_use]
pub fn digest_of(files: &BTreeMap<String, String>) -> String {
    crate::files::digest(files)
}

/// The files, if they are within the bounds.
pub(crate) fn check(files: BTreeMap<String, String>) -> Result<Files, Vec<Problem>> {
    let mut problems = Vec::new();
    let bounds = Bounds::BUNDLE;
    if files.len() > bounds.files {
        let message = format!("a bundle has at most {} files", bounds.files);
        problems.push(Problem::in_file(".", message));
    }
    let total = files.values().map(|text| text.len() as u64).sum::<u64>();
    if total > bounds.total_bytes {
        let message = format!("a bundle has at most {} bytes", bounds.total_bytes);
        problems.push(Problem::in_file(".", message));
    }
    for (path, text) in &files {
        if !is_part(path) {
            problems.push(Problem::in_file(path, "is no file of a bundle"));
        }
        if path.matches('/').count() > MAX_DEPTH + 1 {
            problems.push(Problem::in_file(path, "the folders are nested too deep"));
        }
        if text.len() as u64 > bounds.file_bytes {
            let message = format!("is larger than {} bytes", bounds.file_bytes);
            problems.push(Problem::in_file(path, message));
        }
    }
    if !files.keys().any(|path| path.starts_with("rules/")) {
        problems.push(Problem::in_file("rules", "the bundle has no rules"));
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_directory_would_read_is_part_and_nothing_else() {
        for path in [
            "targets.toml",
            "classify.toml",
            "rules/a.cedar",
            "rules/a/b c.cedar",
            "tests/x.toml",
        ] {
            assert!(is_part(path) && is_within(path), "{path}");
        }
        for path in [
            "rules/../../etc/x.cedar",
            "rules//a.cedar",
            "rules/.a.cedar",
            "rules/a.toml",
            "tests/x.cedar",
        ] {
            assert!(!is_part(path) && is_within(path), "{path}");
        }
        for path in [
            "",
            "/rules/a.cedar",
            "other/rules/a.cedar",
            "x.toml",
            "rules2/a.cedar",
            "../targets.toml",
        ] {
            assert!(!is_part(path) && !is_within(path), "{path}");
        }
        assert!(!is_part("rules/a\n.cedar"));
    }

    #[test]
    fn what_is_too_large_or_too_many_or_without_rules_is_refused() {
        let one = |path: &str, bytes: usize| BTreeMap::from([(path.to_owned(), " ".repeat(bytes))]);
        assert!(check(one("rules/a.cedar", 4 << 20)).is_ok());
        assert!(check(one("rules/a.cedar", (4 << 20) + 1)).is_err());
        assert!(check(one("targets.toml", 1)).is_err(), "no rules");
        assert!(check(one("/etc/passwd", 1)).is_err());
        let many = |count: usize, bytes: usize| {
            let files = (0..count).map(|n| (format!("rules/{n}.cedar"), " ".repeat(bytes)));
            check(files.collect())
        };
        assert!(many(4096, 1).is_ok() && many(4097, 1).is_err());
        assert!(many(17, 4 << 20).is_err(), "all together");
        assert!(check(one(&format!("rules/{}a.cedar", "d/".repeat(9)), 1)).is_err());
    }
}
