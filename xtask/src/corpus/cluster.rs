//! The database server of one case: a fresh copy of the database that the cases speak about.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sallyport_testbed::{Auth, Options, Postgres, Template};

use super::wire::Connection;
use crate::process;

/// The cases write this port into statements that connect back to the server.
pub(crate) const PORT: u16 = 55441;
/// The cases read and write files of the server here.
pub(crate) const FILES: &str = "/tmp/gwtest";

const ADMINISTRATOR: &str = "pgadmin";
const SETTINGS: &[(&str, &str)] = &[
    ("synchronous_commit", "on"),
    ("max_connections", "30"),
    ("max_prepared_transactions", "5"),
    ("wal_level", "logical"),
    ("max_wal_senders", "4"),
    ("shared_buffers", "16MB"),
    ("autovacuum", "off"),
    ("min_wal_size", "2MB"),
    ("max_wal_size", "32MB"),
    ("track_activity_query_size", "4096"),
    ("shared_preload_libraries", "pg_stat_statements"),
];

/// Where the server listens.
pub(crate) fn address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))
}

/// The stopped cluster of which each case gets a copy; made at the first run.
pub(crate) fn template() -> Result<Template> {
    let schema = process::root().join("tests").join("corpus").join("schema.sql");
    let text = std::fs::read_to_string(&schema).context("the schema of the corpora could not be read")?;
    let options = Options {
        port: None,
        ..options()
    };
    let template = Template::filled(ADMINISTRATOR, &text, &options, |postgres| {
        postgres.script("postgres", &text)?;
        postgres.query("shop", "CHECKPOINT").map(|_| ())
    })?;
    Ok(template)
}

/// Starts a copy, with fresh files beside it.
pub(crate) fn start(template: &Template) -> Result<Postgres> {
    lay_files()?;
    Ok(Postgres::from_template(template, &options())?)
}

/// Starts a copy on a free port, for cases that do not name one.
pub(crate) fn start_anywhere() -> Result<Postgres> {
    Ok(Postgres::from_template(
        &template()?,
        &Options {
            port: None,
            ..options()
        },
    )?)
}

/// An administrator's connection.
pub(crate) fn admin() -> Result<Connection> {
    connect_as(ADMINISTRATOR)
}

/// A direct connection to the cases' database as any role.
pub(crate) fn connect_as(role: &str) -> Result<Connection> {
    let parameters = [("user", role), ("database", "shop"), ("application_name", "corpus")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let connection = Connection::open(address(), &parameters, None)?;
    anyhow::ensure!(!connection.dead, "the server refused `{role}`");
    Ok(connection)
}

fn options() -> Options {
    let settings = SETTINGS
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let memory = PathBuf::from("/dev/shm");
    Options {
        auth: Auth::Trust,
        log_statements: true,
        settings: settings.collect(),
        port: Some(PORT),
        parent: memory.is_dir().then_some(memory),
        ..Options::default()
    }
}

fn lay_files() -> Result<()> {
    let dir = Path::new(FILES);
    std::fs::create_dir_all(dir).with_context(|| format!("`{FILES}` could not be made"))?;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            std::fs::remove_dir_all(&path)?;
        } else {
            std::fs::remove_file(&path)?;
        }
    }
    std::fs::write(dir.join("secret.txt"), "SERVER-FILE-SECRET-7f3a\n")?;
    // Without root the server runs as this user anyway.
    let _ = process::capture(Command::new("chown").args(["-R", "postgres:postgres", FILES]));
    Ok(())
}
