//! Which columns and which detected values of a target are sensitive, and which code is trusted there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use smol_str::SmolStr;

/// What is classified on one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classification {
    pub(crate) exact: HashMap<ColumnName, BTreeSet<SmolStr>>,
    pub(crate) patterns: Vec<(ColumnName, SmolStr)>,
    pub(crate) declassified: Vec<(SmolStr, SmolStr)>,
    pub(crate) detectors: Vec<Detected>,
    pub(crate) paths: Vec<ProtectedPath>,
    pub(crate) functions: BTreeMap<SmolStr, Trust>,
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

/// Files of a host, and the class of what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedPath {
    /// An absolute path; `*` and `?` stand for text within a component, `**` for any number of components. What lies
    /// below is meant too.
    pub pattern: SmolStr,
    /// The class.
    pub class: SmolStr,
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
            if like(&pattern.schema, schema) && like(&pattern.relation, relation) && like(&pattern.column, column) {
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
        let mut classes = self.column_classes();
        classes.extend(self.detectors.iter().map(|d| d.class.clone()));
        classes
    }

    /// Every class that a column of this target has: what a column of unknown origin may carry.
    #[must_use]
    pub fn column_classes(&self) -> BTreeSet<SmolStr> {
        let patterns = self.patterns.iter().map(|(_, class)| class);
        self.exact.values().flatten().chain(patterns).cloned().collect()
    }

    /// The paths of a host that are classified.
    #[must_use]
    pub fn paths(&self) -> &[ProtectedPath] {
        &self.paths
    }

    /// The classes that a path can have.
    #[must_use]
    pub fn path_classes(&self) -> BTreeSet<SmolStr> {
        self.paths.iter().map(|path| path.class.clone()).collect()
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
        self.functions.get(identity).is_some_and(|trust| match &trust.sha256 {
            Some(wanted) => body_sha256.is_some_and(|actual| wanted.eq_ignore_ascii_case(actual)),
            None => true,
        })
    }
}

/// Splits a dotted name; `None` when a quote is not closed or a part is empty.
pub(crate) fn parts(name: &str) -> Option<Vec<SmolStr>> {
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
