//! What the tests of this crate share: bundles made from text, people, targets, statements.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses its part of it"
)]

use std::path::{Path, PathBuf};

use sallyport_policy::{
    Act, ActionName, Bundle, LoadError, Loader, Resource, SchemaFragment, Situation, Subject, SubjectKind, Value,
};
use smol_str::SmolStr;
use time::macros::datetime;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The SQL fragment as the PostgreSQL protocol ships it.
pub fn sql() -> SchemaFragment {
    fragment("postgres")
}

/// The SQL fragment under the name that targets have for its protocol.
pub fn postgres() -> SchemaFragment {
    SchemaFragment::new("postgres", sql().text)
}

/// What the protocols bring, under the names that targets have for them.
pub fn shipped_fragments() -> [SchemaFragment; 2] {
    [postgres(), SchemaFragment::new("ssh", fragment("ssh").text)]
}

/// What a protocol brings.
pub fn fragment(protocol: &str) -> SchemaFragment {
    let path = root().join(format!("crates/protocols/{protocol}/src/schema.cedarschema"));
    SchemaFragment::new("sql", std::fs::read_to_string(path).unwrap())
}

/// A directory with these rules, and `classify.toml` if it is not empty.
pub fn write(rules: &str, classify: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("rules")).unwrap();
    std::fs::write(dir.path().join("rules/all.cedar"), rules).unwrap();
    if !classify.is_empty() {
        std::fs::write(dir.path().join("classify.toml"), classify).unwrap();
    }
    dir
}

pub fn try_load(rules: &str, classify: &str) -> Result<Bundle, LoadError> {
    let dir = write(rules, classify);
    Loader::new(&[sql()]).detectors(["credit_card", "ssn"]).load(dir.path())
}

pub fn load(rules: &str, classify: &str) -> Bundle {
    match try_load(rules, classify) {
        Ok(bundle) => bundle,
        Err(error) => panic!("{error}"),
    }
}

/// A bundle of the repository.
pub fn shipped(path: &str) -> Bundle {
    match Bundle::load(&root().join(path), &[sql(), fragment("ssh")]) {
        Ok(bundle) => bundle,
        Err(error) => panic!("{error}"),
    }
}

pub fn user(id: &str, groups: &[&str]) -> Subject {
    let groups = groups.iter().map(|&g| g.to_owned()).collect();
    Subject {
        kind: SubjectKind::User,
        id: id.to_owned(),
        groups,
    }
}

pub fn orders() -> Resource {
    Resource {
        name: "orders".to_owned(),
        protocol: "postgres".to_owned(),
        environment: Some("production".to_owned()),
        tags: vec!["pci".to_owned()],
    }
}

pub fn now() -> Situation {
    Situation::at(datetime!(2026-11-21 09:00:00.25 UTC))
}

/// An SQL act about which nothing is remarkable but these facts.
pub fn statement(action: &str, facts: &[(&str, Value)]) -> Act {
    let mut all: Vec<(SmolStr, Value)> = Vec::new();
    for name in [
        "reads",
        "writes",
        "touches",
        "unrestricted",
        "shown",
        "derived",
        "inferred",
        "copied",
        "written",
        "functions",
        "code",
        "untrusted_code",
        "hazards",
    ] {
        all.push((name.into(), Value::strings::<&str>([])));
    }
    for name in ["shown", "derived", "inferred", "copied", "written", "read"] {
        let none = Value::entities::<&str>("Classification", []);
        all.push((format!("{name}_classes").into(), none));
    }
    for name in ["persistent", "unresolved"] {
        all.push((name.into(), Value::Bool(false)));
    }
    for name in ["statement_count", "parameters"] {
        all.push((name.into(), Value::Long(1)));
    }
    all.push(("database".into(), "orders".into()));
    for (name, value) in facts {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.clone(),
            None => all.push(((*name).into(), value.clone())),
        }
    }
    Act::new(ActionName::new("Sql", action), all)
}

/// Opening a session.
pub fn connect() -> Act {
    let facts: Vec<(SmolStr, Value)> = vec![
        ("database".into(), "orders".into()),
        ("user".into(), "alice".into()),
        ("replication".into(), false.into()),
        ("tls".into(), true.into()),
    ];
    Act::new(ActionName::connect(), facts)
}
