//! What a statement does to the names that later statements of the same string use.
//!
//! The simple changes are followed; after any other, names count as unresolved.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::bind::{Field, Names, Shape};
use crate::budget::Budget;
use crate::catalog::{Column, Columns, Relation};
use crate::facts::{ColumnName, RelName, StatementFacts};

/// The longest search path that is followed.
const MAX_PATH: usize = 64;

/// One change of names.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A relation was made or made anew.
    Create(Arc<Relation>),
    /// A relation is gone.
    Drop(RelName),
    /// A relation has another name.
    Rename(RelName, RelName),
    /// A column has another name (`Some`) or is gone.
    Column(RelName, SmolStr, Option<SmolStr>),
    /// The search path is this; `local`: until the transaction ends.
    Path { schemas: Vec<SmolStr>, local: bool },
    /// A transaction began.
    Began,
    /// Functions of this name were made.
    Function(SmolStr),
    /// A prepared statement was made or dropped.
    Statement(SmolStr, Option<Arc<StatementFacts>>),
    /// A cursor was opened or closed.
    Cursor(SmolStr, Option<Arc<StatementFacts>>),
    /// Statements and cursors from before are gone.
    Forget,
    /// The session's temporary objects are gone.
    DropTemporary,
    /// The transaction ended, keeping what it did or not.
    Ended,
    /// The transaction went back to a savepoint.
    WentBack,
    /// Anything may have changed.
    Lost,
}

impl Names<'_> {
    /// Takes the changes of one statement over; `uncommitted`: the transaction had changed names
    /// before this string.
    pub(crate) fn apply(&mut self, changes: Vec<Change>, uncommitted: bool) {
        for change in changes {
            self.apply_one(change, uncommitted);
        }
    }

    fn apply_one(&mut self, change: Change, uncommitted: bool) {
        match change {
            Change::Create(relation) => {
                if relation.temporary && !self.path.contains(&relation.name.schema) {
                    self.path.insert(0, relation.name.schema.clone());
                }
                self.overlay.insert(relation.name.clone(), Some(relation));
            }
            Change::Drop(name) => {
                self.overlay.insert(name, None);
            }
            Change::Rename(from, to) => self.rename(&from, to),
            Change::Column(relation, from, to) => self.change_column(&relation, &from, to),
            Change::Path { schemas, local } => {
                self.paths.push(self.path.clone());
                self.only_local &= local;
                self.set_path(schemas);
            }
            Change::Began => {
                // what was set before it may go with it or stay
                self.began = self.paths.is_empty();
            }
            Change::Function(name) => {
                self.new_functions.insert(name);
            }
            Change::Statement(name, facts) => {
                self.statements.insert(name, facts);
            }
            Change::Cursor(name, facts) => {
                self.cursors.insert(name, facts);
            }
            Change::Forget => {
                self.statements.clear();
                self.cursors.clear();
                self.forgotten = true;
            }
            Change::DropTemporary => {
                self.budget.compare(self.overlay.len());
                self.only_local = false;
                self.paths.push(self.path.clone());
                self.path.retain(|s| !s.starts_with("pg_temp"));
                self.overlay.retain(|name, _| !name.is_temporary());
            }
            Change::Ended => {
                self.end_path();
                self.lost |= uncommitted || !self.overlay.is_empty() || !self.new_functions.is_empty();
                self.cursors.clear();
            }
            Change::WentBack => {
                self.lost |= !self.paths.is_empty() || uncommitted;
                self.lost |= !self.overlay.is_empty() || !self.new_functions.is_empty();
                self.cursors.clear();
            }
            Change::Lost => self.lost = true,
        }
    }

    /// The transaction takes a path along that was set for it; one that was set for the session, only if it fails.
    fn end_path(&mut self) {
        let changed = std::mem::take(&mut self.paths);
        let (local, began) = (
            std::mem::replace(&mut self.only_local, true),
            std::mem::take(&mut self.began),
        );
        match changed.into_iter().next() {
            None => {}
            Some(before) if local && began => self.path_again(before),
            Some(_) => self.lost = true,
        }
    }

    fn path_again(&mut self, path: Vec<SmolStr>) {
        self.creation = creation_in(&path);
        self.path = path;
    }

    fn rename(&mut self, from: &RelName, to: RelName) {
        match self.exact(from) {
            Some(relation) => {
                self.budget.make(relation.columns.len());
                let renamed = Relation {
                    name: to.clone(),
                    ..(*relation).clone()
                };
                self.overlay.insert(from.clone(), None);
                self.overlay.insert(to, Some(Arc::new(renamed)));
            }
            None => self.lost = true,
        }
    }

    fn change_column(&mut self, name: &RelName, from: &str, to: Option<SmolStr>) {
        let Some(relation) = self.exact(name) else {
            self.lost = true;
            return;
        };
        self.budget.make(relation.columns.len());
        let mut changed = (*relation).clone();
        match to {
            Some(to) => changed
                .columns
                .iter_mut()
                .filter(|c| c.name == from)
                .for_each(|c| c.name = to.clone()),
            None => changed.columns.retain(|c| c.name != from),
        }
        self.overlay.insert(name.clone(), Some(Arc::new(changed)));
    }

    /// `SET search_path`: the implicit schemas stay in front unless they are named.
    fn set_path(&mut self, schemas: Vec<SmolStr>) {
        // a long path is walked again for each name after it
        if schemas.len() > MAX_PATH {
            self.lost = true;
            return;
        }
        let temporary = self.path.iter().find(|s| s.starts_with("pg_temp")).cloned();
        let mut path: Vec<SmolStr> = Vec::new();
        for schema in schemas {
            match schema.as_str() {
                "pg_temp" => path.extend(temporary.clone()),
                _ => path.push(schema),
            }
        }
        self.creation = creation_in(&path);
        if !path.iter().any(|s| s == "pg_catalog") {
            path.insert(0, SmolStr::new_static("pg_catalog"));
        }
        if let Some(temporary) = temporary
            && !path.contains(&temporary)
        {
            path.insert(0, temporary);
        }
        self.path = path;
    }
}

