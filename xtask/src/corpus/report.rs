//! What the run says at its end.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::case::Verdict;

/// What became of one case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) id: String,
    pub(crate) class: String,
    pub(crate) verdict: Verdict,
    pub(crate) passed: bool,
    /// Why it failed.
    pub(crate) reason: String,
}

impl Outcome {
    /// `judged` has the reason why the case failed, if it did; a case that could not be judged has failed.
    pub(crate) fn of(id: &str, class: &str, verdict: Verdict, judged: Result<Option<String>>) -> Self {
        let reason = judged.unwrap_or_else(|error| Some(format!("it could not be judged: {error:#}")));
        Self {
            id: id.to_owned(),
            class: class.to_owned(),
            verdict,
            passed: reason.is_none(),
            reason: reason.unwrap_or_default(),
        }
    }
}

#[derive(Default)]
struct Tally {
    passed: usize,
    all: usize,
}

impl Tally {
    fn add(&mut self, passed: bool) {
        self.all += 1;
        self.passed += usize::from(passed);
    }

    fn failed(&self) -> usize {
        self.all - self.passed
    }

    fn share(&self) -> String {
        if self.all == 0 {
            return "–".to_owned();
        }
        let tenths = self.passed * 1000 / self.all;
        format!("{}.{} %", tenths / 10, tenths % 10)
    }

    fn show(&self) -> String {
        if self.all == 0 {
            "–".to_owned()
        } else {
            format!("{}/{}", self.passed, self.all)
        }
    }
}

/// Whether a case is one of those that must be stopped or masked (not one that must be let through).
fn is_attack(verdict: Verdict) -> bool {
    match verdict {
        Verdict::MustBlock | Verdict::MustMask => true,
        Verdict::MustAllow | Verdict::MustNotMask | Verdict::Either => false,
    }
}

/// Prints the table, the failures and the totals; whether nothing failed. `notes` say what was left out.
pub(crate) fn print(outcomes: &[Outcome], heads: [&str; 2], notes: &[String]) -> bool {
    let mut classes: BTreeMap<&str, [Tally; 2]> = BTreeMap::new();
    let mut totals: [Tally; 2] = Default::default();
    for outcome in outcomes {
        let [attacks, others] = classes.entry(&outcome.class).or_default();
        let [all_attacks, all_others] = &mut totals;
        let (class, total) = if is_attack(outcome.verdict) {
            (attacks, all_attacks)
        } else {
            (others, all_others)
        };
        class.add(outcome.passed);
        total.add(outcome.passed);
    }
    println!("{:<28} {:>12} {:>14}", "class", heads[0], heads[1]);
    for (class, [attacks, others]) in &classes {
        println!("{class:<28} {:>12} {:>14}", attacks.show(), others.show());
    }
    println!("{:<28} {:>12} {:>14}", "all", totals[0].show(), totals[1].show());
    let [attacks, others] = &totals;
    println!("{}: {}, {}: {}", heads[0], attacks.share(), heads[1], others.share());
    let worst = classes
        .iter()
        .max_by_key(|(_, [attacks, others])| attacks.failed() + others.failed());
    match worst.filter(|(_, [attacks, others])| attacks.failed() + others.failed() > 0) {
        Some((class, [attacks, others])) => println!(
            "\nworst class: {class} ({} not stopped, {} wrongly refused)",
            attacks.failed(),
            others.failed()
        ),
        None => println!("\nno class has a failure"),
    }
    let failures: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.passed).collect();
    for failure in &failures {
        println!("FAILED {} ({}): {}", failure.id, failure.class, failure.reason);
    }
    for note in notes {
        println!("{note}");
    }
    println!("{} passed, {} failed", outcomes.len() - failures.len(), failures.len());
    failures.is_empty()
}

/// What is said of cases that either outcome is right for.
pub(crate) fn unscored(count: usize) -> Vec<String> {
    let note = format!("{count} not scored (either outcome is right)");
    (count > 0).then_some(note).into_iter().collect()
}
