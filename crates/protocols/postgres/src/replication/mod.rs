//! Commands of replication connections: what a server's walsender takes besides SQL.
//!
//! A server decides by the first token of a simple query whether it is a command of this kind, and reads it with a
//! small grammar of its own. The same is done here. What begins like such a command and is not one is a command
//! that nobody understands.
//!
//! Source: <https://www.postgresql.org/docs/current/protocol-replication.html>.

mod acts;
mod grammar;
mod scan;
mod stream;

pub(crate) use acts::understood;
pub(crate) use grammar::parse;
pub(crate) use stream::Tally;

/// What a replication connection can do besides the commands of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walsender {
    /// `replication=true`: the whole cluster, no SQL.
    Physical,
    /// `replication=database`: SQL as well, and logical decoding of one database.
    Database,
}

impl Walsender {
    /// What a startup packet says for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Physical => "true",
            Self::Database => "database",
        }
    }
}

/// A command, as far as rules speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `IDENTIFY_SYSTEM`.
    IdentifySystem,
    /// `SHOW name`: as in SQL, and judged as SQL.
    Show,
    /// `TIMELINE_HISTORY number`.
    TimelineHistory,
    /// `READ_REPLICATION_SLOT name`.
    ReadSlot { slot: String },
    /// `CREATE_REPLICATION_SLOT`; `plugin` for a logical one.
    CreateSlot {
        slot: String,
        temporary: bool,
        plugin: Option<String>,
        options: Vec<Setting>,
    },
    /// `ALTER_REPLICATION_SLOT`, of version 17.
    AlterSlot { slot: String, options: Vec<Setting> },
    /// `DROP_REPLICATION_SLOT`.
    DropSlot { slot: String },
    /// `START_REPLICATION` of the write-ahead log.
    StreamPhysical { slot: Option<String> },
    /// `START_REPLICATION … LOGICAL` of decoded changes.
    StreamLogical { slot: String, options: Vec<Setting> },
    /// `BASE_BACKUP`.
    BaseBackup { options: Vec<Setting> },
}

/// An option of a command: its name in lower case, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// What the target answers a command with, beside rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Nothing.
    Rows,
    /// Files, as COPY data.
    Backup,
    /// The write-ahead log.
    Log,
    /// Changes in the words of an output plugin.
    Changes,
}

impl Command {
    /// What the target answers with.
    pub(crate) fn carries(&self) -> Carries {
        match self {
            Self::BaseBackup { .. } => Carries::Backup,
            Self::StreamPhysical { .. } => Carries::Log,
            Self::StreamLogical { .. } => Carries::Changes,
            Self::IdentifySystem
            | Self::Show
            | Self::TimelineHistory
            | Self::ReadSlot { .. }
            | Self::CreateSlot { .. }
            | Self::AlterSlot { .. }
            | Self::DropSlot { .. } => Carries::Rows,
        }
    }
}
