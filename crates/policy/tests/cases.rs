//! Cases say what is wrong, and where.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;

use sallyport_policy::{Bundle, CaseReport, Meaning};
use support::{orders, sql, statement, write};

const RULES: &str = r#"
    @id("all") permit (principal, action, resource);
    @id("wait") @hold("dba") forbid (principal, action in Sql::Action::"ddl", resource)
    unless { context.approved_by.contains(Group::"dba") };
    @id("pii") @mask("partial") forbid (principal, action == Action::"reveal", resource == Classification::"pii")
    unless { context.full_screen };
    @id("nobody-sees") forbid (principal, action == Action::"reveal", resource == Classification::"secret");
    @id("late") forbid (principal, action == Action::"connect", resource)
    when { context.now > datetime("2026-06-01") };"#;

fn bundle(cases: &str) -> Bundle {
    let dir = write(RULES, "classes = [{ name = \"pii\" }, { name = \"secret\" }]");
    fs::create_dir(dir.path().join("tests")).unwrap();
    fs::write(dir.path().join("tests/a.toml"), cases).unwrap();
    Bundle::load(dir.path(), &[sql()]).unwrap()
}

/// Runs cases whose commands are names of actions.
fn run(cases: &str) -> CaseReport {
    let bundle = bundle(cases);
    let find = |name: &str| (name == "orders").then(orders);
    bundle.run(&bundle.cases().unwrap(), find, |case, _| {
        match case.command.as_deref().unwrap() {
            "?" => Err("not understood".to_owned()),
            "card" => Ok(Meaning {
                acts: vec![statement("select", &[])],
                shows: vec!["secret".into()],
                ..Meaning::default()
            }),
            action => Ok(vec![statement(action, &[])].into()),
        }
    })
}

fn case(rest: &str) -> String {
    format!("[[case]]\nname = \"c\"\nwho = {{ user = \"a\" }}\ntarget = \"orders\"\n{rest}\n")
}

#[test]
fn what_comes_out_as_expected_passes() {
    let text = [
        "command = \"select\"\nexpect = \"allow\"\nrules = [\"all\"]\nmask = { pii = \"partial\", x = \"clear\" }\nmask_full_screen = { pii = \"clear\" }",
        "command = \"rename\"\nexpect = \"hold\"\nrule = \"wait\"",
        "command = \"rename\"\nexpect = \"allow\"\napproved_by = [\"dba\"]",
        "connect = true\nexpect = \"allow\"",
        "command = \"card\"\nexpect = \"deny\"\nrules = [\"nobody-sees\"]",
        "connect = true\nexpect = \"deny\"\nat = 2026-07-01T10:00:00+02:00\nrule = \"late\"",
    ]
    .map(case)
    .concat();
    let report = run(&text);
    assert_eq!(
        (report.passed, report.failures.len(), report.uncovered().count()),
        (6, 0, 0)
    );
    let decided: Vec<_> = report
        .decided
        .iter()
        .map(|(rule, cases)| (rule.as_str(), *cases))
        .collect();
    assert_eq!(
        decided,
        [("all", 3), ("late", 1), ("nobody-sees", 1), ("pii", 1), ("wait", 1)]
    );
    assert!((report.coverage() - 100.0).abs() < f64::EPSILON);
}

#[test]
fn what_does_not_is_named_with_its_place() {
    let text = [
        "command = \"rename\"\nexpect = \"allow\"",
        "command = \"select\"\nexpect = \"allow\"\nrule = \"other\"",
        "command = \"select\"\nexpect = \"allow\"\nrules = []",
        "command = \"select\"\nexpect = \"allow\"\nmask = { pii = \"clear\" }",
        "command = \"?\"\nexpect = \"deny\"",
    ]
    .map(case)
    .concat();
    let report = run(&text);
    let said: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert_eq!(report.passed, 0);
    assert_eq!(
        said[0],
        "tests/a.toml:1:1: c: hold (waits for approval by `dba`), not allow"
    );
    assert_eq!(said[1], "tests/a.toml:7:1: c: decided by [all], not by `other`");
    assert_eq!(said[2], "tests/a.toml:14:1: c: decided by [all], not by []");
    assert_eq!(
        said[3],
        "tests/a.toml:21:1: c: values of `pii` are shown `partial`, not `clear`"
    );
    assert!(said[4].ends_with("c: not understood"), "{}", said[4]);
    let uncovered: Vec<&str> = report.uncovered().map(|rule| rule.as_str()).collect();
    assert_eq!(uncovered, ["late", "nobody-sees"]);
    let report = run(&case(
        "connect = true\nexpect = \"allow\"\nmask_full_screen = { pii = \"partial\" }",
    ));
    let said: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["tests/a.toml:1:1: c: values of `pii` are shown `clear` by full-screen programs, not `partial`"]
    );
}

