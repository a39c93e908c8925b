//! Statements: which actions they are, and what of them the binder has to look at.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "statements that no table lists are refused as unknown"
)]

mod alter;
mod copy;
mod create;
mod cursor;
mod privilege;
mod remove;
mod session;
mod simulate;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use pg_raw_parse::{Node, nodes, raw};
use smol_str::SmolStr;

pub(crate) use simulate::Change;

use crate::bind::{Binder, Field, Flow, Item, Names, Scope};
use crate::facts::{Action, Hazard, How, Outputs, RelName, StatementFacts};
use crate::state::Prepared;

/// One statement being analysed.
pub(crate) struct Statement<'a> {
    binder: Binder<'a>,
    names: &'a Names<'a>,
    prepared: &'a dyn Prepared,
    span: Range<usize>,
    changes: Vec<Change>,
    /// Columns that this ALTER TABLE adds: its constraints may name them.
    added: Vec<Field>,
}

/// The facts of one statement, and what it does to the names after it.
pub(crate) fn facts_of(
    node: Node<'_>,
    span: Range<usize>,
    names: &Names<'_>,
    prepared: &dyn Prepared,
) -> (StatementFacts, Vec<Change>) {
    let literals = &names.literals;
    let around = literals.set_weighed(false);
    let (mut facts, changes) = found_in(node, span.clone(), names, prepared);
    if literals.weighed() {
        let unknown = Some(Rc::default());
        let (worst, _) = literals.with(unknown, || found_in(node, span, names, prepared));
        facts.at_worst = Some(Arc::new(worst));
    }
    literals.set_weighed(around | facts.at_worst.is_some());
    (facts, changes)
}

fn found_in(
    node: Node<'_>,
    span: Range<usize>,
    names: &Names<'_>,
    prepared: &dyn Prepared,
) -> (StatementFacts, Vec<Change>) {
    let mut statement = Statement {
        binder: Binder::new(names, prepared, StatementFacts::empty(span.clone())),
        names,
        prepared,
        span,
        changes: Vec::new(),
        added: Vec::new(),
    };
    statement.dispatch(node);
    let Statement {
        binder, mut changes, ..
    } = statement;
    let facts = binder.finish();
    // SET's own path is followed; one that a function sets, or hidden code, is not
    let written = facts.hazards.contains(&Hazard::SettingWrite);
    let path = facts
        .effects
        .sets
        .iter()
        .any(|s| s.name == "*" || s.name == "search_path");
    if facts.hazards.contains(&Hazard::DynamicSql) || (written && path) {
        changes.push(Change::Lost);
    }
    (facts, changes)
}

