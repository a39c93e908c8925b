//! What is said of rules that do nothing is true: without such a rule every request has the same outcome.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;

use sallyport_policy::{
    Act, ActionName, Bundle, Checked, Decision, Loader, Outcome, Resource, SchemaFragment, Situation, Subject,
    SubjectKind, Value,
};
use support::{now, user};

/// A small protocol: bundles about it load fast.
const SCHEMA: &str = "namespace T {
    type Facts = {
        task?: String, now: datetime, source?: ipaddr, approved_by: Set<Group>, watched_by: Set<Group>,
        a: Bool, b: Bool, s: Set<String>,
    };
    action any;
    action write in [any];
    action look in [any] appliesTo { principal: [User, Machine], resource: [Target], context: Facts };
    action change in [write] appliesTo { principal: [User, Machine], resource: [Target], context: Facts };
    action remove in [write] appliesTo { principal: [User, Machine], resource: [Target], context: Facts };
}";

const TARGETS: &str = "[[target]]\nname = \"one\"\nenvironment = \"production\"\ntags = [\"pci\"]\n\
    [[target]]\nname = \"two\"\nenvironment = \"staging\"\ntags = [\"lab\"]\n";

const PRINCIPALS: &[&str] = &[
    "principal",
    "principal",
    "principal is User",
    "principal is Machine",
    "principal in Group::\"dev\"",
    "principal is User in Group::\"dev\"",
    "principal == User::\"alice\"",
];
const ACTIONS: &[&str] = &[
    "action in T::Action::\"any\"",
    "action in T::Action::\"write\"",
    "action in [T::Action::\"look\", T::Action::\"change\"]",
    "action == T::Action::\"remove\"",
];
const RESOURCES: &[&str] = &[
    "resource",
    "resource",
    "resource in Environment::\"production\"",
    "resource in Tag::\"lab\"",
    "resource == Target::\"one\"",
];
const ATOMS: &[&str] = &[
    "context.a",
    "context.b == false",
    "context.s.contains(\"x\")",
    "context.s.containsAny([\"x\", \"y\"])",
    "context.s.containsAll([\"x\", \"y\"])",
    "context.s.isEmpty()",
    "principal in Group::\"dba\"",
    "principal in [Group::\"dba\", Group::\"dev\"]",
    "resource in Tag::\"pci\"",
    "resource in Environment::\"staging\"",
    "action in T::Action::\"write\"",
    "(if context.a then context.b else context.s.isEmpty())",
    "context.approved_by.contains(Group::\"dba\")",
    "!context.approved_by.isEmpty()",
];

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    fn condition(&mut self) -> String {
        let mut terms = self.of(ATOMS).to_owned();
        for _ in 0..self.below(3) {
            let (join, not) = (self.of(&["&&", "||"]), self.of(&["", "!"]));
            let atom = self.of(ATOMS);
            terms = format!("({terms} {join} {not}({atom}))");
        }
        terms
    }

    fn rule(&mut self, id: usize) -> String {
        let effect = self.of(&["permit", "permit", "forbid", "forbid", "hold"]);
        let (who, what, place) = (self.of(PRINCIPALS), self.of(ACTIONS), self.of(RESOURCES));
        let mut conditions = String::new();
        if self.below(3) > 0 {
            conditions = format!("{} {{ {} }}", self.of(&["when", "unless"]), self.condition());
        }
        if effect == "hold" {
            let other = self.condition();
            let approved = "context.approved_by.contains(Group::\"dba\")";
            let unless = match self.below(4) {
                0 => format!("unless {{ {approved} && {other} }}"),
                1 => format!("when {{ {approved} || {other} }}"),
                _ => format!("unless {{ {approved} }}"),
            };
            return format!("@id(\"r{id}\") @hold(\"dba\") forbid ({who}, {what}, {place}) {conditions} {unless};");
        }
        format!("@id(\"r{id}\") {effect} ({who}, {what}, {place}) {conditions};")
    }
}

