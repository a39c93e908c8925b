//! What policy is asked about a statement.

use std::collections::BTreeSet;
use std::sync::Arc;

use sallyport_policy::{Act, ActionName, Classification, Value};
use sallyport_sql::{ColumnName, Hazard, How, Outputs, StatementFacts};
use smol_str::SmolStr;

use super::Sources;

pub(super) fn trusted(code: &str, from: &Sources<'_>) -> bool {
    from.classification.trusts(code, from.catalog.function_digest(code))
}

pub(super) fn acts(s: &StatementFacts, count: usize, from: &Sources<'_>) -> Vec<Act> {
    let context: Arc<[(SmolStr, Value)]> = context(s, count, from).into();
    s.actions
        .iter()
        .map(|a| Act::new(ActionName::new("Sql", a.name()), Arc::clone(&context)))
        .collect()
}

fn context(s: &StatementFacts, count: usize, from: &Sources<'_>) -> Vec<(SmolStr, Value)> {
    let mut context = Vec::with_capacity(32);
    let mut put = |name: &'static str, value: Value| context.push((SmolStr::new_static(name), value));
    put("reads", strings(&s.reads));
    put("writes", strings(&s.writes));
    put("touches", strings(&s.touches));
    put("unrestricted", strings(&s.unrestricted));
    let read_classes = s
        .reads
        .iter()
        .flat_map(|r| from.classification.of_relation(&r.to_string()));
    put("read_classes", Value::entities("Classification", read_classes));
    for (how, names, classes) in [
        (How::Shown, "shown", "shown_classes"),
        (How::Derived, "derived", "derived_classes"),
        (How::Inferred, "inferred", "inferred_classes"),
        (How::Copied, "copied", "copied_classes"),
        (How::Written, "written", "written_classes"),
    ] {
        let columns = || s.uses.iter().filter(|u| u.how == how).map(|u| &u.column);
        put(names, Value::strings(columns().map(ToString::to_string)));
        put(
            classes,
            Value::entities(
                "Classification",
                columns().flat_map(|c| classes_of(c, from.classification)),
            ),
        );
    }
    put("functions", Value::strings(s.functions.iter().cloned()));
    put("code", Value::strings(s.code.iter().cloned()));
    put(
        "untrusted_code",
        Value::strings(s.code.iter().filter(|c| !trusted(c, from)).cloned()),
    );
    put("hazards", Value::strings(s.hazards.iter().map(Hazard::name)));
    put("persistent", Value::Bool(s.writes.iter().any(|r| !r.is_temporary())));
    put("unresolved", Value::Bool(s.unresolved()));
    put("statement_count", Value::Long(i64::try_from(count).unwrap_or(i64::MAX)));
    if let Some(rows) = s.max_rows {
        put("max_rows", Value::Long(i64::try_from(rows).unwrap_or(i64::MAX)));
    }
    put("parameters", Value::Long(i64::from(s.parameters)));
    put("database", Value::String(from.database.into()));
    context
}

fn strings<T: ToString>(items: &BTreeSet<T>) -> Value {
    Value::strings(items.iter().map(ToString::to_string))
}

fn classes_of(column: &ColumnName, classification: &Classification) -> BTreeSet<SmolStr> {
    classification.of_parts(&column.relation.schema, &column.relation.name, &column.column)
}

/// The classes of what a statement's result shows.
pub(super) fn shown_classes(s: &StatementFacts, classification: &Classification) -> BTreeSet<SmolStr> {
    match &s.outputs {
        Outputs::NoRows => BTreeSet::new(),
        Outputs::Columns(columns) => columns
            .iter()
            .flat_map(|c| c.origins.iter())
            .flat_map(|c| classes_of(c, classification))
            .collect(),
        Outputs::Unknown { relations } => relations
            .iter()
            .flat_map(|r| classification.of_relation(&r.to_string()))
            .collect(),
    }
}
