//! Acts as recordings hold them, so that they can be judged again later: in JSON, each group of actions with the facts that they
//! share.
//!
//! A fact is written as JSON has it: booleans, numbers, strings, arrays of strings. Entities are an object with their type:
//! `{"Target": "orders"}`, `{"Classification": ["pci"]}`; `{"@ip": "…"}` and `{"@time": "…"}` are an address and a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use smol_str::SmolStr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::act::{Act, ActionName, Attributes, Value};

const ADDRESS: &str = "@ip";
const TIME: &str = "@time";

/// Acts in JSON.
#[must_use]
pub fn acts_to_json(acts: &[Act]) -> Json {
    let mut groups: Vec<(&Attributes, Vec<String>)> = Vec::new();
    for act in acts {
        let name = short(&act.action);
        match groups.last_mut() {
            Some((facts, actions)) if **facts == act.context => actions.push(name),
            Some(_) | None => groups.push((&act.context, vec![name])),
        }
    }
    let group = |(facts, actions): (&Attributes, Vec<String>)| {
        let facts: Map<String, Json> = facts
            .iter()
            .map(|(name, value)| (name.to_string(), encode(value)))
            .collect();
        json!({ "actions": actions, "facts": facts })
    };
    groups.into_iter().map(group).collect()
}

/// Acts from JSON; `None` if they are not.
#[must_use]
pub fn acts_from_json(json: &Json) -> Option<Vec<Act>> {
    let mut acts = Vec::new();
    for group in json.as_array()? {
        let facts = group.get("facts")?.as_object()?.iter();
        let facts: Option<Vec<(SmolStr, Value)>> = facts
            .map(|(name, value)| Some((SmolStr::from(name), decode(value)?)))
            .collect();
        let facts: Attributes = Arc::from(facts?);
        for action in group.get("actions")?.as_array()? {
            let Ok(action) = action.as_str()?.parse::<ActionName>();
            acts.push(Act::new(action, Arc::clone(&facts)));
        }
    }
    Some(acts)
}

/// `Sql::drop`, `connect`.
fn short(action: &ActionName) -> String {
    if action.namespace.is_empty() {
        action.name.to_string()
    } else {
        format!("{}::{}", action.namespace, action.name)
    }
}

fn encode(value: &Value) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        Value::Long(value) => json!(value),
        Value::String(text) => json!(text),
        Value::Strings(items) => json!(items),
        Value::Entity(kind, id) => json!({ kind.as_str(): id }),
        Value::Entities(kind, ids) => json!({ kind.as_str(): ids }),
        Value::Ip(address) => json!({ ADDRESS: address }),
        Value::Time(time) => json!({ TIME: time.format(&Rfc3339).unwrap_or_default() }),
    }
}

fn decode(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Long(number.as_i64()?),
        Json::String(text) => Value::String(text.into()),
        Json::Array(items) => Value::Strings(strings(items)?),
        Json::Object(fields) => {
            let (kind, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
            match (kind.as_str(), value) {
                (ADDRESS, Json::String(text)) => Value::Ip(text.parse().ok()?),
                (TIME, Json::String(text)) => Value::Time(OffsetDateTime::parse(text, &Rfc3339).ok()?),
                (kind, Json::String(id)) => Value::Entity(kind.into(), id.into()),
                (kind, Json::Array(ids)) => Value::Entities(kind.into(), strings(ids)?),
                (_, Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_)) => return None,
            }
        }
        Json::Null => return None,
    })
}

fn strings(items: &[Json]) -> Option<BTreeSet<SmolStr>> {
    items.iter().map(|item| item.as_str().map(SmolStr::from)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_kind_of_fact_reads_back() {
        let facts: Attributes = Arc::from(vec![
            ("bool".into(), Value::Bool(true)),
            ("long".into(), Value::Long(-7)),
            ("string".into(), Value::String("a \"b\"\n".into())),
            ("strings".into(), Value::strings(["x", ""])),
            ("none".into(), Value::strings(Vec::<SmolStr>::new())),
            ("entity".into(), Value::Entity("Target".into(), "orders".into())),
            ("entities".into(), Value::entities("Classification", ["pci"])),
            (
                "no_entities".into(),
                Value::entities("Classification", Vec::<SmolStr>::new()),
            ),
            ("ip".into(), Value::Ip([10, 0, 0, 1].into())),
            (
                "time".into(),
                Value::Time(time::macros::datetime!(2026-11-27 10:00 UTC)),
            ),
        ]);
        let acts = vec![
            Act::new(ActionName::new("Sql", "select"), Arc::clone(&facts)),
            Act::new(ActionName::new("Sql", "insert"), Arc::clone(&facts)),
            Act::new(ActionName::connect(), []),
        ];
        let json = acts_to_json(&acts);
        assert_eq!(json.as_array().unwrap().len(), 2);
        let text = json.to_string();
        let read = acts_from_json(&serde_json::from_str(&text).unwrap()).unwrap();
        let sorted = |acts: &[Act]| {
            let facts = |act: &Act| {
                act.context
                    .iter()
                    .cloned()
                    .collect::<std::collections::BTreeMap<_, _>>()
            };
            acts.iter()
                .map(|act| (act.action.clone(), facts(act)))
                .collect::<Vec<_>>()
        };
        assert_eq!(sorted(&read), sorted(&acts));
    }

    #[test]
    fn what_is_no_fact_is_not_read() {
        for wrong in [
            "null",
            "1.5",
            "[1]",
            "{}",
            "{\"a\":1}",
            "{\"a\":\"b\",\"c\":\"d\"}",
            "{\"@ip\":\"x\"}",
        ] {
            let json = format!("[{{\"actions\":[\"connect\"],\"facts\":{{\"a\":{wrong}}}}}]");
            assert_eq!(acts_from_json(&serde_json::from_str(&json).unwrap()), None, "{wrong}");
        }
    }
}
