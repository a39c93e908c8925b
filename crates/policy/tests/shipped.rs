//! The bundles of the repository are valid, and decide what their pages say.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use sallyport_policy::{
    Act, ActionName, Bundle, Decision, Outcome, Resource, Reveal, Situation, Subject, SubjectKind, Value, View,
};
use support::{connect, now, orders, shipped, statement, user};

fn alice() -> Subject {
    user("alice", &["developers"])
}

fn dana() -> Subject {
    user("dana", &["dba"])
}

fn act(bundle: &Bundle, who: &Subject, act: Act) -> Decision {
    bundle.decide(who, &orders(), &[act], &now())
}

/// The outcome, and the first rule that made it.
fn answer(decision: &Decision) -> (Outcome, &str) {
    (
        decision.outcome,
        decision.rules.first().map_or("", |rule| rule.as_str()),
    )
}

fn classes(names: &[&str]) -> Value {
    Value::entities("Classification", names.iter().copied())
}

fn hazard(name: &str) -> Act {
    statement("select", &[("hazards", Value::strings([name]))])
}

#[test]
fn the_example_lets_developers_work_and_nobody_else() {
    let bundle = shipped("policy");
    assert_eq!(
        answer(&act(&bundle, &alice(), connect())),
        (Outcome::Allow, "developers-connect")
    );
    assert_eq!(act(&bundle, &dana(), connect()).outcome, Outcome::Allow);
    let audrey = act(&bundle, &user("audrey", &["auditors"]), connect());
    assert_eq!(answer(&audrey), (Outcome::Deny, "auditors-do-not-connect"));
    assert_eq!(act(&bundle, &user("eve", &[]), connect()).outcome, Outcome::Deny);
    for action in [
        "select", "insert", "update", "copy_to", "begin", "prepare", "set", "explain",
    ] {
        let decision = act(&bundle, &alice(), statement(action, &[]));
        assert_eq!(answer(&decision), (Outcome::Allow, "developers-work"), "{action}");
    }
    for action in [
        "do",
        "create_function",
        "grant",
        "alter_system",
        "load",
        "unknown",
        "vacuum",
    ] {
        let decision = act(&bundle, &alice(), statement(action, &[]));
        assert_ne!(decision.outcome, Outcome::Allow, "{action}");
    }
    let unparsed = act(&bundle, &alice(), Act::new(ActionName::unparsed(), []));
    assert_eq!((unparsed.outcome, unparsed.rules.len()), (Outcome::Deny, 0));
}

#[test]
fn the_example_holds_schema_changes_and_refuses_drops() {
    let bundle = shipped("policy");
    let held = act(&bundle, &alice(), statement("add_column", &[]));
    assert_eq!(answer(&held), (Outcome::Hold, "schema-changes-wait-for-a-dba"));
    let hold = held.hold.unwrap();
    assert_eq!(
        hold.groups
            .iter()
            .map(|a| (a.group.as_str(), a.count))
            .collect::<Vec<_>>(),
        [("dba", 1)]
    );
    let approved = Situation {
        approved_by: ["dba".to_owned()].into(),
        ..now()
    };
    let then = bundle.decide(&alice(), &orders(), &[statement("add_column", &[])], &approved);
    assert_eq!(then.outcome, Outcome::Allow);
    for action in ["drop_table", "truncate", "drop_schema", "drop_column"] {
        let refused = bundle.decide(&alice(), &orders(), &[statement(action, &[])], &approved);
        assert_eq!(answer(&refused), (Outcome::Deny, "no-drops-in-production"), "{action}");
        assert!(refused.message.unwrap().contains("ask the DBAs"));
        let dba = act(&bundle, &dana(), statement(action, &[]));
        assert_eq!(
            answer(&dba),
            (Outcome::Hold, "schema-changes-wait-for-a-dba"),
            "{action}"
        );
    }
    assert_eq!(
        act(&bundle, &dana(), statement("create_function", &[])).outcome,
        Outcome::Hold
    );
    assert_eq!(
        act(&bundle, &alice(), statement("drop_temporary", &[])).outcome,
        Outcome::Allow
    );
}

