//! The fixture's catalogue, and short ways to ask for facts.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use sallyport_sql::{Catalog, Facts, How, Outputs, Prepared, RelName, SessionState, StatementFacts, analyse, parse};

/// The clinic of `fixture/schema.sql`; `care.patients_masked` is declassified.
pub(crate) fn catalogue() -> &'static Catalog {
    static CATALOGUE: OnceLock<Catalog> = OnceLock::new();
    CATALOGUE.get_or_init(|| catalogue_with(&[]))
}

/// The clinic and these rows, each under the name of its query.
pub(crate) fn catalogue_with(more: &[Vec<String>]) -> Catalog {
    let mut builder = Catalog::builder();
    for line in include_str!("../fixture/catalogue.jsonl").lines() {
        let cells: Vec<Option<String>> = serde_json::from_str(line).unwrap();
        let cells: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
        builder.feed(cells[0].unwrap(), &cells[1..]).unwrap();
    }
    for row in more {
        let cells: Vec<Option<&str>> = row.iter().map(|cell| Some(cell.as_str())).collect();
        builder.feed(cells[0].unwrap(), &cells[1..]).unwrap();
    }
    builder
        .build()
        .with_declassified(BTreeSet::from([RelName::new("care", "patients_masked")]))
}

/// A session that has the schema `care` first, and a temporary schema.
pub(crate) fn state() -> SessionState {
    let temporary = catalogue()
        .relations()
        .find(|(n, _)| n.name == "scratch")
        .unwrap()
        .0
        .schema
        .clone();
    SessionState {
        search_path: [temporary.as_str(), "pg_catalog", "care", "public"]
            .map(Into::into)
            .to_vec(),
        creation_schema: Some("care".into()),
        user: "alice".into(),
        session_user: "alice".into(),
        uncommitted: false,
        year: 2026,
    }
}

/// Prepared statements and cursors by name.
#[derive(Default)]
pub(crate) struct Known(pub(crate) HashMap<String, Arc<StatementFacts>>);

impl Prepared for Known {
    fn statement(&self, name: &str) -> Option<Arc<StatementFacts>> {
        self.0.get(name).cloned()
    }

    fn cursor(&self, name: &str) -> Option<Arc<StatementFacts>> {
        self.0.get(name).cloned()
    }
}

pub(crate) fn facts(sql: &str) -> Facts {
    facts_in(sql, &state(), &Known::default())
}

pub(crate) fn facts_in(sql: &str, state: &SessionState, known: &Known) -> Facts {
    let parsed = parse(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    analyse(&parsed, catalogue(), state, known).unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// The facts of the last statement of a string.
pub(crate) fn last(sql: &str) -> StatementFacts {
    facts(sql).statements.pop().unwrap()
}

/// How a column is used, over all statements of a string.
pub(crate) fn hows(sql: &str, column: &str) -> BTreeSet<How> {
    let facts = facts(sql);
    let uses = facts.statements.iter().flat_map(|s| &s.uses);
    uses.filter(|u| u.column.to_string() == column).map(|u| u.how).collect()
}

/// Result columns as `name<origins`, `=` instead of `<` where a value is unchanged.
pub(crate) fn outputs(sql: &str) -> Vec<String> {
    match last(sql).outputs {
        Outputs::NoRows => vec!["no rows".to_owned()],
        Outputs::Unknown { .. } => vec!["unknown".to_owned()],
        Outputs::Columns(columns) => columns
            .iter()
            .map(|o| {
                let origins: Vec<String> = o.origins.iter().map(ToString::to_string).collect();
                format!("{}{}{}", o.name, if o.direct { "=" } else { "<" }, origins.join("+"))
            })
            .collect(),
    }
}

/// The names of a statement's hazards.
pub(crate) fn hazards(sql: &str) -> BTreeSet<String> {
    let facts = facts(sql);
    facts
        .statements
        .iter()
        .flat_map(|s| &s.hazards)
        .map(|h| h.name().to_owned())
        .collect()
}

pub(crate) fn strings<T: ToString>(set: impl IntoIterator<Item = T>) -> Vec<String> {
    set.into_iter().map(|x| x.to_string()).collect()
}
