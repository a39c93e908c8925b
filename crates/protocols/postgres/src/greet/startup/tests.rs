#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use smol_str::SmolStr;

use super::{Replication, Startup, options, split};
use crate::replication::Walsender;
use crate::wire::startup::{StartupPacket, Version};

fn read(version: Version, parameters: &[(&str, &str)]) -> Result<Startup, (String, String)> {
    let parameters = parameters.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    Startup::read(&StartupPacket { version, parameters }).map_err(|error| {
        (
            error.sqlstate().into_owned(),
            error.text(crate::wire::Field::Message).into_owned(),
        )
    })
}

fn v30(parameters: &[(&str, &str)]) -> Result<Startup, (String, String)> {
    read(Version::V3_0, parameters)
}

/// pa-005: the database defaults to the user, here and not at the server.
#[test]
fn the_database_defaults_to_the_user() {
    assert_eq!(v30(&[("user", "alice")]).unwrap().database, "alice");
    assert_eq!(v30(&[("user", "alice"), ("database", "")]).unwrap().database, "alice");
    let both = v30(&[("database", "orders"), ("user", "alice")]).unwrap();
    assert_eq!((both.user.as_str(), both.database.as_str()), ("alice", "orders"));
}

/// pa-004: the server takes the last of two values.
#[test]
fn names_that_come_twice_are_refused() {
    let cases: [&[(&str, &str)]; 5] = [
        &[("user", "app"), ("user", "dba")],
        &[("user", "app"), ("database", "a"), ("database", "a")],
        &[("user", "app"), ("TimeZone", "UTC"), ("timezone", "CET")],
        &[("user", "app"), ("options", "-c timezone=UTC"), ("TimeZone", "CET")],
        &[("user", "app"), ("options", "-c a=1 --A=2")],
    ];
    for parameters in cases {
        let (code, message) = v30(parameters).unwrap_err();
        assert_eq!(code, "08P01");
        assert!(message.ends_with("is given twice"), "{message}");
    }
}

#[test]
fn nobody_is_refused() {
    assert_eq!(v30(&[("database", "orders")]).unwrap_err().0, "28000");
    assert_eq!(v30(&[("user", ""), ("database", "orders")]).unwrap_err().0, "28000");
    assert_eq!(v30(&[("User", "alice")]).unwrap_err().0, "28000");
    assert_eq!(v30(&[("user", &"a".repeat(257))]).unwrap_err().0, "08P01");
}

/// pa-006: settings that change identity or names are not among those that may be given.
#[test]
fn only_harmless_settings_may_be_given() {
    let given = |parameters: &[(&str, &str)]| {
        let mut all = vec![("user", "alice")];
        all.extend(parameters);
        v30(&all).unwrap().refused_setting(&[]).map(str::to_owned)
    };
    assert_eq!(given(&[("DateStyle", "ISO"), ("client_encoding", "UTF8")]), None);
    assert_eq!(
        given(&[("options", "-c statement_timeout=5s --IntervalStyle=iso_8601")]),
        None
    );
    for name in ["role", "search_path", "session_preload_libraries", "ROLE", "Database"] {
        assert_eq!(given(&[(name, "x")]), Some(name.to_ascii_lowercase()));
        assert_eq!(
            given(&[("options", &format!("-c {name}=x"))]),
            Some(name.to_ascii_lowercase())
        );
        assert_eq!(
            given(&[("options", &format!("--{name}=x"))]),
            Some(name.to_ascii_lowercase())
        );
    }
    let search = v30(&[("user", "alice"), ("options", "-csearch-path=demo")]).unwrap();
    assert_eq!(search.refused_setting(&[SmolStr::new("search_path")]), None);
    assert_eq!(search.setting("search_path"), Some("demo"));
}

