//! `policy check`: everything that is wrong or odd about a bundle, at once. What is found here never keeps a gateway
//! from loading a bundle; what does is found by [`Loader::load`].
//!
//! Rules are compared by what they say, as far as that can be proven without knowing what facts mean. Where it cannot be
//! proven, nothing is said.

mod atoms;
mod formula;
mod names;
pub(crate) mod near;
mod overlap;
mod shapes;
mod solve;

use std::path::Path;

use crate::bundle::{Bundle, Loader};
use crate::code::{Code, Severity};
use crate::files::{self, Files};
use crate::places::Places;
use crate::problem::Problem;

const GROUPS: &str = "groups.toml";
const SCHEMA: &str = "sallyport.cedarschema";

/// What a look at a bundle found.
#[derive(Debug)]
pub struct Checked {
    /// The bundle, if a gateway would load it.
    pub bundle: Option<Bundle>,
    /// What is wrong or odd, by file and place.
    pub findings: Vec<Problem>,
    files: Files,
}

impl Checked {
    /// The text of one of its files, also of a bundle that cannot be loaded.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Adds what somebody else found.
    pub fn add(&mut self, finding: Problem) {
        self.findings.push(finding);
        self.sort();
    }

    /// How many findings are as bad as this.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|found| found.severity() == severity)
            .count()
    }

    fn sort(&mut self) {
        self.findings
            .sort_by(|a, b| (&a.file, a.position, &a.message).cmp(&(&b.file, b.position, &b.message)));
    }
}

impl Loader {
    /// Reads the directory and looks for everything that is wrong or odd about it.
    #[must_use]
    pub fn check(&self, dir: &Path) -> Checked {
        let mut checked = match self.load(dir) {
            Ok(bundle) => checked(bundle, dir),
            Err(error) => broken(dir, error.problems),
        };
        match files::read_beside(dir, SCHEMA) {
            Ok(Some(text)) if text != self.schema_text() => {
                let message = "is not the schema that rules are checked against";
                checked
                    .findings
                    .push(Problem::in_file(SCHEMA, message).coded(Code::STALE_SCHEMA));
            }
            Ok(Some(_) | None) => {}
            Err(problem) => checked.findings.push(problem),
        }
        checked.sort();
        checked
    }
}

fn checked(bundle: Bundle, dir: &Path) -> Checked {
    let mut findings = bundle.warnings().to_vec();
    let files: Files = bundle
        .files()
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .collect();
    let groups = files::read_beside(dir, GROUPS).unwrap_or_else(|problem| {
        findings.push(problem);
        None
    });
    // The bundle was loaded, so the file can be read.
    let places = Places::read(&files).ok().flatten();
    findings.extend(overlap::find(&bundle, places.as_ref()));
    findings.extend(names::find(&bundle, places.as_ref(), groups.as_deref()));
    if let Err(problems) = bundle.cases() {
        findings.extend(problems.into_iter().map(case));
    }
    findings.extend(
        crate::properties::mistakes(&bundle)
            .into_iter()
            .map(|p| p.coded(Code::PROPERTY)),
    );
    Checked {
        bundle: Some(bundle),
        findings,
        files,
    }
}

/// What can be said of a bundle that cannot be loaded, besides why.
fn broken(dir: &Path, mut findings: Vec<Problem>) -> Checked {
    let files = files::read(dir).unwrap_or_default();
    match files::read_beside(dir, GROUPS) {
        Ok(Some(text)) => findings.extend(names::read_groups(&text).err()),
        Ok(None) => {}
        Err(problem) => findings.push(problem),
    }
    for (file, text) in files.iter().filter(|(path, _)| path.starts_with("tests/")) {
        if let Err(error) = toml::from_str::<toml::Table>(text) {
            let span = error.span().unwrap_or(0..0);
            findings.push(case(Problem::at(file, text, span, error.message())));
        }
    }
    Checked {
        bundle: None,
        findings,
        files,
    }
}

fn case(problem: Problem) -> Problem {
    if problem.code == Code::INVALID {
        problem.coded(Code::CASE)
    } else {
        problem
    }
}
