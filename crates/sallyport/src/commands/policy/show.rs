//! `sallyport policy show`: a policy that was in force, by the digest that decisions name.

use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use sallyport_api::ports::BundleFiles;
use sallyport_policy::{digest_of, is_part};

use super::super::caller::Caller;
use super::super::terminal::{checked_id, clock, print_json, safe};
use crate::output;

/// Show a policy that was in force at a gateway, however long ago. For auditors and administrators.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Its digest as decisions and recordings name it, or the beginning of it.
    digest: String,
    /// Print only this file, as it was.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["to", "json"])]
    file: Option<String>,
    /// Write its files into this directory, which must not be there yet.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    #[command(flatten)]
    caller: Caller,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ShowArgs {
    /// Shows it, if what the gateway gives has the digest that was asked for.
    ///
    /// # Errors
    /// When the caller may not, there is none, or it is damaged.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let path = format!("v1/policy/bundles/{}", checked_id(&self.digest)?);
        let bundle: BundleFiles = self.caller.logged_in()?.get(&path).await?;
        let digest = digest_of(&bundle.files);
        ensure!(
            digest == bundle.digest && digest.starts_with(&self.digest.to_ascii_lowercase()),
            "what the gateway gives for `{}` has another digest, {digest}: it is not what was in force",
            self.digest
        );
        if let Some(dir) = &self.to {
            write(&bundle, dir)?;
            return Ok(output::line(&format!(
                "{} files are in `{}`",
                bundle.files.len(),
                dir.display()
            ))?);
        }
        match &self.file {
            Some(name) => print_file(&bundle, name),
            None if self.json => print_json(&bundle),
            None => print(&bundle),
        }
    }
}

fn print_file(bundle: &BundleFiles, name: &str) -> anyhow::Result<()> {
    let Some(text) = bundle.files.get(name) else {
        let names: Vec<String> = bundle.files.keys().map(|name| safe(name)).collect();
        bail!("it has no file `{}`; it has {}", safe(name), names.join(", "))
    };
    let text = if stdout().is_terminal() {
        safe(text)
    } else {
        text.clone()
    };
    Ok(stdout().lock().write_all(text.as_bytes())?)
}

fn print(bundle: &BundleFiles) -> anyhow::Result<()> {
    output::line(&format!("digest {}", bundle.digest))?;
    for loaded in &bundle.loaded {
        let commit = loaded.commit.as_ref().map(|commit| format!(", commit {commit}"));
        let words = format!(
            "in force since {}{}, from {}",
            clock(loaded.at),
            commit.unwrap_or_default(),
            loaded.source
        );
        output::line(&safe(&words))?;
    }
    for (name, text) in &bundle.files {
        output::line(&format!("\n== {}", safe(name)))?;
        output::line(safe(text).trim_end())?;
    }
    Ok(())
}

fn write(bundle: &BundleFiles, dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
    for (name, text) in &bundle.files {
        ensure!(is_part(name), "`{}` is no file of a bundle", safe(name));
        let path = dir.join(name);
        let parent = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}