#[test]
fn the_example_refuses_what_gets_round_it() {
    let bundle = shipped("policy");
    for who in [alice(), dana()] {
        let all = statement("delete", &[("unrestricted", Value::strings(["public.orders"]))]);
        assert_eq!(
            answer(&act(&bundle, &who, all)),
            (Outcome::Deny, "changes-name-their-rows")
        );
        let code = statement("select", &[("untrusted_code", Value::strings(["public.f(text)"]))]);
        assert_eq!(answer(&act(&bundle, &who, code)), (Outcome::Deny, "no-hidden-code"));
        let lost = statement("select", &[("unresolved", Value::Bool(true))]);
        assert_eq!(answer(&act(&bundle, &who, lost)), (Outcome::Deny, "no-guesswork"));
        for (name, rule) in [
            ("server_program", "no-programs-or-files"),
            ("server_file", "no-programs-or-files"),
            ("network", "no-programs-or-files"),
            ("session_identity", "no-change-of-identity"),
            ("disables_triggers", "no-change-of-identity"),
            ("privileges", "no-change-of-privileges"),
            ("dynamic_sql", "no-hidden-code"),
            ("unknown_function", "no-hidden-code"),
            ("raw_storage", "no-looking-below"),
            ("statistics", "no-looking-below"),
        ] {
            assert_eq!(
                answer(&act(&bundle, &who, hazard(name))),
                (Outcome::Deny, rule),
                "{name}"
            );
        }
        let set_role = act(&bundle, &who, statement("set_role", &[]));
        assert_eq!(set_role.outcome, Outcome::Deny);
        for how in ["inferred_classes", "copied_classes"] {
            let probe = statement("select", &[(how, classes(&["pci"]))]);
            let refused = act(&bundle, &who, probe);
            assert_eq!(answer(&refused), (Outcome::Deny, "no-probing-for-masked-values"));
            let fine = statement("select", &[(how, classes(&["contact"]))]);
            assert_eq!(act(&bundle, &who, fine).outcome, Outcome::Allow);
        }
    }
}

#[test]
fn the_example_masks_by_class() {
    let bundle = shipped("policy");
    let reveal = |who: &Subject, class: &str| bundle.reveal(who, &orders(), class, View::Plain, &now()).reveal;
    let mask = |strategy: &str| Reveal::Mask(strategy.into());
    for who in [alice(), dana()] {
        assert_eq!(reveal(&who, "pci"), mask("keep-last(4)"));
        assert_eq!(reveal(&who, "national-id"), mask("redact"));
        assert_eq!(reveal(&who, "contact"), mask("partial"));
        assert_eq!(reveal(&who, "secret"), mask("redact"));
    }
    assert_eq!(reveal(&user("pam", &["payments-on-call"]), "pci"), Reveal::Clear);
    let classification = bundle.classification("orders");
    assert_eq!(classification.of_column("public.customers.card_number").len(), 1);
    assert!(
        bundle
            .classification("other")
            .of_column("public.customers.card_number")
            .is_empty()
    );
}

/// What the commands of the example's cases are understood as.
fn understand(command: &str) -> Act {
    let hazard =
        |action: &str, names: &[&str]| statement(action, &[("hazards", Value::strings(names.iter().copied()))]);
    match command {
        "SELEC 1" => Act::new(ActionName::unparsed(), []),
        "SELECT * FROM no_such_table" => statement("select", &[("unresolved", true.into())]),
        "SELECT most_common_vals FROM pg_stats" => hazard("select", &["statistics"]),
        "ALTER TABLE orders ADD COLUMN note text" => statement("add_column", &[]),
        "DROP TABLE customers" => statement("drop_table", &[]),
        "DELETE FROM orders" => statement("delete", &[("unrestricted", Value::strings(["public.orders"]))]),
        "DELETE FROM orders WHERE id = 7" => statement("delete", &[]),
        "COPY orders TO PROGRAM 'cat'" => hazard("copy_to", &["server_program"]),
        "GRANT ALL ON orders TO alice" => hazard("grant", &["privileges"]),
        "SET ROLE postgres" => hazard("set_role", &["session_identity"]),
        other if other.starts_with("DO ") => hazard("do", &["dynamic_sql"]),
        other if other.contains("WHERE card_number") => statement("select", &[("inferred_classes", classes(&["pci"]))]),
        other => {
            assert!(other.starts_with("SELECT "), "{other}");
            statement("select", &[])
        }
    }
}

