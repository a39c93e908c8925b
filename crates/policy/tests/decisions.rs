//! What a bundle answers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::str::FromStr;
use std::time::Duration;

use sallyport_policy::{
    Act, ActionName, Approvals, Decision, Lifetime, Outcome, Resource, Reveal, RuleId, Situation, Value, View,
};
use support::{connect, load, now, orders, statement, user};
use time::macros::datetime;

const ALL: &str = "@id(\"all\") permit (principal, action, resource);";

fn ids(decision: &Decision) -> Vec<&str> {
    decision.rules.iter().map(RuleId::as_str).collect()
}

fn approved(by: &[&str]) -> Situation {
    Situation {
        approved_by: by.iter().map(|&g| g.to_owned()).collect(),
        ..now()
    }
}

#[test]
fn what_no_rule_permits_is_refused_and_says_so() {
    let bundle = load(
        "@id(\"read\") permit (principal, action in Sql::Action::\"read\", resource);",
        "",
    );
    let alice = user("alice", &[]);
    let read = bundle.decide(&alice, &orders(), &[statement("select", &[])], &now());
    assert_eq!(
        (read.outcome, ids(&read), read.cache),
        (Outcome::Allow, vec!["read"], Lifetime::Forever)
    );
    assert_eq!(read.message, None);
    let drop = bundle.decide(&alice, &orders(), &[statement("drop_table", &[])], &now());
    assert_eq!((drop.outcome, drop.rules.len()), (Outcome::Deny, 0));
    assert_eq!(drop.message.unwrap(), "no rule permits `drop_table` on `orders`");
}

#[test]
fn every_act_must_be_allowed_and_the_strictest_answer_counts() {
    let rules = r#"
        @id("all") permit (principal, action, resource);
        @id("no-drop") @message("no") forbid (principal, action in Sql::Action::"drop", resource);
        @id("wait") @hold("dba") forbid (principal, action == Sql::Action::"alter_table", resource)
        unless { context.approved_by.contains(Group::"dba") };"#;
    let (bundle, alice) = (load(rules, ""), user("alice", &[]));
    let decide = |actions: &[&str]| {
        let acts: Vec<Act> = actions.iter().map(|a| statement(a, &[])).collect();
        bundle.decide(&alice, &orders(), &acts, &now())
    };
    assert_eq!(decide(&["select", "insert"]).outcome, Outcome::Allow);
    assert_eq!(decide(&["select", "alter_table"]).outcome, Outcome::Hold);
    let refused = decide(&["alter_table", "drop_view", "select"]);
    assert_eq!((refused.outcome, ids(&refused)), (Outcome::Deny, vec!["no-drop"]));
    assert_eq!((refused.message.as_deref(), refused.hold), (Some("no"), None));
    assert_eq!(decide(&[]).outcome, Outcome::Deny);
}

#[test]
fn a_refusal_can_end_the_session_and_a_stronger_answer_keeps_that() {
    let rules = r#"
        @id("all") permit (principal, action, resource);
        @id("no-drop") forbid (principal, action in Sql::Action::"drop", resource);
        @id("no-roles") @ends("session") forbid (principal, action == Sql::Action::"set_role", resource);
        @id("wait") @hold("dba") forbid (principal, action == Sql::Action::"alter_table", resource)
        unless { context.approved_by.contains(Group::"dba") };"#;
    let (bundle, alice) = (load(rules, ""), user("alice", &[]));
    let ends = |actions: &[&str]| {
        let acts: Vec<Act> = actions.iter().map(|a| statement(a, &[])).collect();
        let decision = bundle.decide(&alice, &orders(), &acts, &now());
        (decision.outcome, decision.ends_session)
    };
    assert_eq!(ends(&["select"]), (Outcome::Allow, false));
    assert_eq!(ends(&["drop_view"]), (Outcome::Deny, false));
    assert_eq!(ends(&["set_role"]), (Outcome::Deny, true));
    assert_eq!(ends(&["drop_view", "set_role", "select"]), (Outcome::Deny, true));
    assert_eq!(ends(&["alter_table", "set_role"]), (Outcome::Deny, true));
    assert_eq!(ends(&["alter_table", "select"]), (Outcome::Hold, false));
}

