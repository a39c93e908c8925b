//! `classify.toml`: which columns and which detected values are sensitive, and which code is trusted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cedar_policy::Entity;
use serde::Deserialize;
use smol_str::SmolStr;

use crate::problem::Problem;
use crate::schema::uid_of;

const FILE: &str = "classify.toml";

/// What is classified on one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classification {
    exact: HashMap<ColumnName, BTreeSet<SmolStr>>,
    patterns: Vec<(ColumnName, SmolStr)>,
    declassified: Vec<(SmolStr, SmolStr)>,
    detectors: Vec<Detected>,
    functions: BTreeMap<SmolStr, Trust>,
}

/// The parts of a column's name, or patterns for them in which `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnName {
    /// The schema.
    pub schema: SmolStr,
    /// The table, view or materialized view.
    pub relation: SmolStr,
    /// The column.
    pub column: SmolStr,
}

impl ColumnName {
    /// Takes `schema.relation.column` apart; parts with dots in them stand in double quotes.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let [schema, relation, column] = <[SmolStr; 3]>::try_from(parts(name)?).ok()?;
        Some(Self {
            schema,
            relation,
            column,
        })
    }
}

/// A content detector and the class of what it finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The detector's name, as the mask crate knows it.
    pub kind: SmolStr,
    /// The class of what it finds.
    pub class: SmolStr,
}

/// Code that may run although it is not part of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The digest that the body must have, lower-case hexadecimal; any body when absent.
    pub sha256: Option<SmolStr>,
}

impl Classification {
    /// Nothing is classified, nothing is looked for, nothing is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// Whether any column is classified.
    #[must_use]
    pub fn has_columns(&self) -> bool {
        !self.exact.is_empty() || !self.patterns.is_empty()
    }

    /// The classes of a column, given as `schema.relation.column`. A name that cannot be taken apart carries
    /// every class there is.
    #[must_use]
    pub fn of_column(&self, name: &str) -> BTreeSet<SmolStr> {
        match ColumnName::parse(name) {
            Some(name) => self.of_parts(&name.schema, &name.relation, &name.column),
            None => self.all_classes(),
        }
    }

    /// The classes of a column.
    #[must_use]
    pub fn of_parts(&self, schema: &str, relation: &str, column: &str) -> BTreeSet<SmolStr> {
        if self.is_declassified(schema, relation) {
            return BTreeSet::new();
        }
        let key = ColumnName {
            schema: schema.into(),
            relation: relation.into(),
            column: column.into(),
        };
        let mut classes = self.exact.get(&key).cloned().unwrap_or_default();
        for (pattern, class) in &self.patterns {
            if like(&pattern.schema, schema)
                && like(&pattern.relation, relation)
                && like(&pattern.column, column)
            {
                classes.insert(class.clone());
            }
        }
        classes
    }

    /// The classes that columns of a relation (`schema.relation`) can carry, whatever their names: for
    /// values of which only the relation is known.
    #[must_use]
    pub fn of_relation(&self, name: &str) -> BTreeSet<SmolStr> {
        let Some(Ok([schema, relation])) = parts(name).map(<[SmolStr; 2]>::try_from) else {
            return self.all_classes();
        };
        if self.is_declassified(&schema, &relation) {
            return BTreeSet::new();
        }
        let exact = self
            .exact
            .iter()
            .filter(|(name, _)| name.schema == schema && name.relation == relation);
        let patterns = self
            .patterns
            .iter()
            .filter(|(p, _)| like(&p.schema, &schema) && like(&p.relation, &relation));
        exact
            .flat_map(|(_, classes)| classes.iter().cloned())
            .chain(patterns.map(|(_, class)| class.clone()))
            .collect()
    }

    /// Whether `schema.relation` is declassified: what comes out of it is not protected, whatever it is made of.
    #[must_use]
    pub fn declassified(&self, name: &str) -> bool {
        match parts(name).map(<[SmolStr; 2]>::try_from) {
            Some(Ok([schema, relation])) => self.is_declassified(&schema, &relation),
            Some(Err(_)) | None => false,
        }
    }

    fn is_declassified(&self, schema: &str, relation: &str) -> bool {
        self.declassified
            .iter()
            .any(|(s, r)| like(s, schema) && like(r, relation))
    }

    /// Every class that a column or a detector of this target has.
    #[must_use]
    pub fn all_classes(&self) -> BTreeSet<SmolStr> {
        let columns = self
            .exact
            .values()
            .flatten()
            .chain(self.patterns.iter().map(|(_, class)| class));
        columns
            .chain(self.detectors.iter().map(|d| &d.class))
            .cloned()
            .collect()
    }

    /// What to look for in values.
    #[must_use]
    pub fn detectors(&self) -> &[Detected] {
        &self.detectors
    }

    /// The trusted functions by identity (`public.order_total(integer)`).
    #[must_use]
    pub fn functions(&self) -> &BTreeMap<SmolStr, Trust> {
        &self.functions
    }

    /// Whether this function, with this body, may run.
    #[must_use]
    pub fn trusts(&self, identity: &str, body_sha256: Option<&str>) -> bool {
        self.functions
            .get(identity)
            .is_some_and(|trust| match &trust.sha256 {
                Some(wanted) => {
                    body_sha256.is_some_and(|actual| wanted.eq_ignore_ascii_case(actual))
                }
                None => true,
            })
    }
}

