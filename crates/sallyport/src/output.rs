//! What the program prints.

use std::io::{self, Write};

/// One line to standard output, at once.
///
/// # Errors
/// When nobody reads it any more.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Why the program failed, to standard error.
pub(crate) fn error(error: &anyhow::Error) {
    // Without anybody who reads it, the exit code has to do.
    let _ = writeln!(io::stderr().lock(), "sallyport: {error:#}");
}
