//! What views show: their definitions are bound like any query, once per snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;

use pg_raw_parse::Node;
use smol_str::SmolStr;

use super::flow::{Flow, unite};
use super::{Binder, Field, Names, Scope, Shape, Ty};
use crate::catalog::{Column, Columns, Relation};
use crate::facts::{ColumnUse, Hazard, How, RelName, StatementFacts};

/// What one view shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct ViewFacts {
    /// For each column itself and the columns behind it, and whether it is one of them unchanged.
    columns: Vec<(Columns, bool)>,
    /// Relations read.
    reads: BTreeSet<RelName>,
    /// Columns that decide about its rows.
    inferred: BTreeSet<ColumnUse>,
    functions: BTreeSet<SmolStr>,
    code: BTreeSet<SmolStr>,
    hazards: BTreeSet<Hazard>,
}

impl Binder<'_> {
    /// The columns of a relation with what they carry; a view's carry what is behind it as well.
    pub(crate) fn view_columns(&mut self, relation: &Arc<Relation>) -> Vec<Field> {
        if !self.names.budget.make(relation.columns.len()) {
            return Vec::new();
        }
        let behind = self.behind(relation);
        let seen = relation.id != 0 && !self.views_seen.insert(relation.id);
        if let Some(behind) = behind.as_ref().filter(|_| !seen) {
            self.facts.reads.extend(behind.reads.iter().cloned());
            self.facts.uses.extend(behind.inferred.iter().cloned());
            self.facts.functions.extend(behind.functions.iter().cloned());
            self.facts.code.extend(behind.code.iter().cloned());
            self.facts.hazards.extend(behind.hazards.iter().cloned());
        }
        let field = |(index, column): (usize, &Column)| {
            let (columns, direct) = match &behind {
                Some(view) => match view.columns.get(index) {
                    Some((columns, direct)) => (columns, *direct),
                    None => (&column.origins, false),
                },
                None => (&column.origins, true),
            };
            Field {
                name: column.name.clone(),
                flow: Flow {
                    columns: Arc::clone(columns),
                    direct,
                    ty: Ty::Known(column.ty),
                    row: None,
                },
            }
        };
        relation.columns.iter().enumerate().map(field).collect()
    }

    /// The base relations that writing a view may write: everything that it reads.
    pub(crate) fn base_relations(&mut self, relation: &Arc<Relation>) -> Vec<Arc<Relation>> {
        if relation.kind != 'v' {
            return Vec::new();
        }
        let reads = match self.definition(relation) {
            Some(view) => view.reads.clone(),
            None => BTreeSet::new(),
        };
        reads.iter().filter_map(|name| self.names.exact(name)).collect()
    }

    /// What is behind a view that is not declassified.
    fn behind(&mut self, relation: &Arc<Relation>) -> Option<Arc<ViewFacts>> {
        let found = self.definition(relation)?;
        if !self.names.catalog.declassified.contains(&relation.name) {
            return Some(found);
        }
        // a declassified view stands for itself; the code in it runs all the same
        let own = ViewFacts {
            columns: relation
                .columns
                .iter()
                .map(|c| (Arc::clone(&c.origins), true))
                .collect(),
            functions: found.functions.clone(),
            code: found.code.clone(),
            hazards: found.hazards.clone(),
            ..ViewFacts::default()
        };
        Some(Arc::new(own))
    }

    fn definition(&mut self, relation: &Arc<Relation>) -> Option<Arc<ViewFacts>> {
        let Some(text) = relation.definition.as_ref() else {
            // a view of the snapshot whose definition could not be had may show anything
            if matches!(relation.kind, 'v' | 'm') && !relation.opaque && relation.id != 0 {
                self.unresolved(&format!("view {}", relation.name));
            }
            return None;
        };
        let catalog = self.names.catalog;
        // numbers belong to the snapshot; views made by this string of statements have none
        if relation.id != 0
            && let Ok(known) = catalog.views.read()
            && let Some(found) = known.get(&relation.id)
        {
            return Some(Arc::clone(found));
        }
        if self.expanding.len() >= 32 || self.expanding.contains(&relation.id) {
            self.unresolved(&format!("view {}", relation.name));
            return None;
        }
        let found = Arc::new(self.bind_definition(relation, text));
        if relation.id != 0
            && let Ok(mut known) = catalog.views.write()
        {
            known.insert(relation.id, Arc::clone(&found));
        }
        Some(found)
    }

    fn bind_definition(&mut self, relation: &Arc<Relation>, text: &str) -> ViewFacts {
        let names = Names::of_definitions(self.names.catalog);
        let mut binder = Binder::new(&names, self.prepared, StatementFacts::empty(0..text.len()));
        binder.expanding = self.expanding.clone();
        binder.expanding.push(relation.id);
        let shape = match crate::parse::parse(text) {
            Ok(parsed) => match parsed.statements().next() {
                Some((_, query @ Node::SelectStmt(_))) => binder.query(query, &Scope::default()),
                _ => Shape {
                    open: Some(Flow::default()),
                    ..Shape::default()
                },
            },
            Err(_) => Shape {
                open: Some(Flow::default()),
                ..Shape::default()
            },
        };
        if shape.open.is_some() {
            binder.unresolved(&format!("view {}", relation.name));
        }
        if names.budget.is_exceeded() {
            binder.unresolved(&format!("view {}", relation.name));
        }
        let facts = binder.finish();
        let shown = |(field, column): (Field, &Column)| {
            let mut columns = Arc::clone(&column.origins);
            unite(&mut columns, &field.flow.columns);
            (columns, field.flow.direct)
        };
        ViewFacts {
            columns: shape.fields.into_iter().zip(&relation.columns).map(shown).collect(),
            inferred: facts.uses.into_iter().filter(|u| u.how != How::Written).collect(),
            reads: facts.reads,
            functions: facts.functions,
            code: facts.code,
            hazards: facts.hazards,
        }
    }
}
