//! Relations by name: the snapshot, what the same string did before, the search path.

use std::rc::Rc;
use std::sync::Arc;

use pg_raw_parse::nodes::RangeVar;
use smol_str::SmolStr;

use super::literal::Literals;
use super::{Binder, Names};
use crate::catalog::{Catalog, Relation};
use crate::facts::RelName;
use crate::state::SessionState;

impl<'a> Names<'a> {
    pub(crate) fn new(catalog: &'a Catalog, state: &SessionState) -> Names<'a> {
        Names {
            catalog,
            text: "",
            path: state.search_path.clone(),
            user: state.user.clone(),
            creation: state.creation_schema.clone(),
            overlay: Default::default(),
            new_functions: Default::default(),
            statements: Default::default(),
            cursors: Default::default(),
            forgotten: false,
            paths: Vec::new(),
            only_local: true,
            began: false,
            lost: false,
            budget: Default::default(),
            literals: Rc::new(Literals::in_year(state.year)),
        }
    }

    /// The names as they were when the server rendered the definitions of views.
    pub(crate) fn of_definitions(catalog: &'a Catalog) -> Names<'a> {
        Names {
            catalog,
            text: "",
            path: catalog.inner.path.clone(),
            user: SmolStr::default(),
            creation: None,
            overlay: Default::default(),
            new_functions: Default::default(),
            statements: Default::default(),
            cursors: Default::default(),
            forgotten: false,
            paths: Vec::new(),
            only_local: true,
            began: false,
            lost: false,
            budget: Default::default(),
            literals: Default::default(),
        }
    }

    /// The schema that `pg_temp` stands for.
    pub(crate) fn temporary_schema(&self) -> SmolStr {
        let own = self.path.iter().find(|s| s.starts_with("pg_temp"));
        own.cloned().unwrap_or_else(|| SmolStr::new_static("pg_temp"))
    }

    /// The relation of this exact name.
    pub(crate) fn exact(&self, name: &RelName) -> Option<Arc<Relation>> {
        if let Some(changed) = self.overlay.get(name) {
            return changed.clone();
        }
        let inner = &self.catalog.inner;
        inner.relations.get(inner.relations_by_name.get(name)?).cloned()
    }

    /// The relation that a name means, given a schema or not.
    pub(crate) fn relation(&self, schema: Option<&str>, name: &str) -> Option<Arc<Relation>> {
        if let Some(schema) = schema {
            let schema = if schema == "pg_temp" {
                self.temporary_schema()
            } else {
                SmolStr::new(schema)
            };
            return self.exact(&RelName::new(schema, name));
        }
        self.path
            .iter()
            .find_map(|schema| self.exact(&RelName::new(schema.clone(), name)))
    }

    /// The name that a `RangeVar` means or, if there is no such relation, would mean.
    pub(crate) fn rel_name(&self, var: &RangeVar) -> RelName {
        let name = var.relname().unwrap_or_default();
        if let Some(found) = self.relation(var.schemaname(), name) {
            return found.name.clone();
        }
        match var.schemaname() {
            Some(schema) => RelName::new(schema, name),
            None => RelName::new("?", name),
        }
    }

    /// Where a new relation of this name lands.
    pub(crate) fn new_name(&self, var: &RangeVar, temporary: bool) -> RelName {
        let schema = match var.schemaname() {
            Some("pg_temp") => self.temporary_schema(),
            Some(schema) => SmolStr::new(schema),
            None if temporary => self.temporary_schema(),
            None => self.creation.clone().unwrap_or_else(|| SmolStr::new_static("?")),
        };
        RelName::new(schema, var.relname().unwrap_or_default())
    }

    /// A name given as a list of strings: `[catalog.][schema.]name`.
    pub(crate) fn listed(&self, parts: &[&str]) -> (Option<Arc<Relation>>, RelName) {
        let (schema, name) = match parts {
            [name] => (None, *name),
            [.., schema, name] => (Some(*schema), *name),
            [] => (None, ""),
        };
        let found = self.relation(schema, name);
        let spelled = match &found {
            Some(relation) => relation.name.clone(),
            None => RelName::new(schema.unwrap_or("?"), name),
        };
        (found, spelled)
    }
}

impl Binder<'_> {
    /// The relation of a `RangeVar`; records it as unresolved when there is none.
    pub(crate) fn relation(&mut self, var: &RangeVar) -> Option<Arc<Relation>> {
        let name = var.relname().unwrap_or_default();
        let found = self.names.relation(var.schemaname(), name);
        if found.is_none() || self.names.lost {
            let missing = self.names.rel_name(var);
            self.unresolved(&format!("relation {missing}"));
        }
        found
    }

    /// Relations that a change of the table's rows also concerns: its children.
    pub(crate) fn descendants(&self, relation: &Relation) -> Vec<Arc<Relation>> {
        let inner = &self.names.catalog.inner;
        let mut open = vec![relation.id];
        let mut found: Vec<Arc<Relation>> = Vec::new();
        while let Some(id) = open.pop() {
            for child in inner.children.get(&id).into_iter().flatten() {
                if let Some(child) = inner.relations.get(child)
                    && !found.iter().any(|f| f.id == child.id)
                {
                    open.push(child.id);
                    found.push(Arc::clone(child));
                }
            }
        }
        found
    }
}
