//! What is not a bundle, and what is said about it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;

use sallyport_policy::{ActionName, Bundle, SchemaFragment, action_names, group_names};
use support::{load, sql, try_load, write};

/// The sentences about a bundle that is not valid.
fn complaints(rules: &str, classify: &str) -> Vec<String> {
    match try_load(rules, classify) {
        Ok(_) => panic!("this bundle should not load"),
        Err(error) => error.problems.iter().map(ToString::to_string).collect(),
    }
}

fn one(rules: &str, classify: &str) -> String {
    let found = complaints(rules, classify);
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

const ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";

#[test]
fn each_problem_names_file_line_and_column() {
    let said = one(
        "@id(\"a\") permit (principal, action, resource);\n\npermit (principal, action, resource);",
        "",
    );
    assert!(said.starts_with("rules/all.cedar:3:1: a rule needs an `@id"), "{said}");
    let said = one(
        "@id(\"a\")\npermit (principal, action == Sql::Action::\"fly\", resource);",
        "",
    );
    assert!(said.starts_with("rules/all.cedar:2:30: "), "{said}");
    let said = one("@id(\"a\")\n  permit (principal, action resource);", "");
    assert!(said.starts_with("rules/all.cedar:2:29: "), "{said}");
    let said = one("", "\n[[columns]]\ncolumn = \"a.b.c\"\nclas = \"x\"\n");
    assert!(said.starts_with("classify.toml:4:1: "), "{said}");
}

#[test]
fn all_problems_are_reported_at_once() {
    let rules = "@id(\"a\") @mask(\"dots\") forbid (principal, action == Action::\"reveal\", resource);
        @id(\"a b\") permit (principal, action, resource);
        permit (principal, action, resource);";
    assert_eq!(
        complaints(rules, "[[detectors]]\nkind = \"passport\"\nclass = \"x\"").len(),
        4
    );
}

#[test]
fn ids_are_unique_across_files() {
    let dir = write(ALL, "");
    fs::create_dir(dir.path().join("rules/more")).unwrap();
    fs::write(dir.path().join("rules/more/b.cedar"), ALL).unwrap();
    let error = Bundle::load(dir.path(), &[sql()]).unwrap_err();
    assert_eq!(
        error.problems[0].message,
        "the id `all` is taken by a rule in rules/all.cedar"
    );
    assert_eq!(error.problems[0].file, "rules/more/b.cedar");
}

#[test]
fn annotations_must_mean_something() {
    let rule = |annotations: &str, effect: &str, body: &str| {
        one(
            &format!("@id(\"a\") {annotations} {effect} (principal, action, resource is Target) {body};"),
            "",
        )
    };
    let unless = "unless { context.approved_by.contains(Group::\"dba\") }";
    for (annotations, effect, body, said) in [
        ("@mesage(\"x\")", "forbid", "", "`@mesage` is not an annotation"),
        (
            "@message(\"x\")",
            "permit",
            "",
            "`@message` belongs to a rule that forbids",
        ),
        (
            "@hold(\"dba\")",
            "permit",
            unless,
            "`@hold` belongs to a rule that forbids",
        ),
        (
            "@hold(\"dba\")",
            "forbid",
            "",
            "forbids unless the approval is in `context.approved_by`",
        ),
        ("@hold(\"sre\")", "forbid", unless, "does not look for `Group::\"sre\"`"),
        ("@hold(\"dba:99\")", "forbid", unless, "is not a number of approvals"),
        (
            "@hold(\"dba\") @timeout(\"soon\")",
            "forbid",
            unless,
            "`@timeout` is a time such as",
        ),
        ("@timeout(\"10m\")", "forbid", "", "`@timeout` needs `@hold` beside it"),
        (
            "@mask(\"redact\")",
            "forbid",
            "",
            "`@mask` belongs to a rule about `Action::\"reveal\"`",
        ),
        (
            "@ends(\"session\")",
            "permit",
            "",
            "`@ends` belongs to a rule that forbids",
        ),
        ("@ends(\"transaction\")", "forbid", "", "`@ends` can end the `session`"),
        (
            "@hold(\"dba\") @ends(\"session\")",
            "forbid",
            unless,
            "`@ends` belongs to a plain refusal",
        ),
        ("@message(\"two\\nlines\")", "forbid", "", "`@message` is one line"),
        (
            "@grant(\"reader\")",
            "forbid",
            "",
            "`@grant` belongs to a rule that permits",
        ),
        (
            "@grant(\"reader\")",
            "permit",
            "",
            "`@grant` belongs to a rule about `Action::\"connect\"` only",
        ),
        (
            "@grant(\"reader,,\")",
            "permit",
            "",
            "`@grant` names roles of the target",
        ),
        (
            "@moderate(\"dba\")",
            "forbid",
            unless,
            "forbids unless the watcher is in `context.watched_by`",
        ),
        (
            "@moderate(\"sre\")",
            "forbid",
            "unless { context.watched_by.contains(Group::\"dba\") }",
            "`@moderate` asks `sre`, but the rule does not look for",
        ),
        ("@moderate(\"dba:2\")", "forbid", unless, "of which somebody must watch"),
        (
            "@moderate(\"dba\") @hold(\"dba\")",
            "forbid",
            unless,
            "either `@hold` or `@moderate`",
        ),
        (
            "@moderate(\"dba\") @expires(\"1h\")",
            "forbid",
            unless,
            "`@expires` needs `@hold` beside it",
        ),
        (
            "@moderate(\"dba\") @ends(\"session\")",
            "forbid",
            unless,
            "`@ends` belongs to a plain refusal",
        ),
    ] {
        let found = complaints(
            &format!("@id(\"a\") {annotations} {effect} (principal, action, resource is Target) {body};"),
            "",
        );
        assert!(
            found.iter().any(|s| s.contains(said)),
            "{annotations} {effect}: {found:?}"
        );
    }
    assert!(rule("@mask(\"blur\")", "forbid", "").contains("`blur` is not a mask"));
    let said = one(
        "@id(\"a\") @hold(\"dba\") forbid (principal, action == Action::\"reveal\", resource)
         unless { context.approved_by.contains(Group::\"dba\") };",
        "",
    );
    assert!(said.contains("a result does not wait"), "{said}");
    let said = one(
        "@id(\"a\") @ends(\"session\") forbid (principal, action == Action::\"reveal\", resource);",
        "",
    );
    assert!(said.contains("it is about commands"), "{said}");
}

#[test]
fn a_rule_that_can_never_apply_is_an_error() {
    let said = one(
        "@id(\"a\") forbid (principal, action == Action::\"reveal\", resource is Target);",
        "",
    );
    assert!(said.contains("rules/all.cedar:1:"), "{said}");
    assert_eq!(
        complaints("@id(\"a\") forbid (principal, action, resource) when { 1 == 2 };", "").len(),
        1
    );
}

#[test]
fn rules_use_optional_facts_only_after_asking_for_them() {
    let said = one(
        "@id(\"a\") permit (principal, action, resource) when { context.task == \"x\" };",
        "",
    );
    assert!(said.contains("task"), "{said}");
    load(
        "@id(\"a\") permit (principal, action, resource) when { context has task && context.task == \"x\" };",
        "",
    );
}

#[test]
fn classes_that_rules_name_must_exist() {
    let rule = "@id(\"a\") @mask(\"redact\") forbid (principal, action == Action::\"reveal\", resource in Classification::\"pci\");";
    let said = one(rule, "[[columns]]\ncolumn = \"a.b.c\"\nclass = \"pic\"");
    assert!(said.contains("names `Classification::\"pci\"`"), "{said}");
    load(rule, "[[columns]]\ncolumn = \"a.b.c\"\nclass = \"pci\"");
}

#[test]
fn classifications_are_checked() {
    for (text, said) in [
        (
            "[[columns]]\ncolumn = \"customers.ssn\"\nclass = \"x\"",
            "`customers.ssn` is not a column",
        ),
        ("[[declassified]]\nrelation = \"a.b.c\"", "`a.b.c` is not a relation"),
        (
            "[[detectors]]\nkind = \"passport\"\nclass = \"x\"",
            "there is no detector `passport`",
        ),
        ("[[functions]]\nname = \"f()\"\nsha256 = \"12\"", "a sha256 has 64"),
        (
            "[[classes]]\nname = \"a\"\nwithin = [\"b\"]\n[[classes]]\nname = \"b\"\nwithin = [\"a\"]",
            "lies within itself",
        ),
    ] {
        let found = complaints(ALL, text);
        assert!(found.iter().all(|s| s.contains(said)), "{found:?}");
    }
}

#[test]
fn every_action_must_have_the_base_attributes() {
    let fragment = SchemaFragment::new(
        "odd",
        "namespace Odd { action \"go\" appliesTo { principal: [User], resource: [Target], context: { now: datetime } }; }",
    );
    let dir = write(ALL, "");
    let error = Bundle::load(dir.path(), &[fragment]).unwrap_err();
    assert!(
        error.to_string().contains("for Odd::Action::\"go\" not found"),
        "{error}"
    );
}

#[test]
fn a_directory_without_rules_is_no_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let error = Bundle::load(dir.path(), &[]).unwrap_err();
    assert!(error.to_string().contains("no `rules` directory"), "{error}");
    assert!(Bundle::load(&dir.path().join("nowhere"), &[]).is_err());
}

#[test]
fn a_bundle_that_permits_nothing_is_fine() {
    load("", "");
}

#[test]
fn the_digest_is_about_what_decides() {
    let digest = |rules: &str, test: &str| {
        let dir = write(rules, "");
        fs::create_dir(dir.path().join("tests")).unwrap();
        fs::write(dir.path().join("tests/a.toml"), test).unwrap();
        fs::write(dir.path().join("notes.md"), test).unwrap();
        Bundle::load(dir.path(), &[sql()]).unwrap().digest().to_owned()
    };
    assert_eq!(digest(ALL, ""), digest(ALL, "# other"));
    assert_ne!(digest(ALL, ""), digest(&format!("{ALL}// more"), ""));
    assert_eq!(digest(ALL, "").len(), 64);
}

#[test]
fn the_commit_is_read_from_the_repository_around() {
    let dir = tempfile::tempdir().unwrap();
    let (git, policy) = (dir.path().join(".git"), dir.path().join("deep/policy"));
    fs::create_dir_all(policy.join("rules")).unwrap();
    let commit = || Bundle::load(&policy, &[]).unwrap().commit().map(str::to_owned);
    fs::create_dir_all(git.join("refs/heads")).unwrap();
    fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    assert_eq!(commit(), None);
    let (packed, loose, detached) = ("a".repeat(40), "b".repeat(40), "C".repeat(40));
    let refs = format!("# pack-refs with: peeled\n{packed} refs/heads/main\n^{detached}\n");
    fs::write(git.join("packed-refs"), refs).unwrap();
    assert_eq!(commit(), Some(packed));
    fs::write(git.join("refs/heads/main"), format!("{loose}\n")).unwrap();
    assert_eq!(commit(), Some(loose.clone()));
    fs::write(git.join("HEAD"), &detached).unwrap();
    assert_eq!(commit(), Some(detached.to_lowercase()));
    // A worktree keeps its own HEAD and shares the branches.
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("rules")).unwrap();
    fs::create_dir_all(git.join("worktrees/tree")).unwrap();
    fs::write(tree.join(".git"), "gitdir: ../.git/worktrees/tree\n").unwrap();
    fs::write(git.join("worktrees/tree/HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(git.join("worktrees/tree/commondir"), "../..\n").unwrap();
    assert_eq!(Bundle::load(&tree, &[]).unwrap().commit(), Some(loose.as_str()));
}

#[test]
fn fragments_tell_their_actions_and_groups() {
    let actions = action_names(&sql()).unwrap();
    assert!(actions.contains(&ActionName::new("Sql", "drop_table")));
    assert!(!actions.contains(&ActionName::new("Sql", "drop")));
    assert!(group_names(&sql()).unwrap().contains(&ActionName::new("Sql", "drop")));
    let wrong = SchemaFragment::new("x", "entity User in");
    assert!(
        action_names(&wrong)
            .unwrap_err()
            .to_string()
            .starts_with("x.cedarschema:1:")
    );
}

#[test]
fn names_that_no_target_has_are_warned_of() {
    let rules = "@id(\"a\") permit (principal, action, resource in Environment::\"producton\");
        @id(\"b\") permit (principal, action, resource == Target::\"orders\");
        @id(\"c\") permit (principal, action, resource in Tag::\"pci\");";
    let dir = write(
        rules,
        "[[columns]]\ntarget = \"order\"\ncolumn = \"a.b.c\"\nclass = \"x\"",
    );
    let warnings = |targets: &str| {
        fs::write(dir.path().join("targets.toml"), targets).unwrap();
        let bundle = Bundle::load(dir.path(), &[sql()]).unwrap();
        bundle.warnings().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let said = warnings("[[target]]\nname = \"orders\"\nenvironment = \"production\"\ntags = [\"pci\"]");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("rules/all.cedar:1:1: rule `a` names `Environment::\"producton\"`"),
        "{}",
        said[0]
    );
    assert!(
        said[1].starts_with("classify.toml:2:10: classifies the target `order`"),
        "{}",
        said[1]
    );
    assert_eq!(warnings("").len(), 4);
    fs::write(dir.path().join("targets.toml"), "[[target]]\nname = 1").unwrap();
    let error = Bundle::load(dir.path(), &[sql()]).unwrap_err();
    assert!(
        error.problems[0].to_string().starts_with("targets.toml:2:8: "),
        "{error}"
    );
}
