//! The names of a session: prepared statements, portals and cursors, as the target knows them.
//!
//! Both protocol levels share them: a statement made by `PREPARE` can be bound, and a portal made by `Bind` can be
//! fetched from. A name is provisional until the target confirms it; a batch that fails takes its names back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use sallyport_session::Spent;
use sallyport_sql::{Prepared as SqlNames, StatementFacts, Transaction};
use smol_str::SmolStr;

use super::by_name::ByName;
use super::results::Described;
use crate::understanding::Understood;
use crate::wire::Format;

/// Names that a session may have at once, of each kind.
const MAX_NAMES: usize = 10_000;
/// Bytes of texts and parameters that are kept for a session's names; once there are more, none is added.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A prepared statement.
#[derive(Debug)]
pub(super) struct Prepared {
    /// What is known of it.
    pub(super) understood: Arc<Understood>,
    /// The types of its parameters as the client gave them: they decide which functions and operators run.
    pub(super) parameter_types: Arc<[u32]>,
    /// The types of its parameters, once the target has told them.
    pub(super) told_types: std::sync::OnceLock<Arc<[u32]>>,
    /// Its name, if `PREPARE` made it: then the text is that of the `PREPARE`.
    pub(super) by_sql: Option<SmolStr>,
    /// Its result columns, once the target has described them.
    pub(super) described: std::sync::OnceLock<Arc<Described>>,
    /// How many `Sync`s had been sent when it was made.
    pub(super) batch: u64,
    /// Shared by all that is understood of this statement, now and anew.
    confirmed: Arc<AtomicBool>,
}

impl Prepared {
    pub(super) fn new(understood: Arc<Understood>, parameter_types: Arc<[u32]>, batch: u64) -> Self {
        let described = std::sync::OnceLock::new();
        Self {
            understood,
            parameter_types,
            told_types: std::sync::OnceLock::new(),
            by_sql: None,
            described,
            batch,
            confirmed: Arc::default(),
        }
    }

    /// The same statement, understood anew.
    pub(super) fn again(&self, understood: Arc<Understood>) -> Self {
        Self {
            understood,
            parameter_types: Arc::clone(&self.parameter_types),
            told_types: self.told_types.clone(),
            by_sql: self.by_sql.clone(),
            described: self.described.clone(),
            batch: self.batch,
            confirmed: Arc::clone(&self.confirmed),
        }
    }

    /// The types that decide what the bytes of its parameters are: the target's word, if it gave it.
    pub(super) fn types(&self) -> &[u32] {
        self.told_types.get().unwrap_or(&self.parameter_types)
    }

    /// What an approval of running it is bound to: the text, and the types of the parameters.
    pub(super) fn meaning(&self) -> Vec<u8> {
        let mut meaning = self.understood.text.to_vec();
        meaning.extend(self.parameter_types.iter().flat_map(|oid| oid.to_be_bytes()));
        meaning
    }

    pub(super) fn confirm(&self) {
        self.confirmed.store(true, Ordering::Relaxed);
    }

    /// Whether what the name means is sure in batch `now`: confirmed, or made in the same batch, where a failure
    /// makes the target skip everything that follows.
    pub(super) fn is_sure(&self, now: u64) -> bool {
        self.confirmed.load(Ordering::Relaxed) || self.batch == now
    }
}

/// A statement with its parameters, ready to run.
#[derive(Debug)]
pub(super) struct Portal {
    /// The right to run it.
    pub(super) spent: Spent,
    /// What is known of it, as it was when it was bound.
    pub(super) understood: Arc<Understood>,
    /// The statement that it was made from.
    pub(super) statement: Option<Arc<Prepared>>,
    /// What else an approval of it was bound to when it was bound.
    pub(super) meaning: Bytes,
    /// Its parameters as the client sent them.
    pub(super) parameters: Bytes,
    /// The formats that the client asked for.
    pub(super) formats: Vec<Format>,
    /// Its result columns, once the target has described them.
    pub(super) described: std::sync::OnceLock<Arc<Described>>,
    /// How many `Sync`s had been sent when it was made.
    pub(super) batch: u64,
    pub(super) confirmed: AtomicBool,
}

impl Portal {
    pub(super) fn is_sure(&self, now: u64) -> bool {
        self.confirmed.load(Ordering::Relaxed) || self.batch == now
    }