#[test]
fn the_example_passes_its_own_cases_and_they_cover_its_rules() {
    let bundle = shipped("policy");
    assert!(bundle.warnings().is_empty(), "{:?}", bundle.warnings());
    let mut cases = bundle.cases().unwrap();
    // Those about hosts are run where command lines are understood.
    cases.retain(|case| case.target == "orders");
    let hosts = std::fs::read_to_string(support::root().join("policy/rules/hosts.cedar")).unwrap();
    let find = |name: &str| (name == "orders").then(orders);
    let report = bundle.run(&cases, find, |case, _| {
        Ok(vec![understand(case.command.as_deref().unwrap())])
    });
    let said: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{said:#?}");
    assert_eq!(report.passed, cases.len());
    let mut uncovered: Vec<String> = report.uncovered.iter().map(ToString::to_string).collect();
    uncovered.retain(|id| !hosts.contains(&format!("@id(\"{id}\")")));
    assert!(uncovered.is_empty(), "{uncovered:?}");
}

#[test]
fn the_bundle_to_start_from_passes_its_own_cases() {
    let bundle = shipped("crates/sallyport/src/commands/policy/start");
    let mut cases = bundle.cases().unwrap();
    cases.retain(|case| case.target == "orders");
    let find = |name: &str| (name == "orders").then(orders);
    let report = bundle.run(&cases, find, |case, _| {
        Ok(vec![understand(case.command.as_deref().unwrap())])
    });
    let said: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{said:#?}");
    assert_eq!(report.passed, 11);
}

/// Any role of the corpus.
fn role() -> Subject {
    Subject {
        kind: SubjectKind::Machine,
        id: "app".to_owned(),
        groups: Vec::new(),
    }
}

#[test]
fn the_corpus_policy_says_p1_to_p7() {
    let bundle = shipped("tests/policies/corpus-sql");
    let refused = |what: Act, rule: &str| {
        let decision = act(&bundle, &role(), what);
        assert_eq!(decision.outcome, Outcome::Deny, "{rule}");
        assert!(
            decision.rules.iter().any(|id| id.as_str() == rule),
            "{rule}: {:?}",
            decision.rules
        );
    };
    refused(statement("drop_view", &[]), "p1-destructive");
    refused(statement("truncate", &[]), "p1-destructive");
    refused(hazard("erases_data"), "p1-erases-data");
    let all = [
        ("unrestricted", Value::strings(["demo.customers"])),
        ("persistent", Value::Bool(true)),
    ];
    refused(statement("merge", &all), "p2-unrestricted");
    refused(statement("alter_system", &[]), "p5-server-setup");
    for how in ["derived_classes", "inferred_classes", "copied_classes"] {
        refused(statement("copy_to", &[(how, classes(&["protected"]))]), "p3-other-uses");
    }
    refused(hazard("server_program"), "p4-programs");
    refused(hazard("server_file"), "p5-files");
    refused(hazard("session_identity"), "p6-identity");
    refused(hazard("disables_triggers"), "p6-triggers");
    for what in ["session_identity", "disables_triggers"] {
        assert!(act(&bundle, &role(), hazard(what)).ends_session, "{what}");
    }
    refused(hazard("privileges"), "p6-hidden-privileges");
    refused(statement("alter_owner", &[]), "p6-privileges");
    refused(hazard("dynamic_sql"), "p7-dynamic-sql");
    refused(statement("create_rule", &[]), "p7-define-code");
    let code = [("untrusted_code", Value::strings(["trigger t"]))];
    refused(statement("insert", &code), "p7-untrusted-code");
    let unparsed = act(&bundle, &role(), Act::new(ActionName::unparsed(), []));
    assert_eq!(unparsed.outcome, Outcome::Deny);
}

#[test]
fn the_corpus_policy_lets_ordinary_work_pass() {
    let bundle = shipped("tests/policies/corpus-sql");
    let shown = [
        ("shown_classes", classes(&["protected"])),
        ("read_classes", classes(&["protected"])),
    ];
    let written = [("written_classes", classes(&["protected"]))];
    for what in [
        connect(),
        statement("select", &shown),
        statement("update", &written),
        statement("call", &[]),
        statement("create_temporary", &[]),
        statement("drop_temporary", &[]),
        statement("create_table", &[]),
        statement("analyze", &[]),
        statement("delete", &[("unrestricted", Value::strings(["pg_temp_3.scratch"]))]),
        statement("notify", &[("hazards", Value::strings(["notify"]))]),
    ] {
        let action = what.action.clone();
        assert_eq!(act(&bundle, &role(), what).outcome, Outcome::Allow, "{action}");
    }
    let disclosure = bundle.reveal(&role(), &orders(), "protected", View::Plain, &now());
    assert_eq!(disclosure.reveal, Reveal::Mask("redact".into()));
    let classification = bundle.classification("shop");
    assert_eq!(classification.of_column("public.customers.ssn").len(), 1);
    assert!(classification.of_column("demo.customers.ssn").is_empty());
    assert!(classification.of_column("public.leads.ssn").is_empty());
    assert!(classification.declassified("public.customers_masked"));
    let digest = "ebee82c7d6e47cf249859fa24fe1e48894bc065de52a1803a87909db7d28623c";
    assert!(classification.trusts("public.order_total(integer)", Some(digest)));
    let another = digest.replace('e', "f");
    assert!(!classification.trusts("public.order_total(integer)", Some(&another)));
    assert!(!classification.trusts("public.order_total(integer)", None));
    assert!(!classification.trusts("public.order_total(text)", Some(digest)));
}

#[test]
fn permit_all_permits_all() {
    let bundle = shipped("tests/policies/permit-all");
    let anywhere = Resource {
        environment: None,
        ..orders()
    };
    for what in [
        connect(),
        statement("drop_database", &[]),
        statement("unknown", &[("unresolved", Value::Bool(true))]),
        Act::new(ActionName::unparsed(), []),
    ] {
        assert_eq!(
            bundle.decide(&role(), &anywhere, &[what], &now()).outcome,
            Outcome::Allow
        );
    }
    assert_eq!(
        bundle.reveal(&role(), &anywhere, "x", View::Plain, &now()).reveal,
        Reveal::Clear
    );
    assert!(bundle.classification("any").is_empty());
}
