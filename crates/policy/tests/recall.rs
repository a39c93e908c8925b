//! How much of what changes the search finds: the example policy is mutated, and what requests at random show to be a
//! difference must be found too.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use sallyport_policy::{
    Act, ActionName, Budget, Bundle, DifferenceKind as Kind, Loader, Outcome, Resource, Reveal, Situation, Subject,
    SubjectKind, Value, View, compare, stricter,
};
use smol_str::SmolStr;
use support::{root, shipped_fragments, statement};

/// Which of the mutants are tried: one in so many.
const ONE_IN: usize = 9;
/// How many requests are made at random for each.
const REQUESTS: usize = 4000;

fn patient() -> Budget {
    Budget {
        time: Duration::from_secs(600),
        draws: 200,
        ..Budget::default()
    }
}

/// Edits that turn one rule into another, wherever their text stands.
const EDITS: &[(&str, &str)] = &[
    ("\nforbid", "\npermit"),
    ("\npermit", "\nforbid"),
    ("unless", "when"),
    ("when", "unless"),
    ("&&", "||"),
    ("||", "&&"),
    ("containsAny", "containsAll"),
    ("isEmpty()", "contains(\"x\")"),
    ("principal in Group::\"developers\"", "principal in Group::\"dba\""),
    ("principal in Group::\"dba\"", "principal"),
    ("principal in Group::\"operators\"", "principal is Machine"),
    (
        "resource in Environment::\"production\"",
        "resource in Environment::\"staging\"",
    ),
    ("resource in Environment::\"production\"", "resource"),
    (
        "resource in Classification::\"pii\"",
        "resource in Classification::\"secret\"",
    ),
    ("@hold(\"dba\")", ""),
    ("@hold(\"operators\")", "@hold(\"operators:2\")"),
    ("@mask(\"partial\")", "@mask(\"redact\")"),
    ("@mask(\"redact\")", ""),
    ("\"server_file\"", "\"other_file\""),
    ("\"kernel\"", "\"clock\""),
    ("\"sftp\"", "\"scp\""),
    ("Sql::Action::\"write\"", "Sql::Action::\"admin\""),
    ("Sql::Action::\"destructive\"", "Sql::Action::\"drop\""),
    ("Ssh::Action::\"files_write\"", "Ssh::Action::\"files\""),
    ("Ssh::Action::\"exec\"", "Ssh::Action::\"run\""),
    ("context.download_runs", "context.background"),
    (
        "context.approved_by.contains(Group::\"dba\")",
        "context.approved_by.contains(Group::\"dba\") && context has task",
    ),
    ("context.replication", "context.replication && context.tls"),
    ("Classification::\"host-code\"", "Classification::\"host-secret\""),
    ("Classification::\"national-id\"", "Classification::\"pii\""),
];

/// Every mutant of the example policy that is a bundle: which edit at which place, and the bundle.
fn mutants() -> Vec<(String, Bundle)> {
    let from = root().join("policy");
    let loader = Loader::new(&shipped_fragments());
    let (mut mutants, mut made) = (Vec::new(), 0_usize);
    for file in ["access", "changes", "hosts", "masks"] {
        let name = format!("rules/{file}.cedar");
        let text = fs::read_to_string(from.join(&name)).unwrap();
        for (old, new) in EDITS {
            for (count, (at, _)) in text.match_indices(old).enumerate() {
                made += 1;
                if !made.is_multiple_of(ONE_IN) {
                    continue;
                }
                let mutated = format!("{}{new}{}", &text[..at], &text[at + old.len()..]);
                let dir = copy_of(&from);
                fs::write(dir.path().join(&name), mutated).unwrap();
                if let Ok(bundle) = loader.load(dir.path()) {
                    mutants.push((format!("{file}: {} → {} ({count})", old.trim(), new.trim()), bundle));
                }
            }
        }
    }
    mutants
}

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

/// A generator of its own, that knows nothing of the search: the words are those of people who know the protocols.
struct Chance(u64);

