//! What `policy check` finds, and what it must not take for a mistake: each finding has a look-alike that is none.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;

use sallyport_policy::{Loader, Problem, Severity};
use support::{fragment, root, sql, write};

const TARGETS: &str = "[[target]]\nname = \"orders\"\nenvironment = \"production\"\ntags = [\"pci\"]\n\
    [[target]]\nname = \"trial\"\nenvironment = \"staging\"\n";
const CLASSES: &str = "[[classes]]\nname = \"national-id\"\nwithin = [\"pii\"]\n\
    [[columns]]\ncolumn = \"a.b.c\"\nclass = \"national-id\"\n[[columns]]\ncolumn = \"a.b.d\"\nclass = \"pci\"\n";
/// A rule that permits everything, for rules that only matter beside one.
const WORK: &str = "@id(\"work\") permit (principal, action, resource);\n";

fn check(rules: &str, more: &[(&str, &str)]) -> Vec<Problem> {
    let dir = write(rules, CLASSES);
    fs::write(dir.path().join("targets.toml"), TARGETS).unwrap();
    fs::create_dir(dir.path().join("tests")).unwrap();
    for (name, text) in more {
        fs::write(dir.path().join(name), text).unwrap();
    }
    Loader::new(&[sql()]).check(dir.path()).findings
}

/// Code, rule and line of each finding.
fn found(rules: &str, more: &[(&str, &str)]) -> Vec<String> {
    let line = |found: &Problem| {
        let rule = found.rule().map_or("", |rule| rule.as_str());
        format!(
            "{} {rule} {}",
            found.code.slug(),
            found.position.map_or(0, |(line, _)| line)
        )
    };
    check(rules, more).iter().map(line).collect()
}

/// The findings about rules that are written after one that permits everything.
fn beside_work(rules: &str) -> Vec<String> {
    found(&format!("{WORK}{rules}"), &[])
}

fn nothing(rules: &str) {
    assert_eq!(beside_work(rules), Vec::<String>::new(), "{rules}");
}

#[test]
fn the_bundles_of_the_repository_have_nothing_to_find() {
    let loader = Loader::new(&[sql(), fragment("ssh")]);
    for bundle in [
        "policy",
        "crates/sallyport/src/commands/policy/start",
        "tests/policies/corpus-sql",
        "tests/policies/permit-all",
        "tests/policies/permit-all-and-mask",
    ] {
        let checked = loader.check(&root().join(bundle));
        let said: Vec<String> = checked.findings.iter().map(ToString::to_string).collect();
        assert_eq!(said, Vec::<String>::new(), "{bundle}");
        assert!(checked.bundle.is_some());
    }
}

#[test]
fn a_hold_that_its_approval_does_not_release_is_an_error() {
    let hold = |body: &str| {
        beside_work(&format!(
            "@id(\"h\") @hold(\"dba\") forbid (principal, action in Sql::Action::\"ddl\", resource) {body};"
        ))
    };
    for never in [
        // The wrong way round.
        "when { context.approved_by.contains(Group::\"dba\") }",
        "unless { context.persistent && !context.persistent && context.approved_by.contains(Group::\"dba\") }",
        "when { context.persistent && (context.approved_by.contains(Group::\"dba\") || context.persistent) }",
        "unless { !context.approved_by.containsAny([Group::\"dba\", Group::\"sre\"]) }",
        "unless { context.approved_by.isEmpty() && !context.approved_by.contains(Group::\"dba\") }",
    ] {
        assert_eq!(hold(never), ["hold-without-release h 2"], "{never}");
    }
    for released in [
        "unless { context.approved_by.contains(Group::\"dba\") }",
        "when { context.persistent } unless { context.approved_by.contains(Group::\"dba\") && context.unresolved }",
        "unless { context.approved_by.containsAny([Group::\"sre\", Group::\"dba\"]) }",
        "unless { context.approved_by.containsAll([Group::\"sre\", Group::\"dba\"]) }",
        "unless { action == Sql::Action::\"create_table\" || context[\"approved_by\"].contains(Group::\"dba\") }",
        "when { if context.persistent then !context.approved_by.contains(Group::\"dba\") else false }",
        "unless { [Group::\"dba\"].containsAny(context.approved_by) }",
    ] {
        assert_eq!(hold(released), Vec::<String>::new(), "{released}");
    }
}

