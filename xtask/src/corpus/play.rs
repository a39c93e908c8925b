//! Plays a case's steps on connections of their own and keeps what was received.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::case::{SqlCase, Step};
use super::snapshot::single;
use super::step;
use super::through::Door;
use super::wire::{Connection, Fields, Message};

/// What the clients of a case received, by session.
#[derive(Debug, Default)]
pub(crate) struct Played {
    sessions: BTreeMap<String, Vec<Message>>,
    closed: bool,
}

impl Played {
    /// Every message of every session.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.sessions.values().flatten()
    }

    /// SQLSTATE and message of every error.
    pub(crate) fn errors(&self) -> Vec<String> {
        let errors = self.messages().filter(|message| message.kind == b'E');
        errors.map(|error| Fields::of(&error.body).message()).collect()
    }

    /// Every command tag.
    pub(crate) fn tags(&self) -> Vec<String> {
        let tags = self.messages().filter(|message| message.kind == b'C');
        tags.map(|tag| String::from_utf8_lossy(tag.body.strip_suffix(b"\0").unwrap_or(&tag.body)).into_owned())
            .collect()
    }

    /// Whether the other side closed a connection.
    pub(crate) fn closed(&self) -> bool {
        self.closed
    }

    /// What a client makes of the answers: results and states, without what differs from run to run anyway.
    pub(crate) fn results(&self) -> BTreeMap<&str, Vec<Message>> {
        let each = self
            .sessions
            .iter()
            .map(|(name, messages)| (name.as_str(), results(messages)));
        each.collect()
    }
}

/// Results, with the pieces of a copy put together; notices, notifications and settings are left out.
fn results(messages: &[Message]) -> Vec<Message> {
    let mut kept: Vec<Message> = Vec::new();
    for message in messages.iter().filter(|message| !b"NASKR".contains(&message.kind)) {
        match kept.last_mut() {
            Some(last) if last.kind == b'd' && message.kind == b'd' => {
                last.body.extend(&message.body);
            }
            Some(_) | None => kept.push(message.clone()),
        }
    }
    kept
}

/// The name of the target that stands for a role in a database.
pub(crate) fn target(role: &str, database: &str) -> String {
    format!("{database}-{role}")
}

struct Player<'a> {
    case: &'a SqlCase,
    door: &'a Door,
    open: BTreeMap<String, Connection>,
    pending: BTreeMap<String, Vec<u8>>,
}

/// Plays a case's steps.
pub(crate) fn play(case: &SqlCase, door: &Door, admin: &mut Connection) -> Result<Played> {
    let mut player = Player {
        case,
        door,
        open: BTreeMap::new(),
        pending: BTreeMap::new(),
    };
    for step in case.script() {
        player.step(&step, admin)?;
    }
    Ok(player.finish())
}

impl Player<'_> {
    fn step(&mut self, step: &Step, admin: &mut Connection) -> Result<()> {
        let pending = self.pending.remove(&step.session).unwrap_or_default();
        let connection = self.connection(&step.session)?;
        match step.op.as_str() {
            "wait" => {
                std::thread::sleep(Duration::from_millis(step.ms.unwrap_or(200)));
                connection.drain(Duration::from_millis(300));
                return Ok(());
            }
            "close" => return self.close(&step.session),
            _ => {}
        }
        let mut function = |signature: &str| function(admin, signature);
        let encoded = step::encode(step, &mut function)?;
        let bytes = [pending, encoded.bytes].concat();
        if step.coalesce {
            self.pending.insert(step.session.clone(), bytes);
            return Ok(());
        }
        connection.send(&bytes, step.chunk, Duration::from_secs_f64(step.delay.clamp(0.0, 5.0)));
        settle(connection, step, encoded.until);
        Ok(())
    }

    fn connection(&mut self, session: &str) -> Result<&mut Connection> {
        if !self.open.contains_key(session) {
            let connection = self.connect(session)?;
            self.open.insert(session.to_owned(), connection);
        }
        self.open
            .get_mut(session)
            .context("a session that was just opened is gone")
    }

    fn connect(&self, session: &str) -> Result<Connection> {
        let given = self.case.startup.get(session).map(pairs).unwrap_or_default();
        let special = |name: &str| {
            given
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        };
        let role = special("_role").unwrap_or_else(|| self.case.role.clone());
        let database = special("_db").unwrap_or_else(|| "shop".to_owned());
        let claim = self.door.claim(&target(&role, &database), &role, &database);
        let mut parameters = vec![
            ("user".to_owned(), claim.user),
            ("database".to_owned(), claim.database),
            ("application_name".to_owned(), "corpus".to_owned()),
        ];
        let listed = self.case.startup.get(session).is_some_and(Value::is_array);
        for (name, value) in given.into_iter().filter(|(name, _)| !name.starts_with('_')) {
            // An object replaces; a list is sent as it stands, so that a key can come twice.
            match parameters.iter_mut().find(|(key, _)| *key == name).filter(|_| !listed) {
                Some(slot) => slot.1 = value,
                None => parameters.push((name, value)),
            }
        }
        Connection::open(self.door.address(), &parameters, claim.password.as_deref())
    }

    /// What a closed connection received is kept under a name of its own.
    fn close(&mut self, session: &str) -> Result<()> {
        let Some(mut connection) = self.open.remove(session) else {
            return Ok(());
        };
        connection.close();
        std::thread::sleep(Duration::from_millis(200));
        let name = format!("{session}{}", self.open.len());
        self.open.insert(name, connection);
        Ok(())
    }

    fn finish(mut self) -> Played {
        let mut played = Played::default();
        for (name, mut connection) in std::mem::take(&mut self.open) {
            if !connection.dead {
                connection.drain(Duration::from_millis(20));
            }
            played.closed |= connection.dead;
            let said = connection
                .startup
                .iter()
                .filter(|message| b"ENA".contains(&message.kind))
                .cloned();
            let mut messages: Vec<Message> = said.collect();
            messages.append(&mut connection.messages);
            connection.close();
            played.sessions.insert(name, messages);
        }
        played
    }
}

/// Waits for the answer that a step has, as a client of that kind would.
fn settle(connection: &mut Connection, step: &Step, until: &[u8]) {
    let patience = Duration::from_secs(8);
    if until.is_empty() {
        if matches!(step.op.as_str(), "H" | "raw") {
            connection.drain(Duration::from_millis(250));
        }
        return;
    }
    let tmo = step
        .tmo
        .map_or(patience, |seconds| Duration::from_secs_f64(seconds.clamp(0.0, 60.0)));
    match connection.wait(until, tmo) {
        Some(b'H') => {
            connection.wait(b"Z", patience);
        }
        Some(b'W') => connection.drain(Duration::from_millis(800)),
        Some(_) | None => {}
    }
}

fn function(admin: &mut Connection, signature: &str) -> Result<u32> {
    let quoted = signature.replace('\'', "''");
    Ok(single(admin, &format!("SELECT '{quoted}'::regprocedure::oid"))?.parse()?)
}

/// Startup parameters, given as an object or as a list of pairs.
fn pairs(value: &Value) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), word(value)))
            .collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(|pair| Some((word(pair.get(0)?), word(pair.get(1)?))))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
