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
    let apt = private_apt(dir)?;
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

/// The machine's own list of sources stays as it is.
fn private_apt(dir: &Path) -> Result<PathBuf> {
    let apt = dir.join("apt");
    for part in [
        "etc/apt.conf.d",
        "etc/preferences.d",
        "state/lists/partial",
        "cache/archives/partial",
    ] {
        std::fs::create_dir_all(apt.join(part))?;
    }
    std::fs::write(apt.join("state/status"), "")?;
    let sources = std::fs::read_to_string("/etc/apt/sources.list.d/debian.sources").unwrap_or_default();
    let uri = sources
        .lines()
        .find_map(|line| line.strip_prefix("URIs: "))
        .unwrap_or("http://deb.debian.org/debian");
    let suite = sources
        .lines()
        .find_map(|line| line.strip_prefix("Suites: "))
        .unwrap_or("bookworm");
    let suite = suite.split(' ').next().unwrap_or(suite);
    let signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
    let list = format!("deb-src {signed} {uri} {suite} main\ndeb {signed} {uri} {suite} main\n");
    std::fs::write(apt.join("etc/sources.list"), list)?;
    let at = apt.display();
    let config = format!(
        "Dir::Etc \"{at}/etc\";\nDir::Etc::sourcelist \"{at}/etc/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
         Dir::State \"{at}/state\";\nDir::State::status \"{at}/state/status\";\nDir::Cache \"{at}/cache\";\n\
         APT::Sandbox::User \"root\";\n"
    );
    let path = apt.join("apt.conf");
    std::fs::write(&path, config)?;
    Ok(path)
}
