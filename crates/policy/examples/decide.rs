//! How long a decision takes that no cache answers: `cargo run --release -p sallyport-policy --example decide`.
//!
//! The rules are spread over actions and groups as in a real repository: one in ten concerns every
//! statement, the others one action or one group each.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "an example that prints what it measures"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use sallyport_policy::{
    Act, ActionName, Bundle, Outcome, Resource, SchemaFragment, Situation, Subject, SubjectKind, Value,
};
use smol_str::SmolStr;
use time::OffsetDateTime;

const SCHEMA: &str = include_str!("../../protocols/postgres/src/schema.cedarschema");
const ROUNDS: usize = 7;
const DECISIONS: usize = 2000;

fn rules(count: usize) -> String {
    let actions = [
        "select",
        "insert",
        "update",
        "delete",
        "drop_table",
        "alter_table",
        "grant",
        "set",
    ];
    let mut text = String::from(
        "@id(\"base\") permit (principal in Group::\"developers\", action in Sql::Action::\"any\", resource);\n",
    );
    for n in 1..count {
        let action = actions[n % actions.len()];
        let rule = match n % 10 {
            0 => format!(
                "forbid (principal, action in Sql::Action::\"any\", resource in Environment::\"production\")
                 when {{ context.hazards.contains(\"hazard_{n}\") }};"
            ),
            1..=3 => format!(
                "forbid (principal, action == Sql::Action::\"{action}\", resource)
                 when {{ context.reads.contains(\"public.table_{n}\") }};"
            ),
            4..=6 => format!(
                "forbid (principal in Group::\"team-{n}\", action in Sql::Action::\"write\", resource)
                 unless {{ context.unrestricted.isEmpty() }};"
            ),
            _ => format!(
                "permit (principal in Group::\"team-{n}\", action == Sql::Action::\"{action}\", resource == Target::\"t{n}\");"
            ),
        };
        let _ = writeln!(text, "@id(\"rule-{n}\") {rule}");
    }
    text
}

fn facts(now: OffsetDateTime) -> Vec<(SmolStr, Value)> {
    let none = || Value::strings::<&str>([]);
    let mut facts: Vec<(SmolStr, Value)> = vec![
        ("reads".into(), Value::strings(["public.customers", "public.orders"])),
        (
            "shown".into(),
            Value::strings(["public.customers.name", "public.orders.total"]),
        ),
        (
            "functions".into(),
            Value::strings(["pg_catalog.lower", "pg_catalog.now"]),
        ),
        ("read_classes".into(), Value::entities("Classification", ["pci", "pii"])),
        ("statement_count".into(), Value::Long(1)),
        ("database".into(), "orders".into()),
        ("at".into(), Value::Time(now)),
    ];
    for name in [
        "writes",
        "unrestricted",
        "code",
        "untrusted_code",
        "hazards",
        "inferred",
    ] {
        facts.push((name.into(), none()));
    }
    facts
}

fn main() {
    let who = Subject {
        kind: SubjectKind::User,
        id: "alice".into(),
        groups: vec!["developers".into(), "staff".into()],
    };
    let target = Resource {
        name: "orders".into(),
        protocol: "postgres".into(),
        environment: Some("production".into()),
        tags: vec!["pci".into()],
    };
    let now = OffsetDateTime::now_utc();
    let situation = Situation {
        task: Some("OPS-42".into()),
        ..Situation::at(now)
    };
    println!("rules   load ms   first µs   uncached µs (median of {ROUNDS})");
    for count in [10, 100, 500] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        std::fs::write(dir.path().join("rules/all.cedar"), rules(count)).unwrap();
        let start = Instant::now();
        let bundle = Bundle::load(dir.path(), &[SchemaFragment::new("sql", SCHEMA)]).unwrap();
        let load = start.elapsed().as_secs_f64() * 1e3;
        let acts = [Act::new(ActionName::new("Sql", "select"), facts(now))];
        let start = Instant::now();
        assert_eq!(bundle.decide(&who, &target, &acts, &situation).outcome, Outcome::Allow);
        let first = start.elapsed().as_secs_f64() * 1e6;
        let mut rounds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let start = Instant::now();
                for _ in 0..DECISIONS {
                    black_box(bundle.decide(&who, &target, black_box(&acts), &situation));
                }
                start.elapsed().as_secs_f64() * 1e6 / DECISIONS as f64
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        println!("{count:5} {load:9.1} {first:10.1} {:13.2}", rounds[ROUNDS / 2]);
    }
}
