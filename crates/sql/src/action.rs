//! The kinds of statement that rules name.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A family of actions, so that one rule covers many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionGroup {
    /// Reads rows.
    Read,
    /// Writes rows.
    Write,
    /// Removes objects or all rows of a table.
    Destroy,
    /// Creates or changes objects.
    Ddl,
    /// Roles, grants, ownership.
    Privilege,
    /// Settings, cursors, prepared statements, channels of the session.
    Session,
    /// Transaction control.
    Transaction,
    /// Runs or defines code.
    Code,
    /// Maintenance and the server itself.
    Admin,
}

impl ActionGroup {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            ActionGroup::Read => "read",
            ActionGroup::Write => "write",
            ActionGroup::Destroy => "destroy",
            ActionGroup::Ddl => "ddl",
            ActionGroup::Privilege => "privilege",
            ActionGroup::Session => "session",
            ActionGroup::Transaction => "transaction",
            ActionGroup::Code => "code",
            ActionGroup::Admin => "admin",
        }
    }
}

macro_rules! actions {
    ($($variant:ident $name:literal $group:ident $doc:literal),* $(,)?) => {
        /// What a statement does. The name in rules is the snake_case of the variant.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $(#[doc = $doc] $variant),* }

        impl Action {
            /// Every action there is, in the order of declaration.
            pub const ALL: &'static [Action] = &[$(Action::$variant),*];

            /// The stable snake_case name.
            pub fn name(self) -> &'static str {
                match self { $(Action::$variant => $name),* }
            }

            /// The family.
            pub fn group(self) -> ActionGroup {
                match self { $(Action::$variant => ActionGroup::$group),* }
            }
        }
    };
}

