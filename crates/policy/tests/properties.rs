//! What `prove` says of properties: those that hold are not refuted, and those that do not are, by a request that shows it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;
use std::time::Duration;

use sallyport_policy::{
    Answer, Budget, Bundle, Counterexample, Finding, LoadError, Loader, Outcome, Problem, Proof, Reveal, prove,
};
use support::{root, shipped_fragments};

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
tags = ["pci-zone"]

[[target]]
name = "lab"
protocol = "postgres"
environment = "staging"
"#;

const CLASSES: &str = "[[columns]]\ncolumn = \"public.*.card_number\"\nclass = \"pci\"\n";

const RULES: &str = r#"
    @id("all") permit (principal, action, resource);
    @id("tasks") forbid (principal, action in Sql::Action::"write", resource in Environment::"production")
    unless { context has task };
    @id("drops") @hold("dba") forbid (principal, action in Sql::Action::"drop", resource in Environment::"production")
    unless { context.approved_by.contains(Group::"dba") };
    @id("day") forbid (principal in Group::"contractors", action == Action::"connect", resource)
    when { context.now.toTime() < duration("8h") || context.now.toTime() >= duration("18h") };
    @id("cards") @mask("keep-last(4)") forbid (principal, action == Action::"reveal", resource in Classification::"pci")
    unless { principal in Group::"payments-on-call" };"#;

fn load(rules: &str, properties: &str) -> Result<Bundle, LoadError> {
    let dir = support::write(rules, CLASSES);
    fs::write(dir.path().join("targets.toml"), TARGETS).unwrap();
    fs::write(dir.path().join("properties.toml"), properties).unwrap();
    Loader::new(&shipped_fragments()).load(dir.path())
}

fn proofs(rules: &str, properties: &str) -> Result<Vec<Proof>, Vec<Problem>> {
    match load(rules, properties) {
        Ok(bundle) => prove(&bundle, &shipped_fragments(), patient()),
        Err(error) => panic!("{error}"),
    }
}

/// What comes of one property under the rules above.
fn one(property: &str) -> Finding {
    one_of(RULES, property)
}

fn one_of(rules: &str, property: &str) -> Finding {
    let proofs = match proofs(rules, &format!("[[property]]\nname = \"it\"\n{property}")) {
        Ok(proofs) => proofs,
        Err(problems) => panic!("{problems:?}"),
    };
    assert!(!proofs[0].effort.cut_short && proofs.len() == 1);
    proofs[0].finding.clone()
}

fn refuted(finding: Finding) -> Box<Counterexample> {
    match finding {
        Finding::Refuted(example) => example,
        other @ (Finding::NotRefuted | Finding::Proven | Finding::SpeaksOfNothing | Finding::NotTried) => {
            panic!("it was not refuted: {other:?}")
        }
    }
}

fn stands(finding: &Finding) -> bool {
    matches!(finding, Finding::NotRefuted)
}

#[test]
fn writes_need_a_task_and_a_hole_is_shown() {
    let property = "never = [\"allow\", \"hold\"]\nactions = 'Sql::Action::\"write\"'\nenvironment = \"production\"\nwithout_task = true";
    assert!(stands(&one(property)));
    let holed = RULES.replace(
        "unless { context has task }",
        "unless { context has task || principal is Machine }",
    );
    let example = refuted(one_of(&holed, property));
    assert_eq!(example.who.kind, sallyport_policy::SubjectKind::Machine);
    assert_eq!(example.target.environment.as_deref(), Some("production"));
    assert_eq!(example.facts["task"], serde_json::Value::Null);
    let Answer::Decision(decision) = &example.answer else {
        panic!("a write is a command")
    };
    assert_eq!(decision.outcome, Outcome::Allow);
    // In staging nothing asks for one.
    let example = refuted(one(&property.replace("production", "staging")));
    assert_eq!(example.target.name, "lab");
}