#[test]
fn a_session_is_granted_what_all_rules_that_let_it_in_grant() {
    let rules = r#"
        @id("all") permit (principal, action, resource);
        @id("read") @grant("reader") permit (principal in Group::"dev", action == Action::"connect", resource);
        @id("write") @grant("writer, reader") permit (principal in Group::"dba", action == Action::"connect", resource);
        @id("asked") @hold("dba") forbid (principal == User::"held", action == Action::"connect", resource)
        unless { context.approved_by.contains(Group::"dba") };
        @id("out") forbid (principal == User::"mallory", action == Action::"connect", resource);"#;
    let bundle = load(rules, "");
    let grants = |who: &str, groups: &[&str], situation: &Situation| {
        let decision = bundle.decide(&user(who, groups), &orders(), &[connect()], situation);
        (
            decision.outcome,
            decision
                .grants
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(","),
        )
    };
    assert_eq!(grants("alice", &[], &now()), (Outcome::Allow, String::new()));
    assert_eq!(grants("alice", &["dev"], &now()), (Outcome::Allow, "reader".to_owned()));
    assert_eq!(
        grants("alice", &["dev", "dba"], &now()),
        (Outcome::Allow, "reader,writer".to_owned())
    );
    assert_eq!(grants("mallory", &["dba"], &now()), (Outcome::Deny, String::new()));
    assert_eq!(grants("held", &["dba"], &now()), (Outcome::Hold, String::new()));
    assert_eq!(
        grants("held", &["dba"], &approved(&["dba"])),
        (Outcome::Allow, "reader,writer".to_owned())
    );
}

#[test]
fn a_hold_names_whom_to_ask_and_ends_with_their_approval() {
    let rules = r#"
        @id("all") permit (principal, action, resource);
        @id("dba") @hold("dba:2") @message("waits for DBAs") @timeout("10m") @expires("2h")
        forbid (principal, action in Sql::Action::"ddl", resource)
        unless { context.approved_by.contains(Group::"dba") };
        @id("security") @hold("security") @timeout("5m")
        forbid (principal, action == Sql::Action::"alter_table", resource)
        unless { context.approved_by.contains(Group::"security") };"#;
    let (bundle, alice) = (load(rules, ""), user("alice", &[]));
    let acts = [statement("alter_table", &[])];
    let held = bundle.decide(&alice, &orders(), &acts, &now());
    assert_eq!((held.outcome, ids(&held)), (Outcome::Hold, vec!["dba", "security"]));
    assert_eq!(held.message.as_deref(), Some("waits for DBAs"));
    let hold = held.hold.unwrap();
    let want = [("dba", 2), ("security", 1)].map(|(g, count)| Approvals { group: g.into(), count });
    assert_eq!(hold.groups, want);
    assert_eq!(hold.timeout, Some(Duration::from_secs(300)));
    assert_eq!(hold.expires, Some(Duration::from_secs(7200)));
    let half = bundle.decide(&alice, &orders(), &acts, &approved(&["dba"]));
    assert_eq!((half.outcome, ids(&half)), (Outcome::Hold, vec!["security"]));
    let full = bundle.decide(&alice, &orders(), &acts, &approved(&["dba", "security"]));
    assert_eq!((full.outcome, full.cache), (Outcome::Allow, Lifetime::Never));
}

