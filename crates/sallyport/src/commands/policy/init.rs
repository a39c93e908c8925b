//! `sallyport policy init`: a bundle to start from.

use std::fs::{self, OpenOptions};
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::schema;

/// What a bundle to start from consists of, besides the schemas.
const FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("start/README.md")),
    ("targets.toml", include_str!("start/targets.toml")),
    ("classify.toml", include_str!("start/classify.toml")),
    ("groups.toml", include_str!("start/groups.toml")),
    ("rules/access.cedar", include_str!("start/rules/access.cedar")),
    ("rules/postgres.cedar", include_str!("start/rules/postgres.cedar")),
    ("rules/ssh.cedar", include_str!("start/rules/ssh.cedar")),
    ("rules/masks.cedar", include_str!("start/rules/masks.cedar")),
    ("tests/access.toml", include_str!("start/tests/access.toml")),
    ("tests/postgres.toml", include_str!("start/tests/postgres.toml")),
    ("tests/ssh.toml", include_str!("start/tests/ssh.toml")),
    // The names of the example's database, until the target's own take their place.
    (
        "names/orders.jsonl",
        include_str!("../../../../../policy/names/orders.jsonl"),
    ),
];

/// What a directory has that holds a bundle already.
const OF_BUNDLES: &[&str] = &["rules", "targets.toml", "classify.toml", "groups.toml"];

/// Write a bundle to start from: targets, classes, commented rules and their cases.
///
/// Nothing that exists is overwritten.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The directory, which is made if it does not exist.
    #[arg(default_value = "policy", value_name = "DIR")]
    dir: PathBuf,
}

impl InitArgs {
    /// Writes the files.
    ///
    /// # Errors
    /// When the directory holds a bundle or one of the files, or cannot be written to.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let files: Vec<(&str, String)> = FILES
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned()))
            .chain(schema::files())
            .collect();
        let dir = self.dir.display();
        if let Some(found) = OF_BUNDLES.iter().find(|name| self.dir.join(name).exists()) {
            bail!("`{dir}` holds a bundle already: there is `{found}`; name a directory without one");
        }
        if let Some((found, _)) = files
            .iter()
            .find(|(name, _)| self.dir.join(name).symlink_metadata().is_ok())
        {
            bail!("`{found}` exists in `{dir}`, and is not overwritten; name another directory or move it away");
        }
        ensure!(
            !self.dir.exists() || self.dir.is_dir(),
            "`{dir}` is no directory; name one, or a new one"
        );
        for (name, text) in &files {
            create(&self.dir.join(name), text)?;
        }
        Ok(writeln!(
            stdout(),
            "wrote a bundle to `{dir}`: read its README.md, put your targets into targets.toml, then run `sallyport policy check {dir}`"
        )?)
    }
}

/// Writes a file that must not exist.
fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().with_context(|| format!("`{}` could not be written", path.display()))
}