actions! {
    Select "select" Read "SELECT, TABLE, VALUES.",
    Insert "insert" Write "INSERT.",
    Update "update" Write "UPDATE.",
    Delete "delete" Write "DELETE.",
    Merge "merge" Write "MERGE.",
    CopyTo "copy_to" Read "COPY … TO, whatever the peer.",
    CopyFrom "copy_from" Write "COPY … FROM, whatever the peer.",
    Truncate "truncate" Destroy "TRUNCATE.",
    DropTable "drop_table" Destroy "DROP TABLE or FOREIGN TABLE.",
    DropView "drop_view" Destroy "DROP VIEW or MATERIALIZED VIEW.",
    DropIndex "drop_index" Destroy "DROP INDEX.",
    DropSequence "drop_sequence" Destroy "DROP SEQUENCE.",
    DropSchema "drop_schema" Destroy "DROP SCHEMA.",
    DropDatabase "drop_database" Destroy "DROP DATABASE.",
    DropTablespace "drop_tablespace" Destroy "DROP TABLESPACE.",
    DropFunction "drop_function" Destroy "DROP FUNCTION, PROCEDURE, ROUTINE or AGGREGATE.",
    DropType "drop_type" Destroy "DROP TYPE or DOMAIN.",
    DropTrigger "drop_trigger" Destroy "DROP TRIGGER, RULE or EVENT TRIGGER.",
    DropPolicy "drop_policy" Destroy "DROP POLICY.",
    DropExtension "drop_extension" Destroy "DROP EXTENSION.",
    DropOther "drop_other" Destroy "DROP of any other kind of object.",
    DropOwned "drop_owned" Destroy "DROP OWNED.",
    DropColumn "drop_column" Destroy "ALTER TABLE … DROP COLUMN.",
    DropConstraint "drop_constraint" Destroy "ALTER TABLE … DROP CONSTRAINT.",
    DropTemporary "drop_temporary" Session "DROP or TRUNCATE of the session's own temporary objects.",
    CreateTable "create_table" Ddl "CREATE TABLE.",
    CreateTableAs "create_table_as" Ddl "CREATE TABLE AS, SELECT INTO.",
    CreateTemporary "create_temporary" Session "CREATE of a temporary table, view or sequence.",
    CreateView "create_view" Ddl "CREATE VIEW.",
    CreateMaterializedView "create_materialized_view" Ddl "CREATE MATERIALIZED VIEW.",
    CreateIndex "create_index" Ddl "CREATE INDEX.",
    CreateSequence "create_sequence" Ddl "CREATE SEQUENCE.",
    CreateSchema "create_schema" Ddl "CREATE SCHEMA.",
    CreateDatabase "create_database" Ddl "CREATE DATABASE.",
    CreateTablespace "create_tablespace" Admin "CREATE TABLESPACE.",
    CreateType "create_type" Ddl "CREATE TYPE or DOMAIN.",
    CreateStatistics "create_statistics" Ddl "CREATE or ALTER STATISTICS.",
    CreateOther "create_other" Ddl "CREATE of text search objects, collations, conversions …",
    CreateExtension "create_extension" Code "CREATE EXTENSION.",
    CreateFunction "create_function" Code "CREATE FUNCTION or PROCEDURE.",
    CreateAggregate "create_aggregate" Code "CREATE AGGREGATE.",
    CreateTrigger "create_trigger" Code "CREATE TRIGGER or EVENT TRIGGER.",
    CreateRule "create_rule" Code "CREATE RULE.",
    CreateOperator "create_operator" Code "CREATE OPERATOR, OPERATOR CLASS or FAMILY.",
    CreateCast "create_cast" Code "CREATE CAST or TRANSFORM.",
    CreateLanguage "create_language" Code "CREATE LANGUAGE.",
    CreatePolicy "create_policy" Privilege "CREATE or ALTER POLICY.",
    CreateForeign "create_foreign" Admin "Foreign data wrappers, servers, user mappings, foreign tables and schemas.",
    CreatePublication "create_publication" Admin "CREATE or ALTER PUBLICATION.",
    CreateSubscription "create_subscription" Admin "CREATE or ALTER SUBSCRIPTION.",
    CreateAccessMethod "create_access_method" Code "CREATE ACCESS METHOD.",
    AlterTable "alter_table" Ddl "ALTER TABLE and the like.",
    AddColumn "add_column" Ddl "ALTER TABLE … ADD COLUMN.",
    AlterColumnType "alter_column_type" Ddl "ALTER TABLE … ALTER COLUMN … TYPE.",
    AlterDefault "alter_default" Ddl "ALTER TABLE … SET or DROP DEFAULT.",
    AddConstraint "add_constraint" Ddl "ALTER TABLE … ADD CONSTRAINT.",
    AlterTriggerState "alter_trigger_state" Ddl "ALTER TABLE … ENABLE or DISABLE TRIGGER or RULE.",
    AlterRowSecurity "alter_row_security" Privilege "ALTER TABLE … ROW LEVEL SECURITY.",
    AttachPartition "attach_partition" Ddl "ALTER TABLE … ATTACH, INHERIT.",
    DetachPartition "detach_partition" Ddl "ALTER TABLE … DETACH, NO INHERIT.",
    Rename "rename" Ddl "ALTER … RENAME.",
    SetSchema "set_schema" Ddl "ALTER … SET SCHEMA.",
    AlterOwner "alter_owner" Privilege "ALTER … OWNER TO, REASSIGN OWNED.",
    AlterSequence "alter_sequence" Ddl "ALTER SEQUENCE.",
    AlterType "alter_type" Ddl "ALTER TYPE, DOMAIN or ENUM.",
    AlterFunction "alter_function" Code "ALTER FUNCTION, PROCEDURE or OPERATOR.",
    AlterExtension "alter_extension" Code "ALTER EXTENSION.",
    AlterDatabase "alter_database" Admin "ALTER DATABASE.",
    AlterSystem "alter_system" Admin "ALTER SYSTEM.",
    AlterOther "alter_other" Ddl "ALTER of any other object.",
    Comment "comment" Ddl "COMMENT ON.",
    SecurityLabel "security_label" Privilege "SECURITY LABEL.",
    Grant "grant" Privilege "GRANT, of a privilege or a role; ALTER DEFAULT PRIVILEGES.",
    Revoke "revoke" Privilege "REVOKE, of a privilege or a role.",
    CreateRole "create_role" Privilege "CREATE ROLE, USER or GROUP.",
    AlterRole "alter_role" Privilege "ALTER ROLE, USER or GROUP.",
    DropRole "drop_role" Privilege "DROP ROLE, USER or GROUP.",
    SetRole "set_role" Privilege "SET or RESET of ROLE or SESSION AUTHORIZATION.",
    Set "set" Session "SET.",
    Reset "reset" Session "RESET.",
    Show "show" Session "SHOW.",
    SetConstraints "set_constraints" Session "SET CONSTRAINTS.",
    Begin "begin" Transaction "BEGIN.",
    Commit "commit" Transaction "COMMIT.",
    Rollback "rollback" Transaction "ROLLBACK.",
    Savepoint "savepoint" Transaction "SAVEPOINT, RELEASE, ROLLBACK TO.",
    TwoPhase "two_phase" Transaction "PREPARE TRANSACTION and its ends.",
    Lock "lock" Session "LOCK TABLE.",
    Prepare "prepare" Session "PREPARE.",
    Execute "execute" Session "EXECUTE.",
    Deallocate "deallocate" Session "DEALLOCATE.",
    DeclareCursor "declare_cursor" Session "DECLARE CURSOR.",
    Fetch "fetch" Session "FETCH.",
    Move "move" Session "MOVE.",
    ClosePortal "close" Session "CLOSE.",
    Listen "listen" Session "LISTEN.",
    Unlisten "unlisten" Session "UNLISTEN.",
    Notify "notify" Session "NOTIFY.",
    Discard "discard" Session "DISCARD.",
    Explain "explain" Read "EXPLAIN without execution.",
    ExplainAnalyze "explain_analyze" Read "EXPLAIN ANALYZE; the inner statement's actions are there too.",
    Do "do" Code "DO.",
    Call "call" Code "CALL.",
    Load "load" Code "LOAD.",
    RefreshMaterializedView "refresh_materialized_view" Write "REFRESH MATERIALIZED VIEW.",
    Vacuum "vacuum" Admin "VACUUM.",
    Analyze "analyze" Admin "ANALYZE.",
    Cluster "cluster" Admin "CLUSTER.",
    Reindex "reindex" Admin "REINDEX.",
    Checkpoint "checkpoint" Admin "CHECKPOINT.",
    Unknown "unknown" Admin "A statement that this version does not know.",
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

/// A name that is no action.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an action of SQL")]
pub struct UnknownAction(String);

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(name: &str) -> Result<Action, UnknownAction> {
        Action::ALL
            .iter()
            .copied()
            .find(|a| a.name() == name)
            .ok_or_else(|| UnknownAction(name.to_owned()))
    }
}