#[test]
fn what_must_be_watched_waits_for_watchers_and_no_approval_stands_for_them() {
    let rules = r#"
        @id("all") permit (principal, action, resource);
        @id("watched") @moderate("operators") @message("is moderated") @timeout("5m")
        forbid (principal, action in Sql::Action::"ddl", resource)
        unless { context.watched_by.contains(Group::"operators") };
        @id("approved") @hold("operators")
        forbid (principal, action == Sql::Action::"alter_table", resource)
        unless { context.approved_by.contains(Group::"operators") };"#;
    let (bundle, alice) = (load(rules, ""), user("alice", &[]));
    let watched = |situation: Situation| Situation {
        watched_by: ["operators".to_owned()].into(),
        ..situation
    };
    let decide =
        |action: &str, situation: &Situation| bundle.decide(&alice, &orders(), &[statement(action, &[])], situation);
    let held = decide("create_table", &now());
    assert_eq!((held.outcome, ids(&held)), (Outcome::Hold, vec!["watched"]));
    assert_eq!(held.message.as_deref(), Some("is moderated"));
    assert_eq!(held.cache, Lifetime::Never, "who watches changes from moment to moment");
    let hold = held.hold.unwrap();
    assert!(hold.groups.is_empty() && hold.watch.iter().eq(["operators"]));
    assert_eq!(hold.timeout, Some(Duration::from_secs(300)));
    assert_eq!(decide("create_table", &approved(&["operators"])).outcome, Outcome::Hold);
    let allowed = decide("create_table", &watched(now()));
    assert_eq!((allowed.outcome, allowed.cache), (Outcome::Allow, Lifetime::Never));

    let both = decide("alter_table", &now()).hold.unwrap();
    assert_eq!((both.groups.len(), both.watch.len()), (1, 1));
    assert_eq!(decide("alter_table", &watched(now())).outcome, Outcome::Hold);
    assert_eq!(decide("alter_table", &approved(&["operators"])).outcome, Outcome::Hold);
    assert_eq!(
        decide("alter_table", &watched(approved(&["operators"]))).outcome,
        Outcome::Allow
    );
    assert_eq!(decide("select", &now()).cache, Lifetime::Forever);
}

#[test]
fn nothing_waits_that_an_approval_would_not_allow() {
    let rules = r#"
        @id("read") permit (principal, action in Sql::Action::"read", resource);
        @id("stubborn") @hold("dba") forbid (principal, action in Sql::Action::"write", resource)
        unless { context.approved_by.contains(Group::"dba") && principal in Group::"owners" };
        @id("ddl") @hold("dba") forbid (principal, action in Sql::Action::"ddl", resource)
        unless { context.approved_by.contains(Group::"dba") };"#;
    let bundle = load(rules, "");
    for action in ["update", "alter_table"] {
        // One lacks a permit as well, the other asks more than the approval.
        let answer = bundle.decide(&user("a", &[]), &orders(), &[statement(action, &[])], &now());
        assert_eq!(answer.outcome, Outcome::Deny, "{action}");
        assert!(answer.hold.is_none());
    }
}

#[test]
fn a_second_approval_that_only_the_first_one_reveals_is_asked_for() {
    let rules = r#"
        @id("all") permit (principal, action, resource);
        @id("first") @hold("dba") forbid (principal, action, resource is Target)
        unless { context.approved_by.contains(Group::"dba") };
        @id("then") @hold("security") forbid (principal, action, resource is Target)
        when { context.approved_by.contains(Group::"dba") }
        unless { context.approved_by.contains(Group::"security") };"#;
    let bundle = load(rules, "");
    let held = bundle.decide(&user("a", &[]), &orders(), &[statement("select", &[])], &now());
    let groups: Vec<_> = held.hold.unwrap().groups.into_iter().map(|a| a.group).collect();
    assert_eq!(groups, ["dba", "security"]);
}

