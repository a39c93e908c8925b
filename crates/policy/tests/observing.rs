//! What only observes changes nothing, and is said.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;

use sallyport_policy::{
    Act, ActionName, Bundle, Decision, Lifetime, Observed, Outcome, Reveal, RuleId, Situation, Value, View,
};
use support::{connect, load, now, orders, sql, statement, try_load, user, write};

const ALL: &str = "@id(\"all\") permit (principal, action, resource);";

fn decide(bundle: &Bundle, acts: &[Act], situation: &Situation) -> Decision {
    bundle.decide(&user("alice", &[]), &orders(), acts, situation)
}

fn actions(names: &[&str]) -> Vec<Act> {
    names.iter().map(|name| statement(name, &[])).collect()
}

fn would(decision: &Decision) -> (Outcome, Vec<&str>, Option<&str>) {
    let Observed {
        outcome,
        rules,
        message,
        ..
    } = decision.observed.as_deref().unwrap();
    (*outcome, rules.iter().map(RuleId::as_str).collect(), message.as_deref())
}

fn ids(decision: &Decision) -> Vec<&str> {
    decision.rules.iter().map(RuleId::as_str).collect()
}

/// A bundle whose target `orders` only observes.
fn observed_target(rules: &str) -> Bundle {
    let dir = write(rules, "classes = [{ name = \"pii\" }]");
    let targets = "[[target]]\nname = \"orders\"\nenforce = false\n[[target]]\nname = \"other\"\nenforce = true\n";
    fs::write(dir.path().join("targets.toml"), targets).unwrap();
    Bundle::load(dir.path(), &[sql()]).unwrap()
}

#[test]
fn an_observed_refusal_goes_on_and_says_what_it_would_have_been() {
    let rules = r#"
        @id("no-drop") @enforce("false") @message("ask the DBAs") @ends("session")
        forbid (principal, action in Sql::Action::"drop", resource);
        @id("no-grant") @enforce("true") forbid (principal, action == Sql::Action::"grant", resource);"#;
    let bundle = load(&format!("{ALL}{rules}"), "");
    let drop = decide(&bundle, &actions(&["drop_table"]), &now());
    assert_eq!(
        (drop.outcome, ids(&drop), drop.cache),
        (Outcome::Allow, vec!["all"], Lifetime::Forever)
    );
    assert_eq!((drop.message.as_ref(), drop.ends_session), (None, false));
    assert_eq!(would(&drop), (Outcome::Deny, vec!["no-drop"], Some("ask the DBAs")));
    assert!(drop.observed.unwrap().ends_session);
    let select = decide(&bundle, &actions(&["select"]), &now());
    assert_eq!((select.outcome, select.observed), (Outcome::Allow, None));
    let grant = decide(&bundle, &actions(&["grant"]), &now());
    assert_eq!((grant.outcome, grant.observed), (Outcome::Deny, None));
}

#[test]
fn what_is_refused_anyway_has_nothing_to_observe() {
    let rules = r#"
        @id("no-drop") @enforce("false") forbid (principal, action in Sql::Action::"drop", resource);
        @id("no-grant") forbid (principal, action == Sql::Action::"grant", resource);
        @id("never") forbid (principal, action == Sql::Action::"drop_view", resource);"#;
    let bundle = load(&format!("{ALL}{rules}"), "");
    for acts in [
        ["drop_table", "grant"],
        ["grant", "drop_table"],
        ["drop_view", "select"],
    ] {
        let decision = decide(&bundle, &actions(&acts), &now());
        assert_eq!((decision.outcome, decision.observed), (Outcome::Deny, None), "{acts:?}");
    }
    let unpermitted = load(
        r#"@id("no-drop") @enforce("false") forbid (principal, action in Sql::Action::"drop", resource);"#,
        "",
    );
    let drop = decide(&unpermitted, &actions(&["drop_table"]), &now());
    assert_eq!(
        (drop.outcome, drop.rules.len(), drop.observed),
        (Outcome::Deny, 0, None)
    );
}

