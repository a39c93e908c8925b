//! INSERT, UPDATE, DELETE, MERGE.

use std::collections::HashMap;
use std::sync::Arc;

use pg_raw_parse::{Node, nodes};
use smol_str::SmolStr;

use super::from::rename;
use super::restrict::join_conditions;
use super::scope::{Item, Scope};
use super::{Binder, Field, Flow, Shape, strings};
use crate::catalog::{Column, Relation};
use crate::facts::{Action, ColumnName, ColumnUse, Hazard, How};

/// The events that `tgtype` and rules know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Insert,
    Update,
    Delete,
    Truncate,
}

impl Event {
    pub(super) fn rule(self) -> char {
        match self {
            Event::Update => '2',
            Event::Insert => '3',
            Event::Delete => '4',
            Event::Truncate => '0',
        }
    }

    pub(super) fn trigger_bit(self) -> u32 {
        match self {
            Event::Insert => 4,
            Event::Delete => 8,
            Event::Update => 16,
            Event::Truncate => 32,
        }
    }
}

impl Binder<'_> {
    pub(super) fn insert(&mut self, insert: &nodes::InsertStmt, parent: &Scope<'_>) -> Shape {
        self.act(Action::Insert);
        let mut scope = Scope::inside(Some(parent));
        self.with(insert.with_clause(), &mut scope);
        let source = match insert.select_stmt() {
            Node::None => Shape {
                restricted: true,
                ..Shape::default()
            },
            query => self.query(query, &scope),
        };
        self.copy_away(&source);
        let Some((relation, item)) = self.target(insert.relation(), &mut scope) else {
            return Self::lost_target();
        };
        self.write(&relation, Event::Insert);
        let columns: Vec<&str> = insert
            .cols()
            .iter()
            .filter_map(|c| if let Node::ResTarget(t) = c { t.name() } else { None })
            .collect();
        if columns.is_empty() {
            let count = if source.fields.is_empty() || source.open.is_some() {
                relation.columns.len()
            } else {
                source.fields.len()
            };
            let names: Vec<SmolStr> = relation.columns.iter().take(count).map(|c| c.name.clone()).collect();
            self.written(&relation, names.iter().map(SmolStr::as_str));
        } else {
            self.written(&relation, columns.iter().copied());
        }
        if let Some(conflict) = insert.on_conflict_clause() {
            self.on_conflict(conflict, &relation, item, source.restricted, &mut scope);
        }
        let mut shape = self.returning(insert.returning_clause(), &scope);
        shape.restricted &= source.restricted;
        shape
    }

    fn on_conflict(
        &mut self,
        conflict: &nodes::OnConflictClause,
        relation: &Arc<Relation>,
        target: usize,
        bounded: bool,
        scope: &mut Scope<'_>,
    ) {
        if let Some(infer) = conflict.infer() {
            self.exprs(
                infer.index_elems().iter().filter_map(|e| {
                    if let Node::IndexElem(e) = e {
                        Some(e.expr())
                    } else {
                        None
                    }
                }),
                scope,
            );
            self.infer(infer.where_clause(), scope);
        }
        if conflict.action != nodes::OnConflictAction::ONCONFLICT_UPDATE {
            return;
        }
        self.act(Action::Update);
        self.write(relation, Event::Update);
        // the row that was to be inserted: what it carries was recorded with the source
        self.names.budget.make(relation.columns.len());
        let fields = relation.columns.iter().map(|c| Field {
            name: c.name.clone(),
            flow: Flow::of_type(super::Ty::Known(c.ty)),
        });
        let mut excluded = Item::new(SmolStr::new_static("excluded"), fields.collect());
        excluded.columns_visible = false;
        scope.items.push(excluded);
        self.assignments(conflict.target_list().iter(), relation, scope);
        self.infer(conflict.where_clause(), scope);
        let conditions = [conflict.where_clause()];
        if !bounded && !self.restricted(scope, &conditions).item(target) {
            self.unbounded(relation);
        }
        scope.items.pop();
    }

    pub(super) fn update(&mut self, update: &nodes::UpdateStmt, parent: &Scope<'_>) -> Shape {
        self.act(Action::Update);
        let mut scope = Scope::inside(Some(parent));
        self.with(update.with_clause(), &mut scope);
        let Some((relation, item)) = self.target(update.relation(), &mut scope) else {
            return Self::lost_target();
        };
        self.write(&relation, Event::Update);
        for source in update.from_clause() {
            self.source(source, &mut scope);
        }
        self.assignments(update.target_list().iter(), &relation, &scope);
        self.infer(update.where_clause(), &scope);
        let mut conditions = vec![update.where_clause()];
        join_conditions(update.from_clause(), &mut conditions);
        self.bounded_or_not(&relation, item, &conditions, &scope);
        self.returning(update.returning_clause(), &scope)
    }

    pub(super) fn delete(&mut self, delete: &nodes::DeleteStmt, parent: &Scope<'_>) -> Shape {
        self.act(Action::Delete);
        let mut scope = Scope::inside(Some(parent));
        self.with(delete.with_clause(), &mut scope);
        let Some((relation, item)) = self.target(delete.relation(), &mut scope) else {
            return Self::lost_target();
        };
        self.write(&relation, Event::Delete);
        for source in delete.using_clause() {
            self.source(source, &mut scope);
        }
        self.infer(delete.where_clause(), &scope);
        let mut conditions = vec![delete.where_clause()];
        join_conditions(delete.using_clause(), &mut conditions);
        self.bounded_or_not(&relation, item, &conditions, &scope);
        self.returning(delete.returning_clause(), &scope)
    }

    pub(super) fn merge(&mut self, merge: &nodes::MergeStmt, parent: &Scope<'_>) -> Shape {
        self.act(Action::Merge);
        let mut scope = Scope::inside(Some(parent));
        self.with(merge.with_clause(), &mut scope);
        let Some((relation, item)) = self.target(merge.relation(), &mut scope) else {
            return Self::lost_target();
        };
        self.source(merge.source_relation(), &mut scope);
        self.infer(merge.join_condition(), &scope);
        for when in merge.merge_when_clauses() {
            self.infer(when.condition(), &scope);
            self.merge_action(when, merge, &relation, item, &scope);
        }
        let mut shape = self.returning(merge.returning_clause(), &scope);
        // rows that it inserts are as many as its source has
        shape.restricted = false;
        shape
    }

    fn merge_action(
        &mut self,
        when: &nodes::MergeWhenClause,
        merge: &nodes::MergeStmt,
        relation: &Arc<Relation>,
        item: usize,
        scope: &Scope<'_>,
    ) {
        use nodes::CmdType as C;
        let targets = when
            .target_list()
            .iter()
            .filter_map(|t| if let Node::ResTarget(t) = t { Some(t) } else { None });
        let event = match when.command_type {
            C::CMD_NOTHING => return,
            C::CMD_INSERT => {
                let flow = self.exprs(when.values(), scope);
                self.use_columns(&flow, How::Copied);
                let names: Vec<&str> = targets.filter_map(nodes::ResTarget::name).collect();
                self.write(relation, Event::Insert);
                let all: Vec<SmolStr> = relation.columns.iter().map(|c| c.name.clone()).collect();
                if names.is_empty() {
                    self.written(relation, all.iter().map(SmolStr::as_str));
                } else {
                    self.written(relation, names);
                }
                return;
            }
            C::CMD_UPDATE => {
                self.assignments(targets, relation, scope);
                Event::Update
            }
            _ => Event::Delete,
        };
        self.write(relation, event);
        // a row that no source row matches is not bounded by the join
        let mut conditions = vec![when.condition()];
        if when.match_kind == nodes::MergeMatchKind::MERGE_WHEN_MATCHED {
            conditions.push(merge.join_condition());
            join_conditions([merge.source_relation()], &mut conditions);
        }
        self.bounded_or_not(relation, item, &conditions, scope);
    }

    /// Resolves the target and puts it into the scope as its first item.
    fn target(&mut self, var: Option<&nodes::RangeVar>, scope: &mut Scope<'_>) -> Option<(Arc<Relation>, usize)> {
        let var = var?;
        let Some(relation) = self.relation(var) else {
            self.facts.writes.insert(self.names.rel_name(var));
            self.facts.unrestricted.insert(self.names.rel_name(var));
            return None;
        };
        let shown = self.view_columns(&relation);
        let mut item = super::from::relation_item(&relation, shown);
        item.unaliased = Some(relation.name.clone());
        rename(&mut item, var.alias());
        scope.items.push(item);
        Some((relation, scope.items.len() - 1))
    }

    fn lost_target() -> Shape {
        Shape {
            open: Some(Flow::default()),
            ..Shape::default()
        }
    }

    /// Records that the relation is written, and the code that runs then.
    pub(crate) fn write(&mut self, relation: &Arc<Relation>, event: Event) {
        self.facts.writes.insert(relation.name.clone());
        if relation.opaque && relation.name.schema == "pg_catalog" {
            self.hazard(Hazard::CatalogWrite);
        }
        if relation.kind == 'f' {
            self.hazard(Hazard::Network);
        }
        for base in self.base_relations(relation) {
            self.facts.writes.insert(base.name.clone());
            self.written_code(&base, event);
        }
        self.written_code(relation, event);
    }

    fn unbounded(&mut self, relation: &Arc<Relation>) {
        self.facts.unrestricted.insert(relation.name.clone());
        for base in self.base_relations(relation) {
            self.facts.unrestricted.insert(base.name.clone());
        }
    }

    fn bounded_or_not(&mut self, relation: &Arc<Relation>, item: usize, conditions: &[Node<'_>], scope: &Scope<'_>) {
        if !self.restricted(scope, conditions).item(item) {
            self.unbounded(relation);
        }
    }

    /// Columns that are targets of assignment.
    pub(crate) fn written<'n>(&mut self, relation: &Relation, names: impl IntoIterator<Item = &'n str>) {
        let columns = self.columns_by_name(relation);
        for name in names {
            self.written_column(relation, name, columns.get(name).copied());
        }
    }

    fn columns_by_name<'r>(&self, relation: &'r Relation) -> HashMap<&'r str, &'r Column> {
        if !self.names.budget.spend(relation.columns.len() / 2) {
            return HashMap::new();
        }
        relation.columns.iter().map(|c| (c.name.as_str(), c)).collect()
    }

    fn written_column(&mut self, relation: &Relation, name: &str, column: Option<&Column>) {
        let mut written = |column: ColumnName| {
            self.facts.uses.insert(ColumnUse {
                column,
                how: How::Written,
            });
        };
        match column {
            Some(column) => {
                column.origins.iter().cloned().for_each(written);
                self.names.budget.spend(1 + column.origins.len());
                self.domain_code(column.ty);
            }
            None => written(ColumnName {
                relation: relation.name.clone(),
                column: SmolStr::new(name),
            }),
        }
    }

    /// `SET a = …, (b, c) = …`: values go into columns; a column computed from itself stays itself.
    fn assignments<'n>(
        &mut self,
        list: impl IntoIterator<Item = &'n nodes::ResTarget>,
        relation: &Relation,
        scope: &Scope<'_>,
    ) {
        let columns = self.columns_by_name(relation);
        for target in list {
            let name = target.name().unwrap_or_default();
            let column = columns.get(name).copied();
            self.exprs(
                target.indirection().iter().filter(|i| matches!(i, Node::A_Indices(_))),
                scope,
            );
            let flow = self.expr(target.val(), scope);
            let itself = column.is_some_and(|c| flow.columns.is_subset(&c.origins));
            // what is computed may fail, or not pass a check: that tells about the value
            let how = if itself { How::Inferred } else { How::Copied };
            if !(itself && flow.direct) {
                self.use_columns(&flow, how);
            }
            self.written_column(relation, name, column);
        }
    }

    /// RETURNING, with `old` and `new` of PostgreSQL 18.
    fn returning(&mut self, clause: Option<&nodes::ReturningClause>, scope: &Scope<'_>) -> Shape {
        let Some(clause) = clause else {
            return Shape::default();
        };
        let mut inner = Scope {
            parent: scope.parent,
            depth: scope.depth,
            beside: Some(scope),
            ..Scope::default()
        };
        let width = scope.items.iter().map(|i| i.columns.len()).sum();
        if self.names.budget.make(width) {
            inner.items.clone_from(&scope.items);
        }
        if let Some(target) = scope.items.iter().find(|i| i.relation.is_some()).cloned() {
            let named = clause.options().iter().filter_map(|o| o.value());
            for name in ["old", "new"].into_iter().chain(named) {
                if !self.names.budget.make(target.columns.len()) {
                    break;
                }
                let mut item = target.clone();
                item.name = SmolStr::new(name);
                item.unaliased = None;
                item.columns_visible = false;
                inner.items.push(item);
            }
        }
        let targets = clause
            .exprs()
            .iter()
            .filter_map(|t| if let Node::ResTarget(t) = t { Some(t) } else { None });
        let targets: Vec<&nodes::ResTarget> = targets.collect();
        let mut shape = self.targets(targets, &inner);
        // computed for every row that is changed, also where no query reads them
        self.computed(&shape);
        shape.restricted = self.facts.unrestricted.is_empty();
        shape
    }

    /// What a query in a data-modifying position names as its columns, for COPY and INSERT.
    pub(crate) fn column_list<'n>(list: impl IntoIterator<Item = Node<'n>>) -> Vec<&'n str> {
        strings(list)
    }
}
