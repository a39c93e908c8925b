//! The JDBC driver, as Debian packages it.

use std::path::Path;

use anyhow::Result;

use super::apt;

const DRIVER: &str = "/usr/share/java/postgresql.jar";

pub(super) fn ensure() -> Result<()> {
    apt::program("javac", "-version", &["default-jdk-headless"])?;
    if Path::new(DRIVER).exists() {
        return Ok(());
    }
    apt::install(&["libpostgresql-jdbc-java"])
}