#[test]
fn drops_need_an_approval_and_groups_of_actions_count_for_all_in_them() {
    let property =
        "never = \"allow\"\nactions = ['Sql::Action::\"drop\"']\nenvironment = \"production\"\nwithout_approval = true";
    assert!(stands(&one(property)));
    let example = refuted(one(&property.replace("\"drop\"", "\"destructive\"")));
    assert!(
        ["truncate", "drop_constraint"].contains(&example.action.name.as_str()),
        "{}",
        example.action
    );
    let example = refuted(one(&property.replace("without_approval = true", "")));
    assert_eq!(example.facts["approved_by"], serde_json::json!(["dba"]));
    // That it waits is another matter.
    let example = refuted(one(&property.replace("\"allow\"", "[\"allow\", \"hold\"]")));
    assert!(matches!(&example.answer, Answer::Decision(decision) if decision.outcome == Outcome::Hold));
}

#[test]
fn classes_are_revealed_to_the_right_people_only() {
    let property = "never = \"clear\"\nclasses = \"pci\"\nunless_groups = \"payments-on-call\"";
    assert!(stands(&one(property)));
    assert!(stands(
        &one(&property.replace("never = \"clear\"", "always = \"mask\""))
    ));
    let example = refuted(one("never = \"clear\"\nclasses = \"pci\""));
    assert_eq!(
        (example.who.groups.join(","), example.class.as_deref()),
        ("payments-on-call".to_owned(), Some("pci"))
    );
    assert!(matches!(&example.answer, Answer::Disclosure(disclosure) if disclosure.reveal == Reveal::Clear));
    let screens = RULES.replace(
        "unless { principal in Group::\"payments-on-call\" }",
        "unless { principal in Group::\"payments-on-call\" || context.full_screen }",
    );
    let example = refuted(one_of(&screens, property));
    assert_eq!(example.facts["full_screen"], true);
    assert!(stands(&one_of(
        &screens,
        &format!("{property}\nunless = 'context.full_screen'")
    )));
    let here = RULES.replace(
        "unless { principal in Group::\"payments-on-call\" }",
        "unless { context.target in Tag::\"pci-zone\" }",
    );
    assert_eq!(
        refuted(one_of(&here, &format!("{property}\ntag = \"pci-zone\"")))
            .target
            .name,
        "orders"
    );
    // No target of today is there, but one may come.
    assert_eq!(
        refuted(one_of(&here, &format!("{property}\nenvironment = \"staging\"")))
            .target
            .name,
        "some-target"
    );
    assert!(stands(&one_of(&here, &format!("{property}\ntarget = \"lab\""))));
}

#[test]
fn hours_are_held_to_the_second() {
    let outside = "when = 'context.now.toTime() < duration(\"8h\") || context.now.toTime() >= duration(\"18h\")'";
    let property = format!("never = \"allow\"\nactions = 'connect'\ngroups = \"contractors\"\n{outside}");
    assert!(stands(&one(&property)));
    let late = RULES.replace(">= duration(\"18h\")", "> duration(\"18h\")");
    let example = refuted(one_of(&late, &property));
    assert_eq!(example.facts["now"], "2026-01-05 18:00:00Z");
    assert_eq!(example.who.groups, ["contractors"]);
}

#[test]
fn what_must_stay_possible_can_be_said_too() {
    let property = "always = [\"allow\", \"hold\"]\nactions = 'Sql::Action::\"drop\"'\ngroups = \"dba\"";
    assert!(stands(&one(property)));
    let shut = RULES.replace("@hold(\"dba\")", "");
    assert!(
        matches!(&refuted(one_of(&shut, property)).answer, Answer::Decision(decision) if decision.outcome == Outcome::Deny)
    );
}

#[test]
fn a_property_that_speaks_of_nothing_is_no_success() {
    let never =
        "never = \"allow\"\nactions = 'connect'\nwhen = 'context.database == \"a\" && context.database == \"b\"'";
    assert!(matches!(one(never), Finding::SpeaksOfNothing));
    let bundle = load(RULES, "[[property]]\nname = \"it\"\nnever = \"allow\"").unwrap();
    let none = Budget {
        time: Duration::ZERO,
        ..Budget::default()
    };
    let proofs = prove(&bundle, &shipped_fragments(), none).unwrap();
    assert!(matches!(proofs[0].finding, Finding::NotTried) && proofs[0].effort.cut_short);
}

