//! `sallyport policy check`: whether a policy bundle can come into force.

use std::io::{Write, stderr, stdout};
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use sallyport_policy::{Bundle, LoadError, Problem};
use sallyport_target::{Broker, Catalogue};
use serde_json::json;

use super::super::terminal::print_json;
use crate::gateway::loader;

/// Check that a bundle is valid; each mistake is shown with its place.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The bundle's directory.
    #[arg(default_value = "policy", value_name = "DIR")]
    dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl CheckArgs {
    /// Says what is wrong with the bundle.
    ///
    /// # Errors
    /// When the bundle is not valid.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let checked = loader().load(&self.dir).and_then(|bundle| {
            let targets = targets(&bundle)?;
            Ok((bundle, targets))
        });
        match checked {
            Ok((bundle, targets)) => self.valid(&bundle, targets),
            Err(error) => self.invalid(error),
        }
    }

    fn valid(&self, bundle: &Bundle, targets: usize) -> anyhow::Result<()> {
        if self.json {
            return print_json(&json!({
                "valid": true,
                "digest": bundle.digest(),
                "commit": bundle.commit(),
                "targets": targets,
                "problems": [],
                "warnings": bundle.warnings().iter().map(problem).collect::<Vec<_>>(),
            }));
        }
        for warning in bundle.warnings() {
            writeln!(stderr(), "warning: {warning}")?;
        }
        let commit = bundle
            .commit()
            .map(|commit| format!(", commit {commit}"))
            .unwrap_or_default();
        let noun = if targets == 1 { "target" } else { "targets" };
        let (dir, digest) = (self.dir.display(), bundle.digest());
        Ok(writeln!(
            stdout(),
            "`{dir}` is valid: {targets} {noun}, digest {digest}{commit}"
        )?)
    }

    fn invalid(&self, error: LoadError) -> anyhow::Result<()> {
        let count = error.problems.len();
        if self.json {
            let problems: Vec<_> = error.problems.iter().map(problem).collect();
            print_json(&json!({ "valid": false, "problems": problems, "warnings": [] }))?;
        } else {
            for problem in error.problems {
                writeln!(stderr(), "{:?}", miette::Report::new(problem))?;
            }
        }
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        bail!("the policy in `{}` has {count} {noun}", self.dir.display())
    }
}

fn problem(problem: &Problem) -> serde_json::Value {
    let (line, column) = problem.position.unzip();
    json!({
        "file": problem.file,
        "line": line,
        "column": column,
        "message": problem.message,
        "help": problem.help,
    })
}

/// How many targets the bundle has.
fn targets(bundle: &Bundle) -> Result<usize, LoadError> {
    let text = bundle.file("targets.toml").unwrap_or_default();
    let catalogue =
        Catalogue::parse(text, "targets.toml", bundle.dir(), &Broker::elsewhere()).map_err(|error| LoadError {
            dir: bundle.dir().to_owned(),
            problems: vec![Problem::at("targets.toml", text, error.span, error.message)],
        })?;
    Ok(catalogue.targets().len())
}
