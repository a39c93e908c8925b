//! `sallyport policy schema`: what editors need to understand a bundle.

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;

use crate::gateway::loader;

/// The forms of the TOML files, as [JSON Schema](https://json-schema.org/draft/2020-12).
pub(super) const FORMS: &[(&str, &str)] = &[
    ("schemas/targets.json", include_str!("schemas/targets.json")),
    ("schemas/classify.json", include_str!("schemas/classify.json")),
    ("schemas/groups.json", include_str!("schemas/groups.json")),
    ("schemas/cases.json", include_str!("schemas/cases.json")),
    ("schemas/properties.json", include_str!("schemas/properties.json")),
];

/// Write what editors need to understand a bundle: the schema of the rules, and those of the TOML files.
///
/// Files of an earlier version are replaced. The gateway does not read them.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// The bundle's directory.
    #[arg(default_value = "policy", value_name = "DIR")]
    dir: PathBuf,
}

impl SchemaArgs {
    /// Writes the files.
    ///
    /// # Errors
    /// When the directory is no bundle or cannot be written to.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let dir = self.dir.display();
        ensure!(
            self.dir.join("rules").is_dir(),
            "`{dir}` is no bundle: it has no `rules` directory; `sallyport policy init {dir}` makes one"
        );
        for (name, text) in files() {
            let path = self.dir.join(name);
            let folder = path.parent().unwrap_or(&self.dir);
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(&path, text))
                .with_context(|| format!("`{}` could not be written", path.display()))?;
            writeln!(stdout(), "wrote {}", path.display())?;
        }
        Ok(())
    }
}

/// The files, by path within the bundle.
pub(super) fn files() -> impl Iterator<Item = (&'static str, String)> {
    let rules = ("sallyport.cedarschema", loader().schema_text());
    let forms = FORMS.iter().map(|(name, text)| (*name, (*text).to_owned()));
    std::iter::once(rules).chain(forms)
}

#[cfg(test)]
mod tests;