impl Chance {
    fn below(&mut self, below: usize) -> usize {
        // Knuth's MMIX constants; the low bits repeat soon, so the high ones are taken.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn one<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }

    fn rarely(&mut self) -> bool {
        self.below(6) == 0
    }

    fn some(&mut self, items: &[&'static str]) -> BTreeSet<SmolStr> {
        let count = if self.below(3) > 0 { 0 } else { 1 + self.below(2) };
        (0..count).map(|_| self.one(items).into()).collect()
    }

    fn who(&mut self) -> Subject {
        let all = [
            "developers",
            "dba",
            "operators",
            "support",
            "payments-on-call",
            "auditors",
            "staff",
        ];
        let groups = (0..self.below(3))
            .map(|_| self.one(&all).to_owned())
            .collect::<BTreeSet<_>>();
        Subject {
            kind: if self.rarely() {
                SubjectKind::Machine
            } else {
                SubjectKind::User
            },
            id: "alice".to_owned(),
            groups: groups.into_iter().collect(),
        }
    }

    fn target(&mut self) -> Resource {
        Resource {
            name: self.one(&["orders", "web-1", "new"]).to_owned(),
            protocol: "postgres".to_owned(),
            environment: [Some("production".to_owned()), Some("staging".to_owned()), None][self.below(3)].clone(),
            tags: Vec::new(),
        }
    }

    fn situation(&mut self) -> Situation {
        let task = self.rarely().then(|| "OPS-42".to_owned());
        let approved = self.some(&["dba", "operators", "security"]);
        Situation {
            task,
            approved_by: approved.iter().map(ToString::to_string).collect(),
            ..support::now()
        }
    }

    fn act(&mut self) -> Act {
        let classes = ["pci", "pii", "national-id", "host-secret", "host-code"];
        let hazards = [
            "server_program",
            "server_file",
            "session_identity",
            "privileges",
            "dynamic_sql",
            "unknown_function",
            "raw_storage",
            "statistics",
            "other_file",
            "network",
        ];
        match self.below(4) {
            0 => Act::new(
                ActionName::connect(),
                [
                    (SmolStr::from("database"), "orders".into()),
                    ("user".into(), "alice".into()),
                    ("replication".into(), self.rarely().into()),
                    ("tls".into(), (!self.rarely()).into()),
                ],
            ),
            1 => statement(
                self.one(&[
                    "select",
                    "update",
                    "drop_table",
                    "drop_constraint",
                    "truncate",
                    "alter_table",
                    "create_function",
                    "call",
                    "set_role",
                    "grant",
                    "analyze",
                    "checkpoint",
                    "begin",
                ]),
                &[
                    ("hazards", Value::Strings(self.some(&hazards))),
                    ("unrestricted", Value::Strings(self.some(&["public.orders"]))),
                    ("unresolved", self.rarely().into()),
                    ("untrusted_code", Value::Strings(self.some(&["public.f()"]))),
                    (
                        "inferred_classes",
                        Value::Entities("Classification".into(), self.some(&classes)),
                    ),
                    (
                        "copied_classes",
                        Value::Entities("Classification".into(), self.some(&classes)),
                    ),
                ],
            ),
            _ => self.on_a_host(&classes),
        }
    }

    /// What the rules about hosts read, with all that any of the actions has: superfluous facts are of no consequence.
    fn on_a_host(&mut self, classes: &[&'static str]) -> Act {
        let action = self.one(&[
            "exec",
            "run",
            "shell",
            "subsystem",
            "file_read",
            "file_write",
            "file_rename",
            "forward_local",
        ]);
        let mut facts: Vec<(SmolStr, Value)> = vec![
            ("mode".into(), self.one(&["guarded", "recorded"]).into()),
            ("name".into(), self.one(&["sftp", "scp", "netconf"]).into()),
            ("terminal".into(), (self.below(2) == 0).into()),
            ("download_runs".into(), self.rarely().into()),
            ("background".into(), self.rarely().into()),
            ("opaque".into(), Value::Strings(self.some(&["eval", "dynamic-program"]))),
            ("unknown_programs".into(), Value::Strings(self.some(&["frobnicate"]))),
            (
                "system".into(),
                Value::Strings(self.some(&["power", "kernel", "mount", "service", "clock"])),
            ),
        ];
        for name in ["reads", "writes", "removes", "to"] {
            facts.push((
                format!("{name}_classes").into(),
                Value::Entities("Classification".into(), self.some(classes)),
            ));
        }
        facts.push((
            "classes".into(),
            Value::Entities("Classification".into(), self.some(classes)),
        ));
        Act::new(ActionName::new("Ssh", action), facts)
    }
}

/// How two decisions differ, told by their outcomes.
fn decided(old: &Bundle, new: &Bundle, chance: &mut Chance) -> Option<(ActionName, Kind)> {
    let (who, target, act, situation) = (chance.who(), chance.target(), chance.act(), chance.situation());
    let acts = [act];
    let before = old.decide(&who, &target, &acts, &situation);
    let after = new.decide(&who, &target, &acts, &situation);
    let kind = match (before.outcome, after.outcome) {
        (Outcome::Deny, Outcome::Allow) => Kind::NewlyAllowed,
        (Outcome::Allow, Outcome::Deny) => Kind::NewlyRefused,
        (Outcome::Hold, Outcome::Allow) => Kind::NoLongerHeld,
        (Outcome::Allow, Outcome::Hold) => Kind::NewlyHeld,
        (Outcome::Deny, Outcome::Hold) => Kind::RefusedToHeld,
        (Outcome::Hold, Outcome::Deny) => Kind::HeldToRefused,
        (Outcome::Hold, Outcome::Hold) if before.hold != after.hold => Kind::OtherReviewers,
        _ => return None,
    };
    let [act] = acts;
    Some((act.action, kind))
}

/// Whether a value is shown otherwise; more openly if what was withheld or masked is shown, or what was withheld is masked.
fn shown(old: &Bundle, new: &Bundle, chance: &mut Chance) -> Option<(ActionName, Kind)> {
    let (who, target, situation) = (chance.who(), chance.target(), chance.situation());
    let class = chance.one(&["pci", "pii", "national-id", "contact", "secret", "host-code"]);
    let before = old.reveal(&who, &target, class, View::Plain, &situation).reveal;
    let after = new.reveal(&who, &target, class, View::Plain, &situation).reveal;
    let kind = match (&before, &after) {
        _ if before == after => return None,
        (Reveal::Withhold, _) | (_, Reveal::Clear) => Kind::WeakerMasks,
        (_, Reveal::Withhold) | (Reveal::Clear, _) => Kind::StrongerMasks,
        (Reveal::Mask(one), Reveal::Mask(other)) if stricter(one.clone(), other.clone()) == *other => {
            Kind::StrongerMasks
        }
        (Reveal::Mask(_), Reveal::Mask(_)) => Kind::WeakerMasks,
    };
    Some((ActionName::reveal(), kind))
}

#[test]
fn what_requests_at_random_show_is_found_by_the_search() {
    let old = Bundle::load(&root().join("policy"), &shipped_fragments()).unwrap();
    let (mut wanted, mut missed, mut silent) = (0_usize, Vec::new(), 0_usize);
    let mutants = mutants();
    for (name, new) in &mutants {
        let mut chance = Chance(42);
        let mut differ: BTreeSet<(ActionName, Kind)> = BTreeSet::new();
        for _ in 0..REQUESTS {
            differ.extend(decided(&old, new, &mut chance));
            differ.extend(shown(&old, new, &mut chance));
        }
        let found = compare(&old, new, &shipped_fragments(), patient()).unwrap();
        let has = |(action, kind): &(ActionName, Kind)| {
            found
                .differences
                .iter()
                .any(|difference| difference.kind == *kind && difference.actions.contains(action))
        };
        silent += usize::from(differ.is_empty() && !found.differences.is_empty());
        wanted += differ.len();
        missed.extend(
            differ
                .into_iter()
                .filter(|one| !has(one))
                .map(|(action, kind)| format!("{name}: {kind} of {action}")),
        );
    }
    println!(
        "{} mutants; of {wanted} differences that random requests show {} were found; {silent} mutants differ by the search only",
        mutants.len(),
        wanted - missed.len()
    );
    assert!(
        wanted > mutants.len(),
        "the random requests show too little to compare with: {wanted}"
    );
    assert!(missed.is_empty(), "missed: {missed:#?}");
}