#[test]
fn what_cannot_be_evaluated_is_refused_also_where_cedar_would_go_on() {
    let rules = format!(
        "{ALL} @id(\"files\") forbid (principal, action in Sql::Action::\"any\", resource)
         when {{ context.hazards.contains(\"server_file\") }};"
    );
    let (bundle, alice) = (load(&rules, ""), user("alice", &[]));
    let bare = Act::new(ActionName::new("Sql", "select"), []);
    let refused = bundle.decide(&alice, &orders(), &[bare], &now());
    assert_eq!((refused.outcome, ids(&refused)), (Outcome::Deny, vec!["files"]));
    assert_eq!(refused.cache, Lifetime::Never);
    let wrong = statement("select", &[("hazards", Value::Bool(true))]);
    assert_eq!(
        bundle.decide(&alice, &orders(), &[wrong], &now()).outcome,
        Outcome::Deny
    );
    let unknown = Act::new(ActionName::from_str("Sql::fly").unwrap(), []);
    let refused = bundle.decide(&alice, &orders(), &[unknown], &now());
    assert!(refused.message.unwrap().contains("does not know the action"));
}

#[test]
fn the_facts_cannot_pretend_to_be_the_situation() {
    let rules = r#"@id("ops") permit (principal, action, resource is Target)
        when { context has task && context.task == "OPS-1" && context.approved_by.contains(Group::"g") };"#;
    let (bundle, alice) = (load(rules, ""), user("alice", &[]));
    let forged = [
        ("task", "OPS-1".into()),
        ("approved_by", Value::entities("Group", ["g"])),
    ];
    let acts = [statement("select", &forged)];
    assert_eq!(bundle.decide(&alice, &orders(), &acts, &now()).outcome, Outcome::Deny);
    let real = Situation {
        task: Some("OPS-1".into()),
        ..approved(&["g"])
    };
    assert_eq!(bundle.decide(&alice, &orders(), &acts, &real).outcome, Outcome::Allow);
}

#[test]
fn what_reads_the_time_is_right_until_the_next_second() {
    let rules = r#"
        @id("office") permit (principal, action == Sql::Action::"select", resource)
        when { context.now < datetime("2026-11-21T09:00:01Z") };
        @id("always") permit (principal, action == Sql::Action::"insert", resource);"#;
    let (bundle, alice) = (load(rules, ""), user("alice", &[]));
    let decide = |action: &str, at| bundle.decide(&alice, &orders(), &[statement(action, &[])], &Situation::at(at));
    let early = decide("select", datetime!(2026-11-21 09:00:00.999 UTC));
    assert_eq!(early.outcome, Outcome::Allow);
    assert_eq!(early.cache, Lifetime::Until(datetime!(2026-11-21 09:00:01 UTC)));
    assert!(early.cache.covers(datetime!(2026-11-21 09:00:00.9999 UTC)));
    assert!(!early.cache.covers(datetime!(2026-11-21 09:00:01 UTC)));
    let late = decide("select", datetime!(2026-11-21 10:00:01 +1));
    assert_eq!(late.outcome, Outcome::Deny);
    let other = decide("insert", datetime!(2026-11-21 09:00:00 UTC));
    assert_eq!(other.cache, Lifetime::Forever);
    assert!(bundle.needs().time());
    assert!(!bundle.needs().reads_on(&ActionName::new("Sql", "insert"), "now"));
    assert!(!bundle.needs().reads("reads"));
}

#[test]
fn where_the_client_is_and_how_many_statements_it_sends_can_matter() {
    let rules = r#"
        @id("inside") permit (principal, action in Sql::Action::"any", resource)
        when { context has source && context.source.isInRange(ip("10.0.0.0/8")) };
        @id("one") forbid (principal, action in Sql::Action::"any", resource)
        when { context.statement_count > 1 };"#;
    let (bundle, alice) = (load(rules, ""), user("alice", &[]));
    let decide = |source: &str, count: i64| {
        let situation = Situation {
            source: Some(source.parse().unwrap()),
            ..now()
        };
        let acts = [statement("select", &[("statement_count", Value::Long(count))])];
        bundle.decide(&alice, &orders(), &acts, &situation).outcome
    };
    assert_eq!(decide("10.1.2.3", 1), Outcome::Allow);
    assert_eq!(decide("192.168.0.1", 1), Outcome::Deny);
    assert_eq!(decide("10.1.2.3", 2), Outcome::Deny);
    assert_eq!(decide("::1", 1), Outcome::Deny);
}

#[test]
fn targets_are_known_by_name_environment_and_tag() {
    let rules = r#"
        @id("staging") permit (principal, action, resource in Environment::"staging");
        @id("tagged") permit (principal, action, resource in Tag::"open");
        @id("mysql") permit (principal, action, resource is Target) when { resource.protocol == "mysql" };
        @id("named") permit (principal, action, resource == Target::"x");"#;
    let (bundle, alice) = (load(rules, ""), user("alice", &[]));
    let decide = |target: Resource| {
        let answer = bundle.decide(&alice, &target, &[connect()], &now());
        answer.rules.first().map(|id| id.to_string())
    };
    assert_eq!(decide(orders()), None);
    let staging = Resource {
        environment: Some("staging".into()),
        ..orders()
    };
    assert_eq!(decide(staging).as_deref(), Some("staging"));
    assert_eq!(
        decide(Resource {
            tags: vec!["open".into()],
            ..orders()
        })
        .as_deref(),
        Some("tagged")
    );
    assert_eq!(
        decide(Resource {
            protocol: "mysql".into(),
            ..orders()
        })
        .as_deref(),
        Some("mysql")
    );
    assert_eq!(
        decide(Resource {
            name: "x".into(),
            ..orders()
        })
        .as_deref(),
        Some("named")
    );
}

#[test]
fn masks_are_decided_by_class_and_the_strictest_wins() {
    let rules = r#"
        @id("see") permit (principal in Group::"staff", action == Action::"reveal", resource);
        @id("pii") @mask("partial") forbid (principal, action == Action::"reveal", resource in Classification::"pii")
        unless { principal in Group::"support" };
        @id("ids") @mask("redact") forbid (principal, action == Action::"reveal", resource == Classification::"national-id")
        when { context.target in Environment::"production" };
        @id("never") forbid (principal, action == Action::"reveal", resource == Classification::"key");"#;
    let classify = r#"
        classes = [{ name = "national-id", within = ["pii"] }, { name = "key" }, { name = "plain" }]"#;
    let bundle = load(rules, classify);
    let reveal = |groups: &[&str], target: Resource, class: &str| {
        let answer = bundle.reveal(&user("a", groups), &target, class, View::Plain, &now());
        let rules: Vec<String> = answer.rules.iter().map(RuleId::to_string).collect();
        (answer.reveal, rules.join(" "))
    };
    let staging = || Resource {
        environment: Some("staging".into()),
        ..orders()
    };
    let mask = |s: &str| Reveal::Mask(s.into());
    assert_eq!(reveal(&["staff"], orders(), "plain"), (Reveal::Clear, "see".into()));
    assert_eq!(reveal(&["staff"], orders(), "pii"), (mask("partial"), "pii".into()));
    assert_eq!(
        reveal(&["staff"], orders(), "national-id"),
        (mask("redact"), "ids pii".into())
    );
    assert_eq!(
        reveal(&["staff"], staging(), "national-id"),
        (mask("partial"), "pii".into())
    );
    assert_eq!(reveal(&["staff", "support"], staging(), "national-id").0, Reveal::Clear);
    assert_eq!(reveal(&["staff"], orders(), "key"), (Reveal::Withhold, "never".into()));
    assert_eq!(reveal(&[], orders(), "plain"), (Reveal::Withhold, String::new()));
}

#[test]
fn groups_belong_to_the_subject_and_not_to_its_name() {
    let bundle = load(
        "@id(\"g\") permit (principal in Group::\"ops\", action, resource is Target);",
        "",
    );
    let decide = |who| bundle.decide(&who, &orders(), &[connect()], &now()).outcome;
    assert_eq!(decide(user("alice", &["ops"])), Outcome::Allow);
    assert_eq!(decide(user("alice", &[])), Outcome::Deny);
    assert_eq!(decide(user("ops", &["x\"] + [\""])), Outcome::Deny);
}

#[test]
fn an_act_conforms_when_it_has_the_declared_facts() {
    let bundle = load("", "");
    let standing = bundle.standing(&user("alice", &[]), &orders()).unwrap();
    let full = Situation {
        task: Some("OPS-1".into()),
        source: Some("::1".parse().unwrap()),
        ..approved(&["dba"])
    };
    let check = |act: &Act| standing.conforms(act, &full);
    assert_eq!(check(&statement("select", &[])), Ok(()));
    assert_eq!(check(&connect()), Ok(()));
    assert_eq!(check(&Act::new(ActionName::unparsed(), [])), Ok(()));
    assert!(check(&Act::new(ActionName::new("Sql", "select"), [])).is_err());
    assert!(check(&statement("select", &[("extra", Value::Bool(true))])).is_err());
    assert!(check(&statement("select", &[("reads", Value::Bool(true))])).is_err());
    assert!(check(&Act::new(ActionName::new("Sql", "fly"), [])).is_err());
}
