//! `classify.toml`, read and checked, for all targets.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use cedar_policy::Entity;
use serde::Deserialize;
use smol_str::SmolStr;

use crate::classify::{Classification, ColumnName, Detected, ProtectedPath, Trust, parts};
use crate::code::Code;
use crate::problem::Problem;
use crate::schema::uid_of;

mod cuts;

pub(crate) use cuts::Cut;

const FILE: &str = "classify.toml";

/// The whole file, for all targets.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClassifyFile {
    raw: Raw,
    /// Every class by name, with the classes it lies within.
    pub(crate) classes: BTreeMap<SmolStr, BTreeSet<SmolStr>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    classes: Vec<RawClass>,
    #[serde(default)]
    columns: Vec<RawColumns>,
    #[serde(default)]
    declassified: Vec<RawRelation>,
    #[serde(default)]
    detectors: Vec<RawDetector>,
    #[serde(default)]
    paths: Vec<RawPaths>,
    #[serde(default)]
    functions: Vec<RawFunction>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClass {
    name: SmolStr,
    #[serde(default)]
    within: Vec<SmolStr>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumns {
    target: Option<SmolStr>,
    #[serde(alias = "columns")]
    column: OneOrMany,
    class: SmolStr,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRelation {
    target: Option<SmolStr>,
    relation: toml::Spanned<SmolStr>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDetector {
    target: Option<SmolStr>,
    kind: toml::Spanned<SmolStr>,
    class: SmolStr,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPaths {
    target: Option<SmolStr>,
    path: OneOrMany,
    class: SmolStr,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFunction {
    target: Option<SmolStr>,
    name: SmolStr,
    sha256: Option<toml::Spanned<SmolStr>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(SmolStr),
    Many(Vec<SmolStr>),
}

impl OneOrMany {
    fn names(&self) -> &[SmolStr] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

impl ClassifyFile {
    /// Reads and checks the file; `detectors` are the known kinds, where the caller knows them.
    pub(crate) fn parse(text: &str, detectors: Option<&BTreeSet<SmolStr>>) -> Result<Self, Vec<Problem>> {
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            vec![Problem::at(FILE, text, span, error.message()).coded(Code::CLASSIFICATION)]
        })?;
        let mut problems = Vec::new();
        check(&raw, text, detectors, &mut problems);
        let classes = classes(&raw, &mut problems);
        if problems.is_empty() {
            return Ok(Self { raw, classes });
        }
        for problem in problems.iter_mut().filter(|problem| problem.code == Code::INVALID) {
            problem.code = Code::CLASSIFICATION;
        }
        Err(problems)
    }

    /// The targets that the file names.
    pub(crate) fn targets(&self) -> BTreeSet<&SmolStr> {
        let Raw {
            columns,
            declassified,
            detectors,
            paths,
            functions,
            classes: _,
        } = &self.raw;
        let columns = columns.iter().filter_map(|c| c.target.as_ref());
        let relations = declassified.iter().filter_map(|d| d.target.as_ref());
        let detectors = detectors.iter().filter_map(|d| d.target.as_ref());
        let paths = paths.iter().filter_map(|p| p.target.as_ref());
        let functions = functions.iter().filter_map(|f| f.target.as_ref());
        let columns = columns.chain(relations);
        columns.chain(detectors).chain(paths).chain(functions).collect()
    }

    /// Everything that the file says, one by one: the target it is said of (none is every target), which kind of thing
    /// it is about, the thing, and what is said of it.
    pub(crate) fn said(&self) -> BTreeSet<(Option<SmolStr>, &'static str, SmolStr, SmolStr)> {
        let raw = &self.raw;
        let mut said = BTreeSet::new();
        for class in &raw.classes {
            said.extend(
                class
                    .within
                    .iter()
                    .map(|within| (None, "class", class.name.clone(), within.clone())),
            );
        }
        for columns in &raw.columns {
            let names = columns.column.names().iter().cloned();
            said.extend(names.map(|name| (columns.target.clone(), "column", name, columns.class.clone())));
        }
        for relation in &raw.declassified {
            let name = relation.relation.get_ref().clone();
            said.insert((relation.target.clone(), "relation", name, SmolStr::default()));
        }
        for detector in &raw.detectors {
            let kind = detector.kind.get_ref().clone();
            said.insert((detector.target.clone(), "detector", kind, detector.class.clone()));
        }
        for paths in &raw.paths {
            let names = paths.path.names().iter().cloned();
            said.extend(names.map(|path| (paths.target.clone(), "path", path, paths.class.clone())));
        }
        for function in &raw.functions {
            let digest = function.sha256.as_ref().map(|digest| digest.get_ref().clone());
            said.insert((
                function.target.clone(),
                "function",
                function.name.clone(),
                digest.unwrap_or_default(),
            ));
        }
        said
    }

    /// What concerns one target.
    pub(crate) fn on(&self, target: &str) -> Classification {
        let here = |name: &Option<SmolStr>| name.as_ref().is_none_or(|name| name == target);
        let mut on = Classification::default();
        for columns in self.raw.columns.iter().filter(|c| here(&c.target)) {
            for name in columns.column.names().iter().filter_map(|name| ColumnName::parse(name)) {
                let wild = [&name.schema, &name.relation, &name.column]
                    .iter()
                    .any(|part| part.contains('*'));
                if wild {
                    on.patterns.push((name, columns.class.clone()));
                } else {
                    on.exact.entry(name).or_default().insert(columns.class.clone());
                }
            }
        }
        for relation in self.raw.declassified.iter().filter(|d| here(&d.target)) {
            if let Some(Ok([schema, name])) = parts(relation.relation.get_ref()).map(<[SmolStr; 2]>::try_from) {
                on.declassified.push((schema, name));
            }
        }
        for detector in self.raw.detectors.iter().filter(|d| here(&d.target)) {
            let detected = Detected {
                kind: detector.kind.get_ref().clone(),
                class: detector.class.clone(),
            };
            if !on.detectors.contains(&detected) {
                on.detectors.push(detected);
            }
        }
        for paths in self.raw.paths.iter().filter(|p| here(&p.target)) {
            on.paths.extend(paths.path.names().iter().map(|pattern| ProtectedPath {
                pattern: pattern.clone(),
                class: paths.class.clone(),
            }));
        }
        for function in self.raw.functions.iter().filter(|f| here(&f.target)) {
            let sha256 = function.sha256.as_ref().map(|digest| digest.get_ref().clone());
            on.functions.insert(function.name.clone(), Trust { sha256 });
        }
        on
    }

    /// The classes as Cedar's entities.
    pub(crate) fn entities(&self) -> Vec<Entity> {
        let uid = |name: &SmolStr| uid_of("Classification", name);
        let entity = |(name, within): (&SmolStr, &BTreeSet<SmolStr>)| {
            let parents: HashSet<_> = within.iter().filter_map(uid).collect();
            Some(Entity::new_no_attrs(uid(name)?, parents))
        };
        self.classes.iter().filter_map(entity).collect()
    }
}

fn check(raw: &Raw, text: &str, detectors: Option<&BTreeSet<SmolStr>>, problems: &mut Vec<Problem>) {
    for columns in &raw.columns {
        for name in columns
            .column
            .names()
            .iter()
            .filter(|name| ColumnName::parse(name).is_none())
        {
            let message = format!("`{name}` is not a column; write `schema.table.column`");
            problems.push(Problem::in_file(FILE, message));
        }
    }
    for relation in &raw.declassified {
        let name = relation.relation.get_ref();
        if parts(name).is_none_or(|parts| parts.len() != 2) {
            let message = format!("`{name}` is not a relation; write `schema.table`");
            problems.push(Problem::at(FILE, text, relation.relation.span(), message));
        }
    }
    for path in raw.paths.iter().flat_map(|p| p.path.names()) {
        if !is_path_pattern(path) {
            let message = format!("`{path}` is not a path; write one from `/` on, without `.` and `..`");
            problems.push(Problem::in_file(FILE, message));
        }
    }
    for detector in &raw.detectors {
        let kind = detector.kind.get_ref();
        if let Some(known) = detectors.filter(|known| !known.contains(kind)) {
            let list = known.iter().map(SmolStr::as_str).collect::<Vec<_>>().join(", ");
            let problem = Problem::at(
                FILE,
                text,
                detector.kind.span(),
                format!("there is no detector `{kind}`"),
            );
            let help = Some(format!("the detectors are {list}"));
            problems.push(problem.with_help(help).coded(Code::UNKNOWN_DETECTOR));
        }
    }
    for digest in raw.functions.iter().filter_map(|f| f.sha256.as_ref()) {
        let value = digest.get_ref();
        if value.len() != 64 || !value.bytes().all(|b| b.is_ascii_hexdigit()) {
            problems.push(Problem::at(
                FILE,
                text,
                digest.span(),
                "a sha256 has 64 hexadecimal digits",
            ));
        }
    }
}

/// Whether every component of an absolute path stands for what it says.
fn is_path_pattern(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| {
        !path.contains('\0')
            && rest
                .split('/')
                .all(|part| !matches!(part, "." | "..") && (part == "**" || !part.contains("**")))
    })
}

/// Every class that is named, with its ancestors' names; a class must not lie within itself.
fn classes(raw: &Raw, problems: &mut Vec<Problem>) -> BTreeMap<SmolStr, BTreeSet<SmolStr>> {
    let mut classes: BTreeMap<SmolStr, BTreeSet<SmolStr>> = BTreeMap::new();
    for name in raw
        .columns
        .iter()
        .map(|c| &c.class)
        .chain(raw.detectors.iter().map(|d| &d.class))
        .chain(raw.paths.iter().map(|p| &p.class))
    {
        classes.entry(name.clone()).or_default();
    }
    for class in &raw.classes {
        classes
            .entry(class.name.clone())
            .or_default()
            .extend(class.within.iter().cloned());
        for parent in &class.within {
            classes.entry(parent.clone()).or_default();
        }
    }
    for name in classes.keys() {
        let mut above: BTreeSet<&SmolStr> = BTreeSet::new();
        let mut open: Vec<&SmolStr> = classes.get(name).into_iter().flatten().collect();
        while let Some(next) = open.pop() {
            if above.insert(next) {
                open.extend(classes.get(next).into_iter().flatten());
            }
        }
        if above.contains(name) {
            problems.push(Problem::in_file(FILE, format!("the class `{name}` lies within itself")));
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use std::collections::BTreeSet;

    use super::Raw;

    const BOOK: &str = include_str!("../../../docs/src/policy.md");

    /// The keys of a table, as the complaint about one that does not exist lists them.
    fn accepted(table: &str) -> BTreeSet<String> {
        let error = toml::from_str::<Raw>(&format!("{table}\nno-such-key = 1\n")).unwrap_err();
        let (_, expected) = error.message().split_once("expected").unwrap();
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn every_key_is_in_the_book_and_every_key_of_the_book_exists() {
        let (_, rest) = BOOK.split_once("## Classes").unwrap();
        let (_, rest) = rest.split_once("```toml\n").unwrap();
        let example = rest.split_once("```").unwrap().0;
        toml::from_str::<Raw>(example).unwrap();
        let book: toml::Table = toml::from_str(example).unwrap();
        let keys = |table: &toml::Table| table.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(&book), accepted(""));
        for name in book.keys() {
            let mut shown = keys(book[name][0].as_table().unwrap());
            if name == "columns" {
                // Another way to write `column`, for a list.
                shown.insert("columns".to_owned());
            }
            let mut accepted = accepted(&format!("[[{name}]]"));
            accepted.extend((name == "columns").then(|| "columns".to_owned()));
            assert_eq!(shown, accepted, "[[{name}]]");
        }
    }
}
