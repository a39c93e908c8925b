//! What is known of a statement: the vocabulary that policy, masking and session tracking read.

mod copy;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use smol_str::SmolStr;

pub use copy::{Copy, CopyFormat, CopyPeer};

pub use crate::action::{Action, ActionGroup};

/// A relation by its schema and name, as the catalogue spells them.
///
/// Displays as `schema.name`; a part that itself has a dot or a quote is quoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelName {
    /// The schema; `pg_temp_N` for temporary relations, `?` where the relation is unknown.
    pub schema: SmolStr,
    /// The relation's own name.
    pub name: SmolStr,
}

impl RelName {
    /// A name from its two parts.
    pub fn new(schema: impl Into<SmolStr>, name: impl Into<SmolStr>) -> RelName {
        RelName {
            schema: schema.into(),
            name: name.into(),
        }
    }

    /// Whether the relation lives in a schema of temporary objects.
    pub fn is_temporary(&self) -> bool {
        self.schema == "pg_temp" || self.schema.starts_with("pg_temp_")
    }
}

/// A column of a relation. Displays as `schema.relation.column`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnName {
    /// The relation that has the column.
    pub relation: RelName,
    /// The column's own name.
    pub column: SmolStr,
}

impl ColumnName {
    /// A name from its three parts.
    pub fn new(schema: impl Into<SmolStr>, relation: impl Into<SmolStr>, column: impl Into<SmolStr>) -> ColumnName {
        ColumnName {
            relation: RelName::new(schema, relation),
            column: column.into(),
        }
    }
}

/// Writes one part of a dotted name, quoted where it would be ambiguous.
fn part(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    if text.is_empty() || text.contains(['.', '"']) {
        write!(f, "\"{}\"", text.replace('"', "\"\""))
    } else {
        f.write_str(text)
    }
}

impl fmt::Display for RelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        part(f, &self.schema)?;
        f.write_str(".")?;
        part(f, &self.name)
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.relation)?;
        part(f, &self.column)
    }
}

impl Serialize for RelName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl Serialize for ColumnName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// How a statement uses a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The value reaches a result column unchanged.
    Shown,
    /// The value reaches a result column through an expression or inside a row.
    Derived,
    /// The value decides about rows, their order, their number, or whether an error is raised.
    Inferred,
    /// The value is stored elsewhere: a table, a view's definition, a sequence, a setting, a
    /// notification; or the column gets another name.
    Copied,
    /// The column is the target of an INSERT, UPDATE, MERGE or COPY FROM.
    Written,
}

/// One use of one column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ColumnUse {
    /// Which column; base columns, and the columns of the views on the way.
    pub column: ColumnName,
    /// How it is used.
    pub how: How,
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The name the server will give the column.
    pub name: SmolStr,
    /// Every column whose values may be in it. Views on the way are named as well as base columns,
    /// except behind a declassified view, which ends the chain.
    pub origins: Arc<BTreeSet<ColumnName>>,
    /// The value is that of one origin, unchanged (for set operations: of one of the origins).
    pub direct: bool,
}

/// The result columns of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outputs {
    /// No rows come back.
    NoRows,
    /// These columns come back, in this order.
    Columns(Vec<Output>),
    /// Rows may come back whose columns are not known; they may carry anything from these.
    Unknown {
        /// Every relation that the statement reads.
        relations: BTreeSet<RelName>,
    },
}

/// Something a statement can do beyond its plain meaning, that a rule will want to name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hazard {
    /// Text or hidden code is executed as SQL: `DO`, `query_to_xml`, `crosstab`, `ts_stat` …
    DynamicSql,
    /// A program is run on the server, or a library loaded.
    ServerProgram,
    /// Files of the server are read, listed or written.
    ServerFile,
    /// The server connects elsewhere: dblink, foreign servers, subscriptions.
    Network,
    /// The session's role or user changes.
    SessionIdentity,
    /// Roles, privileges, ownership or row security change.
    Privileges,
    /// Triggers are switched off, for the session or a table.
    DisablesTriggers,
    /// A setting changes how later statements are read (`standard_conforming_strings` …).
    ParserSetting,
    /// Replication slots, origins, decoding or the write-ahead log.
    Replication,
    /// Large objects are read or written.
    LargeObject,
    /// Planner or execution statistics that can hold data of tables, or texts of statements.
    Statistics,
    /// A payload is sent to listeners.
    Notify,
    /// A setting is written by a function, its name known or not.
    SettingWrite,
    /// The server itself is steered: configuration, other sessions, the log, backups.
    ServerControl,
    /// Raw pages, tuples or the write-ahead log are read below the permission checks.
    RawStorage,
    /// System catalogues are written directly.
    CatalogWrite,
    /// Data is erased other than by DELETE: a column dropped, a type changed, a view emptied.
    ErasesData,
    /// A temporary object takes the name of a persistent one.
    TemporaryShadow,
    /// A volatile function of the server that is not known to be harmless.
    UnknownFunction(SmolStr),
    /// A name, cursor, statement or construct that could not be resolved.
    Unresolved(SmolStr),
}

