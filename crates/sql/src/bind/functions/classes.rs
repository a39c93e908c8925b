//! What functions of the server and of well-known extensions can do.
//!
//! Written from PostgreSQL's documentation ("Functions and Operators", appendix "Additional Supplied
//! Modules"). A volatile function of the server that is in no list here is
//! [`Hazard::UnknownFunction`]; a function of an extension that is not known counts as code.

use crate::catalog::Function;
use crate::facts::Hazard;

/// What a function can do.
pub(super) enum Class {
    /// Computes a value, or reads what anybody may know.
    Pure,
    /// A user's code.
    Code,
    /// The server's, with these dangers.
    Hazards(&'static [Hazard]),
    /// As `Hazards`, and it stores its arguments somewhere.
    Sink(&'static [Hazard]),
    /// `set_config`.
    SetConfig,
    /// Volatile, the server's, and in no list.
    Unknown,
}

const DYNAMIC: Class = Class::Hazards(&[Hazard::DynamicSql]);
const FILE: Class = Class::Hazards(&[Hazard::ServerFile]);
const NETWORK: Class = Class::Sink(&[Hazard::Network, Hazard::DynamicSql]);
const CONTROL: Class = Class::Hazards(&[Hazard::ServerControl]);
const REPLICATION: Class = Class::Sink(&[Hazard::Replication]);
const RAW: Class = Class::Hazards(&[Hazard::RawStorage]);
const STATISTICS: Class = Class::Hazards(&[Hazard::Statistics]);
const LARGE: Class = Class::Hazards(&[Hazard::LargeObject]);

/// Classifies one function.
pub(super) fn classify(function: &Function) -> Class {
    if let Some(extension) = &function.extension {
        return of_extension(extension, &function.name, function);
    }
    if !function.is_builtin() {
        return Class::Code;
    }
    if let Some(class) = of_server(&function.name) {
        return class;
    }
    if function.volatility == 'v' && !is_harmless_volatile(&function.name) {
        return Class::Unknown;
    }
    Class::Pure
}

/// The server's functions that deserve a hazard, whatever their volatility says.
fn of_server(name: &str) -> Option<Class> {
    Some(match name {
        "set_config" => Class::SetConfig,
        "query_to_xml"
        | "query_to_xmlschema"
        | "query_to_xml_and_xmlschema"
        | "cursor_to_xml"
        | "cursor_to_xmlschema"
        | "table_to_xml"
        | "table_to_xmlschema"
        | "table_to_xml_and_xmlschema"
        | "schema_to_xml"
        | "schema_to_xmlschema"
        | "schema_to_xml_and_xmlschema"
        | "database_to_xml"
        | "database_to_xmlschema"
        | "database_to_xml_and_xmlschema"
        | "ts_stat"
        | "ts_rewrite" => DYNAMIC,
        "pg_read_file"
        | "pg_read_binary_file"
        | "pg_read_file_old"
        | "pg_ls_dir"
        | "pg_ls_logdir"
        | "pg_ls_waldir"
        | "pg_ls_archive_statusdir"
        | "pg_ls_tmpdir"
        | "pg_ls_logicalmapdir"
        | "pg_ls_logicalsnapdir"
        | "pg_ls_replslotdir"
        | "pg_ls_summariesdir"
        | "pg_stat_file"
        | "pg_hba_file_rules"
        | "pg_ident_file_mappings"
        | "pg_show_all_file_settings"
        | "pg_current_logfile"
        | "pg_file_write"
        | "pg_file_rename"
        | "pg_file_unlink"
        | "pg_file_sync"
        | "pg_logdir_ls" => FILE,
        "lo_import" | "lo_export" | "be_lo_import" | "be_lo_export" => {
            Class::Sink(&[Hazard::ServerFile, Hazard::LargeObject])
        }
        "lo_get" | "loread" | "lo_open" | "lo_close" | "lo_lseek" | "lo_lseek64" | "lo_tell" | "lo_tell64" => LARGE,
        "lo_put" | "lowrite" | "lo_from_bytea" | "lo_creat" | "lo_create" | "lo_unlink" | "lo_truncate"
        | "lo_truncate64" => Class::Sink(&[Hazard::LargeObject]),
        "pg_notify" => Class::Sink(&[Hazard::Notify]),
        "setval" | "pg_logical_emit_message" => match name {
            "setval" => Class::Sink(&[]),
            _ => REPLICATION,
        },
        "pg_advisory_lock"
        | "pg_advisory_xact_lock"
        | "pg_advisory_lock_shared"
        | "pg_advisory_xact_lock_shared"
        | "pg_try_advisory_lock"
        | "pg_try_advisory_xact_lock"
        | "pg_try_advisory_lock_shared"
        | "pg_try_advisory_xact_lock_shared" => Class::Sink(&[]),
        _ => return of_server_administration(name),
    })
}

fn of_server_administration(name: &str) -> Option<Class> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|p| name.starts_with(p));
    if starts(&["pg_ls_", "pg_read_"]) {
        return Some(FILE);
    }
    if starts(REPLICATION_PREFIXES) {
        return Some(REPLICATION);
    }
    if starts(CATALOG_PREFIXES) {
        return Some(Class::Hazards(&[Hazard::CatalogWrite, Hazard::ServerControl]));
    }
    if starts(CONTROL_PREFIXES) {
        return Some(CONTROL);
    }
    if starts(STATISTICS_PREFIXES) {
        return Some(STATISTICS);
    }
    match name {
        "pg_get_loaded_modules"
        | "fmgr_internal_validator"
        | "fmgr_c_validator"
        | "fmgr_sql_validator"
        | "plpgsql_validator" => Some(CONTROL),
        "pg_export_snapshot" => Some(CONTROL),
        "pg_stat_get_wal_senders" | "pg_stat_get_wal_receiver" | "pg_stat_get_subscription" => {
            Some(Class::Hazards(&[Hazard::Replication]))
        }
        _ => None,
    }
}

