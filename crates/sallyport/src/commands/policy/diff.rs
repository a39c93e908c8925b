//! `sallyport policy diff`: what a change of rules changes, by meaning.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use sallyport_policy::{
    Answer, Bundle, Certainty, Comparison, Difference, DifferenceKind, Reveal, Solver, Witness, compare,
    nothing_newly_allowed,
};
use serde_json::json;

use super::super::terminal::print_json;
use super::report::{self, Format};
use super::revision;
use crate::gateway::loader;

/// Say by meaning what changes between two bundles, each change with a request that shows it.
///
/// Fails when anything changes, or with `--fail-on` when something of these kinds does.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The bundle before: a directory, a git revision (`main~3`), or a revision and a folder (`main~3:policy`).
    #[arg(value_name = "OLD")]
    old: String,
    /// The bundle after, in the same ways.
    #[arg(value_name = "NEW")]
    new: String,
    /// The bundle whose revisions are meant; when it is not given, OLD or NEW if one is a directory, else `policy`.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How long to search.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = report::budget)]
    budget: Duration,
    /// Kinds of changes that make the command fail, and no others: `newly-allowed,weaker-masks`.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    fail_on: Vec<DifferenceKind>,
    /// How the answer is written.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl DiffArgs {
    /// Compares, and says what changes.
    ///
    /// # Errors
    /// When a bundle cannot be had, and when something changes that must not.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let loader = loader();
        let directory = [&self.new, &self.old]
            .into_iter()
            .map(PathBuf::from)
            .find(|path| path.is_dir());
        let dir = self
            .dir
            .clone()
            .or(directory)
            .unwrap_or_else(|| PathBuf::from("policy"));
        let old = revision::load(&loader, &self.old, &dir)?;
        let new = revision::load(&loader, &self.new, &dir)?;
        let comparison = compare(&old, &new, loader.fragments(), report::within(self.budget))?;
        let proof = self.proof(&old, &new, &comparison);
        let format = if self.json { Format::Json } else { self.format };
        match format {
            Format::Json => print_json(&as_json(&comparison, &proof))?,
            Format::Markdown => writeln!(stdout(), "{}", markdown(&comparison, &proof).trim_end())?,
            Format::Text => writeln!(stdout(), "{}", text(&comparison, &proof).trim_end())?,
        }
        self.judge(&comparison.differences)
    }

    /// Proves that nothing is newly allowed, unless the search has found otherwise or there is nothing to prove.
    fn proof(&self, old: &Bundle, new: &Bundle, comparison: &Comparison) -> Proof {
        let more = [DifferenceKind::NewlyAllowed, DifferenceKind::NoLongerHeld];
        let clear = |difference: &Difference| {
            let after = difference.witness.as_ref().map(|witness| &witness.after);
            matches!(after, Some(Answer::Disclosure(disclosure)) if disclosure.reveal == Reveal::Clear)
                && difference.kind == DifferenceKind::WeakerMasks
        };
        let differences = &comparison.differences;
        if comparison.effort.actions == 0 || differences.iter().any(|one| more.contains(&one.kind) || clear(one)) {
            return Proof::NotAsked;
        }
        match Solver::find() {
            Some(solver) => Proof::Asked(nothing_newly_allowed(old, new, &solver, self.budget)),
            None => Proof::NoSolver,
        }
    }

    fn judge(&self, differences: &[Difference]) -> anyhow::Result<()> {
        let counts = |difference: &&Difference| self.fail_on.is_empty() || self.fail_on.contains(&difference.kind);
        let bad: Vec<&Difference> = differences.iter().filter(counts).collect();
        if bad.is_empty() {
            return Ok(());
        }
        let kinds: BTreeSet<String> = bad.iter().map(|difference| difference.kind.to_string()).collect();
        let noun = if bad.len() == 1 { "change" } else { "changes" };
        let kinds: Vec<String> = kinds.into_iter().collect();
        bail!("{} {noun} by meaning: {}", bad.len(), kinds.join(", "))
    }
}

