//! The vocabulary that rules are written in is the one that statements are understood in.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sallyport_policy::{
    Act, ActionName, Bundle, Outcome, Resource, SchemaFragment, Situation, Subject, SubjectKind, action_names,
};
use sallyport_postgres::Postgres;
use sallyport_session::Protocol;
use sallyport_sql::{Action, ActionGroup};
use time::macros::datetime;

fn fragment() -> SchemaFragment {
    SchemaFragment::new("postgres", Postgres::SCHEMA)
}

#[test]
fn the_schema_declares_exactly_the_actions_of_statements() {
    let known: BTreeSet<ActionName> = Action::ALL
        .iter()
        .map(|action| ActionName::new("Sql", action.name()))
        .collect();
    let declared = action_names(&fragment()).unwrap();
    // Commands of replication are no statements.
    let declared: BTreeSet<ActionName> = declared.into_iter().filter(|a| a.namespace != "Replication").collect();
    let missing: Vec<_> = known.difference(&declared).collect();
    let unknown: Vec<_> = declared.difference(&known).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing {missing:?}, unknown {unknown:?}"
    );
}

/// The groups of the schema that an action of this family is in.
fn groups(family: ActionGroup) -> &'static [&'static str] {
    match family {
        ActionGroup::Read => &["read"],
        ActionGroup::Write => &["write"],
        ActionGroup::Destroy => &["ddl", "destructive"],
        ActionGroup::Ddl => &["ddl"],
        ActionGroup::Privilege => &["privilege"],
        ActionGroup::Session => &["session"],
        ActionGroup::Transaction => &["transaction"],
        ActionGroup::Code => &["code"],
        ActionGroup::Admin => &["admin"],
    }
}

#[test]
fn each_action_is_in_the_groups_of_its_family() {
    let all = [
        "read",
        "write",
        "ddl",
        "destructive",
        "privilege",
        "session",
        "transaction",
        "code",
        "admin",
    ];
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("rules")).unwrap();
    let mut rules = String::from("@id(\"any\") permit (principal, action in Sql::Action::\"any\", resource);\n");
    for group in all {
        let scope = format!("principal, action in Sql::Action::\"{group}\", resource");
        writeln!(rules, "@id(\"{group}\") permit ({scope});").unwrap();
    }
    std::fs::write(dir.path().join("rules/groups.cedar"), rules).unwrap();
    let bundle = Bundle::load(dir.path(), &[fragment()]).unwrap();
    let who = Subject {
        kind: SubjectKind::User,
        id: "a".to_owned(),
        groups: Vec::new(),
    };
    let target = Resource {
        name: "t".to_owned(),
        protocol: "postgres".to_owned(),
        environment: None,
        tags: Vec::new(),
    };
    let now = Situation::at(datetime!(2026-01-01 00:00 UTC));
    for action in Action::ALL {
        let act = Act::new(ActionName::new("Sql", action.name()), []);
        let decision = bundle.decide(&who, &target, &[act], &now);
        assert_eq!(decision.outcome, Outcome::Allow);
        let mut wanted = BTreeSet::from(["any"]);
        wanted.extend(groups(action.group()));
        let found: BTreeSet<&str> = decision.rules.iter().map(|id| id.as_str()).collect();
        assert_eq!(found, wanted, "{action}");
    }
}