#[test]
fn a_target_where_rules_only_observe_adds_nothing_to_what_a_property_speaks_of() {
    let rules = r#"@id("connects") permit (principal, action == Action::"connect", resource);"#;
    let dir = support::write(rules, CLASSES);
    let targets = TARGETS.replace("\"staging\"", "\"staging\"\nenforce = false");
    fs::write(dir.path().join("targets.toml"), targets).unwrap();
    let one = |property: &str| {
        let text = format!("[[property]]\nname = \"it\"\n{property}");
        fs::write(dir.path().join("properties.toml"), text).unwrap();
        let bundle = Loader::new(&shipped_fragments()).load(dir.path()).unwrap();
        prove(&bundle, &shipped_fragments(), patient()).unwrap()[0]
            .finding
            .clone()
    };
    let drops = "never = \"allow\"\nactions = 'Sql::Action::\"drop\"'\n";
    // Everything is allowed on `lab`, but the property is not about it.
    for elsewhere in ["environment = \"production\"", "target = \"orders\""] {
        let finding = one(&format!("{drops}{elsewhere}"));
        assert!(stands(&finding), "{elsewhere}: {finding:?}");
    }
    let finding = one(&format!("{drops}groups = \"dba\"\nwhen = 'context.database == \"a\"'"));
    let example = refuted(finding);
    assert_eq!(
        (example.target.name.as_str(), example.who.groups.join(",")),
        ("lab", "dba".to_owned())
    );
    assert_eq!(example.facts["database"], "a");
}

#[test]
fn a_rule_that_observes_hides_no_counterexample() {
    let property =
        "never = \"allow\"\nactions = 'Sql::Action::\"drop\"'\nenvironment = \"production\"\ngroups = \"interns\"";
    let forbid = |enforce: &str| {
        format!(
            r#"@id("all") permit (principal, action, resource);
            @id("drops") {enforce} forbid (principal, action in Sql::Action::"drop", resource);"#
        )
    };
    assert!(stands(&one_of(&forbid(""), property)));
    let example = refuted(one_of(&forbid("@enforce(\"false\")"), property));
    let Answer::Decision(decision) = &example.answer else {
        panic!("a drop is a command")
    };
    let observed = decision.observed.as_ref().unwrap();
    assert_eq!((decision.outcome, observed.outcome), (Outcome::Allow, Outcome::Deny));
}

#[test]
fn mistakes_are_shown_with_their_place() {
    for (property, wanted) in [
        (
            "never = \"allow\"\nactions = 'Sql::Action::\"dropp\"'",
            "there is no action or group of actions",
        ),
        ("never = \"allow\"\nalways = \"deny\"", "either `never` or `always`"),
        ("never = []", "can come out as `allow`, `hold` or `deny`"),
        ("never = \"clear\"", "can come out as `allow`, `hold` or `deny`"),
        (
            "never = \"allow\"\nclasses = \"pci\"",
            "can come out as `clear`, `mask` or `withhold`",
        ),
        (
            "never = \"clear\"\nclasses = \"pcii\"",
            "classify.toml has no class `pcii`",
        ),
        (
            "never = \"allow\"\nenvironment = \"prod\"",
            "no target in the environment `prod`",
        ),
        ("never = \"allow\"\ntarget = \"order\"", "no target by the name `order`"),
        ("never = \"allow\"\nactions = 'reveal'", "write `classes = […]`"),
        (
            "never = \"allow\"\nactions = 'connect'\nwhen = 'context.hazards.isEmpty()'",
            "`hazards`",
        ),
        (
            "never = \"allow\"\nactions = 'connect'\nwhen = 'context.tls &&'",
            "unexpected",
        ),
        (
            "never = \"allow\"\nactions = 'connect'\nwhen = 'true } permit (principal, action, resource) when { true'",
            "unexpected",
        ),
        ("never = \"allow\"\nnobody = 1", "unknown field"),
    ] {
        let text = format!("# one\n[[property]]\nname = \"it\"\n{property}\n");
        let problems = proofs(RULES, &text).unwrap_err();
        assert!(
            problems.iter().any(|problem| problem.message.contains(wanted)),
            "{property}: {problems:?}"
        );
        assert!(
            problems
                .iter()
                .all(|problem| problem.file == "properties.toml" && problem.position.is_some()),
            "{problems:?}"
        );
    }
    let twice = "[[property]]\nname = \"it\"\nnever = \"allow\"\n".repeat(2);
    assert!(
        proofs(RULES, &twice).unwrap_err()[0]
            .message
            .contains("another property has this name")
    );
}

