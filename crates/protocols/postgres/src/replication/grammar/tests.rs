#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::super::{Carries, Command, Setting};
use super::parse;

fn set(name: &str, value: &str) -> Setting {
    Setting {
        name: name.to_owned(),
        value: Some(value.to_owned()),
    }
}

fn flag(name: &str) -> Setting {
    Setting {
        name: name.to_owned(),
        value: None,
    }
}

/// What the tools of PostgreSQL 10 to 17 say, and what documentation shows.
#[test]
fn what_tools_say_is_understood() {
    let slot = || "s".to_owned();
    let create = |temporary, plugin: Option<&str>, options: Vec<Setting>| Command::CreateSlot {
        slot: slot(),
        temporary,
        plugin: plugin.map(str::to_owned),
        options,
    };
    let cases = [
        ("IDENTIFY_SYSTEM", Command::IdentifySystem),
        (" \n identify_system;", Command::IdentifySystem),
        ("SHOW wal_segment_size", Command::Show),
        ("SHOW sallyport.task;", Command::Show),
        ("TIMELINE_HISTORY 2", Command::TimelineHistory),
        ("READ_REPLICATION_SLOT s", Command::ReadSlot { slot: slot() }),
        ("CREATE_REPLICATION_SLOT \"s\" PHYSICAL", create(false, None, vec![])),
        (
            "CREATE_REPLICATION_SLOT \"s\" TEMPORARY PHYSICAL ( RESERVE_WAL)",
            create(true, None, vec![flag("reserve_wal")]),
        ),
        (
            "CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL pgoutput USE_SNAPSHOT",
            create(true, Some("pgoutput"), vec![flag("use_snapshot")]),
        ),
        (
            "CREATE_REPLICATION_SLOT \"s\" LOGICAL \"test_decoding\" ( SNAPSHOT 'nothing', TWO_PHASE)",
            create(
                false,
                Some("test_decoding"),
                vec![set("snapshot", "nothing"), flag("two_phase")],
            ),
        ),
        ("DROP_REPLICATION_SLOT \"s\"", Command::DropSlot { slot: slot() }),
        ("DROP_REPLICATION_SLOT s WAIT", Command::DropSlot { slot: slot() }),
        (
            "ALTER_REPLICATION_SLOT s ( FAILOVER true )",
            Command::AlterSlot {
                slot: slot(),
                options: vec![set("failover", "true")],
            },
        ),
        ("START_REPLICATION 0/0", Command::StreamPhysical { slot: None }),
        (
            "START_REPLICATION SLOT \"s\" PHYSICAL 16/B374D848 TIMELINE 1",
            Command::StreamPhysical { slot: Some(slot()) },
        ),
        (
            "START_REPLICATION SLOT \"s\" LOGICAL 0/0 (proto_version '1', publication_names '\"a\",\"b\"', binary)",
            Command::StreamLogical {
                slot: slot(),
                options: vec![
                    set("proto_version", "1"),
                    set("publication_names", "\"a\",\"b\""),
                    flag("binary"),
                ],
            },
        ),
        (
            "START_REPLICATION SLOT s LOGICAL ab/CDEF",
            Command::StreamLogical {
                slot: slot(),
                options: vec![],
            },
        ),
        ("BASE_BACKUP", Command::BaseBackup { options: vec![] }),
        (
            "BASE_BACKUP LABEL 'it''s' PROGRESS FAST MAX_RATE 32 MANIFEST 'yes'",
            Command::BaseBackup {
                options: vec![
                    set("label", "it's"),
                    flag("progress"),
                    flag("fast"),
                    set("max_rate", "32"),
                    set("manifest", "yes"),
                ],
            },
        ),
        (
            "BASE_BACKUP ( LABEL 'x',  PROGRESS,  CHECKPOINT 'fast',  TARGET 'client')",
            Command::BaseBackup {
                options: vec![
                    set("label", "x"),
                    flag("progress"),
                    set("checkpoint", "fast"),
                    set("target", "client"),
                ],
            },
        ),
    ];
    for (text, command) in cases {
        assert_eq!(parse(text), Ok(Some(command)), "{text}");
    }
}

#[test]
fn what_a_server_takes_for_sql_is_left_to_sql() {
    for text in [
        "",
        ";",
        "SELECT 1",
        "-- IDENTIFY_SYSTEM\nSELECT 1",
        "/* */ IDENTIFY_SYSTEM",
        "\"base_backup\"",
        "BASE_BACKUPS",
        "(BASE_BACKUP)",
        "SHOWS x",
    ] {
        assert_eq!(parse(text), Ok(None), "{text}");
    }
}

#[test]
fn what_begins_like_a_command_and_is_none_is_not_understood() {
    let long = format!("DROP_REPLICATION_SLOT {}", "s".repeat(64));
    for text in [
        "IDENTIFY_SYSTEM; SELECT 1",
        "IDENTIFY_SYSTEM;;",
        "IDENTIFY_SYSTEM -- and so on",
        "SHOW",
        "SHOW 'x'",
        "SHOW x; DROP TABLE t",
        "SHOW TIME ZONE",
        "TIMELINE_HISTORY",
        "TIMELINE_HISTORY 0",
        "TIMELINE_HISTORY 4294967296",
        "CREATE_REPLICATION_SLOT s",
        "CREATE_REPLICATION_SLOT s LOGICAL",
        "CREATE_REPLICATION_SLOT s PHYSICAL (",
        "CREATE_REPLICATION_SLOT s PHYSICAL ()",
        "CREATE_REPLICATION_SLOT s PHYSICAL (a b c)",
        "CREATE_REPLICATION_SLOT 's' PHYSICAL",
        "CREATE_REPLICATION_SLOT \"\" PHYSICAL",
        "CREATE_REPLICATION_SLOT \"s PHYSICAL",
        "DROP_REPLICATION_SLOT s NOW",
        "START_REPLICATION",
        "START_REPLICATION LOGICAL 0/0",
        "START_REPLICATION SLOT s LOGICAL",
        "START_REPLICATION SLOT s LOGICAL 0/0 (a 'b)",
        "START_REPLICATION 0/123456789",
        "START_REPLICATION 0/0 TIMELINE",
        "BASE_BACKUP LABEL x",
        "BASE_BACKUP MAX_RATE 'x'",
        "BASE_BACKUP SLOWLY",
        "UPLOAD_MANIFEST",
        long.as_str(),
    ] {
        assert!(parse(text).is_err(), "{text}: {:?}", parse(text));
    }
}

proptest! {
    /// Whatever is said: no panic, and what carries data is never taken for what does not.
    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,80}") {
        let _ = parse(&text);
    }

    #[test]
    fn near_commands_are_commands_or_nothing(
        words in proptest::collection::vec(
            prop_oneof![
                Just("START_REPLICATION"), Just("SLOT"), Just("s"), Just("LOGICAL"), Just("PHYSICAL"), Just("0/0"),
                Just("TIMELINE"), Just("1"), Just("("), Just(")"), Just("'x'"), Just(","), Just(";"),
                Just("BASE_BACKUP"), Just("SHOW"), Just("TEMPORARY"), Just("CREATE_REPLICATION_SLOT"),
            ],
            0..10,
        )
    ) {
        let text = words.join(" ");
        if let Ok(Some(command)) = parse(&text) {
            let streams = text.starts_with("START_REPLICATION") || text.starts_with("BASE_BACKUP");
            prop_assert_eq!(command.carries() != Carries::Rows, streams, "{}", text);
        }
    }
}
