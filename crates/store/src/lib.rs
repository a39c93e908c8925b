//! What Sallyport must remember between runs: SQLite under the state directory, one writer, upgraded by migrations.
//!
//! Each family of rows has its own module and its own migration file; [`Store`] is the handle that they share.
//! Reads go through a small pool; every write goes through the one writing connection, so writers queue in this
//! process instead of meeting `SQLITE_BUSY`.

pub mod agents;
pub mod requests;
pub mod ssh_keys;
pub mod tokens;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

/// Connections that only read.
const READERS: u32 = 4;
/// How long a connection waits for a lock that another process (the command line) holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A handle to the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    readers: SqlitePool,
    writer: SqlitePool,
}

/// Why the store refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite refused or the file cannot be reached.
    #[error("the store cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema of the store could not be brought up to date.
    #[error("the store cannot be upgraded: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A row holds what this version cannot read.
    #[error("the store's table `{table}` holds a value that cannot be read: {what}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong with the row.
        what: String,
    },
}

impl Store {
    /// Opens `path`, creating it with mode 0600 and upgrading its schema.
    ///
    /// # Errors
    /// When the file cannot be opened or a migration fails.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        create_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // A revocation or a used grant must survive a power cut, so commits are synced.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        sqlx::migrate!("./migrations").run(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self { readers, writer })
    }

    /// Closes every connection, folding the write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// The pool for statements that only read, for the modules of this crate.
    pub(crate) fn read(&self) -> &SqlitePool {
        &self.readers
    }

    /// The one writing connection, for the modules of this crate.
    pub(crate) fn write(&self) -> &SqlitePool {
        &self.writer
    }

    /// A transaction that writes. It holds SQLite's write lock from its first statement on, so that what it reads
    /// stays true until it commits.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

fn create_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|e| StoreError::Database(sqlx::Error::Io(e)))
}
