//! `sallyport policy check`: whether a policy bundle can come into force, and whether it means what it seems to.

use std::io::{Write, stderr, stdout};
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use sallyport_policy::{Checked, Code, Problem, Severity};
use sallyport_target::{Broker, Catalogue};

use super::formats::{Format, Report};
use super::schema::FORMS;
use crate::gateway::loader;

/// Check a bundle: everything that is wrong or odd about it, each with its place and what to do.
///
/// Errors make it fail; with `--strict` warnings do, too.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The bundle's directory.
    #[arg(default_value = "policy", value_name = "DIR")]
    dir: PathBuf,
    /// For whom findings are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print JSON; the same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Fail on warnings as well.
    #[arg(long)]
    strict: bool,
}

impl CheckArgs {
    /// Says what is wrong with the bundle.
    ///
    /// # Errors
    /// When something is.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut checked = loader().check(&self.dir);
        let targets = self.targets(&mut checked);
        self.forms(&mut checked);
        let report = Report {
            dir: &self.dir,
            checked: &checked,
            targets,
            strict: self.strict,
        };
        let format = if self.json { Format::Json } else { self.format };
        report.write(format, &mut stdout().lock(), &mut stderr().lock())?;
        if let (Format::Text, Some(bundle)) = (format, &checked.bundle) {
            for note in bundle.observing().notes {
                writeln!(stderr(), "note: {note}")?;
            }
        }
        if report.fails() {
            bail!("{}", summary(&checked, &self.dir));
        }
        Ok(())
    }

    /// How many targets the bundle has; what is wrong with the file is one more finding.
    fn targets(&self, checked: &mut Checked) -> usize {
        let Some(text) = checked.file("targets.toml").map(str::to_owned) else {
            return 0;
        };
        match Catalogue::parse(&text, "targets.toml", &self.dir, &Broker::elsewhere()) {
            Ok(catalogue) => catalogue.targets().len(),
            Err(error) => {
                // What is not TOML at all has been said.
                if !checked.findings.iter().any(|found| found.code == Code::TARGETS) {
                    checked.add(Problem::at("targets.toml", &text, error.span, error.message).coded(Code::TARGETS));
                }
                0
            }
        }
    }

    /// Schemas of the TOML files that another version wrote.
    fn forms(&self, checked: &mut Checked) {
        for (name, form) in FORMS {
            let written = std::fs::read_to_string(self.dir.join(name));
            if written.is_ok_and(|text| text != *form) {
                let message = "is not the form that this version reads";
                checked.add(Problem::in_file(*name, message).coded(Code::STALE_SCHEMA));
            }
        }
    }
}

fn summary(checked: &Checked, dir: &std::path::Path) -> String {
    let count = |severity, noun: &str| match checked.count(severity) {
        0 => None,
        1 => Some(format!("1 {noun}")),
        count => Some(format!("{count} {noun}s")),
    };
    let found = [count(Severity::Error, "error"), count(Severity::Warning, "warning")];
    let found: Vec<String> = found.into_iter().flatten().collect();
    format!("the policy in `{}` has {}", dir.display(), found.join(" and "))
}
