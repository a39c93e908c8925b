//! What a held statement would do, as the target plans it.
//!
//! Planning calls no code of the target's users if the statement uses none, reads no row, and changes nothing. So the
//! statement is planned only when its facts say that it is a query or a change of rows without such code and without
//! any hazard, in a transaction that can only read, on a connection of the gateway's own. It is never run by this:
//! what runs is what the gate permits.

use std::sync::Arc;

use bytes::BytesMut;
use sallyport_session::{Asking, Door, Estimate, Impact, Waiting};
use sallyport_sql::SessionState;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::dial::{Dialer, Purpose};
use crate::side::{SideError, SideLine};
use crate::understanding::READ_OTHERWISE;
use crate::wire::frontend::{self, Bind};

/// Longer statements are not planned ahead.
const MAX_TEXT: usize = 256 * 1024;
/// What can be planned without being run.
const PLANNED: &[&str] = &["select", "insert", "update", "delete", "merge"];
/// The transaction around the question. The text is read as the gateway's parser reads it.
const BEGIN: &str = "BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout = 3000; SET LOCAL lock_timeout = 500; \
                     SET LOCAL standard_conforming_strings = on";

/// Has a target plan held statements.
#[derive(Debug)]
pub(crate) struct Planner {
    pub(crate) door: Door<Dialer>,
    /// Shared by all sessions: a crowd of held statements must not become a crowd of connections.
    pub(crate) turns: Arc<Semaphore>,
}

/// How many statements are planned at once. Those beyond it are held without a plan.
pub(crate) const MAX_PLANNING: usize = 8;

impl Impact for Planner {
    fn estimate(&self, asking: &Asking) -> Option<Waiting<Option<Estimate>>> {
        if asking.text.len() > MAX_TEXT || !can_be_planned(&asking.shape.facts) {
            return None;
        }
        let question = Question {
            messages: messages(&asking.text, &asking.parameters)?,
            state: asking.state.to_vec(),
        };
        let turn = Arc::clone(&self.turns).try_acquire_owned().ok()?;
        let door = self.door.clone();
        Some(Box::pin(async move {
            let _turn = turn;
            match plan(&door, &question).await {
                Ok(plan) => plan.map(|plan| Estimate {
                    rows: rows(&plan),
                    plan,
                }),
                Err(error) => {
                    tracing::info!(%error, target = %door.target().name, "the impact of a held statement could not be asked");
                    None
                }
            }
        }))
    }
}

struct Question {
    messages: BytesMut,
    state: Vec<u8>,
}

async fn plan(door: &Door<Dialer>, question: &Question) -> Result<Option<String>, SideError> {
    let mut line = SideLine::open(door, Purpose::Plan).await?;
    line.ask(BEGIN).await?;
    // Only where names mean the same as in the session would the plan be that of the statement.
    let state = line.ask(SessionState::QUERY).await?;
    let state = state.first().and_then(|row| {
        let row: Vec<Option<&str>> = row.iter().map(Option::as_deref).collect();
        SessionState::from_row(&row)
    });
    if !state.is_some_and(|state| question.state.starts_with(format!("{state:?}").as_bytes())) {
        return Ok(None);
    }
    let lines = line.exchange(&question.messages).await?;
    line.ask("ROLLBACK").await?;
    let lines: Vec<String> = lines
        .into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .collect();
    Ok((!lines.is_empty()).then(|| lines.join("\n")))
}

/// One statement that only reads or changes rows, and of whose parts none is code of the target's users.
fn can_be_planned(facts: &str) -> bool {
    let facts: Value = serde_json::from_str(facts).unwrap_or_default();
    let Some([statement]) = facts.get("statements").and_then(Value::as_array).map(Vec::as_slice) else {
        return false;
    };
    if facts.get(READ_OTHERWISE).is_some() {
        return false;
    }
    let list = |name: &str| statement.get(name).and_then(Value::as_array);
    let none = |name: &str| list(name).is_some_and(Vec::is_empty);
    let known = |action: &Value| action.as_str().is_some_and(|action| PLANNED.contains(&action));
    list("actions").is_some_and(|a| !a.is_empty() && a.iter().all(known)) && none("hazards") && none("code")
}