#[test]
fn the_task_is_taken_out_of_the_options() {
    let startup = v30(&[("user", "a"), ("options", "-c sallyport.task=OPS-42 -c TimeZone=UTC")]).unwrap();
    assert_eq!(startup.task.as_deref(), Some("OPS-42"));
    assert_eq!(startup.settings().collect::<Vec<_>>(), [("timezone", "UTC")]);
    assert_eq!(
        v30(&[("user", "a"), ("options", "-c sallyport.x=1")])
            .unwrap()
            .refused_setting(&[]),
        Some("sallyport.x")
    );
    let twice = [
        ("user", "a"),
        ("sallyport.task", "X"),
        ("options", "-c sallyport.task=Y"),
    ];
    assert_eq!(v30(&twice).unwrap_err().0, "08P01");
}

#[test]
fn options_are_read_as_the_server_reads_them() {
    assert_eq!(split(r"  -c  a=b\ c\\d	-x\ "), ["-c", r"a=b c\d", "-x "]);
    let name_value = |line| options(line).unwrap();
    assert_eq!(
        name_value(r"-c statement-timeout=1\ s"),
        [("statement_timeout".into(), "1 s".into())]
    );
    assert_eq!(options("-B 100").unwrap_err().sqlstate(), "42501");
    assert_eq!(options("-c").unwrap_err().sqlstate(), "08P01");
    assert_eq!(options("-c geqo").unwrap_err().sqlstate(), "08P01");
    assert_eq!(options("stray").unwrap_err().sqlstate(), "42501");
}

/// pa-007.
#[test]
fn replication_is_asked_for_and_not_taken() {
    for value in ["true", "1", "on", "YES", "t"] {
        let startup = v30(&[("user", "a"), ("replication", value)]).unwrap();
        assert_eq!(startup.replication, Replication::Asked(Walsender::Physical), "{value}");
    }
    for value in ["o", "", "DATABASE", "2", "physical"] {
        let (code, message) = v30(&[("user", "a"), ("replication", value)]).unwrap_err();
        assert_eq!(code, "22023");
        assert!(
            message.starts_with("invalid value for parameter \"replication\""),
            "{message}"
        );
    }
    for value in ["false", "off", "no", "0", "f", "N"] {
        let startup = v30(&[("user", "a"), ("replication", value)]).unwrap();
        assert_eq!(startup.replication, Replication::No, "{value}");
    }
    let mut startup = v30(&[("user", "a"), ("replication", "database")]).unwrap();
    startup.permit_replication();
    assert_eq!(startup.replication, Replication::Permitted(Walsender::Database));
}

#[test]
fn a_target_is_named_beside_the_database_only_where_no_database_is_meant() {
    let option = ("options", "-c sallyport.target=orders");
    let startup = v30(&[
        ("user", "a"),
        ("database", "replication"),
        ("replication", "true"),
        option,
    ])
    .unwrap();
    assert_eq!(startup.target.as_deref(), Some("orders"));
    assert_eq!(startup.settings().count(), 0);
    for replication in ["database", "false"] {
        let refused = v30(&[("user", "a"), ("replication", replication), option]).unwrap_err();
        assert_eq!(refused.0, "22023");
    }
}

#[test]
fn versions_and_options_are_negotiated() {
    let ask = |minor, parameters: &[(&str, &str)]| {
        let mut all = vec![("user", "a")];
        all.extend(parameters);
        let startup = read(Version { major: 3, minor }, &all).unwrap();
        (
            startup.version,
            startup.negotiation().map(|(version, names)| (version, names.len())),
        )
    };
    assert_eq!(ask(0, &[]), (Version::V3_0, None));
    assert_eq!(ask(2, &[]), (Version::V3_2, None));
    assert_eq!(ask(9999, &[("_pq_.x", "1")]), (Version::V3_2, Some((Version::V3_2, 1))));
    assert_eq!(ask(0, &[("_pq_.x", "1")]), (Version::V3_0, Some((Version::V3_0, 1))));
    assert_eq!(ask(3, &[]), (Version::V3_2, Some((Version::V3_2, 0))));
}

proptest! {
    #[test]
    fn any_parameters_are_read_or_refused(parameters in prop::collection::vec((".{0,12}", ".{0,30}"), 0..8)) {
        let parameters: Vec<(&str, &str)> =
            parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let _ = v30(&parameters);
    }

    #[test]
    fn any_options_are_read_or_refused(line in ".{0,80}") {
        let _ = options(&line);
    }
}