/// Volatile functions of the server that only compute, read counters or wait.
fn is_harmless_volatile(name: &str) -> bool {
    HARMLESS.contains(&name) || HARMLESS_PREFIXES.iter().any(|p| name.starts_with(p))
}

const HARMLESS_PREFIXES: &[&str] = &[
    "pg_advisory_",
    "pg_try_advisory_",
    "pg_sleep",
    "pg_stat_get_",
    "pg_get_",
    "txid_",
    "pg_xact_",
    "pg_snapshot_",
    "pg_timezone_",
    "pg_current_",
    "pg_last_",
    "pg_is_",
    "pg_mcv",
    "has_",
    "pg_available_",
    "pg_visible_",
    "pg_total_",
    "pg_relation_size",
    "pg_table_size",
    "pg_indexes_size",
    "pg_database_size",
    "pg_tablespace_size",
    "uuid",
    "random",
    "json",
    "range_",
    "multirange_",
    "hash",
    "array_",
    "unique_key_",
    "RI_FKey_",
    "gist",
    "gin",
    "spg",
    "brin_",
    "bt",
    "amvalidate",
    "pg_isolation_",
];

const HARMLESS: &[&str] = &[
    "current_query",
    "pg_stat_clear_snapshot",
    "clock_timestamp",
    "timeofday",
    "gen_random_uuid",
    "nextval",
    "currval",
    "lastval",
    "setseed",
    "statement_timestamp",
    "pg_collation_actual_version",
    "pg_database_collation_actual_version",
    "pg_lock_status",
    "pg_blocking_pids",
    "pg_safe_snapshot_blocking_pids",
    "pg_listening_channels",
    "pg_notification_queue_usage",
    "pg_prepared_xact",
    "pg_show_all_settings",
    "pg_config",
    "pg_control_system",
    "pg_control_checkpoint",
    "pg_control_recovery",
    "pg_control_init",
    "pg_my_temp_schema",
    "pg_conf_load_time",
    "pg_postmaster_start_time",
    "pg_jit_available",
    "pg_size_pretty",
    "pg_sequence_last_value",
    "pg_sequence_parameters",
    "pg_describe_object",
    "pg_identify_object",
    "pg_identify_object_as_address",
    "pg_column_size",
    "pg_column_compression",
    "pg_column_toast_chunk_id",
    "pg_event_trigger_ddl_commands",
    "pg_event_trigger_dropped_objects",
    "pg_partition_tree",
    "pg_partition_ancestors",
    "pg_partition_root",
    "pg_backend_pid",
    "pg_trigger_depth",
    "pg_relation_filenode",
    "pg_filenode_relation",
    "suppress_redundant_updates_trigger",
    "tsvector_update_trigger",
    "tsvector_update_trigger_column",
    "currtid2",
    "pg_tablespace_databases",
    "aclexplode",
    "merge_action",
    "pg_relation_is_updatable",
    "pg_column_is_updatable",
    "pg_encoding_max_length",
    "inet_client_addr",
    "inet_server_addr",
    "ts_debug",
    "gin_clean_pending_list",
    "brin_summarize_new_values",
    "pg_stat_have_stats",
    "pg_input_is_valid",
    "pg_input_error_info",
    "generate_series",
    "pg_get_keywords",
    "xmlvalidate",
    "xml_is_well_formed",
];

