//! PostgreSQL's own regression tests, from Debian's source package, with the library that they load.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sallyport_testbed::find_postgres;

use super::{apt, stamp};
use crate::process;

/// Where the tests are, made when missing: `regress/` and `regress.so`.
pub(crate) fn regress() -> Result<PathBuf> {
    apt::program("dpkg-source", "--version", &["dpkg-dev"])?;
    apt::program("gcc", "--version", &["gcc", "libc6-dev"])?;
    let bin = find_postgres().context("no PostgreSQL server")?;
    let version = bin
        .parent()
        .and_then(Path::file_name)
        .context("a server without a version")?;
    let version = version.to_string_lossy().into_owned();
    let recipe = format!("apt-get source postgresql-{version}, for its regression tests");
    stamp::ensure("regress", &recipe, |dir| make(dir, &version))
}

fn make(dir: &Path, version: &str) -> Result<()> {
    let apt = apt::private(dir)?;
    let run = |arguments: &[&str]| {
        process::run(
            Command::new("apt-get")
                .args(arguments)
                .env("APT_CONFIG", &apt)
                .current_dir(dir),
        )
    };
    run(&["-qq", "update"])?;
    run(&["-qq", "source", "--download-only", &format!("postgresql-{version}")])?;
    run(&["-qq", "download", &format!("postgresql-server-dev-{version}")])?;
    let script = format!(
        "set -e
         dpkg-source --no-check -x postgresql-{version}_*.dsc source >/dev/null
         dpkg-deb -x postgresql-server-dev-{version}_*.deb headers
         gcc -O1 -fPIC -shared -w -I headers/usr/include/postgresql/{version}/server \
             -I headers/usr/include/postgresql/internal source/src/test/regress/regress.c -o regress.so
         mv source/src/test/regress regress
         rm -rf source headers apt *.deb *.dsc *.tar.*
         chmod -R a+rX ."
    );
    process::run(Command::new("sh").args(["-c", &script]).current_dir(dir))
}
