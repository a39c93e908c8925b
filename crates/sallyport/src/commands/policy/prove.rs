//! `sallyport policy prove`: whether what must be true of a bundle is refuted by a request.

use std::fmt::Write as _;
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use sallyport_policy::{Counterexample, Finding, Proof, Solver, certain, prove};
use serde_json::json;

use super::super::terminal::print_json;
use super::report::{self, Format};
use super::revision;
use crate::gateway::loader;

/// Hold a bundle to the properties in its `properties.toml`; a request is shown that refutes one.
///
/// Fails when a property is refuted, speaks of no request at all, or could not be tried.
#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    /// The bundle: a directory, or a git revision of `policy`.
    #[arg(default_value = "policy", value_name = "DIR")]
    dir: String,
    /// How long to search, for all properties together.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = report::budget)]
    budget: Duration,
    /// How the answer is written.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ProveArgs {
    /// Looks for requests that refute the properties.
    ///
    /// # Errors
    /// When a property does not hold, or cannot be read.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let loader = loader();
        let bundle = revision::load(&loader, &self.dir, &PathBuf::from("policy"))?;
        let mut proofs = match prove(&bundle, loader.fragments(), report::within(self.budget)) {
            Ok(proofs) => proofs,
            Err(problems) => {
                let count = problems.len();
                for mut problem in problems {
                    problem.message = report::line(&problem.message);
                    writeln!(stderr(), "{:?}", miette::Report::new(problem))?;
                }
                let noun = if count == 1 { "mistake" } else { "mistakes" };
                bail!("the properties of `{}` have {count} {noun}", self.dir);
            }
        };
        if proofs.is_empty() {
            bail!("`{}` has no properties: write some into its properties.toml", self.dir);
        }
        let solver = Solver::find();
        if let Some(solver) = &solver {
            certain(&bundle, &mut proofs, solver, self.budget);
        }
        let format = if self.json { Format::Json } else { self.format };
        match format {
            Format::Json => print_json(&json!({ "properties": proofs, "solver": solver.is_some() }))?,
            Format::Markdown => writeln!(stdout(), "{}", markdown(&proofs, solver.is_some()).trim_end())?,
            Format::Text => writeln!(stdout(), "{}", text(&proofs, solver.is_some()).trim_end())?,
        }
        let bad = proofs
            .iter()
            .filter(|proof| !matches!(proof.finding, Finding::NotRefuted | Finding::Proven))
            .count();
        match bad {
            0 => Ok(()),
            1 => bail!("1 property does not hold"),
            count => bail!("{count} properties do not hold"),
        }
    }
}

/// What came of a property: a mark for people, and words.
fn verdict(proof: &Proof) -> (&'static str, String) {
    match &proof.finding {
        Finding::Refuted(_) => ("✗", "does not hold".to_owned()),
        Finding::Proven => ("✓", "proven with cvc5, whatever the request".to_owned()),
        Finding::NotRefuted => ("·", report::effort(&proof.effort)),
        Finding::SpeaksOfNothing => (
            "✗",
            "no request was found that it speaks of; say more clearly what it is about".to_owned(),
        ),
        Finding::NotTried => (
            "✗",
            "time ran out before it was tried; give it more with `--budget`".to_owned(),
        ),
    }
}

fn text(proofs: &[Proof], solver: bool) -> String {
    let mut out = String::new();
    for proof in proofs {
        let (mark, words) = verdict(proof);
        // Writing to a string does not fail.
        let _ = writeln!(out, "{mark} {}: {words}", report::line(&proof.name));
        for line in lines(proof) {
            let _ = writeln!(out, "    {}", report::line(&line));
        }
    }
    if !solver && proofs.iter().any(|proof| matches!(proof.finding, Finding::NotRefuted)) {
        let _ = writeln!(out, "{}", report::NO_SOLVER);
    }
    out
}

fn lines(proof: &Proof) -> Vec<String> {
    let Finding::Refuted(example) = &proof.finding else {
        // One reason is enough why a solver did not prove it.
        return proof
            .open
            .iter()
            .take(1)
            .map(|why| format!("cvc5 did not prove it: {why}"))
            .collect();
    };
    let Counterexample {
        who,
        target,
        action,
        class,
        facts,
        answer,
        ..
    } = example.as_ref();
    let mut lines = vec![format!(
        "for example: {}",
        report::request(who, target, action, class.as_ref())
    )];
    if !facts.is_empty() {
        lines.push(format!("with {}", report::facts(facts)));
    }
    lines.push(format!("is {}", report::answer(answer)));
    lines
}

fn markdown(proofs: &[Proof], solver: bool) -> String {
    let mut out = String::from("### Properties\n\n");
    for proof in proofs {
        let (mark, words) = verdict(proof);
        let _ = writeln!(
            out,
            "- {mark} {}: {}",
            report::markdown(&proof.name),
            report::markdown(&words)
        );
        for line in lines(proof) {
            let _ = writeln!(out, "  - {}", report::markdown(&line));
        }
    }
    if !solver {
        let _ = writeln!(out, "\n{}", report::markdown(report::NO_SOLVER));
    }
    out
}