#[test]
fn a_moderated_rule_is_held_to_the_same() {
    let rule = |body: &str| {
        beside_work(&format!(
            "@id(\"m\") @moderate(\"ops\") forbid (principal, action in Sql::Action::\"ddl\", resource) {body};"
        ))
    };
    assert_eq!(
        rule("when { context.watched_by.contains(Group::\"ops\") }"),
        ["hold-without-release m 2"]
    );
    assert!(rule("unless { context.watched_by.contains(Group::\"ops\") }").is_empty());
}

#[test]
fn a_hold_that_another_rule_refuses_anyway_is_found() {
    let hold = "@id(\"h\") @hold(\"dba\") forbid (principal, action in Sql::Action::\"drop\", resource in Environment::\"production\")
        when { context.persistent } unless { context.approved_by.contains(Group::\"dba\") };";
    let beside = |rule: &str| beside_work(&format!("{hold}\n@id(\"f\") {rule}"));
    for covers in [
        "forbid (principal, action in Sql::Action::\"ddl\", resource);",
        "forbid (principal, action in Sql::Action::\"drop\", resource) when { context.persistent || context.unresolved };",
        "forbid (principal, action, resource) when { resource in Environment::\"production\" };",
    ] {
        let found = beside(covers);
        assert!(found.contains(&"hold-overruled h 2".to_owned()), "{covers}: {found:?}");
    }
    for leaves_some in [
        "forbid (principal, action == Sql::Action::\"drop_table\", resource);",
        "forbid (principal, action in Sql::Action::\"ddl\", resource) when { context.unresolved };",
        "forbid (principal, action in Sql::Action::\"ddl\", resource) unless { principal in Group::\"dba\" };",
        "forbid (principal is Machine, action in Sql::Action::\"ddl\", resource);",
        "forbid (principal, action in Sql::Action::\"ddl\", resource in Environment::\"staging\");",
    ] {
        assert_eq!(beside(leaves_some), Vec::<String>::new(), "{leaves_some}");
    }
}

#[test]
fn a_hold_of_what_nobody_may_do_is_found() {
    let hold = "@id(\"h\") @hold(\"dba\") forbid (principal, action in Sql::Action::\"ddl\", resource in Environment::\"production\")
        unless { context.approved_by.contains(Group::\"dba\") };\n";
    let beside = |rule: &str| found(&format!("{hold}@id(\"p\") {rule}"), &[]);
    for elsewhere in [
        "permit (principal, action in Sql::Action::\"read\", resource);",
        "permit (principal, action, resource in Environment::\"staging\");",
    ] {
        assert_eq!(beside(elsewhere), ["hold-of-nothing h 1"], "{elsewhere}");
    }
    for meets in [
        "permit (principal == User::\"a\", action == Sql::Action::\"create_table\", resource);",
        "permit (principal, action, resource in Tag::\"pci\");",
        // Permitted by the approval itself.
        "permit (principal, action in Sql::Action::\"ddl\", resource) when { context.approved_by.contains(Group::\"dba\") };",
    ] {
        assert_eq!(beside(meets), Vec::<String>::new(), "{meets}");
    }
}

#[test]
fn rules_that_exclude_themselves_are_errors() {
    for body in [
        "when { context.unresolved } unless { context.unresolved }",
        "when { resource in Environment::\"production\" && resource in Environment::\"staging\" }",
        "when { resource == Target::\"orders\" && resource in Environment::\"staging\" }",
        "when { context.database == \"a\" && context.database == \"b\" }",
        "when { context.hazards.isEmpty() && context.hazards.contains(\"network\") }",
    ] {
        let rule = format!("@id(\"a\") forbid (principal, action in Sql::Action::\"any\", resource) {body};");
        assert_eq!(beside_work(&rule), ["contradiction a 2"], "{body}");
    }
    for body in [
        "when { context.unresolved } unless { context.persistent }",
        "when { resource in Environment::\"production\" && resource in Tag::\"pci\" }",
        "when { context.hazards.contains(\"a\") && context.hazards.contains(\"b\") }",
        "when { principal in Group::\"a\" && principal in Group::\"b\" }",
    ] {
        nothing(&format!(
            "@id(\"a\") forbid (principal, action in Sql::Action::\"any\", resource) {body};"
        ));
    }
}

#[test]
fn rules_about_no_target_are_warned_of() {
    let rule = |scope: &str, body: &str| {
        beside_work(&format!(
            "@id(\"a\") forbid (principal, action in Sql::Action::\"any\", {scope}) {body};"
        ))
    };
    assert_eq!(
        rule(
            "resource in Environment::\"staging\"",
            "when { resource in Tag::\"pci\" }"
        ),
        ["no-target a 2"]
    );
    assert_eq!(
        rule("resource in Environment::\"stagin\"", ""),
        ["unknown-environment a 2"]
    );
    assert!(
        rule(
            "resource in Environment::\"staging\"",
            "unless { resource in Tag::\"pci\" }"
        )
        .is_empty()
    );
}

#[test]
fn a_permit_that_is_forbidden_whole_is_found() {
    let rules = |forbid: &str| {
        found(
            &format!(
                "@id(\"p\") permit (principal in Group::\"dev\", action in Sql::Action::\"drop\", resource);\n@id(\"f\") {forbid}"
            ),
            &[],
        )
    };
    assert_eq!(
        rules("forbid (principal, action in Sql::Action::\"ddl\", resource);"),
        ["overruled-permit p 1"]
    );
    for leaves_some in [
        "forbid (principal, action in Sql::Action::\"ddl\", resource) unless { context.persistent };",
        "forbid (principal in Group::\"ops\", action in Sql::Action::\"ddl\", resource);",
        "@hold(\"dba\") forbid (principal, action in Sql::Action::\"ddl\", resource) unless { context.approved_by.contains(Group::\"dba\") };",
    ] {
        assert_eq!(rules(leaves_some), Vec::<String>::new(), "{leaves_some}");
    }
    let mask = "@id(\"see\") permit (principal, action == Action::\"reveal\", resource in Classification::\"pci\");
        @id(\"m\") @mask(\"redact\") forbid (principal, action == Action::\"reveal\", resource);";
    assert_eq!(found(mask, &[]), Vec::<String>::new());
}

#[test]
fn a_permit_that_another_makes_pointless_is_found() {
    let beside = |a: &str, b: &str| found(&format!("@id(\"a\") {a}\n@id(\"b\") {b}"), &[]);
    let wide = "permit (principal in Group::\"dev\", action in Sql::Action::\"any\", resource);";
    for narrow in [
        "permit (principal in Group::\"dev\", action == Sql::Action::\"select\", resource in Environment::\"production\");",
        "permit (principal in Group::\"dev\", action in [Sql::Action::\"read\", Sql::Action::\"write\"], resource) when { context.persistent };",
        "permit (principal is User in Group::\"dev\", action in Sql::Action::\"any\", resource == Target::\"orders\");",
    ] {
        assert_eq!(beside(narrow, wide), ["pointless-permit a 1"], "{narrow}");
    }
    assert_eq!(beside(wide, wide), ["pointless-permit b 2"]);
    for other in [
        "permit (principal, action == Sql::Action::\"select\", resource);",
        "permit (principal in Group::\"dba\", action == Sql::Action::\"select\", resource);",
        "permit (principal in Group::\"dev\", action, resource == Target::\"orders\");",
    ] {
        let found = beside(other, wide);
        assert_eq!(found, Vec::<String>::new(), "{other}");
    }
    // What a role is granted is not what the other grants.
    let connect = "permit (principal, action == Action::\"connect\", resource);";
    let writer = format!("@grant(\"writer\") {connect}");
    assert_eq!(beside(&writer, connect), ["pointless-permit b 2"]);
    let condition = "permit (principal, action == Action::\"connect\", resource) when { context.tls };";
    assert!(beside(&format!("@grant(\"writer\") {condition}"), connect).is_empty());
}

#[test]
fn a_forbid_that_adds_nothing_is_found() {
    let wide = "forbid (principal, action in Sql::Action::\"ddl\", resource);";
    let narrow = "forbid (principal, action in Sql::Action::\"drop\", resource) when { context.persistent };";
    let beside = |a: &str, b: &str| beside_work(&format!("@id(\"a\") {a}\n@id(\"b\") {b}"));
    assert_eq!(beside(narrow, wide), ["pointless-forbid a 2"]);
    // It says something of its own, or ends the session.
    assert!(beside(&format!("@message(\"ask the DBAs\") {narrow}"), wide).is_empty());
    assert!(beside(&format!("@ends(\"session\") {narrow}"), wide).is_empty());
    let message = "@message(\"ask the DBAs\")";
    assert_eq!(
        beside(&format!("{message} {narrow}"), &format!("{message} {wide}")),
        ["pointless-forbid a 2"]
    );
    let mask = |mask: &str, class: &str| {
        format!(
            "@mask(\"{mask}\") forbid (principal, action == Action::\"reveal\", resource in Classification::\"{class}\");"
        )
    };
    // A class lies within another; the stricter mask is the one that is shown.
    assert_eq!(
        beside(&mask("partial", "national-id"), &mask("redact", "pii")),
        ["pointless-forbid a 2"]
    );
    assert!(beside(&mask("redact", "national-id"), &mask("partial", "pii")).is_empty());
    assert!(beside(&mask("partial", "pci"), &mask("redact", "pii")).is_empty());
}

#[test]
fn groups_are_held_to_the_list() {
    let rules = "@id(\"a\") permit (principal in Group::\"developers\", action, resource);
        @id(\"b\") forbid (principal in Group::\"develpoers\", action, resource)\n when { principal in Group::\"dba\" };";
    let case = "[[case]]\nname = \"x\"\nwho = { user = \"u\", groups = [\"dba\", \"sre\"] }\ntarget = \"orders\"\nconnect = true\nexpect = \"deny\"\n";
    let list = "groups = [\"developers\", { name = \"dba\", description = \"Database administrators\" }]";
    let found = check(rules, &[("groups.toml", list), ("tests/a.toml", case)]);
    let said: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "rules/all.cedar:2:39: groups.toml has no group `develpoers`",
            "tests/a.toml:3:38: groups.toml has no group `sre`"
        ]
    );
    assert!(found[0].advice().starts_with("`developers` exists, and may be meant"));
    assert!(found.iter().all(|found| found.severity() == Severity::Error));
    assert_eq!(
        self::found(rules, &[("groups.toml", "groups = [1]")]).len(),
        1,
        "what is wrong with the list"
    );
}

#[test]
fn without_a_list_only_slips_are_found() {
    let rules = |name: &str| {
        format!(
            "@id(\"a\") permit (principal in Group::\"developers\", action == Action::\"connect\", resource);
            @id(\"b\") permit (principal in Group::\"developers\", action in Sql::Action::\"read\", resource);
            @id(\"c\") permit (principal in Group::\"{name}\", action in Sql::Action::\"write\", resource);"
        )
    };
    assert_eq!(found(&rules("develpoers"), &[]), ["similar-group c 3"]);
    assert!(found(&rules("dba"), &[]).is_empty());
    assert!(found(&rules("developers-2"), &[]).is_empty());
}

#[test]
fn cases_name_what_exists() {
    let case = |more: &str| {
        format!("[[case]]\nname = \"x\"\nwho = {{ user = \"u\" }}\nconnect = true\nexpect = \"allow\"\n{more}\n")
    };
    let found = |more: &str| found(WORK, &[("tests/a.toml", &case(more))]);
    assert_eq!(found("target = \"order\""), ["case-target  6"]);
    assert_eq!(found("target = \"orders\"\nrule = \"wrok\""), ["case-rule  7"]);
    assert_eq!(
        found("target = \"orders\"\nrules = [\"work\",\n\"play\"]"),
        ["case-rule  8"]
    );
    assert_eq!(
        found("target = \"orders\"\nmask = { pcl = \"redact\" }"),
        ["unknown-classification  7"]
    );
    assert_eq!(found("target = \"orders\"\nmask = { pci = \"blur\" }"), ["case  7"]);
    assert_eq!(
        found("target = \"orders\"\nclasses = { \"a.b.d\" = \"pcl\", \"a.b.c\" = \"pii\" }"),
        ["unknown-classification  7"]
    );
    assert_eq!(found("targets = \"orders\""), ["case  6"]);
    assert!(
        found("target = \"orders\"\nrule = \"work\"\nmask = { pci = \"clear\", national-id = \"keep-last(4)\" }")
            .is_empty()
    );
}

#[test]
fn groups_of_cases_and_properties_are_held_to_the_list() {
    let list = "groups = [\"dba\", \"operators\"]";
    let case =
        "[[case]]\nname = \"x\"\nwho = { user = \"u\" }\ntarget = \"orders\"\nconnect = true\nexpect = \"hold\"\n";
    let properties = "[[property]]\nname = \"it\"\nnever = \"deny\"\ngroups = \"dba\"\n\
        [[property]]\nname = \"other\"\nnever = \"deny\"\ngroups = \"oprators\"\nunless_groups = [\n\"dba\",\n\"sre\"]\n";
    let more = [
        ("groups.toml", list),
        (
            "tests/a.toml",
            &format!("{case}hold = \"dba:2,security\"\nmoderate = \"operatros, operators\"\n"),
        ),
        ("properties.toml", properties),
    ];
    let said: Vec<String> = check(WORK, &more).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "properties.toml:8:10: groups.toml has no group `oprators`",
            "properties.toml:11:1: groups.toml has no group `sre`",
            "tests/a.toml:7:8: groups.toml has no group `security`",
            "tests/a.toml:8:12: groups.toml has no group `operatros`",
        ]
    );
}

#[test]
fn what_is_wrong_with_properties_is_found() {
    let found = |text: &str| found(WORK, &[("properties.toml", text)]);
    let property = |more: &str| format!("[[property]]\nname = \"it\"\nnever = \"allow\"\n{more}\n");
    assert!(found(&property("actions = 'Sql::Action::\"drop\"'")).is_empty());
    assert_eq!(found("[[property]\n"), ["property  1"]);
    assert_eq!(found(&property("actions = 'Sql::Action::\"dorp\"'")), ["property  1"]);
    assert_eq!(found(&property("actons = 'connect'")), ["property  4"]);
    assert_eq!(found(&property("when = 'context.no_such_fact'")), ["property  1"]);
}

#[test]
fn a_bundle_that_does_not_load_is_looked_at_all_the_same() {
    let found = found(
        "@id(\"a\") permit (principal, action == Sql::Action::\"fly\", resource);\npermit (principal, action, resource);",
        &[("groups.toml", "groups = 1"), ("tests/a.toml", "[[case]\n")],
    );
    assert_eq!(found, ["groups  1", "type-error a 1", "missing-id  2", "case  1"]);
}

#[test]
fn a_schema_file_of_another_version_is_warned_of() {
    let text = Loader::new(&[sql()]).schema_text();
    assert!(found(WORK, &[("sallyport.cedarschema", &text)]).is_empty());
    assert_eq!(
        found(WORK, &[("sallyport.cedarschema", "entity Group;")]),
        ["stale-schema  0"]
    );
}

#[test]
fn what_lies_beside_decides_nothing() {
    let digest = |more: &[(&str, &str)]| {
        let dir = write(WORK, "");
        for (name, text) in more {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Loader::new(&[sql()]).load(dir.path()).unwrap().digest().to_owned()
    };
    let beside = digest(&[("groups.toml", "groups = [\"a\"]"), ("sallyport.cedarschema", "?")]);
    assert_eq!(digest(&[]), beside);
}
