//! What `compare` says of two bundles: each kind of difference, and changes that change nothing by meaning.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use sallyport_policy::{Budget, Bundle, Comparison, DifferenceKind as Kind, Loader, compare};
use support::{postgres, root, shipped_fragments};

/// Enough for a busy machine, so that no answer depends on how fast it is.
fn patient() -> Budget {
    Budget {
        time: Duration::from_secs(300),
        draws: 300,
        ..Budget::default()
    }
}

const TARGETS: &str = r#"
[[target]]
name = "orders"
protocol = "postgres"
environment = "production"
tags = ["pci"]

[[target]]
name = "lab"
protocol = "postgres"
environment = "staging"
"#;

const CLASSES: &str = r#"
[[columns]]
column = "public.*.card_number"
class = "pci"

[[columns]]
column = "public.*.email"
class = "pii"
"#;

fn bundle(rules: &str, targets: &str, classes: &str) -> Bundle {
    let dir = support::write(rules, classes);
    fs::write(dir.path().join("targets.toml"), targets).unwrap();
    match Loader::new(&[postgres()]).load(dir.path()) {
        Ok(bundle) => bundle,
        Err(error) => panic!("{error}"),
    }
}

fn rules(old: &str, new: &str) -> Comparison {
    let (old, new) = (bundle(old, TARGETS, CLASSES), bundle(new, TARGETS, CLASSES));
    compare(&old, &new, &[postgres()], patient()).unwrap()
}

fn said(comparison: &Comparison) -> Vec<(Kind, &str)> {
    assert!(!comparison.effort.cut_short);
    let lines = comparison.differences.iter();
    lines
        .map(|difference| (difference.kind, difference.sentence.as_str()))
        .collect()
}

/// Permits everything, so that only the rules beside it matter.
const ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";

#[test]
fn a_group_that_may_do_more_is_named() {
    let old = r#"@id("work") permit (principal in Group::"dev", action in Sql::Action::"read", resource);"#;
    let new = format!(
        r#"{old} @id("support") permit (principal in Group::"support", action == Sql::Action::"delete", resource in Environment::"production");"#
    );
    let there = "members of `support` may now run `Sql::delete` on `production` targets (was refused)";
    assert_eq!(said(&rules(old, &new)), [(Kind::NewlyAllowed, there)]);
    let back = "members of `support` may no longer run `Sql::delete` on `production` targets (was allowed)";
    assert_eq!(said(&rules(&new, old)), [(Kind::NewlyRefused, back)]);
}

#[test]
fn holds_that_come_and_go_and_ask_others_are_named() {
    let hold = |groups: &str| {
        format!(
            r#"{ALL} @id("wait") @hold("{groups}") @timeout("10m")
            forbid (principal, action in Sql::Action::"drop", resource in Environment::"production")
            unless {{ context.approved_by.contains(Group::"dba") }};"#
        )
    };
    let gone =
        "anybody may now run `Sql::drop` on `production` targets without waiting (was held for approval by `dba`)";
    assert_eq!(said(&rules(&hold("dba"), ALL)), [(Kind::NoLongerHeld, gone)]);
    let fresh =
        "anybody now waits to run `Sql::drop` on `production` targets: held for approval by `dba` (was allowed)";
    assert_eq!(said(&rules(ALL, &hold("dba"))), [(Kind::NewlyHeld, fresh)]);
    let more = "when anybody wants to run `Sql::drop` on `production` targets, it is now held for approval by 2 of `dba` \
                (was held for approval by `dba`)";
    assert_eq!(
        said(&rules(&hold("dba"), &hold("dba:2"))),
        [(Kind::OtherReviewers, more)]
    );
    let later = hold("dba").replace("10m", "20m");
    let times = rules(&hold("dba"), &later);
    let [(Kind::OtherReviewers, words)] = said(&times)[..] else {
        panic!("{times:?}")
    };
    assert!(
        words.contains("waiting 1200 s") && words.contains("waiting 600 s"),
        "{words}"
    );

    let plain = hold("dba").replace("@hold(\"dba\") @timeout(\"10m\")", "");
    let refused = "anybody may no longer ask to run `Sql::drop` on `production` targets: refused (was held for approval by `dba`)";
    assert_eq!(said(&rules(&hold("dba"), &plain)), [(Kind::HeldToRefused, refused)]);
    let asked =
        "anybody may now ask to run `Sql::drop` on `production` targets: held for approval by `dba` (was refused)";
    assert_eq!(said(&rules(&plain, &hold("dba"))), [(Kind::RefusedToHeld, asked)]);
}

