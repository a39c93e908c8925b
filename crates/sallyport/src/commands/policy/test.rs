//! `sallyport policy test`: whether the bundle decides its cases as they say, and which rules none of them is about.

use std::io::{Write, stderr, stdout};
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use sallyport_policy::{Bundle, Case, CaseReport, LoadError, Mutation, Resource};
use serde_json::json;

use super::super::terminal::{print_json, print_rows};
use super::formats::finding;
use super::problems;
use super::workbench::Workbench;

/// Run the cases of a bundle (tests/*.toml), and show how many each rule decided.
#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// The bundle's directory.
    #[arg(default_value = "policy", value_name = "DIR")]
    dir: PathBuf,
    /// Only cases whose name contains this. Says nothing about coverage.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Fail when fewer rules in a hundred decided a case.
    #[arg(long, value_name = "PERCENT", conflicts_with = "only", value_parser = percent)]
    min_coverage: Option<f64>,
    /// Also weaken each rule in turn, in every way that is known, and list the changes that no case noticed.
    #[arg(long, conflicts_with = "only")]
    mutate: bool,
    /// With `--mutate`: fail when more changes than this go unnoticed.
    #[arg(long, value_name = "NUMBER", requires = "mutate")]
    max_survivors: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn mutate(bench: &Workbench, cases: &[Case]) -> Mutation {
    let understand = |bundle: &Bundle, case: &Case, _: &Resource| bench.understand_case(bundle, case);
    bench.bundle.survivors(cases, |name| bench.resource(name), understand)
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "a number from 0 to 100 is expected".to_owned())
}

impl TestArgs {
    /// Runs the cases.
    ///
    /// # Errors
    /// When the bundle is not valid, a case comes out otherwise than it says, or too few rules are covered.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (bench, cases) = match self.load() {
            Ok(loaded) => loaded,
            Err(error) => return problems::refuse(error, self.json),
        };
        let report = bench.bundle.run(
            &cases,
            |name| bench.resource(name),
            |case, _| bench.understand_case(&bench.bundle, case),
        );
        let mutation = self.mutate.then(|| mutate(&bench, &cases));
        if self.json {
            print_json(&self.to_json(&report, mutation.as_ref()))?;
        } else {
            self.show(&report, mutation.as_ref())?;
        }
        self.verdict(&report, cases.len())?;
        mutation.map_or(Ok(()), |mutation| self.mutated(&mutation))
    }

    fn load(&self) -> Result<(Workbench, Vec<Case>), LoadError> {
        let bench = Workbench::open(&self.dir)?;
        let mut cases = bench.bundle.cases().map_err(|problems| LoadError {
            dir: self.dir.clone(),
            problems,
        })?;
        if let Some(only) = &self.only {
            cases.retain(|case| case.name.contains(only.as_str()));
        }
        Ok((bench, cases))
    }

    fn show(&self, report: &CaseReport, mutation: Option<&Mutation>) -> anyhow::Result<()> {
        for failure in &report.failures {
            writeln!(stderr(), "{:?}", miette::Report::new(failure.clone()))?;
        }
        if self.only.is_none() {
            let rows = report
                .decided
                .iter()
                .map(|(rule, cases)| [rule.to_string(), cases.to_string()]);
            print_rows(["RULE", "CASES"], rows.collect())?;
        }
        for survivor in mutation.iter().flat_map(|mutation| &mutation.survivors) {
            writeln!(stderr(), "{:?}", miette::Report::new(survivor.note.clone()))?;
        }
        Ok(())
    }

    /// Says how many changes went unnoticed.
    fn mutated(&self, mutation: &Mutation) -> anyhow::Result<()> {
        let Mutation { tried, survivors, .. } = mutation;
        let survived = survivors.len();
        let mut words = format!("{survived} of {tried} changes of rules went unnoticed");
        if mutation.cut_off {
            words += "; there are more than were tried";
        }
        if self.max_survivors.is_some_and(|most| survived > most) {
            bail!("{words}: write cases that they would fail");
        }
        if self.json {
            Ok(())
        } else {
            Ok(writeln!(stdout(), "{words}")?)
        }
    }

    fn to_json(&self, report: &CaseReport, mutation: Option<&Mutation>) -> serde_json::Value {
        let failures: Vec<_> = report.failures.iter().map(finding).collect();
        let mut answer = json!({ "passed": report.passed, "failures": failures });
        if let (None, Some(fields)) = (&self.only, answer.as_object_mut()) {
            fields.insert("coverage".to_owned(), json!(report.coverage()));
            fields.insert("rules".to_owned(), json!(report.decided));
        }
        if let (Some(mutation), Some(fields)) = (mutation, answer.as_object_mut()) {
            let survivors = mutation.survivors.iter().map(
                |survivor| json!({ "rule": survivor.rule, "change": survivor.change, "note": finding(&survivor.note) }),
            );
            let survivors: Vec<_> = survivors.collect();
            let tried = json!({ "tried": mutation.tried, "cut_off": mutation.cut_off, "survivors": survivors });
            fields.insert("mutants".to_owned(), tried);
        }
        answer
    }

    fn verdict(&self, report: &CaseReport, cases: usize) -> anyhow::Result<()> {
        let failed = cases - report.passed;
        let (coverage, rules) = (report.coverage(), report.decided.len());
        let covered = rules - report.uncovered().count();
        let mut words = format!("{} of {cases} cases passed", report.passed);
        if self.only.is_none() {
            words += &format!("; {covered} of {rules} rules decided one ({coverage:.0} %)");
        }
        if failed > 0 {
            bail!("{words}");
        }
        if let Some(least) = self.min_coverage.filter(|least| coverage < *least) {
            let uncovered: Vec<String> = report.uncovered().map(|rule| format!("`{rule}`")).collect();
            bail!("{words}, not {least} %: write cases about {}", uncovered.join(", "));
        }
        if self.json {
            Ok(())
        } else {
            Ok(writeln!(stdout(), "{words}")?)
        }
    }
}
