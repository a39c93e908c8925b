//! The evaluation here says what Cedar's own authorizer says, whatever the rules' scopes and conditions.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::str::FromStr;

use cedar_policy::{Authorizer, Context, Entities, EntityUid, PolicySet, Request, Schema, SchemaFragment};
use sallyport_policy::{BASE_SCHEMA, Outcome, Value};
use serde_json::json;
use support::{now, orders, sql, statement, user};

const SCOPES: &[(&str, &str, &str)] = &[
    ("principal", "action in Sql::Action::\"any\"", "resource"),
    (
        "principal == User::\"alice\"",
        "action in Sql::Action::\"write\"",
        "resource",
    ),
    (
        "principal in Group::\"dba\"",
        "action in Sql::Action::\"any\"",
        "resource in Environment::\"production\"",
    ),
    ("principal is Machine", "action in Sql::Action::\"any\"", "resource"),
    (
        "principal is User in Group::\"dev\"",
        "action in [Sql::Action::\"select\", Sql::Action::\"update\"]",
        "resource == Target::\"orders\"",
    ),
    (
        "principal in Group::\"dev\"",
        "action in [Sql::Action::\"ddl\", Sql::Action::\"write\"]",
        "resource in Tag::\"pci\"",
    ),
    (
        "principal",
        "action == Sql::Action::\"delete\"",
        "resource is Target in Environment::\"staging\"",
    ),
];

const CONDITIONS: &[&str] = &[
    "",
    "when { context.reads.contains(\"a\") }",
    "unless { context.statement_count > 1 }",
    "when { principal.id like \"al*\" } unless { context.hazards.containsAny([\"x\", \"y\"]) }",
    "when { resource.protocol == \"postgres\" && action in Sql::Action::\"write\" }",
    "when { context has task }",
];

#[test]
fn it_agrees_with_the_authorizer() {
    let fragments = [BASE_SCHEMA.to_owned(), sql().text];
    let schema = Schema::from_schema_fragments(
        fragments
            .iter()
            .map(|text| SchemaFragment::from_cedarschema_str(text).unwrap().0),
    )
    .unwrap();
    let mut compared = BTreeSet::new();
    // Each bundle takes some of the combinations, in a fixed pattern that mixes permits and forbids.
    for seed in 0..24_usize {
        let mut text = String::new();
        for (s, (principal, action, resource)) in SCOPES.iter().enumerate() {
            for (c, condition) in CONDITIONS.iter().enumerate() {
                let pick = (s * 31 + c * 17 + seed * 13) % 11;
                let effect = match pick {
                    0 | 1 => "permit",
                    2 => "forbid",
                    _ => continue,
                };
                let _ = writeln!(
                    text,
                    "@id(\"r{s}-{c}\") {effect} ({principal}, {action}, {}) {condition};",
                    if *resource == "resource" {
                        "resource is Target"
                    } else {
                        resource
                    }
                );
            }
        }
        let policies = PolicySet::from_str(&text).unwrap();
        let bundle = support::load(&text, "");
        for groups in [&["dev"][..], &["dba"], &[], &["dev", "dba"]] {
            for action in ["select", "delete", "update", "alter_table", "set"] {
                for (reads, hazards, count) in [("a", "n", 1), ("b", "x", 2), ("a", "y", 1)] {
                    let facts = [
                        ("reads", Value::strings([reads])),
                        ("hazards", Value::strings([hazards])),
                        ("statement_count", Value::Long(count)),
                    ];
                    let ours = bundle.decide(&user("alice", groups), &orders(), &[statement(action, &facts)], &now());
                    let context = json!({"reads": [reads], "hazards": [hazards], "statement_count": count});
                    let theirs = authorize(&schema, &policies, groups, action, &context);
                    assert_eq!(ours.outcome == Outcome::Allow, theirs.0, "{action} {groups:?}\n{text}");
                    let ids: BTreeSet<String> = ours.rules.iter().map(ToString::to_string).collect();
                    assert_eq!(ids, theirs.1, "{action} {groups:?}\n{text}");
                    compared.insert((theirs.0, !ids.is_empty()));
                }
            }
        }
    }
    // Allowed by a rule, forbidden by a rule, and permitted by none have all been seen.
    assert_eq!(compared.len(), 3);
}

fn authorize(
    schema: &Schema,
    policies: &PolicySet,
    groups: &[&str],
    action: &str,
    context: &serde_json::Value,
) -> (bool, BTreeSet<String>) {
    let uid = |kind: &str, id: &str| json!({"type": kind, "id": id});
    let groups_json: Vec<_> = groups.iter().map(|g| uid("Group", g)).collect();
    let places = [uid("Environment", "production"), uid("Tag", "pci")];
    let mut list = vec![
        json!({"uid": uid("User", "alice"), "attrs": {"id": "alice"}, "parents": groups_json}),
        json!({"uid": uid("Target", "orders"), "attrs": {"name": "orders", "protocol": "postgres"}, "parents": places}),
    ];
    for bare in groups_json.iter().chain(&places) {
        list.push(json!({"uid": bare, "attrs": {}, "parents": []}));
    }
    let entities = Entities::from_json_value(list.into(), Some(schema)).unwrap();
    let parse = |text: &str| EntityUid::from_str(text).unwrap();
    let request = Request::new(
        parse("User::\"alice\""),
        parse(&format!("Sql::Action::\"{action}\"")),
        parse("Target::\"orders\""),
        Context::from_json_value(context.clone(), None).unwrap(),
        None,
    )
    .unwrap();
    let response = Authorizer::new().is_authorized(&request, policies, &entities);
    assert!(response.diagnostics().errors().next().is_none());
    let reasons = response.diagnostics().reason();
    let name = |id| policies.annotation(id, "id").unwrap().to_owned();
    (
        response.decision() == cedar_policy::Decision::Allow,
        reasons.map(name).collect(),
    )
}