/// What became of the proof that nothing is newly allowed.
enum Proof {
    /// There was nothing to prove.
    NotAsked,
    NoSolver,
    Asked(Certainty),
}

impl Proof {
    /// A sentence; `beside` when what the facts come from differs as well.
    fn words(&self, beside: bool) -> String {
        match self {
            Self::NotAsked => String::new(),
            Self::NoSolver => format!(" {}", report::NO_SOLVER),
            Self::Asked(certainty) if certainty.is_whole() => format!(
                " Proven with cvc5: nothing is newly allowed or newly shown in the clear, whatever the request{}.",
                if beside { ", with the same facts" } else { "" }
            ),
            Self::Asked(certainty) => {
                let first = certainty.open.first().map(String::as_str).unwrap_or_default();
                let (open, all) = (certainty.open.len(), certainty.open.len() + certainty.proven);
                format!(
                    " That nothing is newly allowed could not be proven with cvc5 for {open} of {all} kinds of \
                     requests: {first}."
                )
            }
        }
    }
}

/// Whether the files themselves differ in something: targets, classes, what is trusted, what only observes. What is
/// decided of the same facts is not all then.
fn beside(comparison: &Comparison) -> bool {
    comparison
        .differences
        .iter()
        .any(|difference| difference.witness.is_none())
}

fn as_json(comparison: &Comparison, proof: &Proof) -> serde_json::Value {
    let beside = beside(comparison);
    let nothing_newly_allowed = match proof {
        Proof::NotAsked if comparison.effort.actions == 0 => json!({ "proven": !beside }),
        Proof::NotAsked | Proof::NoSolver => json!({ "proven": false }),
        Proof::Asked(certainty) => json!({ "proven": certainty.is_whole() && !beside, "open": certainty.open }),
    };
    json!({
        "differences": comparison.differences,
        "effort": comparison.effort,
        "nothing_newly_allowed": nothing_newly_allowed,
        "summary": summary(comparison, proof),
    })
}

/// What was done, and how sure the answer is.
fn summary(comparison: &Comparison, proof: &Proof) -> String {
    let effort = &comparison.effort;
    let asked = comparison
        .differences
        .iter()
        .any(|difference| difference.witness.is_some());
    let beside = beside(comparison);
    let same = if beside { "with the same facts " } else { "" };
    if effort.actions == 0 {
        let count = effort.alike;
        return format!("The same rules apply to all {count} actions: {same}nothing is decided otherwise.");
    }
    let alike = match effort.alike {
        0 => String::new(),
        count => format!(" To {count} other actions the same rules apply."),
    };
    let (requests, proven) = (report::requests(effort), proof.words(beside));
    let (cut, actions) = (report::cut(effort), effort.actions);
    if asked {
        format!(
            "Searched {requests} of {actions} actions{cut}; there may be differences that were not found.{alike}{proven}"
        )
    } else {
        format!(
            "Searched {requests} of {actions} actions, found none that {same}is decided otherwise; not proven{cut}.{alike}{proven}"
        )
    }
}