/// Splits a dotted name; `None` when a quote is not closed or a part is empty.
fn parts(name: &str) -> Option<Vec<SmolStr>> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut quoted = false;
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => part.extend(chars.next()),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(std::mem::take(&mut part)),
            other => part.push(other),
        }
    }
    parts.push(part);
    let fine = !quoted && parts.iter().all(|part| !part.is_empty());
    fine.then(|| parts.into_iter().map(SmolStr::from).collect())
}

/// Whether the text fits the pattern, in which `*` stands for any text.
fn like(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    while let Some((middle, after)) = rest.split_once('*') {
        let Some(at) = text.find(middle) else {
            return false;
        };
        text = text.get(at + middle.len()..).unwrap_or("");
        rest = after;
    }
    text.ends_with(rest)
}

/// The whole file, for all targets.
#[derive(Debug, Default)]
pub(crate) struct ClassifyFile {
    raw: Raw,
    /// Every class by name, with the classes it lies within.
    pub(crate) classes: BTreeMap<SmolStr, BTreeSet<SmolStr>>,
}

#[derive(Debug, Default, Deserialize)]
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
    functions: Vec<RawFunction>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClass {
    name: SmolStr,
    #[serde(default)]
    within: Vec<SmolStr>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumns {
    target: Option<SmolStr>,
    #[serde(alias = "columns")]
    column: OneOrMany,
    class: SmolStr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRelation {
    target: Option<SmolStr>,
    relation: toml::Spanned<SmolStr>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDetector {
    target: Option<SmolStr>,
    kind: toml::Spanned<SmolStr>,
    class: SmolStr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFunction {
    target: Option<SmolStr>,
    name: SmolStr,
    sha256: Option<toml::Spanned<SmolStr>>,
}

#[derive(Debug, Deserialize)]
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
    pub(crate) fn parse(
        text: &str,
        detectors: Option<&BTreeSet<SmolStr>>,
    ) -> Result<Self, Vec<Problem>> {
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            vec![Problem::at(FILE, text, span, error.message())]
        })?;
        let mut problems = Vec::new();
        check(&raw, text, detectors, &mut problems);
        let classes = classes(&raw, &mut problems);
        if problems.is_empty() {
            Ok(Self { raw, classes })
        } else {
            Err(problems)
        }
    }

    /// The targets that the file names.
    pub(crate) fn targets(&self) -> BTreeSet<&SmolStr> {
        let Raw {
            columns,
            declassified,
            detectors,
            functions,
            classes: _,
        } = &self.raw;
        let columns = columns.iter().filter_map(|c| c.target.as_ref());
        let relations = declassified.iter().filter_map(|d| d.target.as_ref());
        let detectors = detectors.iter().filter_map(|d| d.target.as_ref());
        let functions = functions.iter().filter_map(|f| f.target.as_ref());
        columns
            .chain(relations)
            .chain(detectors)
            .chain(functions)
            .collect()
    }

    /// What concerns one target.
    pub(crate) fn on(&self, target: &str) -> Classification {
        let here = |name: &Option<SmolStr>| name.as_ref().is_none_or(|name| name == target);
        let mut on = Classification::default();
        for columns in self.raw.columns.iter().filter(|c| here(&c.target)) {
            for name in columns
                .column
                .names()
                .iter()
                .filter_map(|name| ColumnName::parse(name))
            {
                let wild = [&name.schema, &name.relation, &name.column]
                    .iter()
                    .any(|part| part.contains('*'));
                if wild {
                    on.patterns.push((name, columns.class.clone()));
                } else {
                    on.exact
                        .entry(name)
                        .or_default()
                        .insert(columns.class.clone());
                }
            }
        }
        for relation in self.raw.declassified.iter().filter(|d| here(&d.target)) {
            if let Some(Ok([schema, name])) =
                parts(relation.relation.get_ref()).map(<[SmolStr; 2]>::try_from)
            {
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
        for function in self.raw.functions.iter().filter(|f| here(&f.target)) {
            let sha256 = function
                .sha256
                .as_ref()
                .map(|digest| digest.get_ref().clone());
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

fn check(
    raw: &Raw,
    text: &str,
    detectors: Option<&BTreeSet<SmolStr>>,
    problems: &mut Vec<Problem>,
) {
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
    for detector in &raw.detectors {
        let kind = detector.kind.get_ref();
        if let Some(known) = detectors.filter(|known| !known.contains(kind)) {
            let list = known
                .iter()
                .map(SmolStr::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            let problem = Problem::at(
                FILE,
                text,
                detector.kind.span(),
                format!("there is no detector `{kind}`"),
            );
            problems.push(problem.with_help(Some(format!("the detectors are {list}"))));
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

/// Every class that is named, with its ancestors' names; a class must not lie within itself.
fn classes(raw: &Raw, problems: &mut Vec<Problem>) -> BTreeMap<SmolStr, BTreeSet<SmolStr>> {
    let mut classes: BTreeMap<SmolStr, BTreeSet<SmolStr>> = BTreeMap::new();
    for name in raw
        .columns
        .iter()
        .map(|c| &c.class)
        .chain(raw.detectors.iter().map(|d| &d.class))
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
            problems.push(Problem::in_file(
                FILE,
                format!("the class `{name}` lies within itself"),
            ));
        }
    }
    classes
}
