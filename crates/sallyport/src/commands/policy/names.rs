//! `sallyport policy names`: what the names at a target mean, for trying commands without it.

use std::fs;
use std::io::{Write, stderr};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::super::caller::Caller;
use super::super::terminal::safe;
use super::workbench::names_file;

/// Write down the names at a target (relations, columns, functions; no data), so that cases about it can be understood.
/// For auditors and administrators; the gateway reads them at the target.
#[derive(Debug, Args)]
pub(super) struct NamesArgs {
    #[command(flatten)]
    caller: Caller,
    /// The target.
    target: String,
    /// The bundle, which gets them as names/TARGET.jsonl.
    #[arg(long, default_value = "policy", value_name = "DIR")]
    policy: PathBuf,
}

impl NamesArgs {
    /// Asks the gateway and writes the file.
    ///
    /// # Errors
    /// When the gateway says no, or the file cannot be written.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let name = &self.target;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fine = name.chars().all(plain) && !name.starts_with('.');
        anyhow::ensure!(fine, "`{}` cannot be a file's name", safe(name));
        let gateway = self.caller.logged_in()?;
        let mut text = Vec::new();
        gateway
            .get_lines::<anyhow::Error>(&format!("v1/targets/{name}/names"), |line| {
                text.extend_from_slice(line);
                text.push(b'\n');
                Ok(())
            })
            .await?;
        let file = names_file(&self.policy, name);
        let shown = file.display();
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
        }
        fs::write(&file, &text).with_context(|| format!("cannot write `{shown}`"))?;
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        Ok(writeln!(stderr(), "wrote {lines} names to {shown}")?)
    }
}