#[test]
fn masks_that_show_more_or_less_are_named() {
    let mask = |mask: &str, unless: &str| {
        format!(
            r#"{ALL} @id("pii") @mask("{mask}") forbid (principal, action == Action::"reveal", resource in Classification::"pii") {unless};"#
        )
    };
    let old = mask("partial", "");
    let support = mask("partial", "unless { principal in Group::\"support\" }");
    let clear = "`pii` is now shown in the clear for members of `support` on any target (was masked: partial)";
    assert_eq!(said(&rules(&old, &support)), [(Kind::WeakerMasks, clear)]);
    let masked = "`pii` is now masked: partial for members of `support` on any target (was shown in the clear)";
    assert_eq!(said(&rules(&support, &old)), [(Kind::StrongerMasks, masked)]);
    let redacted = "`pii` is now masked: redact for anybody on any target (was masked: partial)";
    assert_eq!(
        said(&rules(&old, &mask("redact", ""))),
        [(Kind::StrongerMasks, redacted)]
    );
    let withheld = old.replace("@mask(\"partial\")", "");
    let gone = "`pii` is now withheld for anybody on any target (was masked: partial)";
    assert_eq!(said(&rules(&old, &withheld)), [(Kind::StrongerMasks, gone)]);
    let here = mask("partial", "unless { context.target in Environment::\"staging\" }");
    let lab = "`pii` is now shown in the clear for anybody on `staging` targets (was masked: partial)";
    assert_eq!(said(&rules(&old, &here)), [(Kind::WeakerMasks, lab)]);
}