#[test]
fn cases_say_who_is_asked_what_ends_and_what_only_observes() {
    let rules = r#"
        @id("all") permit (principal, action, resource);
        @id("wait") @hold("dba:2,security") forbid (principal, action == Sql::Action::"rename", resource)
        unless { context.approved_by.contains(Group::"dba") && context.approved_by.contains(Group::"security") };
        @id("watched") @moderate("ops") forbid (principal, action == Sql::Action::"copy_to", resource)
        unless { context.watched_by.contains(Group::"ops") };
        @id("roles") @ends("session") forbid (principal, action == Sql::Action::"set_role", resource);
        @id("late") @enforce("false") forbid (principal, action == Sql::Action::"grant", resource);"#;
    let classify = "columns = [{ column = \"public.*.pan\", class = \"pci\" }]
        detectors = [{ kind = \"ssn\", class = \"pii\" }]";
    let dir = write(rules, classify);
    fs::create_dir(dir.path().join("tests")).unwrap();
    let run = |cases: &str| {
        fs::write(dir.path().join("tests/a.toml"), cases).unwrap();
        let bundle = Bundle::load(dir.path(), &[sql()]).unwrap();
        let report = bundle.run(
            &bundle.cases().unwrap(),
            |_| Some(orders()),
            |case, _| Ok(vec![statement(case.command.as_deref().unwrap(), &[])].into()),
        );
        let said: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        said.iter()
            .map(|said| said.split(": c: ").last().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let fine = [
        "command = \"rename\"\nexpect = \"hold\"\nhold = \"security, dba:2\"",
        "command = \"copy_to\"\nexpect = \"hold\"\nmoderate = \"ops\"",
        "command = \"set_role\"\nexpect = \"deny\"\nends = true",
        "command = \"grant\"\nexpect = \"allow\"\nobserved = \"deny\"",
        "command = \"select\"\nexpect = \"allow\"\nends = false\nclasses = { \"public.a.pan\" = \"pci\", ssn = \"pii\" }",
    ];
    assert_eq!(run(&fine.map(case).concat()), Vec::<String>::new());
    let wrong = [
        "command = \"rename\"\nexpect = \"hold\"\nhold = \"dba\"",
        "command = \"select\"\nexpect = \"allow\"\nmoderate = \"ops\"",
        "command = \"drop_table\"\nexpect = \"allow\"\nends = true",
        "command = \"select\"\nexpect = \"allow\"\nobserved = \"hold\"",
        "command = \"grant\"\nexpect = \"allow\"\nobserved = \"hold\"",
        "command = \"select\"\nexpect = \"allow\"\nclasses = { \"public.a.name\" = \"pci\", iban = \"pii\" }",
    ];
    assert_eq!(
        run(&wrong.map(case).concat()),
        [
            "waits for approval by [dba:2, security:1], not by [dba:1]",
            "waits for {} to watch, not for {\"ops\"}",
            "the session goes on",
            "would have been nothing else if all were enforced, not `hold`",
            "would have been `deny` if all were enforced, not `hold`",
            "`iban` is not `pii`",
            "`public.a.name` is not `pci`",
        ]
    );
}

#[test]
fn cases_are_checked() {
    for (text, said) in [
        (case("expect = \"allow\""), "either a `command` or `connect = true`"),
        (
            case("command = \"x\"\nconnect = true\nexpect = \"allow\""),
            "either a `command`",
        ),
        (case("command = \"x\"\nexpect = \"maybe\""), "unknown variant `maybe`"),
        (
            case("command = \"x\"\nexpect = \"deny\"\nat = 2026-01-01"),
            "a time with an offset",
        ),
        (
            case("command = \"x\"\nexpect = \"hold\"\nhold = \"dba:0\""),
            "not a number of approvals",
        ),
        (
            case("command = \"x\"\nexpect = \"deny\"\nreplication = true"),
            "about connecting",
        ),
        (
            "[[case]]\nname = \"c\"\nwho = {}\ntarget = \"t\"\nconnect = true\nexpect = \"deny\"".into(),
            "either a `user` or a `machine`",
        ),
        ("[[cases]]\n".into(), "unknown field `cases`"),
    ] {
        let problems = bundle(&text).cases().unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].to_string().contains(said), "{}", problems[0]);
    }
}