impl Hazard {
    /// The stable snake_case name, without the detail.
    pub fn name(&self) -> &'static str {
        match self {
            Hazard::DynamicSql => "dynamic_sql",
            Hazard::ServerProgram => "server_program",
            Hazard::ServerFile => "server_file",
            Hazard::Network => "network",
            Hazard::SessionIdentity => "session_identity",
            Hazard::Privileges => "privileges",
            Hazard::DisablesTriggers => "disables_triggers",
            Hazard::ParserSetting => "parser_setting",
            Hazard::Replication => "replication",
            Hazard::LargeObject => "large_object",
            Hazard::Statistics => "statistics",
            Hazard::Notify => "notify",
            Hazard::SettingWrite => "setting_write",
            Hazard::ServerControl => "server_control",
            Hazard::RawStorage => "raw_storage",
            Hazard::CatalogWrite => "catalog_write",
            Hazard::ErasesData => "erases_data",
            Hazard::TemporaryShadow => "temporary_shadow",
            Hazard::UnknownFunction(_) => "unknown_function",
            Hazard::Unresolved(_) => "unresolved",
        }
    }
}

/// What a transaction statement does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transaction {
    /// BEGIN or START TRANSACTION.
    Begin,
    /// COMMIT or END; `chain`: a new transaction begins at once.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// ROLLBACK or ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// SAVEPOINT name.
    Savepoint(SmolStr),
    /// RELEASE name.
    Release(SmolStr),
    /// ROLLBACK TO name.
    RollbackTo(SmolStr),
    /// PREPARE TRANSACTION.
    Prepare,
    /// COMMIT PREPARED.
    CommitPrepared,
    /// ROLLBACK PREPARED.
    RollbackPrepared,
}

/// A setting that a statement writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The setting in lower case; `*` when the name is computed, or for RESET ALL.
    pub name: SmolStr,
    /// The value; `None` when reset or computed.
    pub value: Option<SmolStr>,
    /// SET LOCAL: until the end of the transaction.
    pub local: bool,
}

/// A cursor that a statement opens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cursor {
    /// Its name.
    pub name: SmolStr,
    /// WITH HOLD: it outlives the transaction.
    pub hold: bool,
    /// The facts of the query; FETCH returns its outputs.
    pub facts: Arc<StatementFacts>,
}

/// One thing or all of its kind: DEALLOCATE, CLOSE, UNLISTEN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OneOrAll {
    /// The one of this name.
    One(SmolStr),
    /// All of them.
    All,
}

/// What DISCARD throws away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Discard {
    /// Everything: settings, role, prepared statements, cursors, temporary tables, channels.
    All,
    /// Cached plans.
    Plans,
    /// Cached sequence values.
    Sequences,
    /// Temporary tables.
    Temporary,
}

/// What a statement does to the session, for whoever follows its state.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Effects {
    /// Transaction control.
    pub transaction: Option<Transaction>,
    /// Objects are created, changed or dropped: the catalogue snapshot is stale afterwards.
    pub changes_catalog: bool,
    /// What names mean changes: `search_path`, the role, temporary tables.
    pub changes_path: bool,
    /// Settings written.
    pub sets: Vec<Setting>,
    /// PREPARE: the name and the facts of the statement.
    pub prepares: Option<(SmolStr, Arc<StatementFacts>)>,
    /// DEALLOCATE.
    pub deallocates: Option<OneOrAll>,
    /// EXECUTE (also inside EXPLAIN ANALYZE and CREATE TABLE AS).
    pub executes: Option<SmolStr>,
    /// DECLARE CURSOR.
    pub declares: Option<Cursor>,
    /// FETCH or MOVE from this cursor.
    pub fetches: Option<SmolStr>,
    /// CLOSE.
    pub closes: Option<OneOrAll>,
    /// LISTEN.
    pub listens: Option<SmolStr>,
    /// UNLISTEN.
    pub unlistens: Option<OneOrAll>,
    /// DISCARD.
    pub discards: Option<Discard>,
    /// COPY and its format.
    pub copy: Option<Copy>,
}