#[test]
fn properties_decide_nothing() {
    let (with, without) = (
        load(RULES, "[[property]]\nname = \"it\"\nnever = \"allow\"").unwrap(),
        load(RULES, "").unwrap(),
    );
    assert_eq!(with.digest(), without.digest());
    assert!(prove(&without, &shipped_fragments(), patient()).unwrap().is_empty());
}

#[test]
fn the_properties_of_the_example_hold_and_the_search_would_see_if_they_did_not() {
    let dir = root().join("policy");
    let bundle = Bundle::load(&dir, &shipped_fragments()).unwrap();
    let proofs = prove(&bundle, &shipped_fragments(), patient()).unwrap();
    for proof in &proofs {
        assert!(stands(&proof.finding), "{proof:?}");
        assert!(proof.effort.requests > 4, "{proof:?}");
    }
    // Without its forbids, every property but that about what was not understood is refuted.
    let text = ["access", "changes", "hosts", "masks"]
        .map(|file| fs::read_to_string(dir.join(format!("rules/{file}.cedar"))).unwrap());
    let text = text.join("\n");
    let permits: Vec<&str> = text
        .split_inclusive(";\n")
        .filter(|rule| rule.contains("\npermit"))
        .collect();
    let open = support::write(
        &permits.join("\n"),
        &fs::read_to_string(dir.join("classify.toml")).unwrap(),
    );
    for file in ["targets.toml", "properties.toml"] {
        fs::copy(dir.join(file), open.path().join(file)).unwrap();
    }
    let open = Bundle::load(open.path(), &shipped_fragments()).unwrap();
    let standing: Vec<String> = prove(&open, &shipped_fragments(), patient())
        .unwrap()
        .into_iter()
        .filter(|proof| !matches!(proof.finding, Finding::Refuted(_)))
        .map(|proof| proof.name)
        .collect();
    assert_eq!(
        standing,
        [
            "what was not understood does not run",
            "a shell of a host's own is for operators"
        ]
    );
}

#[test]
fn the_book_shows_properties_as_they_are_read_and_names_every_key() {
    let book = fs::read_to_string(root().join("docs/src/policy-diff.md")).unwrap();
    let (_, rest) = book.split_once("```toml\n").unwrap();
    let (example, rest) = rest.split_once("```").unwrap();
    let bundle = {
        let dir = support::write("@id(\"all\") permit (principal, action, resource);", CLASSES);
        fs::write(dir.path().join("targets.toml"), TARGETS).unwrap();
        fs::write(dir.path().join("properties.toml"), example).unwrap();
        Loader::new(&shipped_fragments()).load(dir.path()).unwrap()
    };
    let found = prove(&bundle, &shipped_fragments(), patient()).unwrap();
    assert_eq!(found.len(), 4);
    assert!(
        found.iter().all(|proof| matches!(proof.finding, Finding::Refuted(_))),
        "{found:?}"
    );

    // The complaint about a key that does not exist lists those that do.
    let wrong = proofs(RULES, "[[property]]\nno-such-key = 1").unwrap_err();
    let (_, expected) = wrong[0].message.split_once("expected").unwrap();
    let (_, table) = rest.split_once("| key | says |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let shown: std::collections::BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert_eq!(shown, expected.split('`').skip(1).step_by(2).collect());
}
