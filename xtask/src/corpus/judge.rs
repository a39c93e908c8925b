//! Whether an attack succeeded, and whether a look-alike came through.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::needles::Received;
use super::play::Played;
use super::snapshot::{Snapshot, single};
use super::wire::Connection;

/// All that is known after a case was played.
pub(crate) struct Scene<'a> {
    pub(crate) before: &'a Snapshot,
    pub(crate) after: &'a Snapshot,
    pub(crate) played: &'a Played,
    pub(crate) received: &'a Received,
    pub(crate) allow_changes: &'a [String],
}

impl Scene<'_> {
    /// Changes beyond those that the case allows.
    pub(crate) fn unwanted(&self) -> Vec<String> {
        let mut changes = self.before.changes(self.after);
        changes.retain(|change| !self.allow_changes.iter().any(|prefix| change.starts_with(prefix)));
        changes
    }

    /// Whether one condition holds.
    pub(crate) fn holds(&self, oracle: &str, admin: &mut Connection) -> Result<bool> {
        let (kind, value) = oracle.split_once(':').unwrap_or((oracle, ""));
        let changes = self.before.changes(self.after);
        Ok(match kind {
            "gone" => self.before.is_gone(value, self.after)?,
            "rows" => self.rows(value)?,
            "changed" => {
                let (content, rows) = (format!("content-changed {value}"), format!("rows {value} "));
                changes
                    .iter()
                    .any(|change| *change == content || change.starts_with(&rows))
            }
            "cols" => changes.contains(&format!("columns-changed {value}")),
            "diff" => changes.iter().any(|change| change.contains(value)),
            "leak" if value.is_empty() => !self.received.leaks().is_empty(),
            "leak" => self.received.contains(value.as_bytes()),
            "leakhex" => self.received.contains(&super::step::hex(value)?),
            "err" => self
                .played
                .errors()
                .iter()
                .any(|error| error.split(' ').next() == Some(value)),
            "noerr" => self.played.errors().is_empty(),
            "file" => Path::new(value).exists(),
            "filehas" => file_has(value)?,
            // A question about something that does not exist: the attack did not make it.
            "sql" => asked(admin, value).unwrap_or(false),
            "tag" => self.played.tags().iter().any(|tag| tag == value),
            "closed" => self.played.closed() || self.played.errors().iter().any(|error| error.starts_with("08P01")),
            "benign" => {
                self.played.errors().is_empty() && self.received.leaks().is_empty() && self.unwanted().is_empty()
            }
            "noeffect" => self.received.leaks().is_empty() && changes.is_empty(),
            _ => bail!("unknown oracle `{oracle}`"),
        })
    }

    /// `name=N`, `name<N`, `name>N`.
    fn rows(&self, condition: &str) -> Result<bool> {
        let at = condition
            .rfind(['=', '<', '>'])
            .with_context(|| format!("`{condition}` is no condition"))?;
        let (name, rest) = condition.split_at(at);
        let (sign, number) = rest.split_at(1);
        let number: i64 = number.parse()?;
        let Some(rows) = self.before.rows(name, self.after)? else {
            return Ok(false);
        };
        Ok(match sign {
            "=" => rows == number,
            "<" => rows < number,
            _ => rows > number,
        })
    }
}

/// What an administrator's query says. One that asks for something that does not exist says no: an attack
/// that was stopped early left nothing to ask about.
fn asked(admin: &mut Connection, query: &str) -> Result<bool> {
    match single(admin, query) {
        Ok(answer) => Ok(answer == "t"),
        Err(error) if UNDEFINED.iter().any(|code| error.to_string().contains(code)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An undefined schema, table, column, function or object, as the end of an error's text has it.
const UNDEFINED: &[&str] = &[": 3F000 ", ": 42P01 ", ": 42703 ", ": 42883 ", ": 42704 "];

fn file_has(value: &str) -> Result<bool> {
    let (path, needle) = value.split_once('|').context("`filehas` needs a path and a text")?;
    let Ok(bytes) = std::fs::read(path) else {
        return Ok(false);
    };
    Ok(String::from_utf8_lossy(&bytes).contains(needle))
}