#[test]
fn roles_and_ends_of_sessions_are_named() {
    let roles = |roles: &str| {
        format!(r#"@id("in") @grant("{roles}") permit (principal, action == Action::"connect", resource);"#)
    };
    let more =
        "anybody who connects on any target is now allowed, with `reader` and `writer` (was allowed, with `reader`)";
    assert_eq!(
        said(&rules(&roles("reader"), &roles("reader,writer"))),
        [(Kind::RolesGained, more)]
    );
    let found = rules(&roles("reader,writer"), &roles("reader"));
    assert_eq!(said(&found)[0].0, Kind::RolesLost);

    let forbid = |ends: &str| {
        format!(r#"{ALL} @id("no") {ends} forbid (principal, action == Sql::Action::"set_role", resource);"#)
    };
    let ends = rules(&forbid(""), &forbid("@ends(\"session\")"));
    assert_eq!(said(&ends)[0].0, Kind::SessionEnds);
    assert_eq!(
        said(&rules(&forbid("@ends(\"session\")"), &forbid("")))[0].0,
        Kind::SessionGoesOn
    );
}

#[test]
fn conditions_are_part_of_the_sentence_and_of_the_request() {
    let forbid = |unless: &str| {
        format!(
            r#"{ALL} @id("task") forbid (principal, action in Sql::Action::"write", resource in Environment::"production")
            unless {{ {unless} }};"#
        )
    };
    let found = rules(
        &forbid("context has task"),
        &forbid("context has task || context.statement_count < 5"),
    );
    let words = "anybody may now run `Sql::write` on `production` targets, without a task (was refused)";
    assert_eq!(said(&found), [(Kind::NewlyAllowed, words)]);
    let witness = found.differences[0].witness.as_ref().unwrap();
    assert_eq!(witness.facts["task"], serde_json::Value::Null);
    assert_eq!(witness.facts["statement_count"], 1);

    let day = |hours: &str| {
        format!(
            r#"{ALL} @id("day") forbid (principal in Group::"contractors", action == Action::"connect", resource)
            when {{ context.now.toTime() < duration("8h") || context.now.toTime() >= duration("{hours}") }};"#
        )
    };
    let found = rules(&day("18h"), &day("19h"));
    let [(Kind::NewlyAllowed, words)] = said(&found)[..] else {
        panic!("{found:?}")
    };
    assert!(
        words.starts_with("members of `contractors` may now connect on any target, at 2026-01-05 18:"),
        "{words}"
    );

    let from = |range: &str| {
        format!(
            r#"{ALL} @id("from") forbid (principal, action == Action::"connect", resource)
            unless {{ context has source && context.source.isInRange(ip("{range}")) }};"#
        )
    };
    let found = rules(&from("10.0.0.0/8"), &from("10.0.0.0/9"));
    let [(Kind::NewlyRefused, words)] = said(&found)[..] else {
        panic!("{found:?}")
    };
    assert!(words.contains("from 10."), "{words}");
}

#[test]
fn a_hazard_taken_from_a_list_is_found_behind_every_other_rule() {
    let forbid = |hazards: &str| {
        format!(
            r#"@id("work") permit (principal in Group::"dev", action in Sql::Action::"any", resource) when {{ context has task }};
            @id("rows") forbid (principal, action in Sql::Action::"any", resource) unless {{ context.unrestricted.isEmpty() }};
            @id("wait") @hold("dba") forbid (principal, action in Sql::Action::"any", resource)
            unless {{ context.approved_by.contains(Group::"dba") || context.database == "lab" }};
            @id("hazards") forbid (principal, action in Sql::Action::"any", resource)
            when {{ context.hazards.containsAny([{hazards}]) && !(principal.id like "root-*") }};"#
        )
    };
    let found = rules(&forbid("\"server_file\", \"network\""), &forbid("\"server_file\""));
    let allowed: Vec<&str> = said(&found)
        .iter()
        .filter(|(kind, _)| *kind == Kind::NewlyAllowed)
        .map(|(_, words)| *words)
        .collect();
    assert!(
        allowed
            .iter()
            .any(|words| words.contains("has `network`") && words.contains("is `lab`")),
        "{allowed:?}"
    );
    assert!(
        allowed
            .iter()
            .any(|words| words.contains("has `network`") && words.contains("with approval by `dba`")),
        "{allowed:?}"
    );
    assert!(
        allowed.iter().all(|words| !words.contains("server_file")),
        "{allowed:?}"
    );
}

#[test]
fn what_means_the_same_is_no_difference() {
    let base = r#"
        @id("all") permit (principal, action in Sql::Action::"any", resource);
        @id("no") @message("no") forbid (principal, action in Sql::Action::"any", resource)
        when { context.unresolved || context.hazards.containsAny(["a", "b"]) } unless { principal in Group::"dba" };"#;
    let same = [
        // Renamed, another message, another order.
        r#"@id("not") @message("never") forbid (principal, action in Sql::Action::"any", resource)
           when { context.unresolved || context.hazards.containsAny(["a", "b"]) } unless { principal in Group::"dba" };
           @id("everything") permit (principal, action in Sql::Action::"any", resource);"#,
        // Split in two, and in three.
        r#"@id("all") permit (principal, action in Sql::Action::"any", resource);
           @id("no-1") forbid (principal, action in Sql::Action::"any", resource)
           when { context.unresolved } unless { principal in Group::"dba" };
           @id("no-2") forbid (principal, action in Sql::Action::"any", resource)
           when { context.hazards.containsAny(["a", "b"]) } unless { principal in Group::"dba" };"#,
        r#"@id("all") permit (principal, action in Sql::Action::"any", resource);
           @id("no-1") forbid (principal, action in Sql::Action::"any", resource) when { context.unresolved && !(principal in Group::"dba") };
           @id("no-2") forbid (principal, action in Sql::Action::"any", resource)
           when { context.hazards.contains("a") } unless { principal in Group::"dba" };
           @id("no-3") forbid (principal, action in Sql::Action::"any", resource)
           when { context.hazards.contains("b") } unless { principal in Group::"dba" };"#,
        // De Morgan.
        r#"@id("all") permit (principal, action in Sql::Action::"any", resource);
           @id("no") forbid (principal, action in Sql::Action::"any", resource)
           unless { (!context.unresolved && !context.hazards.contains("a") && !context.hazards.contains("b")) || principal in Group::"dba" };"#,
        // An `if`, and a permit that another one covers.
        r#"@id("all") permit (principal, action in Sql::Action::"any", resource);
           @id("read") permit (principal in Group::"x", action in Sql::Action::"read", resource);
           @id("no") forbid (principal, action in Sql::Action::"any", resource)
           when { if principal in Group::"dba" then false else context.unresolved || context.hazards.containsAny(["b", "a"]) };"#,
    ];
    for new in same {
        for (old, new) in [(base, new), (new, base)] {
            let found = rules(old, new);
            assert_eq!(said(&found), []);
            assert!(
                found.effort.actions == 0 || found.effort.requests > 50,
                "{:?}",
                found.effort
            );
        }
    }
    let found = rules(base, same[0]);
    assert_eq!(
        (found.effort.actions, found.effort.requests),
        (0, 0),
        "the same rules need no search"
    );
}

#[test]
fn targets_and_what_is_classified_are_compared_wholly() {
    let rules = format!(
        r#"{ALL} @id("no") forbid (principal, action in Sql::Action::"drop", resource in Environment::"production");"#
    );
    let old = bundle(&rules, TARGETS, CLASSES);
    let moved = TARGETS
        .replace("environment = \"production\"", "environment = \"staging\"")
        .replace("\"lab\"", "\"bench\"");
    let classes = CLASSES.replace("email", "phone")
        + "\n[[functions]]\nname = \"public.f()\"\n[[detectors]]\nkind = \"ssn\"\nclass = \"pii\"\n";
    let found = compare(&old, &bundle(&rules, &moved, &classes), &[postgres()], patient()).unwrap();
    let allowed = "anybody may now run `Sql::drop` on `orders` (was refused)";
    assert_eq!(
        said(&found),
        [
            (Kind::NewlyAllowed, allowed),
            (
                Kind::LessClassified,
                "column `public.*.email` is no longer `pii` on every target"
            ),
            (
                Kind::TrustedCode,
                "function `public.f()` is now trusted on every target, with any body"
            ),
            (
                Kind::MoreClassified,
                "column `public.*.phone` is now `pii` on every target"
            ),
            (
                Kind::MoreClassified,
                "what the detector `ssn` finds is now `pii` on every target"
            ),
            (Kind::Targets, "target `bench` is new: postgres in `staging`"),
            (Kind::Targets, "target `lab` is gone (was postgres in `staging`)"),
            (
                Kind::Targets,
                "target `orders` is now postgres in `staging`, tagged `pci` (was postgres in `production`, tagged `pci`)"
            ),
        ]
    );
    let witness = found.differences[0].witness.as_ref().unwrap();
    assert_eq!(
        witness.target_before.as_ref().unwrap().environment.as_deref(),
        Some("production")
    );
}

#[test]
fn a_class_that_moves_within_another_is_masked_with_it() {
    let rules = format!(
        r#"{ALL} @id("pii") @mask("redact") forbid (principal, action == Action::"reveal", resource in Classification::"pii");"#
    );
    let within = format!("{CLASSES}\n[[classes]]\nname = \"pci\"\nwithin = [\"pii\"]\n");
    let (old, new) = (bundle(&rules, TARGETS, CLASSES), bundle(&rules, TARGETS, &within));
    let found = compare(&old, &new, &[postgres()], patient()).unwrap();
    let masked = "`pci` is now masked: redact for anybody on any target (was shown in the clear)";
    assert_eq!(
        said(&found),
        [
            (Kind::StrongerMasks, masked),
            (Kind::MoreClassified, "class `pci` is now within `pii`")
        ]
    );
}

#[test]
fn every_witness_is_answered_as_it_says_and_has_the_facts_that_the_schema_declares() {
    let old = load_shipped(&root().join("policy"));
    let dir = copy_of(&root().join("policy"));
    edit(dir.path(), "rules/changes.cedar", "@hold(\"dba\")", "@hold(\"dba:2\")");
    edit(
        dir.path(),
        "rules/hosts.cedar",
        "context.mode == \"guarded\"",
        "context.terminal",
    );
    edit(
        dir.path(),
        "rules/masks.cedar",
        "unless { principal in Group::\"support\" }",
        "",
    );
    edit(
        dir.path(),
        "rules/access.cedar",
        "principal in Group::\"dba\", action == Action::\"connect\", resource",
        "principal, action == Action::\"connect\", resource",
    );
    let new = load_shipped(dir.path());
    let found = compare(&old, &new, &shipped_fragments(), patient()).unwrap();
    let kinds: std::collections::BTreeSet<Kind> = found.differences.iter().map(|difference| difference.kind).collect();
    for kind in [
        Kind::NewlyAllowed,
        Kind::OtherReviewers,
        Kind::StrongerMasks,
        Kind::NewlyRefused,
    ] {
        assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
    }
    for witness in found
        .differences
        .iter()
        .filter_map(|difference| difference.witness.as_ref())
    {
        let mut asked = witness.asked.clone();
        asked.action = witness.action.clone();
        assert_eq!(
            asked.ask(&old, witness.target_before.as_ref().unwrap_or(&witness.target)),
            witness.before
        );
        assert_eq!(asked.ask(&new, &witness.target), witness.after);
        if asked.class.is_none() {
            new.standing(&asked.who, &asked.target)
                .unwrap()
                .conforms(&asked.act(), &asked.situation())
                .unwrap();
        }
    }
}

#[test]
fn the_same_search_has_the_same_answer_and_one_without_time_says_so() {
    let old = r#"@id("a") permit (principal in Group::"a", action in Sql::Action::"read", resource) when { context.database == "x" };"#;
    let new = old.replace("\"x\"", "\"y\"");
    let (one, two) = (rules(old, &new), rules(old, &new));
    assert_eq!(one.effort, two.effort);
    assert_eq!(said(&one), said(&two));
    let (old, new) = (bundle(old, TARGETS, ""), bundle(&new, TARGETS, ""));
    let none = Budget {
        time: Duration::ZERO,
        ..Budget::default()
    };
    assert!(compare(&old, &new, &[postgres()], none).unwrap().effort.cut_short);
}

#[test]
fn a_rule_that_begins_or_ends_to_observe_is_said_and_what_that_does() {
    let forbid = |enforce: &str| {
        format!(r#"{ALL} @id("no") {enforce} forbid (principal, action in Sql::Action::"drop", resource);"#)
    };
    let (enforced, observing) = (forbid(""), forbid("@enforce(\"false\")"));
    let allowed = "anybody may now run `Sql::drop` on any target (was refused)";
    assert_eq!(
        said(&rules(&enforced, &observing)),
        [
            (Kind::NewlyAllowed, allowed),
            (Kind::Observing, "rule `no` only observes now")
        ]
    );
    let refused = "anybody may no longer run `Sql::drop` on any target (was allowed)";
    assert_eq!(
        said(&rules(&observing, &enforced)),
        [
            (Kind::NewlyRefused, refused),
            (Kind::Observing, "rule `no` no longer only observes")
        ]
    );
    // It decides nothing, so nothing is decided otherwise without it; but somebody is to know.
    assert_eq!(
        said(&rules(&observing, ALL)),
        [(Kind::Observing, "rule `no` no longer only observes")]
    );
    assert_eq!(
        said(&rules(ALL, &observing)),
        [(Kind::Observing, "rule `no` only observes now")]
    );
    assert_eq!(said(&rules(&observing, &observing)), []);
}

#[test]
fn a_target_on_which_rules_begin_to_observe_is_said() {
    let rules = format!(r#"{ALL} @id("no") forbid (principal, action in Sql::Action::"drop", resource);"#);
    let observing = TARGETS.replace("\"staging\"", "\"staging\"\nenforce = false");
    let (old, new) = (bundle(&rules, TARGETS, CLASSES), bundle(&rules, &observing, CLASSES));
    let found = compare(&old, &new, &[postgres()], patient()).unwrap();
    let allowed = "anybody may now run `Sql::drop` on `lab` (was refused)";
    let observes = (Kind::Observing, "target `lab` only observes now");
    assert_eq!(said(&found), [(Kind::NewlyAllowed, allowed), observes]);
    let found = compare(&new, &old, &[postgres()], patient()).unwrap();
    let kinds: Vec<Kind> = said(&found).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [Kind::NewlyRefused, Kind::Observing]);
}

#[test]
fn whatever_else_targets_say_is_compared_key_by_key() {
    let with = |lab: &str, more: &str| bundle(ALL, &format!("{TARGETS}{lab}\n{more}"), CLASSES);
    let old = with(
        "address = \"lab:5432\"\nshell = \"guarded\"\nauth = { method = \"a\" }",
        "",
    );
    let new = with(
        "address = \"evil:5432\"\nshell = \"recorded\"\nauth = { method = \"b\" }\npassword_file = \"a\\n::add-mask::x\"",
        "[[vault]]\nname = \"main\"\naddress = \"https://v\"",
    );
    let found = compare(&old, &new, &[postgres()], patient()).unwrap();
    let wanted = [
        "`address` of target `lab` is now `evil:5432` (was `lab:5432`)",
        "`auth` of target `lab` is now `{ method = \"b\" }` (was `{ method = \"a\" }`)",
        "`password_file` of target `lab` is now `a\\n::add-mask::x` (was not there)",
        "`shell` of target `lab` is now `recorded` (was `guarded`)",
        "vault `main` is now `{ address = \"https://v\", name = \"main\" }` (was not there)",
    ];
    assert_eq!(said(&found), wanted.map(|words| (Kind::Targets, words)));
    assert_eq!(said(&compare(&new, &new, &[postgres()], patient()).unwrap()), []);
    let back = compare(&new, &old, &[postgres()], patient()).unwrap();
    let gone = "`password_file` of target `lab` is gone (was `a\\n::add-mask::x`)";
    assert!(said(&back).contains(&(Kind::Targets, gone)), "{back:?}");
}

#[test]
fn a_name_with_a_line_end_begins_no_line() {
    let new = format!(
        r#"{ALL} @id("no") forbid (principal in Group::"z\n::add-mask::x", action in Sql::Action::"drop", resource);"#
    );
    let found = rules(ALL, &new);
    let words = "members of `z\\n::add-mask::x` may no longer run `Sql::drop` on any target (was allowed)";
    assert_eq!(said(&found), [(Kind::NewlyRefused, words)]);
}

fn load_shipped(dir: &Path) -> Bundle {
    match Bundle::load(dir, &shipped_fragments()) {
        Ok(bundle) => bundle,
        Err(error) => panic!("{error}"),
    }
}

fn edit(dir: &Path, file: &str, from: &str, to: &str) {
    let path = dir.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no `{from}`");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// The files of a bundle somewhere else.
fn copy_of(from: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("rules")).unwrap();
    for name in [
        "targets.toml",
        "classify.toml",
        "rules/access.cedar",
        "rules/changes.cedar",
        "rules/hosts.cedar",
        "rules/masks.cedar",
    ] {
        fs::copy(from.join(name), dir.path().join(name)).unwrap();
    }
    dir
}

#[test]
fn a_session_that_must_be_watched_is_named() {
    let watched = format!(
        r#"{ALL} @id("watched") @moderate("operators") forbid (principal, action in Sql::Action::"ddl", resource)
        unless {{ context.watched_by.contains(Group::"operators") }};"#
    );
    let fresh =
        "anybody now waits to run `Sql::ddl` on any target: held for somebody of `operators` to watch (was allowed)";
    assert_eq!(said(&rules(ALL, &watched)), [(Kind::NewlyHeld, fresh)]);
}

#[test]
fn a_change_in_any_kind_of_condition_is_found() {
    for (old, new) in [
        ("context.runs > 3", "context.runs > 4"),
        ("context.runs * 2 == 10", "context.runs * 2 == 12"),
        (
            "context.command like \"rm *-rf*\"",
            "context.command like \"rm *-rf /*\"",
        ),
        (
            "context.programs == [\"a\", \"b\"]",
            "context.programs == [\"a\", \"c\"]",
        ),
        (
            "context.programs.containsAll([\"a\", \"b\", \"c\"])",
            "context.programs.containsAll([\"a\", \"b\"])",
        ),
        (
            "context.reads_classes.contains(Classification::\"pci\")",
            "context.reads_classes.contains(Classification::\"pii\")",
        ),
        ("principal == User::\"alice\"", "principal == User::\"bob\""),
        ("principal == Machine::\"ci\"", "principal is Machine"),
        ("principal.id like \"svc-*\"", "principal.id like \"svc-a*\""),
        ("principal.id == context.login", "principal.id != context.login"),
        ("resource.name like \"web-*\"", "resource.name like \"web-1*\""),
        ("resource.protocol == \"ssh\"", "resource.protocol == \"telnet\""),
        ("resource == Target::\"orders\"", "resource == Target::\"lab\""),
        (
            "resource in Tag::\"pci\" && resource in Environment::\"production\"",
            "resource in Tag::\"pci\"",
        ),
        (
            "resource in Environment::\"nowhere-yet\"",
            "resource in Environment::\"somewhere\"",
        ),
        (
            "context has source && context.source.isLoopback()",
            "context has source && context.source.isMulticast()",
        ),
        (
            "context has source && context.source == ip(\"10.0.0.1\")",
            "context has source && context.source == ip(\"10.0.0.2\")",
        ),
        (
            "context.now > datetime(\"2027-01-01\")",
            "context.now > datetime(\"2027-01-02\")",
        ),
        (
            "context.now.toTime() < duration(\"8h\")",
            "context.now.toTime() < duration(\"8h30m\")",
        ),
        (
            "context.now.durationSince(datetime(\"2026-01-01\")).toDays() > 30",
            "context.now.durationSince(datetime(\"2026-01-01\")).toDays() > 60",
        ),
        ("context has task && context.task == \"OPS-1\"", "context has task"),
        (
            "context.watched_by.contains(Group::\"a\")",
            "context.watched_by.contains(Group::\"b\")",
        ),
        (
            "context.approved_by.containsAll([Group::\"a\", Group::\"b\"])",
            "context.approved_by.containsAny([Group::\"a\", Group::\"b\"])",
        ),
        (
            "principal in Group::\"a\" && principal in Group::\"b\" && principal in Group::\"c\"",
            "principal in Group::\"a\" && principal in Group::\"b\"",
        ),
        (
            "if context.terminal then context.background else context.download_runs",
            "if context.terminal then context.download_runs else context.background",
        ),
    ] {
        let text = |condition: &str| {
            format!("@id(\"it\") permit (principal, action == Ssh::Action::\"exec\", resource) when {{ {condition} }};")
        };
        let load = |rules: &str| {
            let dir = support::write(rules, CLASSES);
            fs::write(dir.path().join("targets.toml"), TARGETS).unwrap();
            match Loader::new(&shipped_fragments()).load(dir.path()) {
                Ok(bundle) => bundle,
                Err(error) => panic!("{error}"),
            }
        };
        let found = compare(&load(&text(old)), &load(&text(new)), &shipped_fragments(), patient()).unwrap();
        let back = compare(&load(&text(new)), &load(&text(old)), &shipped_fragments(), patient()).unwrap();
        let kinds = |found: &Comparison| {
            found
                .differences
                .iter()
                .map(|difference| difference.kind)
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert!(
            !kinds(&found).is_empty(),
            "{old} → {new}: nothing was found in {:?}",
            found.effort
        );
        // The other way round, what was allowed is refused and what was refused is allowed.
        let turned: std::collections::BTreeSet<Kind> = kinds(&back)
            .into_iter()
            .map(|kind| {
                if kind == Kind::NewlyAllowed {
                    Kind::NewlyRefused
                } else {
                    Kind::NewlyAllowed
                }
            })
            .collect();
        assert_eq!(kinds(&found), turned, "{old} → {new}: {found:?} {back:?}");
    }
}