/// What is known of one statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatementFacts {
    /// Where it stands in the text, in bytes.
    pub span: Range<usize>,
    /// Every kind of every nested statement.
    pub actions: BTreeSet<Action>,
    /// Relations read, views and the base relations behind them.
    pub reads: BTreeSet<RelName>,
    /// Relations written, views and the base relations behind them.
    pub writes: BTreeSet<RelName>,
    /// Relations that DDL, LOCK, ANALYZE and the like name.
    pub touches: BTreeSet<RelName>,
    /// How each column is used.
    pub uses: BTreeSet<ColumnUse>,
    /// The result columns and where their values come from.
    pub outputs: Outputs,
    /// Relations that UPDATE, DELETE, MERGE or an upsert writes without a condition that provably
    /// restricts them.
    pub unrestricted: BTreeSet<RelName>,
    /// Functions called: `pg_catalog.lower`, and with argument types for others:
    /// `public.order_total(integer)`.
    pub functions: BTreeSet<SmolStr>,
    /// User-defined code that may run: the identities of functions, whether they are called or sit
    /// behind operators, casts, triggers, policies, checks, defaults and indexes; and
    /// `rule schema.table.name`, `do`.
    pub code: BTreeSet<SmolStr>,
    /// What else it can do.
    pub hazards: BTreeSet<Hazard>,
    /// What it does to the session.
    pub effects: Effects,
    /// The most rows that come back, where the text bounds them: by a number after LIMIT or FETCH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
    /// The highest `$n` in the statement.
    pub parameters: u32,
    /// What is known of it whatever is bound to its parameters, if their values decide anything: the statement itself
    /// counts as restricted by them.
    #[serde(skip)]
    pub at_worst: Option<Arc<StatementFacts>>,
    /// The text of the `PREPARE` that made it, where the values that `EXECUTE` gives decide something.
    #[serde(skip)]
    pub prepared_as: Option<Arc<str>>,
}

impl StatementFacts {
    /// The facts of nothing, at a place in the text.
    pub(crate) fn empty(span: Range<usize>) -> StatementFacts {
        StatementFacts {
            span,
            actions: BTreeSet::new(),
            reads: BTreeSet::new(),
            writes: BTreeSet::new(),
            touches: BTreeSet::new(),
            uses: BTreeSet::new(),
            outputs: Outputs::NoRows,
            unrestricted: BTreeSet::new(),
            functions: BTreeSet::new(),
            code: BTreeSet::new(),
            hazards: BTreeSet::new(),
            effects: Effects::default(),
            max_rows: None,
            parameters: 0,
            at_worst: None,
            prepared_as: None,
        }
    }

    /// Takes over what a nested statement may do, but not its outputs nor its effects.
    pub(crate) fn absorb(&mut self, other: &StatementFacts) {
        self.actions.extend(other.actions.iter().copied());
        self.reads.extend(other.reads.iter().cloned());
        self.writes.extend(other.writes.iter().cloned());
        self.touches.extend(other.touches.iter().cloned());
        self.uses.extend(other.uses.iter().cloned());
        self.unrestricted.extend(other.unrestricted.iter().cloned());
        self.functions.extend(other.functions.iter().cloned());
        self.code.extend(other.code.iter().cloned());
        self.hazards.extend(other.hazards.iter().cloned());
        self.parameters = self.parameters.max(other.parameters);
    }

    /// About how many names these are.
    pub(crate) fn weight(&self) -> usize {
        let outputs = match &self.outputs {
            Outputs::NoRows => 0,
            Outputs::Columns(columns) => columns.len(),
            Outputs::Unknown { relations } => relations.len(),
        };
        self.reads.len()
            + self.writes.len()
            + self.touches.len()
            + self.uses.len()
            + self.unrestricted.len()
            + self.functions.len()
            + self.code.len()
            + self.hazards.len()
            + outputs
            + self.at_worst.as_ref().map_or(0, |w| w.weight())
    }

    /// Whether something could not be resolved, so that the facts are a lower bound only.
    pub fn unresolved(&self) -> bool {
        self.hazards.iter().any(|h| matches!(h, Hazard::Unresolved(_)))
    }

    /// Whether the statement uses the column in any of these ways.
    pub fn uses_column(&self, column: &ColumnName, hows: &[How]) -> bool {
        hows.iter().any(|&how| {
            self.uses.contains(&ColumnUse {
                column: column.clone(),
                how,
            })
        })
    }
}

/// What is known of a string of statements.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    /// One entry per statement, in order; none for an empty string or one with comments only.
    pub statements: Vec<StatementFacts>,
}