    /// The columns of its result with the formats that were bound, if anything has described them.
    pub(super) fn columns(&self) -> Option<Arc<Described>> {
        self.described.get().cloned().or_else(|| {
            let described = self.statement.as_ref()?.described.get()?;
            Some(Arc::new(described.in_formats(&self.formats)))
        })
    }
}

/// What a session's names mean.
#[derive(Debug, Default)]
pub(super) struct Names {
    statements: ByName<Arc<Prepared>>,
    /// Statements that may be gone or be others since: the target is asked before one of them is used.
    doubted: HashMap<Box<[u8]>, Arc<Prepared>>,
    portals: ByName<Arc<Portal>>,
    cursors: HashMap<Box<[u8]>, Cursor>,
    bytes: usize,
}

/// The named statements of the session as the target has them: name, text, and whether `PREPARE` made it.
pub(crate) const PREPARED_QUERY: &str = "SELECT name, statement, from_sql FROM pg_catalog.pg_prepared_statements";

#[derive(Debug)]
struct Cursor {
    facts: Arc<StatementFacts>,
    hold: bool,
    /// The text that declared it.
    text: Bytes,
}

impl Names {
    pub(super) fn statement(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        self.statements.get(name)
    }

    /// Gives `name` a meaning, or takes it away. Returns what it meant.
    pub(super) fn set_statement(&mut self, name: &[u8], to: Option<Arc<Prepared>>) -> Option<Arc<Prepared>> {
        if let Some(doubted) = self.doubted.remove(name) {
            self.bytes -= doubted.understood.text.len();
        }
        let before = match to {
            Some(statement) if self.statements.len() < MAX_NAMES => {
                self.bytes += statement.understood.text.len();
                self.statements.insert(name, statement)
            }
            _ => self.statements.remove(name),
        };
        self.bytes -= before.as_ref().map_or(0, |s| s.understood.text.len());
        before
    }

    /// Whether no more names are added, because of the bytes that are kept for those there are.
    pub(super) fn are_full(&self) -> bool {
        self.bytes >= MAX_BYTES
    }

    /// `PREPARE name AS …` succeeded: the statement can be bound, too.
    pub(super) fn prepared_by_sql(&mut self, name: &str, facts: &Arc<StatementFacts>, of: &Understood, batch: u64) {
        let statement = Prepared {
            by_sql: Some(name.into()),
            ..Prepared::new(Arc::new(of.inner(facts)), Arc::default(), batch)
        };
        statement.confirm();
        self.set_statement(name.as_bytes(), Some(Arc::new(statement)));
    }

    pub(super) fn portal(&self, name: &[u8]) -> Option<&Arc<Portal>> {
        self.portals.get(name)
    }

    /// Gives `name` a meaning, or takes it away. Returns what it meant. Portals and cursors are one kind of name to the
    /// target: whatever cursor had it is gone once this is true there.
    pub(super) fn set_portal(&mut self, name: &[u8], to: Option<Arc<Portal>>) -> Option<Arc<Portal>> {
        self.remove_cursor(name);
        let before = match to {
            Some(portal) if self.portals.len() < MAX_NAMES => {
                self.bytes += portal.parameters.len();
                self.portals.insert(name, portal)
            }
            _ => self.portals.remove(name),
        };
        self.bytes -= before.as_ref().map_or(0, |p| p.parameters.len());
        before
    }

    /// `DECLARE` succeeded: the name is a cursor's now, and no portal's.
    pub(super) fn declare(&mut self, name: &str, facts: Arc<StatementFacts>, hold: bool, text: Bytes) {
        self.close_cursor(Some(name));
        if self.cursors.len() < MAX_NAMES {
            self.bytes += text.len();
            self.cursors
                .insert(name.as_bytes().into(), Cursor { facts, hold, text });
        }
    }

    pub(super) fn has_cursor(&self, name: &[u8]) -> bool {
        self.cursors.contains_key(name)
    }

    /// The facts of a cursor that SQL declared.
    pub(super) fn cursor_facts(&self, name: &[u8]) -> Option<Arc<StatementFacts>> {
        self.cursors.get(name).map(|c| Arc::clone(&c.facts))
    }

    /// What an approval of fetching from `name` is bound to.
    pub(super) fn cursor_meaning(&self, name: &[u8]) -> Vec<u8> {
        match (self.cursors.get(name), self.portals.get(name)) {
            (Some(cursor), _) => cursor.text.to_vec(),
            (None, Some(portal)) => {
                let mut meaning = portal.statement.as_ref().map(|s| s.meaning()).unwrap_or_default();
                meaning.extend_from_slice(&portal.parameters);
                meaning
            }
            (None, None) => Vec::new(),
        }
    }

