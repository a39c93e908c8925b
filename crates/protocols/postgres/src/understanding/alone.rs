//! Statements outside of any session.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use sallyport_policy::{Act, ActionName, Attributes, Classification, Value};
use sallyport_session::{Ground, Raw, Reader, Reclassified, Shape};
use sallyport_sql::{Catalog, NoNames, SessionState, SyntaxError};
use sallyport_target::Access;
use smol_str::SmolStr;
use time::OffsetDateTime;

use super::{Library, Sources, Under, declassified, owned, unparsed};
use crate::replication;

/// The facts that are names of columns, each with the one that is their classes.
const COLUMNS: [(&str, &str); 5] = [
    ("shown", "shown_classes"),
    ("derived", "derived_classes"),
    ("inferred", "inferred_classes"),
    ("copied", "copied_classes"),
    ("written", "written_classes"),
];

/// Understands statements as the first of a session at one target.
pub(crate) struct Alone {
    /// The names as they were read; nothing when they are not known.
    read: Option<Catalog>,
    /// The same, where views that policy declassifies stand for themselves.
    names: Option<Catalog>,
    state: SessionState,
    library: Library,
    classification: Arc<Classification>,
    target: SmolStr,
    database: String,
}

impl Alone {
    /// At this target, with the names that `sallyport policy names` wrote.
    ///
    /// # Errors
    /// When they are no names, or the target speaks another protocol.
    pub(crate) fn new(ground: Ground<'_>) -> Result<Self, String> {
        let target = &ground.target.name;
        let Access::Postgres(_) = &ground.target.access else {
            return Err(format!("`{target}` speaks another protocol"));
        };
        let names = ground.names.map(catalog).transpose();
        let names = names.map_err(|why| format!("the names of `{target}` cannot be read: {why}"))?;
        let state = names.as_ref().map_or_else(SessionState::default, first);
        Ok(Self {
            names: names.as_ref().map(|names| declassified(names, &ground.classification)),
            read: names,
            state,
            library: Library::default(),
            classification: ground.classification,
            target: target.clone(),
            database: ground.target.place().to_owned(),
        })
    }

    fn replicates(&self, text: &str) -> Result<Arc<Shape>, String> {
        let raw = owned(text.as_bytes());
        match replication::parse(text) {
            Ok(Some(command)) => {
                let understood = replication::understood(raw, &command, &self.classification, &self.database, Under(0));
                Ok(understood.shape)
            }
            Ok(None) => Err("this is no replication command: leave `form` out".to_owned()),
            Err(error) => Ok(not_understood(raw, error.to_string())),
        }
    }
}

impl Reader for Alone {
    fn read(&self, raw: &Raw<'_>) -> Result<Arc<Shape>, String> {
        match raw.form {
            None | Some("sql") => {}
            Some("replication") => return self.replicates(raw.text),
            Some(other) => {
                return Err(format!(
                    "`{other}` is no form of a statement: it is `sql` or `replication`"
                ));
            }
        }
        let Some(catalog) = &self.names else {
            let target = &self.target;
            return Err(format!(
                "what the names in it mean is not known: `sallyport policy names {target}` writes names/{target}.jsonl"
            ));
        };
        let sources = Sources {
            catalog,
            state: &self.state,
            names: &NoNames,
            classification: &self.classification,
            database: &self.database,
            under: Under(0),
        };
        let understood = self.library.understand(raw.text.as_bytes(), raw.text, &sources);
        Ok(Arc::clone(&understood.shape))
    }

    fn reads_as(&self, text: &str, acts: &[Act]) -> Option<bool> {
        let sql = acts
            .iter()
            .all(|act| act.action.namespace == "Sql" || act.action == ActionName::unparsed());
        let shape = self.read(&Raw { text, form: None }).ok().filter(|_| sql)?;
        Some(facts_of(&shape.acts) == facts_of(acts))
    }

    fn reclassify(&self, recorded: Reclassified) -> Reclassified {
        let mut known: Vec<(Attributes, Attributes)> = Vec::new();
        let acts: Vec<Act> = recorded
            .acts
            .iter()
            .map(|act| {
                let same = known.iter().find(|(old, _)| Arc::ptr_eq(old, &act.context));
                let context = same.map(|(_, new)| Arc::clone(new)).unwrap_or_else(|| {
                    let new = reclassified(&act.context, &self.classification);
                    known.push((Arc::clone(&act.context), Arc::clone(&new)));
                    new
                });
                Act::new(act.action.clone(), context)
            })
            .collect();
        let all = self.classification.all_classes();
        // What an unknown column may carry was recorded as a class alone.
        let kept = recorded.shows.into_iter().filter(|class| all.contains(class));
        let shows: BTreeSet<SmolStr> = kept.chain(shown_by(&acts, &self.classification)).collect();
        let carries = if recorded.carries.is_empty() {
            Vec::new()
        } else {
            all.into_iter().collect()
        };
        Reclassified {
            acts,
            shows: shows.into_iter().collect(),
            carries,
        }
    }

