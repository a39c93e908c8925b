//! The names of a session: prepared statements, portals and cursors, as the target knows them.
//!
//! Both protocol levels share them: a statement made by `PREPARE` can be bound, and a portal made by `Bind` can be
//! fetched from. A name is provisional until the target confirms it; a batch that fails takes its names back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use sallyport_session::{Reveals, Spent};
use sallyport_sql::{Prepared as SqlNames, StatementFacts};

use super::results::Described;
use crate::understanding::Understood;
use crate::wire::Format;

/// Names that a session may have at once, of each kind.
const MAX_NAMES: usize = 10_000;

/// A prepared statement.
#[derive(Debug)]
pub(super) struct Prepared {
    /// What is known of it.
    pub(super) understood: Arc<Understood>,
    /// Its result columns, once the target has described them.
    pub(super) described: std::sync::OnceLock<Arc<Described>>,
    /// How many `Sync`s had been sent when it was made.
    pub(super) batch: u64,
    confirmed: AtomicBool,
}

impl Prepared {
    pub(super) fn new(understood: Arc<Understood>, batch: u64) -> Self {
        Self { understood, described: std::sync::OnceLock::new(), batch, confirmed: AtomicBool::new(false) }
    }

    /// The same statement, understood anew.
    pub(super) fn again(&self, understood: Arc<Understood>) -> Self {
        Self {
            understood,
            described: self.described.clone(),
            batch: self.batch,
            confirmed: AtomicBool::new(self.confirmed.load(Ordering::Relaxed)),
        }
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
    /// What its result may show.
    pub(super) reveals: Arc<Reveals>,
    /// What is known of it, as it was when it was bound.
    pub(super) understood: Arc<Understood>,
    /// The statement that it was made from.
    pub(super) statement: Option<Arc<Prepared>>,
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
    statements: HashMap<Box<[u8]>, Arc<Prepared>>,
    portals: HashMap<Box<[u8]>, Arc<Portal>>,
    cursors: HashMap<Box<[u8]>, Cursor>,
}

#[derive(Debug)]
struct Cursor {
    facts: Arc<StatementFacts>,
    hold: bool,
}

impl Names {
    pub(super) fn statement(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        self.statements.get(name)
    }

    /// Gives `name` a meaning, or takes it away. Returns what it meant.
    pub(super) fn set_statement(&mut self, name: &[u8], to: Option<Arc<Prepared>>) -> Option<Arc<Prepared>> {
        match to {
            Some(statement) if self.statements.len() < MAX_NAMES => self.statements.insert(name.into(), statement),
            _ => self.statements.remove(name),
        }
    }

    /// `PREPARE name AS …` succeeded: the statement can be bound, too.
    pub(super) fn prepared_by_sql(&mut self, name: &str, facts: &Arc<StatementFacts>, of: &Understood, batch: u64) {
        let statement = Prepared::new(Arc::new(of.inner(facts)), batch);
        statement.confirm();
        self.set_statement(name.as_bytes(), Some(Arc::new(statement)));
    }

    pub(super) fn portal(&self, name: &[u8]) -> Option<&Arc<Portal>> {
        self.portals.get(name)
    }

    pub(super) fn set_portal(&mut self, name: &[u8], to: Option<Arc<Portal>>) -> Option<Arc<Portal>> {
        match to {
            Some(portal) if self.portals.len() < MAX_NAMES => self.portals.insert(name.into(), portal),
            _ => self.portals.remove(name),
        }
    }

    pub(super) fn declare(&mut self, name: &str, facts: Arc<StatementFacts>, hold: bool) {
        if self.cursors.len() < MAX_NAMES {
            self.cursors.insert(name.as_bytes().into(), Cursor { facts, hold });
        }
    }

    pub(super) fn has_cursor(&self, name: &[u8]) -> bool {
        self.cursors.contains_key(name)
    }

    /// The facts of a cursor that SQL declared.
    pub(super) fn cursor_facts(&self, name: &[u8]) -> Option<Arc<StatementFacts>> {
        self.cursors.get(name).map(|c| Arc::clone(&c.facts))
    }

    pub(super) fn close_cursor(&mut self, name: Option<&str>) {
        match name {
            Some(name) => {
                self.cursors.remove(name.as_bytes());
                self.portals.remove(name.as_bytes());
            }
            None => {
                self.cursors.clear();
                self.portals.clear();
            }
        }
    }

    pub(super) fn deallocate(&mut self, name: Option<&str>) {
        match name {
            Some(name) => drop(self.statements.remove(name.as_bytes())),
            None => self.statements.clear(),
        }
    }

    /// The transaction is over: portals end with it, and cursors unless they were declared to outlive it.
    pub(super) fn end_transaction(&mut self) {
        self.portals.clear();
        self.cursors.retain(|_, cursor| cursor.hold);
    }

    /// Code that the gateway cannot see into ran: it may have given any name another meaning.
    pub(super) fn distrust(&mut self) {
        self.statements.clear();
        self.portals.clear();
        self.cursors.clear();
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