/// The messages that have the statement planned with its parameters: the extended protocol takes one statement only.
fn messages(text: &[u8], parameters: &[u8]) -> Option<BytesMut> {
    let text = std::str::from_utf8(text).ok().filter(|text| !text.contains('\0'))?;
    let explain = format!("EXPLAIN (FORMAT TEXT) {text}");
    let body = [b"\0\0", parameters].concat();
    let given = if parameters.is_empty() {
        None
    } else {
        Some(Bind::decode(&body).ok()?)
    };
    let (parameter_formats, parameters) = given
        .map(|bind| (bind.parameter_formats, bind.parameters))
        .unwrap_or_default();
    let mut out = BytesMut::new();
    frontend::Parse {
        name: b"",
        text: explain.as_bytes(),
        parameter_types: Vec::new(),
    }
    .encode(&mut out);
    Bind {
        portal: b"",
        statement: b"",
        parameter_formats,
        parameters,
        result_formats: Vec::new(),
    }
    .encode(&mut out);
    frontend::Execute {
        portal: b"",
        max_rows: 0,
    }
    .encode(&mut out);
    frontend::sync(&mut out);
    Some(out)
}

/// The rows that the plan expects. A node that changes rows gives none itself; what it changes is what the one below
/// it gives.
fn rows(plan: &str) -> Option<u64> {
    let changes = |line: &str| {
        let node = line.trim_start().trim_start_matches("-> ").trim_start();
        ["Insert on ", "Update on ", "Delete on ", "Merge on "]
            .iter()
            .any(|name| node.starts_with(name))
    };
    let node = plan.lines().find(|line| line.contains("  (cost=") && !changes(line))?;
    let (_, after) = node.rsplit_once(" rows=")?;
    after.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_plain_statements_without_code_are_planned() {
        let facts = |actions: &str, hazards: &str, code: &str| {
            format!(r#"{{"statements":[{{"actions":[{actions}],"hazards":[{hazards}],"code":[{code}]}}]}}"#)
        };
        assert!(can_be_planned(&facts(r#""select","delete""#, "", "")));
        assert!(!can_be_planned(&facts("", "", "")));
        assert!(!can_be_planned(&facts(r#""drop_table""#, "", "")));
        assert!(!can_be_planned(&facts(r#""select","call""#, "", "")));
        assert!(!can_be_planned(&facts(r#""select""#, r#""dynamic_sql""#, "")));
        assert!(!can_be_planned(&facts(r#""update""#, "", r#""public.f(integer)""#)));
        assert!(!can_be_planned("{}"));
        let plain = facts(r#""select""#, "", "");
        let otherwise = format!("{},\"read_otherwise\":true}}", plain.strip_suffix('}').unwrap());
        assert!(can_be_planned(&plain) && !can_be_planned(&otherwise));
        let two = r#"{"statements":[{"actions":["select"],"hazards":[],"code":[]},{"actions":["select"],"hazards":[],"code":[]}]}"#;
        assert!(!can_be_planned(two));
    }

    #[test]
    fn rows_are_those_that_are_changed() {
        let seen = "Seq Scan on orders  (cost=0.00..25.88 rows=6 width=36)\n  Filter: (note = '  (cost= rows=9'::text)";
        assert_eq!(rows(seen), Some(6));
        let changed = "Update on orders  (cost=0.00..1.00 rows=0 width=0)\n  ->  Seq Scan on orders  (cost=0.00..1.00 rows=1270 width=10)";
        assert_eq!(rows(changed), Some(1270));
        assert_eq!(rows("Utility"), None);
    }
}
