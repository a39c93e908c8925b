//! What `targets.toml` calls things, as far as rules and classifications speak of them. The file belongs to
//! the target catalogue; here only names are read, to find those that are misspelt elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Deserialize;
use smol_str::SmolStr;

use crate::classify_file::ClassifyFile;
use crate::code::Code;
use crate::files::Files;
use crate::lint::near;
use crate::problem::Problem;
use crate::rules::Rules;

const FILE: &str = "targets.toml";

/// The names of targets, environments and tags.
#[derive(Debug, Default, Clone)]
pub(crate) struct Places {
    pub(crate) targets: BTreeSet<SmolStr>,
    /// Where each target is: its environment and its tags.
    pub(crate) by_target: BTreeMap<SmolStr, (Option<SmolStr>, BTreeSet<SmolStr>)>,
    environments: BTreeSet<SmolStr>,
    tags: BTreeSet<SmolStr>,
    /// The targets with `enforce = false`, and where it says so.
    observing: BTreeMap<SmolStr, Range<usize>>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    target: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: SmolStr,
    environment: Option<SmolStr>,
    #[serde(default)]
    tags: Vec<SmolStr>,
    enforce: Option<toml::Spanned<bool>>,
}

impl Places {
    /// The same, where rules are enforced on every target.
    pub(crate) fn enforced(&self) -> Self {
        Self {
            observing: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// Reads the file, if the bundle has one.
    pub(crate) fn read(files: &Files) -> Result<Option<Self>, Problem> {
        let Some(text) = files.get(FILE) else {
            return Ok(None);
        };
        let file: File = toml::from_str(text).map_err(|error| {
            Problem::at(FILE, text, error.span().unwrap_or(0..0), error.message()).coded(Code::TARGETS)
        })?;
        let mut places = Self::default();
        for target in file.target {
            let tags = target.tags.iter().cloned().collect();
            places
                .by_target
                .insert(target.name.clone(), (target.environment.clone(), tags));
            if let Some(enforce) = target.enforce.filter(|enforce| !enforce.get_ref()) {
                places.observing.insert(target.name.clone(), enforce.span());
            }
            places.targets.insert(target.name);
            places.environments.extend(target.environment);
            places.tags.extend(target.tags);
        }
        Ok(Some(places))
    }

    /// Whether rules only observe on this target.
    pub(crate) fn observes(&self, target: &str) -> bool {
        self.observing.contains_key(target)
    }

    /// The targets on which rules only observe, each with the place that says so.
    pub(crate) fn observing<'a>(&'a self, files: &'a Files) -> impl Iterator<Item = (&'a SmolStr, Problem)> {
        let text = files.get(FILE).map_or("", String::as_str);
        self.observing.iter().map(move |(name, span)| {
            let message = format!("on `{name}` rules only observe: what they would refuse or hold goes on");
            (name, Problem::at(FILE, text, span.clone(), message))
        })
    }

    /// Names elsewhere in the bundle that no target has. Not an error, because targets come and go; but a
    /// rule about a misspelt environment never applies.
    pub(crate) fn unknown(&self, rules: &Rules, classify: &ClassifyFile, files: &Files) -> Vec<Problem> {
        let mut problems = rules.unknown(("Target", Code::UNKNOWN_TARGET), &self.targets, files);
        problems.extend(rules.unknown(("Environment", Code::UNKNOWN_ENVIRONMENT), &self.environments, files));
        problems.extend(rules.unknown(("Tag", Code::UNKNOWN_TAG), &self.tags, files));
        for target in classify
            .targets()
            .into_iter()
            .filter(|name| !self.targets.contains(*name))
        {
            let message = format!("classifies the target `{target}`, which targets.toml does not have");
            let known = self.targets.iter().map(SmolStr::as_str);
            let help = near::suggest(target, known, Code::UNKNOWN_TARGET);
            let problem = in_classify(files, target, message).coded(Code::UNKNOWN_TARGET);
            problems.push(problem.with_help(help));
        }
        problems
    }
}

/// A problem where `classify.toml` first names a target.
fn in_classify(files: &Files, target: &str, message: String) -> Problem {
    let file = "classify.toml";
    let text = files.get(file).map_or("", String::as_str);
    let written = format!("\"{target}\"");
    match text.find(&written) {
        Some(at) => Problem::at(file, text, at..at + written.len(), message),
        None => Problem::in_file(file, message),
    }
}
