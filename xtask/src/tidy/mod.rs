//! `cargo xtask tidy`: the habits that a program can check.

mod manifest;
mod rules;
mod source;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The path from the root.
    pub(crate) path: String,
    /// The line, from 1.
    pub(crate) line: usize,
    /// The habit that is broken.
    pub(crate) what: String,
}

/// Checks every file that version control knows or would take.
pub(crate) fn run() -> Result<()> {
    let root = process::root();
    let mut findings = Vec::new();
    for path in files(&root)? {
        // A file that is listed but gone is being deleted; one that is no text has no habits.
        let Ok(text) = std::fs::read_to_string(root.join(&path)) else {
            continue;
        };
        findings.extend(check(&path, &text)?);
    }
    findings.sort();
    for finding in &findings {
        println!("{}:{}: {}", finding.path, finding.line, finding.what);
    }
    if findings.is_empty() {
        return Ok(());
    }
    bail!("tidy: {} findings", findings.len())
}

fn check(path: &str, text: &str) -> Result<Vec<Finding>> {
    let mut findings = rules::names(path);
    findings.extend(rules::machine_paths(path, text));
    if path.ends_with("Cargo.toml") {
        findings.extend(manifest::check(path, text));
    }
    if path.ends_with(".rs") {
        let source = source::Source::parse(text).with_context(|| format!("`{path}` does not parse"))?;
        findings.extend(rules::lengths(path, &source));
        findings.extend(rules::modules(path, &source));
        findings.extend(rules::select(path, &source));
        findings.extend(rules::purity(path, &source));
    }
    Ok(findings)
}

fn files(root: &Path) -> Result<Vec<String>> {
    let mut git = std::process::Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root);
    let listed = process::capture(&mut git)?;
    let mut paths: Vec<String> = listed
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect();
    paths.sort();
    paths.dedup();
    paths.retain(|path| PathBuf::from(root).join(path).is_file());
    Ok(paths)
}
