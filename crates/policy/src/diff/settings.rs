//! What `targets.toml` says besides what rules know of targets: addresses, accounts, modes, stores of credentials.
//! The gateway's target catalogue says what each key means; here they are compared as they are written.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::bundle::Bundle;

/// What rules know of a target, and what only observes: these are said in words of their own.
const SAID: [&str; 5] = ["name", "protocol", "environment", "tags", "enforce"];

/// The differences of all keys, each in a sentence.
pub(super) fn differences(old: &Bundle, new: &Bundle) -> Vec<String> {
    let (before, after) = (table(old), table(new));
    let kinds: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let each = kinds
        .into_iter()
        .flat_map(|kind| of_kind(kind, before.get(kind), after.get(kind)));
    each.collect()
}

fn table(bundle: &Bundle) -> Table {
    // The bundle was loaded, so the file can be read.
    let text = bundle.file("targets.toml").unwrap_or_default();
    toml::from_str(text).unwrap_or_default()
}

/// The differences of all `[[target]]`, or of another table of the file.
fn of_kind(kind: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let (Some(was), Some(is)) = (named(before), named(after)) else {
        let change = change(before, after);
        return change
            .map(|change| format!("`{kind}` of targets.toml {change}"))
            .into_iter()
            .collect();
    };
    let names: BTreeSet<&str> = was.keys().chain(is.keys()).copied().collect();
    let mut list = Vec::new();
    for name in names {
        match (was.get(name), is.get(name)) {
            (Some(was), Some(is)) => list.extend(of_table(kind, name, was, is)),
            // Of targets, that is said where they are described.
            _ if kind == "target" => {}
            (was, is) => {
                let table = |table: &&Table| Value::Table((*table).clone());
                let change = change(was.map(table).as_ref(), is.map(table).as_ref());
                list.extend(change.map(|change| format!("{kind} `{name}` {change}")));
            }
        }
    }
    list
}

fn of_table(kind: &str, name: &str, was: &Table, is: &Table) -> Vec<String> {
    let said = |key: &str| kind == "target" && SAID.contains(&key);
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).filter(|key| !said(key)).collect();
    let sentence = |key: &String| {
        let change = change(was.get(key), is.get(key))?;
        Some(format!("`{key}` of {kind} `{name}` {change}"))
    };
    keys.into_iter().filter_map(sentence).collect()
}

/// Tables by their names; `None` when it is something else. What is not there is none.
fn named(value: Option<&Value>) -> Option<BTreeMap<&str, &Table>> {
    let Some(value) = value else {
        return Some(BTreeMap::new());
    };
    let tables = value.as_array()?.iter().map(|item| {
        let table = item.as_table()?;
        Some((table.get("name")?.as_str()?, table))
    });
    let tables: Vec<(&str, &Table)> = tables.collect::<Option<_>>()?;
    let (count, map) = (tables.len(), tables.into_iter().collect::<BTreeMap<_, _>>());
    // Of two with one name, none is to be lost.
    (map.len() == count).then_some(map)
}

fn change(before: Option<&Value>, after: Option<&Value>) -> Option<String> {
    let shown = |value: &Value| match value.as_str() {
        Some(text) => format!("`{text}`"),
        None => format!("`{value}`"),
    };
    match (before, after) {
        (Some(was), Some(is)) if was == is => None,
        (Some(was), Some(is)) => Some(format!("is now {} (was {})", shown(is), shown(was))),
        (None, Some(is)) => Some(format!("is now {} (was not there)", shown(is))),
        (Some(was), None) => Some(format!("is gone (was {})", shown(was))),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_list_of_named_tables_is_compared_whole() {
        let of = |before: &str, after: &str| {
            let (before, after): (Table, Table) = (
                toml::from_str(before).unwrap_or_default(),
                toml::from_str(after).unwrap_or_default(),
            );
            of_kind("x", before.get("x"), after.get("x"))
        };
        assert_eq!(of("x = 1", "x = 1"), Vec::<String>::new());
        assert_eq!(of("x = 1", "x = \"a\""), ["`x` of targets.toml is now `a` (was `1`)"]);
        assert_eq!(of("", "x = 1"), ["`x` of targets.toml is now `1` (was not there)"]);
        assert_eq!(
            of("[[x]]\nname = \"a\"", "[[x]]\nname = \"a\"\n[[x]]\nname = \"a\"\ny = 1").len(),
            1
        );
        assert_eq!(
            of("[[x]]\nname = \"a\"", "[[x]]\nname = \"b\"\ny = { z = 1 }"),
            [
                "x `a` is gone (was `{ name = \"a\" }`)",
                "x `b` is now `{ name = \"b\", y = { z = 1 } }` (was not there)"
            ]
        );
    }
}
