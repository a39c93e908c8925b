//! What is worth keeping from run to run lives outside the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::TestbedError;

/// The directory that keeps what is slow to make: `$SALLYPORT_CACHE`, else `$XDG_CACHE_HOME/sallyport`,
/// else `~/.cache/sallyport`.
pub fn cache_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("SALLYPORT_CACHE") {
        return PathBuf::from(dir);
    }
    if let Some(dir) = std::env::var_os("XDG_CACHE_HOME") {
        return PathBuf::from(dir).join("sallyport");
    }
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into());
    PathBuf::from(home).join(".cache").join("sallyport")
}

/// Copies a directory with `cp`, which knows holes, links and modes.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<(), TestbedError> {
    run(Command::new("cp").arg("-r").arg("--reflink=auto").arg(from).arg(to)).map(drop)
}

/// Runs a program to its end: what it prints. Its standard error becomes the error.
pub(crate) fn run(command: &mut Command) -> Result<String, TestbedError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| TestbedError::Spawn {
        program: program.clone(),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(TestbedError::Failed { program, output: said })
}