    fn under(&self, classification: Arc<Classification>) -> Box<dyn Reader> {
        Box::new(Self {
            names: self.read.as_ref().map(|names| declassified(names, &classification)),
            read: self.read.clone(),
            state: self.state.clone(),
            library: Library::default(),
            classification,
            target: self.target.clone(),
            database: self.database.clone(),
        })
    }
}

/// Acts with their facts, whatever the order of these.
fn facts_of(acts: &[Act]) -> Vec<(&ActionName, BTreeMap<&SmolStr, &Value>)> {
    let facts = acts.iter().map(|act| {
        (
            &act.action,
            act.context.iter().map(|(name, value)| (name, value)).collect(),
        )
    });
    facts.collect()
}

fn not_understood(text: Bytes, message: String) -> Arc<Shape> {
    let error = SyntaxError {
        message,
        position: None,
    };
    unparsed(text, &error, Under(0)).shape
}

/// The session as it begins: the path is the one that the names were read with.
fn first(names: &Catalog) -> SessionState {
    let path = names.path().to_vec();
    let own = |schema: &&SmolStr| !schema.starts_with("pg_");
    SessionState {
        creation_schema: path.iter().find(own).cloned(),
        search_path: path,
        year: OffsetDateTime::now_utc().year(),
        ..SessionState::default()
    }
}

/// Names as `sallyport policy names` writes them: a line for each row of [`Catalog::QUERIES`], a JSON array of the query's name
/// and the row's cells.
fn catalog(text: &str) -> Result<Catalog, String> {
    let mut builder = Catalog::builder();
    for (number, line) in text.lines().enumerate() {
        let wrong = |why: String| format!("line {}: {why}", number + 1);
        let row: Vec<Option<String>> = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let row: Vec<Option<&str>> = row.iter().map(Option::as_deref).collect();
        let Some((Some(query), cells)) = row.split_first() else {
            return Err(wrong("it has no query's name".to_owned()));
        };
        builder.feed(query, cells).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(builder.build())
}

/// The facts of an act, those that are classes under this classification.
fn reclassified(context: &Attributes, classification: &Classification) -> Attributes {
    let strings = |name: &str| match context.iter().find(|(n, _)| n == name) {
        Some((_, Value::Strings(items))) => items.clone(),
        Some(_) | None => BTreeSet::new(),
    };
    let classes = |name: &str| -> Option<BTreeSet<SmolStr>> {
        if name == "read_classes" {
            let reads = strings("reads");
            return Some(reads.iter().flat_map(|r| classification.of_relation(r)).collect());
        }
        let (columns, _) = COLUMNS.iter().find(|(_, classes)| *classes == name)?;
        Some(
            strings(columns)
                .iter()
                .flat_map(|c| classification.of_column(c))
                .collect(),
        )
    };
    let untrusted = |before: &BTreeSet<SmolStr>| {
        let trust = |code: &SmolStr| classification.functions().get(code);
        let code = strings("code");
        // The digests of bodies are not recorded: where one is asked for, what was seen then stands.
        let is_untrusted = |code: &SmolStr| trust(code).is_none_or(|t| t.sha256.is_some() && before.contains(code));
        code.into_iter().filter(is_untrusted).collect()
    };
    let carried = || classification.all_classes();
    let renew = |(name, value): &(SmolStr, Value)| {
        let value = match (name.as_str(), value) {
            ("untrusted_code", Value::Strings(before)) => Value::Strings(untrusted(before)),
            ("carried_classes", Value::Entities(kind, before)) if !before.is_empty() => {
                Value::Entities(kind.clone(), carried())
            }
            (name, Value::Entities(kind, _)) => match classes(name) {
                Some(classes) => Value::Entities(kind.clone(), classes),
                None => value.clone(),
            },
            _ => value.clone(),
        };
        (name.clone(), value)
    };
    context.iter().map(renew).collect::<Vec<_>>().into()
}

/// The classes of the columns that reach a result.
fn shown_by(acts: &[Act], classification: &Classification) -> BTreeSet<SmolStr> {
    let columns = acts
        .iter()
        .flat_map(|act| act.context.iter())
        .filter_map(|(name, value)| {
            let Value::Strings(columns) = value else { return None };
            matches!(name.as_str(), "shown" | "derived").then_some(columns)
        });
    columns.flatten().flat_map(|c| classification.of_column(c)).collect()
}
