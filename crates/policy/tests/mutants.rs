//! Mutants of rules and classifications, and which of them cases notice.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use sallyport_policy::{Bundle, Case, Change, Meaning, Mutation, Outcome, Resource, Reveal, Value, View};
use support::{load, now, orders, sql, statement, user, write};

/// What each mutant of these rules does differently; those that refuse more begin with `!`.
fn mutants(rules: &str, classify: &str) -> Vec<String> {
    let bundle = load(rules, classify);
    let said = bundle.mutants().map(|mutant| {
        let mark = match mutant.change {
            Change::Weaker => "",
            Change::Stricter => "!",
        };
        format!("{mark}{}", mutant.note.message)
    });
    said.collect()
}

const DEV: &str = "principal in Group::\"dev\"";

#[test]
fn a_permit_loses_its_conditions_and_its_scope() {
    let rule = format!(
        "@id(\"p\") permit ({DEV}, action == Sql::Action::\"select\", resource in Environment::\"production\")
         when {{ context.persistent && (context.unresolved || principal.id == \"a\" && context.database == \"b\") }}
         unless {{ context.hazards.containsAny([\"network\", \"statistics\"]) }};"
    );
    assert_eq!(
        mutants(&rule, ""),
        [
            "rule `p` for every principal instead of `Group::\"dev\"`",
            "rule `p` for every resource instead of `Environment::\"production\"`",
            "rule `p` for all of `Sql::Action::\"read\"` instead of `Sql::Action::\"select\"`",
            "rule `p` without `context.persistent` in its `when`",
            "rule `p` without `context.unresolved || ((principal.id == \"a\") && (context.database == \"b\"))` in its `when`",
            "rule `p` without `principal.id == \"a\"` in its `when`",
            "rule `p` without `context.database == \"b\"` in its `when`",
            "rule `p` without `unless { context.hazards.containsAny([\"network\", \"statistics\"]) }`",
            "rule `p` without comparing `context.hazards` with `\"network\"` in its `unless`",
            "rule `p` without comparing `context.hazards` with `\"statistics\"` in its `unless`",
        ]
    );
}

#[test]
fn a_forbid_forbids_less_and_loses_its_limits() {
    let rule =
        "@id(\"f\") forbid (principal, action in [Sql::Action::\"drop_table\", Sql::Action::\"grant\"], resource)
         when { context.hazards.contains(\"network\") || context.unresolved }
         unless { context.persistent && principal in Group::\"dba\" };";
    assert_eq!(
        mutants(rule, ""),
        [
            "rule `f` removed",
            "rule `f` not for `Sql::Action::\"drop_table\"`",
            "rule `f` not for `Sql::Action::\"grant\"`",
            "rule `f` without `context.hazards.contains(\"network\")` in its `when`",
            "rule `f` without `context.unresolved` in its `when`",
            "rule `f` without `context.persistent` in its `unless`",
            "rule `f` without `principal in Group::\"dba\"` in its `unless`",
            "!rule `f` for all of `Sql::Action::\"ddl\"` instead of `Sql::Action::\"drop_table\"`",
            "!rule `f` for all of `Sql::Action::\"destructive\"` instead of `Sql::Action::\"drop_table\"`",
            "!rule `f` for all of `Sql::Action::\"drop\"` instead of `Sql::Action::\"drop_table\"`",
            "!rule `f` for all of `Sql::Action::\"privilege\"` instead of `Sql::Action::\"grant\"`",
            "!rule `f` without `when { context.hazards.contains(\"network\") || context.unresolved }`",
            "!rule `f` without `unless { context.persistent && (principal in Group::\"dba\") }`",
        ]
    );
}

#[test]
fn what_would_not_load_is_no_mutant() {
    // Without the guard the rule reads a fact that can be missing; other actions than `connect` have no `replication`.
    let rules = "@id(\"g\") permit (principal, action == Action::\"connect\", resource)
         when { context has task && context.task like \"OPS-*\" && !context.replication };";
    assert_eq!(
        mutants(rules, ""),
        [
            "rule `g` without `context.task like \"OPS-*\"` in its `when`",
            "rule `g` without `!context.replication` in its `when`",
        ]
    );
    // The rule would ask somebody whom it does not look for.
    let hold = "@id(\"h\") @hold(\"dba\") forbid (principal, action == Sql::Action::\"grant\", resource)
         unless { context.approved_by.contains(Group::\"dba\") && context.persistent };";
    let said = mutants(hold, "");
    assert!(
        said.iter().all(|said| !said.contains("without `context.approved_by")),
        "{said:#?}"
    );
    assert!(
        said.iter().any(|said| said.contains("without `context.persistent`")),
        "{said:#?}"
    );
}

#[test]
fn annotations_ask_for_less() {
    let rules = "@id(\"h\") @hold(\"dba:2,security\") forbid (principal, action == Sql::Action::\"grant\", resource)
         unless { context.approved_by.contains(Group::\"dba\") && context.approved_by.contains(Group::\"security\") };
         @id(\"all\") permit (principal, action, resource);";
    let bundle = load(rules, "");
    let asked = |bundle: &Bundle| {
        let decision = bundle.decide(&user("a", &[]), &orders(), &[statement("grant", &[])], &now());
        let groups = decision.hold.map(|hold| hold.groups).unwrap_or_default();
        let each = groups.iter().map(|a| format!("{}:{}", a.group, a.count));
        (decision.outcome, each.collect::<Vec<_>>().join(","))
    };
    assert_eq!(asked(&bundle), (Outcome::Hold, "dba:2,security:1".to_owned()));
    let changed: Vec<(String, (Outcome, String))> = bundle
        .mutants()
        .filter(|mutant| mutant.change == Change::Weaker)
        .map(|mutant| (mutant.note.message.clone(), asked(&mutant.bundle)))
        .collect();
    let hold = |groups: &str| (Outcome::Hold, groups.to_owned());
    assert_eq!(
        changed,
        [
            ("rule `h` removed".to_owned(), (Outcome::Allow, String::new())),
            (
                "rule `h` asking 1 instead of 2 of `dba`".to_owned(),
                hold("dba:1,security:1")
            ),
            ("rule `h` without asking `dba`".to_owned(), hold("security:1")),
            ("rule `h` without asking `security`".to_owned(), hold("dba:2")),
        ]
    );
}

#[test]
fn a_rule_that_asks_in_another_way_is_not_made_to_ask_whom_it_would_never_hear() {
    let rules = "@id(\"h\") @hold(\"dba,security\") forbid (principal, action == Sql::Action::\"grant\", resource)
         when { !context.approved_by.contains(Group::\"dba\") || !context.approved_by.contains(Group::\"security\") };";
    let said = mutants(rules, "");
    assert!(said.iter().all(|said| !said.contains("without asking")), "{said:#?}");
}

#[test]
fn watchers_masks_and_ends_ask_for_less() {
    let rules = "
        @id(\"w\") @moderate(\"ops,sec\") forbid (principal, action == Sql::Action::\"grant\", resource)
        unless { context.watched_by.containsAll([Group::\"ops\", Group::\"sec\"]) };
        @id(\"m\") @mask(\"partial\") forbid (principal, action == Action::\"reveal\", resource == Classification::\"pii\");
        @id(\"e\") @ends(\"session\") forbid (principal, action == Sql::Action::\"set_role\", resource);
        @id(\"all\") permit (principal, action, resource);";
    let bundle = load(rules, "classes = [{ name = \"pii\" }]");
    let mut said = Vec::new();
    for mutant in bundle.mutants().filter(|mutant| mutant.change == Change::Weaker) {
        let alice = user("a", &[]);
        let grant = mutant
            .bundle
            .decide(&alice, &orders(), &[statement("grant", &[])], &now());
        let watch = grant.hold.map(|hold| hold.watch).unwrap_or_default();
        let shown = mutant
            .bundle
            .reveal(&alice, &orders(), "pii", View::Plain, &now())
            .reveal;
        let role = mutant
            .bundle
            .decide(&alice, &orders(), &[statement("set_role", &[])], &now());
        let watch: Vec<String> = watch.iter().map(ToString::to_string).collect();
        said.push((mutant.note.message, watch.join(","), shown, role.ends_session));
    }
    let partial = || Reveal::Mask("partial".into());
    let both = || "ops,sec".to_owned();
    let mutant = |said: &str, watch: String, shown, ends| (said.to_owned(), watch, shown, ends);
    assert_eq!(
        said,
        [
            mutant("rule `w` removed", String::new(), partial(), true),
            mutant(
                "rule `w` without anybody of `ops` to watch",
                "sec".to_owned(),
                partial(),
                true
            ),
            mutant(
                "rule `w` without anybody of `sec` to watch",
                "ops".to_owned(),
                partial(),
                true
            ),
            mutant("rule `m` removed", both(), Reveal::Clear, true),
            mutant(
                "rule `m` masked by `keep-last(4)` instead of `partial`",
                both(),
                Reveal::Mask("keep-last(4)".into()),
                true
            ),
            mutant("rule `e` removed", both(), partial(), false),
            mutant("rule `e` without ending the session", both(), partial(), false),
        ]
    );
}

const CLASSIFY: &str = r#"
classes = [{ name = "card", within = ["pci"] }]
columns = [{ column = ["public.*.pan", "public.cards.number"], class = "card" }]
[[detectors]]
kind = "credit_card"
class = "card"
[[paths]]
path = "/etc/shadow"
class = "secret"
"#;

#[test]
fn classifications_lose_their_entries() {
    let bundle = load("@id(\"all\") permit (principal, action, resource);", CLASSIFY);
    let said: Vec<String> = bundle.mutants().map(|mutant| mutant.note.to_string()).collect();
    assert_eq!(
        said,
        [
            "classify.toml:3:24: the columns `public.*.pan` are not `card`",
            "classify.toml:3:40: the columns `public.cards.number` are not `card`",
            "classify.toml:5:8: nobody looks for `credit_card`, which is `card`",
            "classify.toml:8:8: the files `/etc/shadow` are not `secret`",
            "classify.toml:2:21: the class `card` does not lie within `pci`",
        ]
    );
    let left: Vec<_> = bundle
        .mutants()
        .map(|mutant| {
            let on = mutant.bundle.classification("orders");
            let columns = ["public.a.pan", "public.cards.number"].map(|name| on.of_column(name).len());
            (columns, on.detectors().len(), on.paths().len())
        })
        .collect();
    assert_eq!(
        left,
        [
            ([0, 1], 1, 1),
            ([1, 0], 1, 1),
            ([1, 1], 0, 1),
            ([1, 1], 1, 0),
            ([1, 1], 1, 1)
        ]
    );
}

/// Runs cases whose commands are names of actions, or columns that are shown.
fn survivors(rules: &str, classify: &str, cases: &str) -> (Mutation, usize) {
    let dir = write(rules, classify);
    fs::create_dir(dir.path().join("tests")).unwrap();
    fs::write(dir.path().join("tests/a.toml"), cases).unwrap();
    let bundle = Bundle::load(dir.path(), &[sql()]).unwrap();
    let mut asked = 0;
    let understand = |bundle: &Bundle, case: &Case, target: &Resource| -> Result<Meaning, String> {
        asked += 1;
        let command = case.command.as_deref().unwrap();
        match command.strip_prefix("show ") {
            Some(column) => {
                let classes = bundle.classification(&target.name).of_column(column);
                let classes = Value::entities("Classification", classes);
                Ok(vec![statement("select", &[("inferred_classes", classes)])].into())
            }
            None if command == "?" => Err("not understood".to_owned()),
            None => Ok(vec![statement(command, &[])].into()),
        }
    };
    let find = |name: &str| (name == "orders").then(orders);
    let mutation = bundle.survivors(&bundle.cases().unwrap(), find, understand);
    (mutation, asked)
}

fn said(mutation: &Mutation) -> Vec<String> {
    mutation
        .survivors
        .iter()
        .filter(|survivor| survivor.change == Change::Weaker)
        .map(|survivor| survivor.note.to_string())
        .collect()
}

fn case(rest: &str) -> String {
    format!("[[case]]\nname = \"c\"\nwho = {{ user = \"a\" }}\ntarget = \"orders\"\n{rest}\n")
}

const RULES: &str = "@id(\"all\") permit (principal, action, resource);
@id(\"no-drop\") @ends(\"session\") forbid (principal, action in [Sql::Action::\"drop\", Sql::Action::\"grant\"], resource);
@id(\"wait\") @hold(\"dba:2\") forbid (principal, action == Sql::Action::\"rename\", resource)
unless { context.approved_by.contains(Group::\"dba\") };";

#[test]
fn what_no_case_notices_survives() {
    let drop = case("command = \"drop_table\"\nexpect = \"deny\"\nrule = \"no-drop\"");
    let (mutation, asked) = survivors(RULES, "", &drop);
    assert_eq!(
        (mutation.tried, mutation.failing, mutation.cut_off, asked),
        (9, 0, false, 1)
    );
    assert_eq!(
        said(&mutation),
        [
            "rules/all.cedar:2:1: rule `no-drop` not for `Sql::Action::\"grant\"`",
            "rules/all.cedar:2:1: rule `no-drop` without ending the session",
            "rules/all.cedar:3:1: rule `wait` removed",
            "rules/all.cedar:3:1: rule `wait` asking 1 instead of 2 of `dba`",
        ]
    );
    let help = mutation.survivors[0].note.help.as_deref().unwrap();
    assert!(help.starts_with("add a case"), "{help}");
}

#[test]
fn cases_that_say_more_notice_more() {
    let cases = [
        "command = \"drop_table\"\nexpect = \"deny\"\nrule = \"no-drop\"\nends = true",
        "command = \"grant\"\nexpect = \"deny\"",
        "command = \"rename\"\nexpect = \"hold\"\nhold = \"dba:2\"",
    ];
    let (mutation, _) = survivors(RULES, "", &cases.map(case).concat());
    assert_eq!(said(&mutation), Vec::<String>::new());
    assert_eq!(mutation.tried, 9);
}

#[test]
fn a_case_that_fails_already_notices_nothing() {
    let cases = [
        "command = \"drop_table\"\nexpect = \"allow\"",
        "command = \"?\"\nexpect = \"deny\"",
    ];
    let (mutation, _) = survivors(RULES, "", &cases.map(case).concat());
    assert_eq!((mutation.failing, mutation.survivors.len(), mutation.tried), (2, 9, 9));
}

#[test]
fn a_limit_that_no_case_needs_survives_as_stricter() {
    let rules = "@id(\"all\") permit (principal, action, resource);
        @id(\"far\") forbid (principal, action == Sql::Action::\"copy_to\", resource in Environment::\"production\")
        unless { principal in Group::\"dba\" };";
    let refused = case("command = \"copy_to\"\nexpect = \"deny\"");
    let (mutation, _) = survivors(rules, "", &refused);
    let changes: BTreeSet<Change> = mutation.survivors.iter().map(|survivor| survivor.change).collect();
    assert_eq!(changes, [Change::Stricter].into());
    let allowed = "[[case]]\nname = \"d\"\nwho = { user = \"d\", groups = [\"dba\"] }\ntarget = \"orders\"\n\
                   command = \"copy_to\"\nexpect = \"allow\"\n";
    let (mutation, _) = survivors(rules, "", &format!("{refused}{allowed}"));
    let left = said(&mutation);
    assert!(left.iter().all(|said| !said.contains("unless")), "{left:?}");
}

#[test]
fn classifications_are_understood_anew_and_cases_notice() {
    let rules = "@id(\"all\") permit (principal, action, resource);
        @id(\"no-guessing\") forbid (principal, action in Sql::Action::\"any\", resource)
        when { context.inferred_classes.contains(Classification::\"card\") };";
    let column = "command = \"show public.a.pan\"\nexpect = \"deny\"";
    let (mutation, asked) = survivors(rules, CLASSIFY, &case(column));
    let left = said(&mutation);
    assert_eq!(asked, 1 + 5);
    assert!(left.iter().all(|said| !said.contains("public.*.pan")), "{left:?}");
    assert_eq!(left.iter().filter(|said| said.starts_with("classify.toml")).count(), 4);
    let named = format!("{column}\nclasses = {{ \"public.cards.number\" = \"card\", credit_card = \"card\" }}");
    let (mutation, _) = survivors(rules, CLASSIFY, &case(&named));
    let left = said(&mutation);
    let of_classes: Vec<&String> = left.iter().filter(|said| said.starts_with("classify.toml")).collect();
    assert_eq!(of_classes.len(), 2, "{left:?}");
}

#[test]
fn mutants_of_the_example_are_all_valid_and_each_differs_from_it() {
    let bundle = support::shipped("policy");
    let mut rules = BTreeSet::new();
    let mut notes = BTreeSet::new();
    for mutant in bundle.mutants() {
        assert!(mutant.note.position.is_some(), "{}", mutant.note);
        assert!(
            notes.insert((mutant.note.to_string(), mutant.change)),
            "twice: {}",
            mutant.note
        );
        rules.extend(mutant.rule);
    }
    assert!(notes.len() > 200, "{}", notes.len());
    let unchanged: Vec<_> = bundle.rule_ids().filter(|id| !rules.contains(id)).collect();
    assert!(unchanged.is_empty(), "{unchanged:?}");
}