#[test]
fn one_observed_act_of_a_command_is_enough() {
    let rules = r#"
        @id("no-drop") @enforce("false") forbid (principal, action in Sql::Action::"drop", resource);"#;
    let bundle = load(&format!("{ALL}{rules}"), "");
    for acts in [
        ["select", "drop_table", "insert"],
        ["drop_table", "select", "insert"],
        ["select", "insert", "drop_table"],
    ] {
        let decision = decide(&bundle, &actions(&acts), &now());
        assert_eq!((decision.outcome, ids(&decision)), (Outcome::Allow, vec!["all"]));
        assert_eq!(would(&decision).0, Outcome::Deny, "{acts:?}");
    }
}

#[test]
fn an_observed_hold_waits_for_nobody_and_says_whom_it_would_have_waited_for() {
    let rules = r#"
        @id("wait") @enforce("false") @hold("dba:2") forbid (principal, action in Sql::Action::"ddl", resource)
        unless { context.approved_by.contains(Group::"dba") };
        @id("also") @hold("security") forbid (principal, action == Sql::Action::"rename", resource)
        unless { context.approved_by.contains(Group::"security") };"#;
    let bundle = load(&format!("{ALL}{rules}"), "");
    let alter = decide(&bundle, &actions(&["alter_table"]), &now());
    assert_eq!((alter.outcome, alter.hold.as_ref()), (Outcome::Allow, None));
    let (outcome, rules, message) = would(&alter);
    assert_eq!((outcome, rules), (Outcome::Hold, vec!["wait"]));
    assert_eq!(message, Some("waits for approval by `dba` (2 people)"));
    // What is held by another rule waits for that one's people only, and says that there would have been more.
    let rename = decide(&bundle, &actions(&["rename"]), &now());
    let asked = |groups: &[sallyport_policy::Approvals]| groups.iter().map(|a| a.group.to_string()).collect::<Vec<_>>();
    assert_eq!((rename.outcome, ids(&rename)), (Outcome::Hold, vec!["also"]));
    assert_eq!(asked(&rename.hold.as_ref().unwrap().groups), ["security"]);
    assert_eq!(would(&rename).1, ["also", "wait"]);
    let hold = rename.observed.as_ref().unwrap().hold.as_ref().unwrap();
    assert_eq!(asked(&hold.groups), ["dba", "security"]);
    let approved = Situation {
        approved_by: ["security".to_owned()].into(),
        ..now()
    };
    let then = decide(&bundle, &actions(&["rename"]), &approved);
    assert_eq!((then.outcome, then.cache), (Outcome::Allow, Lifetime::Never));
    assert_eq!(would(&then).1, ["wait"]);
}

#[test]
fn an_observed_rule_that_reads_the_time_limits_the_cache() {
    let rules = r#"
        @id("late") @enforce("false") forbid (principal, action in Sql::Action::"any", resource)
        when { context.now > datetime("2027-01-01") };"#;
    let bundle = load(&format!("{ALL}{rules}"), "");
    let decision = decide(&bundle, &actions(&["select"]), &now());
    assert_eq!(decision.observed, None);
    assert!(matches!(decision.cache, Lifetime::Until(_)));
}

#[test]
fn what_cannot_be_evaluated_and_only_observes_refuses_nothing() {
    let rules = r#"
        @id("sum") @enforce("false") forbid (principal, action == Sql::Action::"select", resource)
        when { context.statement_count + 9223372036854775807 > 0 };"#;
    let bundle = load(&format!("{ALL}{rules}"), "");
    let decision = decide(&bundle, &actions(&["select"]), &now());
    assert_eq!(decision.outcome, Outcome::Allow);
    let (outcome, rules, message) = would(&decision);
    assert_eq!((outcome, rules), (Outcome::Deny, vec!["sum"]));
    assert_eq!(message, Some("these rules cannot be evaluated here: `sum`"));
}