/// Replication slots, origins, decoding, the write-ahead log.
const REPLICATION_PREFIXES: &[&str] = &[
    "pg_logical_slot",
    "pg_replication_",
    "pg_show_replication",
    "pg_create_logical",
    "pg_create_physical",
    "pg_copy_logical",
    "pg_copy_physical",
    "pg_drop_replication",
    "pg_sync_replication",
    "binary_upgrade_",
    "pg_wal_replay",
    "pg_walfile",
    "pg_wal_summar",
    "pg_available_wal_summ",
    "pg_get_wal_summ",
];

/// Statistics that are written into the catalogue.
const CATALOG_PREFIXES: &[&str] = &[
    "pg_restore_",
    "pg_clear_attribute_stats",
    "pg_clear_relation_stats",
    "pg_clear_extended",
];

/// Other sessions, the configuration, the log, backups.
const CONTROL_PREFIXES: &[&str] = &[
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_switch_wal",
    "pg_switch_xlog",
    "pg_promote",
    "pg_backup_st",
    "pg_start_backup",
    "pg_stop_backup",
    "pg_create_restore_point",
    "pg_log_backend",
    "pg_log_standby",
    "pg_stat_reset",
    "pg_stat_force",
    "pg_import_system_collations",
    "pg_extension_config_dump",
    "pg_nextoid",
    "pg_stop_making_pinned",
    "pg_signal",
    "pg_numa",
    "pg_get_process_memory_contexts",
];

/// Statistics and texts of statements.
const STATISTICS_PREFIXES: &[&str] = &[
    "pg_stat_get_activity",
    "pg_stat_get_backend_activity",
    "pg_stat_get_statement",
    "pg_stats_ext",
    "pg_mcv_list",
    "pg_cursor",
    "pg_prepared_statement",
    "pg_get_backend_memory_contexts",
    "pg_statistics_ext",
];

/// Extensions whose functions only compute on their arguments.
const PURE_EXTENSIONS: &[&str] = &[
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "dict_int",
    "dict_xsyn",
    "earthdistance",
    "fuzzystrmatch",
    "hstore",
    "intarray",
    "isn",
    "ltree",
    "pg_trgm",
    "pgcrypto",
    "seg",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "uuid-ossp",
    "vector",
];

/// Whether the function belongs to an extension whose functions only compute.
pub(crate) fn is_known_extension(function: &Function) -> bool {
    let known = |e: &smol_str::SmolStr| {
        PURE_EXTENSIONS.contains(&e.as_str()) || matches!(e.as_str(), "lo" | "tablefunc" | "xml2")
    };
    function.extension.as_ref().is_some_and(known) && function.language != "plpgsql"
}

fn of_extension(extension: &str, name: &str, function: &Function) -> Class {
    match (extension, name) {
        ("dblink" | "postgres_fdw" | "mysql_fdw" | "oracle_fdw" | "tds_fdw" | "http" | "pg_net", _) => NETWORK,
        ("file_fdw" | "adminpack", _) => FILE,
        (
            "pageinspect" | "pg_walinspect" | "pg_visibility" | "pgstattuple" | "pg_freespacemap" | "pg_buffercache"
            | "pg_surgery" | "pgrowlocks" | "amcheck" | "pg_dirtyread",
            _,
        ) => RAW,
        ("pg_stat_statements", _) => STATISTICS,
        ("tablefunc", "normal_rand") => Class::Pure,
        ("tablefunc", _) => DYNAMIC,
        ("xml2", "xpath_table") => DYNAMIC,
        ("xml2", "xslt_process") => FILE,
        ("xml2", _) => Class::Pure,
        ("lo", "lo_manage") => LARGE,
        ("lo", _) => Class::Pure,
        // these read tables or run text that they are given
        ("intarray", "bool") => Class::Pure,
        ("pg_trgm", "set_limit") => Class::Pure,
        _ if PURE_EXTENSIONS.contains(&extension) && function.language != "plpgsql" => Class::Pure,
        ("plpgsql", _) => Class::Pure,
        _ => Class::Code,
    }
}