    /// Whether what the names in `statement` stand for is sure in batch `now`.
    pub(super) fn are_sure(&self, statement: &StatementFacts, now: u64) -> bool {
        let executes = statement
            .effects
            .executes
            .as_ref()
            .and_then(|name| self.statements.get(name.as_bytes()));
        let fetches = statement
            .effects
            .fetches
            .as_ref()
            .and_then(|name| self.portals.get(name.as_bytes()));
        executes.is_none_or(|s| s.is_sure(now)) && fetches.is_none_or(|p| p.is_sure(now))
    }

    pub(super) fn close_cursor(&mut self, name: Option<&str>) {
        match name {
            Some(name) => drop(self.set_portal(name.as_bytes(), None)),
            None => {
                self.cursors.clear();
                self.portals.clear();
                self.weigh();
            }
        }
    }

    pub(super) fn deallocate(&mut self, name: Option<&str>) {
        match name {
            Some(name) => drop(self.set_statement(name.as_bytes(), None)),
            None => {
                self.statements.clear();
                self.weigh();
            }
        }
    }

    fn remove_cursor(&mut self, name: &[u8]) {
        if let Some(cursor) = self.cursors.remove(name) {
            self.bytes -= cursor.text.len();
        }
    }

    /// Counts the bytes anew.
    fn weigh(&mut self) {
        let statements = self.statements.values().chain(self.doubted.values());
        let statements = statements.map(|s| s.understood.text.len());
        let portals = self.portals.values().map(|p| p.parameters.len());
        let cursors = self.cursors.values().map(|c| c.text.len());
        self.bytes = statements.chain(portals).chain(cursors).sum();
    }

    /// A transaction is over: the portals end with it that were made before batch `now`, and cursors unless they were
    /// declared to outlive it.
    pub(super) fn end_transaction(&mut self, now: u64) {
        if self.portals.is_empty() && self.cursors.is_empty() {
            return;
        }
        self.portals.retain(|portal| portal.batch >= now);
        self.cursors.retain(|_, cursor| cursor.hold);
        self.weigh();
    }

    /// Nothing that had a name is there any more.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Code that the gateway cannot see into ran: it may have given any name another meaning, but for the statement
    /// without one, which no SQL can name.
    pub(super) fn doubt(&mut self) {
        self.doubted.extend(self.statements.drain_named());
        self.portals.clear();
        self.cursors.clear();
        self.weigh();
    }

    /// Whether the target must be asked which statements there still are.
    pub(super) fn are_doubted(&self) -> bool {
        !self.doubted.is_empty()
    }

    /// A row of the answer to [`PREPARED_QUERY`].
    pub(super) fn found(&mut self, row: &[Option<&str>]) {
        let [Some(name), Some(text), Some(by_sql)] = row else {
            return;
        };
        let same = |s: &Arc<Prepared>| s.understood.text == *text.as_bytes() && s.by_sql.is_some() == (*by_sql == "t");
        if self.doubted.get(name.as_bytes()).is_some_and(same)
            && let Some((name, statement)) = self.doubted.remove_entry(name.as_bytes())
        {
            self.statements.insert(&name, statement);
        }
    }

    /// Every row was seen: what was not found is gone.
    pub(super) fn settle(&mut self) {
        self.doubted.clear();
        self.weigh();
    }

    /// A doubted statement that ends a transaction. In a transaction that has failed the target runs nothing else, whatever
    /// the name stands for now.
    pub(super) fn end_of_failed(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        let ends = |s: &StatementFacts| {
            matches!(
                s.effects.transaction,
                Some(Transaction::Commit { .. } | Transaction::Rollback { .. } | Transaction::RollbackTo(_))
            )
        };
        let doubted = self.doubted.get(name)?;
        doubted.understood.single().is_some_and(|s| ends(&s)).then_some(doubted)
    }
}

impl SqlNames for Names {
    fn statement(&self, name: &str) -> Option<Arc<StatementFacts>> {
        self.statements.get(name.as_bytes()).and_then(|s| s.understood.single())
    }

    fn cursor(&self, name: &str) -> Option<Arc<StatementFacts>> {
        let cursor = self.cursors.get(name.as_bytes()).map(|c| Arc::clone(&c.facts));
        cursor.or_else(|| self.portals.get(name.as_bytes()).and_then(|p| p.understood.single()))
    }
}
