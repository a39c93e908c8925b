//! Proofs with the real solver. They need the program `cvc5`, named by `CVC5` or on the path:
//! `cargo nextest run -p sallyport-policy --features symbolic --run-ignored only`.
#![cfg(feature = "symbolic")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use sallyport_policy::{
    Budget, Bundle, Certainty, DifferenceKind, Finding, Loader, Proof, Solver, certain, compare, nothing_newly_allowed,
    prove,
};
use support::{root, shipped_fragments};

const TIME: Duration = Duration::from_secs(120);

fn solver() -> Solver {
    Solver::find().unwrap_or_else(|| panic!("there is no `cvc5`: install it, or name it by `CVC5`"))
}

fn load(rules: &str, properties: &str) -> Bundle {
    let dir = support::write(rules, "[[columns]]\ncolumn = \"a.b.c\"\nclass = \"pci\"\n");
    fs::write(dir.path().join("properties.toml"), properties).unwrap();
    match Loader::new(&shipped_fragments()).load(dir.path()) {
        Ok(bundle) => bundle,
        Err(error) => panic!("{error}"),
    }
}

fn newly_allowed(old: &str, new: &str) -> Certainty {
    nothing_newly_allowed(&load(old, ""), &load(new, ""), &solver(), TIME)
}

const OLD: &str = r#"
    @id("all") permit (principal, action, resource);
    @id("no") forbid (principal, action in Ssh::Action::"command", resource)
    when { context.terminal || context.login like "root*" } unless { principal in Group::"dba" };"#;

#[test]
#[ignore = "needs the program cvc5"]
fn what_is_written_otherwise_or_allows_less_is_proven() {
    for new in [
        OLD.replace(
            "context.terminal || context.login like \"root*\"",
            "!(!context.terminal && !(context.login like \"root*\"))",
        ),
        OLD.replace(
            "context.terminal || context.login like \"root*\"",
            "context.terminal || context.login like \"r*\"",
        ),
        OLD.replace(
            "unless { principal in Group::\"dba\" }",
            "unless { principal in Group::\"dba\" && context has task }",
        ),
    ] {
        let certainty = newly_allowed(OLD, &new);
        assert!(certainty.is_whole(), "{certainty:?}");
        // Users and machines, for the two actions of that group.
        assert!(certainty.proven >= 4, "{certainty:?}");
        let back = newly_allowed(&new, OLD);
        assert_eq!(back.is_whole(), new.contains("!(!"), "{back:?}");
    }
}

#[test]
#[ignore = "needs the program cvc5"]
fn what_allows_more_is_not_proven_however_rare_it_is() {
    let new = OLD.replace(
        "context.terminal ||",
        "(context.terminal && !(context.login like \"*zq*w\")) ||",
    );
    let certainty = newly_allowed(OLD, &new);
    assert_eq!(certainty.proven, 0);
    assert!(
        certainty.open.iter().all(|why| why.contains("does not hold")),
        "{certainty:?}"
    );
}

#[test]
#[ignore = "needs the program cvc5"]
fn a_rule_that_may_fail_to_be_evaluated_keeps_the_proof_open() {
    // Cedar skips the permit where the sum overflows; here the act is refused, and the new rules allow it.
    let old = r#"@id("all") permit (principal, action, resource);
        @id("sum") permit (principal, action == Ssh::Action::"exec", resource) when { context.runs + 1 > 0 };"#;
    let new = r#"@id("all") permit (principal, action, resource);"#;
    let certainty = newly_allowed(old, new);
    assert!(
        certainty
            .open
            .iter()
            .any(|why| why.contains("the rule `sum` cannot always be evaluated")),
        "{certainty:?}"
    );
    assert!(newly_allowed(new, old).is_whole());
}

#[test]
#[ignore = "needs the program cvc5"]
fn targets_and_classes_that_move_keep_the_proof_open() {
    let (old, new) = (load(OLD, ""), {
        let dir = support::write(OLD, "[[columns]]\ncolumn = \"a.b.c\"\nclass = \"pii\"\n");
        Loader::new(&shipped_fragments()).load(dir.path()).unwrap()
    });
    assert!(!nothing_newly_allowed(&old, &new, &solver(), TIME).is_whole());
}

fn proofs(bundle: &Bundle) -> Vec<Proof> {
    let budget = Budget {
        time: TIME,
        draws: 100,
        ..Budget::default()
    };
    let mut proofs = prove(bundle, &shipped_fragments(), budget).unwrap();
    certain(bundle, &mut proofs, &solver(), TIME * 4);
    proofs
}