impl Statement<'_> {
    fn act(&mut self, action: Action) {
        self.binder.act(action);
    }

    fn hazard(&mut self, hazard: Hazard) {
        self.binder.hazard(hazard);
    }

    /// A statement that is an action and nothing else.
    fn simply(&mut self, action: Action) {
        self.act(action);
    }

    /// As `simply`, and the catalogue changes in a way that no name depends on.
    fn changing(&mut self, action: Action) {
        self.act(action);
        self.binder.facts.effects.changes_catalog = true;
        self.event_triggers();
    }

    /// As `changing`, and names may mean something else afterwards.
    fn upsetting(&mut self, action: Action) {
        self.changing(action);
        self.changes.push(Change::Lost);
    }

    /// Event triggers run users' code at any DDL.
    fn event_triggers(&mut self) {
        for trigger in &self.names.catalog.inner.event_triggers {
            self.binder.run_code(trigger.function);
        }
    }

    fn touch(&mut self, var: Option<&nodes::RangeVar>) -> Option<RelName> {
        let name = self.names.rel_name(var?);
        self.binder.facts.touches.insert(name.clone());
        Some(name)
    }

    /// A nested statement on its own: its facts and its changes.
    fn nested(&self, node: Node<'_>) -> (StatementFacts, Vec<Change>) {
        facts_of(node, self.span.clone(), self.names, self.prepared)
    }

    /// The columns of a relation get another name, or join another relation's.
    ///
    /// What is behind a view gets another name as well: a rule may trust the view's new name.
    fn copied_columns(&mut self, relation: &Arc<crate::catalog::Relation>, only: Option<&str>) {
        let shown = self.binder.view_columns(relation);
        self.names.budget.compare(shown.len());
        for field in shown.iter().filter(|f| only.is_none_or(|o| f.name == o)) {
            self.binder.use_columns(&field.flow, How::Copied);
        }
    }

    /// Every statement of the grammar. What is not listed is refused as unknown.
    fn dispatch(&mut self, node: Node<'_>) {
        match node {
            Node::SelectStmt(select) => self.select(select),
            Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) | Node::MergeStmt(_) => self.modify(node),
            Node::CopyStmt(s) => self.copy(s),
            Node::CallStmt(s) => self.call(s),
            Node::DoStmt(_) => {
                self.act(Action::Do);
                self.hazard(Hazard::DynamicSql);
                self.binder.facts.code.insert(SmolStr::new_static("do"));
            }
            Node::TruncateStmt(s) => self.truncate(s),
            Node::LockStmt(s) => {
                self.act(Action::Lock);
                for relation in s.relations() {
                    if let Node::RangeVar(var) = relation {
                        self.touch(Some(var));
                    }
                }
            }
            Node::Invalid(n) if n.type_ == raw::NodeTag::T_CreateForeignTableStmt => {
                self.upsetting(Action::CreateForeign);
                self.hazard(Hazard::Network);
            }
            other => {
                let known = self.session(other)
                    || self.cursors(other)
                    || self.define(other)
                    || self.alter(other)
                    || self.remove(other)
                    || self.privilege(other)
                    || self.administer(other);
                if !known {
                    self.act(Action::Unknown);
                    self.binder.unresolved("statement");
                    self.binder.facts.outputs = Outputs::Unknown {
                        relations: Default::default(),
                    };
                }
            }
        }
    }

    /// SELECT, and SELECT INTO, which makes a table.
    fn select(&mut self, select: &nodes::SelectStmt) {
        let mut first = select;
        while let Some(left) = first.larg() {
            first = left;
        }
        match first.into_clause() {
            Some(into) => self.make_table(into, Node::from(select), Action::CreateTableAs),
            None => self.binder.client_query(Node::from(select)),
        }
    }

    /// INSERT, UPDATE, DELETE, MERGE, with or without RETURNING.
    fn modify(&mut self, node: Node<'_>) {
        let shape = self.binder.query(node, &Scope::default());
        if shape.fields.is_empty() && shape.open.is_none() {
            return;
        }
        self.binder.show(&shape);
    }

    fn call(&mut self, call: &nodes::CallStmt) {
        self.act(Action::Call);
        self.binder.calling = true;
        let flow = self.binder.expr(call.funccall().into(), &Scope::default());
        self.binder.calling = false;
        self.binder.use_columns(&flow, How::Derived);
        if self.binder.returns_parameters() {
            self.binder.facts.outputs = Outputs::Unknown {
                relations: Default::default(),
            };
        }
        self.binder.facts.effects.changes_catalog = true;
        self.changes.push(Change::Lost);
    }

    /// Maintenance and the server itself.
    fn administer(&mut self, node: Node<'_>) -> bool {
        match node {
            Node::VacuumStmt(s) => {
                self.act(if s.is_vacuumcmd {
                    Action::Vacuum
                } else {
                    Action::Analyze
                });
                for relation in s.rels() {
                    self.touch(relation.relation());
                    self.rebuilds(relation.relation());
                }
                if s.rels().is_empty() {
                    self.rebuilds(None);
                }
            }
            Node::ClusterStmt(s) => {
                self.act(Action::Cluster);
                self.touch(s.relation());
                self.rebuilds(s.relation());
            }
            Node::ReindexStmt(s) => {
                self.act(Action::Reindex);
                self.touch(s.relation());
                self.rebuilds(s.relation());
            }
            Node::CheckPointStmt(_) => self.act(Action::Checkpoint),
            Node::LoadStmt(_) => {
                self.act(Action::Load);
                self.hazard(Hazard::ServerProgram);
            }
            Node::AlterSystemStmt(_) => {
                self.act(Action::AlterSystem);
                self.hazard(Hazard::ServerControl);
            }
            Node::RefreshMatViewStmt(s) => self.refresh(s),
            _ => return false,
        }
        true
    }

    /// Maintenance of a table runs the functions of its index expressions; without a table, that of all. Which table
    /// an index belongs to is not in the snapshot.
    fn rebuilds(&mut self, var: Option<&nodes::RangeVar>) {
        let one = var.and_then(|v| self.names.relation(v.schemaname(), v.relname().unwrap_or_default()));
        let relations: Vec<_> = match one {
            Some(relation) => vec![relation],
            None => {
                let all = &self.names.catalog.inner.relations;
                self.names.budget.spend(all.len());
                all.values().cloned().collect()
            }
        };
        let attached = relations.iter().flat_map(|r| r.attached.iter());
        let functions: Vec<u32> = attached.filter(|c| c.kind == "index").map(|c| c.function).collect();
        for function in functions {
            self.binder.run_code(function);
        }
    }

    fn refresh(&mut self, s: &nodes::RefreshMatViewStmt) {
        self.act(Action::RefreshMaterializedView);
        if s.skip_data {
            self.hazard(Hazard::ErasesData);
        }
        let Some(var) = s.relation() else { return };
        if let Some(relation) = self.binder.relation(var) {
            self.binder.facts.writes.insert(relation.name.clone());
            self.binder.view_columns(&relation);
        }
        self.touch(Some(var));
        self.rebuilds(Some(var));
    }
}

/// What the checks of a domain see: the value, by that name.
fn value_scope() -> Scope<'static> {
    let value = Field {
        name: SmolStr::new_static("value"),
        flow: Flow::default(),
    };
    let mut scope = Scope::default();
    scope.items.push(Item::new(SmolStr::default(), vec![value]));
    scope
}
