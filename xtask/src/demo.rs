//! `cargo xtask demo`

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, setup};

/// Installs what is missing, builds, and becomes `sallyport demo`.
///
/// It replaces this process, so that Ctrl-C and other signals reach the demo itself.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::run(setup::FOR_DEMO)?;
    let binary = build()?;
    let error = Command::new(&binary).arg("demo").args(arguments).exec();
    Err(error).with_context(|| format!("`{}` could not be started", binary.display()))
}

/// Builds the program and says where it is.
pub(crate) fn build() -> Result<std::path::PathBuf> {
    process::run(process::cargo().args(["build", "--quiet", "--package", "sallyport"]))?;
    Ok(process::target_dir()?.join("debug").join("sallyport"))
}