fn check(rules: &[String]) -> Checked {
    let dir = support::write(&rules.join("\n"), "");
    fs::write(dir.path().join("targets.toml"), TARGETS).unwrap();
    Loader::new(&[SchemaFragment::new("t", SCHEMA)]).check(dir.path())
}

fn subjects() -> Vec<Subject> {
    let machine = |groups: &[&str]| Subject {
        kind: SubjectKind::Machine,
        ..user("ci", groups)
    };
    vec![
        user("alice", &[]),
        user("alice", &["dev", "dba"]),
        user("bob", &["dev"]),
        user("dana", &["dba"]),
        machine(&[]),
        machine(&["dev"]),
    ]
}

fn targets() -> Vec<Resource> {
    let target = |name: &str, environment: &str, tag: &str| Resource {
        name: name.to_owned(),
        protocol: "t".to_owned(),
        environment: Some(environment.to_owned()),
        tags: vec![tag.to_owned()],
    };
    vec![target("one", "production", "pci"), target("two", "staging", "lab")]
}

fn acts() -> Vec<Act> {
    let mut acts = Vec::new();
    for action in ["look", "change", "remove"] {
        for facts in 0..16 {
            let items = ["x", "y"]
                .into_iter()
                .enumerate()
                .filter(|(at, _)| facts >> at & 1 == 1);
            let s = Value::strings(items.map(|(_, item)| item));
            let (a, b) = (Value::Bool(facts & 4 != 0), Value::Bool(facts & 8 != 0));
            let facts = [("a".into(), a), ("b".into(), b), ("s".into(), s)];
            acts.push(Act::new(ActionName::new("T", action), facts));
        }
    }
    acts
}

/// What comes of every request, with and without an approval.
fn decisions(bundle: &Bundle) -> Vec<Decision> {
    let approved = Situation {
        approved_by: ["dba".to_owned()].into(),
        ..now()
    };
    let mut decisions = Vec::new();
    for (who, target) in subjects()
        .iter()
        .flat_map(|who| targets().into_iter().map(move |target| (who, target)))
    {
        for act in acts() {
            for situation in [&now(), &approved] {
                decisions.push(bundle.decide(who, &target, std::slice::from_ref(&act), situation));
            }
        }
    }
    decisions
}

fn outcomes(decisions: &[Decision]) -> Vec<Outcome> {
    decisions.iter().map(|decision| decision.outcome).collect()
}

#[test]
fn what_is_said_of_rules_is_true() {
    let mut dice = Dice(5);
    let mut confirmed: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..60 {
        let rules: Vec<String> = (0..10).map(|id| dice.rule(id)).collect();
        let checked = check(&rules);
        // Some rules are refused by Cedar's own validator.
        let Some(bundle) = &checked.bundle else { continue };
        let before = decisions(bundle);
        for found in &checked.findings {
            let id = found.rule().unwrap();
            if found.code.slug() == "hold-without-release" {
                let held = before
                    .iter()
                    .any(|d| d.outcome == Outcome::Hold && d.rules.contains(id));
                assert!(!held, "{found}\n{}", rules.join("\n"));
            } else {
                let mine = format!("@id(\"{id}\")");
                let others: Vec<String> = rules.iter().filter(|rule| !rule.starts_with(&mine)).cloned().collect();
                let after = decisions(check(&others).bundle.as_ref().unwrap());
                assert_eq!(outcomes(&before), outcomes(&after), "{found}\n{}", rules.join("\n"));
            }
            *confirmed.entry(found.code.slug()).or_default() += 1;
        }
    }
    // The bundles are such that each kind of finding is among them.
    for code in [
        "contradiction",
        "hold-of-nothing",
        "hold-overruled",
        "hold-without-release",
        "no-target",
        "overruled-permit",
        "pointless-forbid",
        "pointless-permit",
    ] {
        assert!(confirmed.contains_key(code), "{code} is not among {confirmed:?}");
    }
}