fn text(comparison: &Comparison, proof: &Proof) -> String {
    let mut out = String::new();
    let mut last = None;
    for difference in &comparison.differences {
        if last != Some(difference.kind) {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{} ({})", difference.kind.heading(), difference.kind);
            last = Some(difference.kind);
        }
        let _ = writeln!(out, "  {}", report::line(&difference.sentence));
        for line in difference.witness.iter().flat_map(|witness| lines(witness)) {
            let _ = writeln!(out, "      {}", report::line(&line));
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out + &report::line(&summary(comparison, proof))
}

/// A witness, a line for each part.
fn lines(witness: &Witness) -> Vec<String> {
    let request = report::request(&witness.who, &witness.target, &witness.action, witness.class.as_ref());
    let mut lines = vec![format!("for example: {request}")];
    if let Some(was) = &witness.target_before {
        lines.push(format!("where the target was {}", report::place(was)));
    }
    if !witness.facts.is_empty() {
        lines.push(format!("with {}", report::facts(&witness.facts)));
    }
    lines.push(format!("before: {}", report::answer(&witness.before)));
    lines.push(format!("after:  {}", report::answer(&witness.after)));
    lines
}

fn markdown(comparison: &Comparison, proof: &Proof) -> String {
    let mut out = String::from("### What this changes\n\n");
    let mut last = None;
    for difference in &comparison.differences {
        if last != Some(difference.kind) {
            let gap = if last.is_some() { "\n" } else { "" };
            let _ = writeln!(out, "{gap}**{}**\n", difference.kind.heading());
            last = Some(difference.kind);
        }
        let _ = writeln!(out, "- {}", report::markdown(&difference.sentence));
        if let Some(witness) = &difference.witness {
            let _ = writeln!(out, "  <details><summary>A request that shows it</summary>\n");
            for line in lines(witness) {
                let _ = writeln!(out, "  - {}", report::markdown(&line));
            }
            let _ = writeln!(out, "\n  </details>");
        }
    }
    if last.is_some() {
        out.push('\n');
    }
    out + &report::markdown(&summary(comparison, proof))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use std::fs;

    const RULES: &str = "@id(\"all\") permit (principal, action, resource);\n";

    fn compared(rules: [&str; 2], targets: [&str; 2]) -> Comparison {
        let dirs = [0, 1].map(|side: usize| {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("rules")).unwrap();
            fs::write(dir.path().join("rules/all.cedar"), rules[side]).unwrap();
            fs::write(dir.path().join("targets.toml"), targets[side]).unwrap();
            dir
        });
        let loader = loader();
        let [old, new] = dirs.map(|dir| loader.load(dir.path()).unwrap());
        compare(&old, &new, loader.fragments(), report::within(Duration::from_secs(60))).unwrap()
    }

    const TARGET: &str = "[[target]]\nname = \"web\"\nprotocol = \"ssh\"\nshell = \"guarded\"\n";

    #[test]
    fn nothing_is_said_to_be_proven_when_targets_differ() {
        let same = compared([RULES; 2], [TARGET; 2]);
        let said = summary(&same, &Proof::NotAsked);
        assert!(said.ends_with("actions: nothing is decided otherwise."), "{said}");
        assert_eq!(
            as_json(&same, &Proof::NotAsked)["nothing_newly_allowed"]["proven"],
            true
        );
        let open = TARGET.replace("guarded", "recorded");
        let other = compared([RULES; 2], [TARGET, &open]);
        let said = summary(&other, &Proof::NotAsked);
        assert!(
            said.ends_with("actions: with the same facts nothing is decided otherwise."),
            "{said}"
        );
        let whole = Proof::Asked(Certainty {
            proven: 1,
            open: Vec::new(),
        });
        for proof in [&Proof::NotAsked, &whole] {
            assert_eq!(as_json(&other, proof)["nothing_newly_allowed"]["proven"], false);
        }
        assert!(text(&other, &Proof::NotAsked).contains("`shell` of target `web` is now `recorded` (was `guarded`)"));
    }

    #[test]
    fn names_in_a_bundle_become_neither_lines_nor_markup() {
        let name = "z\\n::add-mask::x`\\n@team ![x](https://evil.example)";
        let new = format!(
            "{RULES}@id(\"no\") forbid (principal in Group::\"{name}\", action == Action::\"connect\", resource);"
        );
        let found = compared([RULES, &new], [TARGET; 2]);
        assert_eq!(found.differences.len(), 1);
        let text = text(&found, &Proof::NotAsked);
        assert!(text.contains("add-mask"), "{text}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{text}");
        let shown = markdown(&found, &Proof::NotAsked);
        for live in ["@team", "![", "](", "https:", "\n::"] {
            assert!(!shown.contains(live), "{live}: {shown}");
        }
    }
}