/// Spends what a new relation with these columns costs: each has its own set of origins.
pub(crate) fn keeps(budget: &Budget, fields: &[Field]) -> bool {
    budget.spend(fields.iter().map(|f| 12 + f.flow.columns.len()).sum())
}

/// Where new objects land under a path.
fn creation_in(path: &[SmolStr]) -> Option<SmolStr> {
    path.iter()
        .find(|s| *s != "pg_catalog" && !s.starts_with("pg_temp"))
        .cloned()
}

/// A new relation with these columns, each carrying what it is made from.
pub(crate) fn relation_of(name: RelName, kind: char, temporary: bool, fields: &[Field]) -> Relation {
    let columns = fields.iter().enumerate().map(|(index, field)| {
        let own = ColumnName {
            relation: name.clone(),
            column: field.name.clone(),
        };
        let mut origins = (*field.flow.columns).clone();
        origins.insert(own);
        Column {
            name: field.name.clone(),
            number: i16::try_from(index + 1).unwrap_or(i16::MAX),
            ty: match field.flow.ty {
                crate::bind::Ty::Known(id) => id,
                crate::bind::Ty::Unknown | crate::bind::Ty::Literal => 0,
            },
            generated: false,
            origins: Columns::new(origins),
        }
    });
    Relation {
        id: 0,
        columns: columns.collect(),
        name,
        kind,
        temporary,
        row_security: false,
        opaque: false,
        definition: None,
        rules: Vec::new(),
        triggers: Vec::new(),
        attached: Vec::new(),
    }
}

/// The change of making a relation from a query, unless its columns are not all known.
pub(crate) fn created_from(budget: &Budget, name: RelName, kind: char, temporary: bool, shape: &Shape) -> Change {
    if shape.open.is_some() || !keeps(budget, &shape.fields) {
        return Change::Lost;
    }
    Change::Create(Arc::new(relation_of(name, kind, temporary, &shape.fields)))
}