#[test]
#[ignore = "needs the program cvc5"]
fn properties_are_proven_where_they_are_of_the_solvers_kind() {
    let holds = r#"@id("all") permit (principal, action, resource);
        @id("wait") @hold("dba") forbid (principal, action == Ssh::Action::"exec", resource)
        unless { context.approved_by.contains(Group::"dba") };
        @id("run") forbid (principal, action == Ssh::Action::"run", resource) unless { context has task };
        @id("pci") @mask("redact") forbid (principal, action == Action::"reveal", resource in Classification::"pci");"#;
    let property = |name: &str, rest: &str| format!("[[property]]\nname = \"{name}\"\n{rest}\n");
    let text = [
        property(
            "approved",
            "never = \"allow\"\nactions = 'Ssh::Action::\"exec\"'\nwithout_approval = true",
        ),
        property(
            "tasks",
            "always = \"deny\"\nactions = 'Ssh::Action::\"run\"'\nwithout_task = true",
        ),
        property("clear", "never = \"clear\"\nclasses = \"pci\""),
        property("masked", "always = \"mask\"\nclasses = \"pci\""),
        property(
            "held",
            "always = \"hold\"\nactions = 'Ssh::Action::\"exec\"'\nwithout_approval = true",
        ),
        property(
            "rare",
            "never = \"allow\"\nactions = 'Ssh::Action::\"shell\"'\nwhen = 'context.login like \"q*z*\"'",
        ),
    ];
    let found = proofs(&load(holds, &text.concat()));
    let proven: Vec<&str> = found
        .iter()
        .filter(|proof| matches!(proof.finding, Finding::Proven))
        .map(|proof| proof.name.as_str())
        .collect();
    assert_eq!(proven, ["approved", "tasks", "clear"], "{found:?}");
    assert!(
        found
            .iter()
            .filter(|proof| proof.name == "masked" || proof.name == "held")
            .all(|proof| !proof.open.is_empty())
    );
}

#[test]
#[ignore = "needs the program cvc5"]
fn the_example_is_proven_and_the_search_agrees_with_the_solver() {
    let old = Bundle::load(&root().join("policy"), &shipped_fragments()).unwrap();
    let found = proofs(&old);
    let open: Vec<&Proof> = found
        .iter()
        .filter(|proof| !matches!(proof.finding, Finding::Proven))
        .collect();
    assert!(found.len() > 5 && open.is_empty(), "{open:?}");

    for (file, from, to) in [
        (
            "changes",
            "context.unrestricted.isEmpty()",
            "context.unrestricted.isEmpty() && !context.unresolved",
        ),
        (
            "hosts",
            "context.download_runs",
            "context.download_runs && context.runs > 1",
        ),
        ("masks", "unless { principal in Group::\"support\" }", ""),
        (
            "access",
            "action == Action::\"connect\", resource);\n\n@id(\"auditors",
            "action == Action::\"connect\", resource) when { context.tls };\n\n@id(\"auditors",
        ),
    ] {
        let new = edited(file, from, to);
        let budget = Budget {
            time: TIME,
            draws: 100,
            ..Budget::default()
        };
        let more = [
            DifferenceKind::NewlyAllowed,
            DifferenceKind::NoLongerHeld,
            DifferenceKind::WeakerMasks,
        ];
        let found = compare(&old, &new, &shipped_fragments(), budget).unwrap();
        let allows_more = found
            .differences
            .iter()
            .any(|difference| more.contains(&difference.kind));
        let certainty = nothing_newly_allowed(&old, &new, &solver(), TIME * 4);
        assert_eq!(
            certainty.is_whole(),
            !allows_more,
            "{file}: {certainty:?} {:?}",
            found.differences
        );
    }
}

/// The example with one edit.
fn edited(file: &str, from: &str, to: &str) -> Bundle {
    let (dir, policy) = (tempfile::tempdir().unwrap(), root().join("policy"));
    let copy = |name: &str| copied(&policy, dir.path(), name);
    fs::create_dir(dir.path().join("rules")).unwrap();
    for name in [
        "targets.toml",
        "classify.toml",
        "rules/access.cedar",
        "rules/changes.cedar",
        "rules/hosts.cedar",
        "rules/masks.cedar",
    ] {
        copy(name);
    }
    let path = dir.path().join(format!("rules/{file}.cedar"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no `{from}`");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
    Bundle::load(dir.path(), &shipped_fragments()).unwrap()
}

fn copied(from: &Path, to: &Path, name: &str) {
    fs::copy(from.join(name), to.join(name)).unwrap();
}
