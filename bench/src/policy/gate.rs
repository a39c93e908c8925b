//! A session's gate, as the gateway makes one, and commands to ask it about.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Result;
use sallyport_ledger::{Caller, Durability, RecordingKey, RecordingStore, SessionHeader};
use sallyport_policy::{Act, ActionName, Loader, Resource, SchemaFragment, Subject, SubjectKind, Value, Watcher};
use sallyport_session::{Asking, Command, Gate, Opened, Phase, Reviewing, Shape, Standing, Waiting};
use smol_str::SmolStr;
use time::OffsetDateTime;

use crate::rules;

const SQL: &str = include_str!("../../../crates/protocols/postgres/src/schema.cedarschema");
const SSH: &str = include_str!("../../../crates/protocols/ssh/src/schema.cedarschema");

/// A policy of as many rules in `dir`, loaded and watched.
pub(crate) fn policy(dir: &Path, count: usize) -> Result<Watcher> {
    std::fs::create_dir_all(dir.join("rules"))?;
    std::fs::write(dir.join("rules/all.cedar"), rules::rules(count))?;
    std::fs::write(dir.join("classify.toml"), rules::classes(count))?;
    let fragments = [SchemaFragment::new("postgres", SQL), SchemaFragment::new("ssh", SSH)];
    Ok(Watcher::start(dir, Loader::new(&fragments))?)
}

/// A developer at a target in production.
pub(crate) fn standing() -> Standing {
    Standing {
        subject: Subject {
            kind: SubjectKind::User,
            id: "alice".to_owned(),
            groups: vec!["developers".to_owned(), "team-3".to_owned(), "staff".to_owned()],
        },
        person: "alice".into(),
        target: Resource {
            name: "orders".to_owned(),
            protocol: "postgres".to_owned(),
            environment: Some("production".to_owned()),
            tags: vec!["pci".to_owned()],
        },
        database: "orders".into(),
        task: Some("OPS-42".to_owned()),
        source: None,
    }
}

/// The gate of a session, which records in `dir`.
pub(crate) fn gate(dir: &Path, policy: Watcher) -> Result<Gate> {
    let standing = standing();
    let header = SessionHeader {
        id: uuid::Uuid::now_v7(),
        started: OffsetDateTime::now_utc(),
        principal: Caller {
            id: standing.subject.id.clone(),
            kind: "user".to_owned(),
            groups: standing.subject.groups.clone(),
            person: standing.person.to_string(),
        },
        target: standing.target.name.clone(),
        database: Some(standing.database.to_string()),
        protocol: standing.target.protocol.clone(),
        client_address: None,
        task: standing.task.clone(),
        client_tool: None,
        agent: None,
        policy_digest: policy.current().digest().to_owned(),
        policy_commit: None,
        gateway_version: "bench".to_owned(),
    };
    let recordings = RecordingStore::open(dir, RecordingKey::new([7; 32]), Durability::WriteAhead)?;
    let recorder = recordings.create(&header)?;
    Ok(Gate::new(
        standing,
        Arc::new(policy),
        recorder,
        Arc::new(Nobody),
        &header,
    ))
}

/// Nobody is asked: nothing here is held.
struct Nobody;

impl Reviewing for Nobody {
    fn open(&self, _asking: Asking) -> Waiting<Opened> {
        Box::pin(std::future::pending())
    }
}

/// Commands that the rules have to say something about.
pub(crate) fn commands() -> Vec<(&'static str, Command)> {
    let select = statement("select", &["public.customers", "public.orders"], &[]);
    let update = statement("update", &["public.orders"], &["public.orders"]);
    vec![
        ("SELECT", command("SELECT …", vec![select])),
        ("UPDATE", command("UPDATE …", vec![update])),
        ("ls -l", command("ls -l", vec![line()])),
    ]
}

fn command(text: &'static str, acts: Vec<Act>) -> Command {
    Command {
        shape: Arc::new(Shape {
            id: Shape::next_id(),
            acts,
            shows: Vec::new(),
            carries: Vec::new(),
            unparsed: None,
            empty: false,
            facts: String::new(),
            recorded: OnceLock::new(),
        }),
        text: text.as_bytes().into(),
        parameters: bytes::Bytes::new(),
        state: bytes::Bytes::new(),
        readable: None,
        phase: Phase::Run,
    }
}

type Facts = Vec<(SmolStr, Value)>;

fn put(facts: &mut Facts, name: &str, value: impl Into<Value>) {
    facts.push((name.into(), value.into()));
}

fn statement(action: &str, reads: &[&str], writes: &[&str]) -> Act {
    let mut facts = Facts::new();
    put(&mut facts, "reads", Value::strings(reads.iter().copied()));
    put(&mut facts, "writes", Value::strings(writes.iter().copied()));
    let touches = reads.iter().chain(writes).copied();
    put(&mut facts, "touches", Value::strings(touches));
    put(
        &mut facts,
        "functions",
        Value::strings(["pg_catalog.lower", "pg_catalog.now"]),
    );
    put(
        &mut facts,
        "shown",
        Value::strings(["public.customers.name", "public.orders.total"]),
    );
    for name in [
        "unrestricted",
        "derived",
        "inferred",
        "copied",
        "written",
        "code",
        "untrusted_code",
        "hazards",
    ] {
        put(&mut facts, name, Value::strings::<&str>([]));
    }
    put(
        &mut facts,
        "read_classes",
        Value::entities("Classification", ["pci", "pii"]),
    );
    for name in ["shown", "derived", "inferred", "copied", "written"] {
        put(
            &mut facts,
            &format!("{name}_classes"),
            Value::entities::<&str>("Classification", []),
        );
    }
    put(&mut facts, "persistent", false);
    put(&mut facts, "unresolved", false);
    put(&mut facts, "statement_count", 1_i64);
    put(&mut facts, "parameters", 2_i64);
    put(&mut facts, "database", "orders");
    Act::new(ActionName::new("Sql", action), facts)
}

fn line() -> Act {
    let mut facts = Facts::new();
    put(&mut facts, "login", "deploy");
    put(&mut facts, "command", "ls -l");
    put(&mut facts, "programs", Value::strings(["ls"]));
    for name in ["unknown_programs", "opaque", "system", "kubernetes_deletes"] {
        put(&mut facts, name, Value::strings::<&str>([]));
    }
    for name in ["reads_classes", "writes_classes", "removes_classes"] {
        put(&mut facts, name, Value::entities::<&str>("Classification", []));
    }
    for name in ["terminal", "background", "download_runs"] {
        put(&mut facts, name, false);
    }
    put(&mut facts, "runs", 1_i64);
    Act::new(ActionName::new("Ssh", "exec"), facts)
}