#[test]
fn only_rules_that_forbid_commands_can_observe() {
    for (rule, said) in [
        (
            "@enforce(\"false\") permit (principal, action, resource);",
            "belongs to a rule that forbids",
        ),
        (
            "@enforce(\"no\") forbid (principal, action == Action::\"connect\", resource);",
            "`true`, or `false`",
        ),
        (
            "@enforce(\"false\") @mask(\"redact\") forbid (principal, action == Action::\"reveal\", resource);",
            "cannot only observe",
        ),
        (
            "@enforce(\"false\") forbid (principal, action == Action::\"reveal\", resource);",
            "cannot cover `Action::\"reveal\"`",
        ),
        (
            "@enforce(\"false\") forbid (principal, action, resource);",
            "cannot cover `Action::\"reveal\"`",
        ),
    ] {
        let error = try_load(&format!("@id(\"r\") {rule}"), "").unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_target_that_observes_refuses_and_holds_nothing_that_rules_speak_of() {
    let bundle = observed_target(
        r#"
        @id("read") permit (principal, action in Sql::Action::"read", resource);
        @id("no-drop") @message("no") forbid (principal, action in Sql::Action::"drop", resource);
        @id("wait") @hold("dba") forbid (principal, action == Sql::Action::"select", resource)
        when { context.hazards.contains("network") }
        unless { context.approved_by.contains(Group::"dba") };"#,
    );
    let select = decide(&bundle, &actions(&["select"]), &now());
    assert_eq!(
        (select.outcome, ids(&select), select.observed.as_ref()),
        (Outcome::Allow, vec!["read"], None)
    );
    let drop = decide(&bundle, &actions(&["drop_table"]), &now());
    assert_eq!((drop.outcome, drop.rules.len()), (Outcome::Allow, 0));
    assert_eq!(would(&drop), (Outcome::Deny, vec!["no-drop"], Some("no")));
    let insert = decide(&bundle, &actions(&["insert"]), &now());
    assert_eq!(insert.outcome, Outcome::Allow);
    assert_eq!(
        would(&insert),
        (Outcome::Deny, vec![], Some("no rule permits `insert` on `orders`"))
    );
    let far = statement("select", &[("hazards", Value::strings(["network"]))]);
    let far = decide(&bundle, &[far], &now());
    assert_eq!((far.outcome, would(&far).0), (Outcome::Allow, Outcome::Hold));
    // Another target enforces.
    let mut other = orders();
    other.name = "other".to_owned();
    let there = bundle.decide(&user("alice", &[]), &other, &actions(&["drop_table"]), &now());
    assert_eq!((there.outcome, there.observed), (Outcome::Deny, None));
}

#[test]
fn a_target_that_observes_lets_in_masks_and_understands_as_always() {
    let bundle = observed_target(
        r#"
        @id("pii") @mask("redact") forbid (principal, action == Action::"reveal", resource == Classification::"pii");
        @id("sum") forbid (principal, action == Sql::Action::"insert", resource)
        when { context.statement_count + 9223372036854775807 > 0 };"#,
    );
    for act in [
        connect(),
        Act::new(ActionName::unparsed(), []),
        Act::new(ActionName::new("Sql", "nonsense"), []),
        statement("insert", &[]),
    ] {
        let decision = decide(&bundle, std::slice::from_ref(&act), &now());
        assert_eq!(
            (decision.outcome, decision.observed),
            (Outcome::Deny, None),
            "{}",
            act.action
        );
    }
    assert_eq!(decide(&bundle, &[], &now()).outcome, Outcome::Deny);
    let shown = bundle.reveal(&user("alice", &[]), &orders(), "pii", View::Plain, &now());
    assert_eq!(shown.reveal, Reveal::Mask("redact".into()));
    let unpermitted = bundle.reveal(&user("alice", &[]), &orders(), "other", View::Plain, &now());
    assert_eq!(unpermitted.reveal, Reveal::Withhold);
}

#[test]
fn a_bundle_says_what_of_it_only_observes() {
    let bundle = observed_target(
        "@id(\"a\") permit (principal, action, resource);\n\
         @id(\"b\") @enforce(\"false\") forbid (principal, action == Sql::Action::\"grant\", resource);",
    );
    let observing = bundle.observing();
    assert_eq!(observing.rules, [RuleId("b".into())]);
    assert_eq!(observing.targets, ["orders"]);
    let said: Vec<String> = observing.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "rules/all.cedar:2:1: rule `b` only observes: what it would refuse or hold goes on",
            "targets.toml:3:11: on `orders` rules only observe: what they would refuse or hold goes on",
        ]
    );
    assert!(load(ALL, "").observing().is_empty());
}
