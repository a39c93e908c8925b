//! How findings are shown: to people, to continuous integration, to programs.

mod github;
mod json;
mod sarif;
mod text;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sallyport_policy::{Checked, Severity};

pub(super) use self::json::finding;

/// For whom findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// People: each finding with its lines of the file.
    Text,
    /// GitHub Actions: commands that put findings beside the lines of a change.
    Github,
    /// SARIF 2.1.0, as code scanning reads it.
    Sarif,
    /// JSON.
    Json,
}

/// What is shown.
pub(super) struct Report<'a> {
    /// The bundle's directory, as it was given.
    pub(super) dir: &'a Path,
    /// What was found.
    pub(super) checked: &'a Checked,
    /// How many targets the bundle has.
    pub(super) targets: usize,
    /// Whether warnings count as errors.
    pub(super) strict: bool,
}

impl Report<'_> {
    /// Whether the check fails.
    pub(super) fn fails(&self) -> bool {
        self.checked.count(Severity::Error) > 0 || (self.strict && !self.checked.findings.is_empty())
    }

    /// Writes the report; findings for people go to `notes`.
    ///
    /// # Errors
    /// When nobody reads it.
    pub(super) fn write(&self, format: Format, out: &mut dyn Write, notes: &mut dyn Write) -> anyhow::Result<()> {
        match format {
            Format::Text => text::write(self, out, notes),
            Format::Github => github::write(self, out),
            Format::Sarif => sarif::write(self, out),
            Format::Json => json::write(self, out),
        }
    }

    /// The path of one of the bundle's files from the root of the repository that it is in, with `/` between the parts;
    /// outside a repository from where the command runs.
    fn path(&self, file: &str) -> String {
        let inside = within_repository(self.dir).unwrap_or_else(|| self.dir.to_owned());
        let path = inside.join(file);
        let parts = path
            .components()
            .filter(|part| !matches!(part, std::path::Component::CurDir));
        parts.collect::<PathBuf>().to_string_lossy().replace('\\', "/")
    }
}

/// The directory's path from the root of its repository.
fn within_repository(dir: &Path) -> Option<PathBuf> {
    let dir = std::fs::canonicalize(dir).ok()?;
    let root = dir.ancestors().find(|folder| folder.join(".git").exists())?;
    dir.strip_prefix(root).ok().map(Path::to_owned)
}

#[cfg(test)]
mod tests;
