//! CREATE of everything, COMMENT, IMPORT.

use std::sync::Arc;

use pg_raw_parse::{Node, nodes};
use smol_str::SmolStr;

use super::simulate::{created_from, keeps, relation_of};
use super::{Change, Statement};
use crate::bind::{Field, Flow, Item, Scope, Shape, Ty, strings};
use crate::facts::{Action, Hazard, How, RelName};

impl Statement<'_> {
    pub(super) fn define(&mut self, node: Node<'_>) -> bool {
        match node {
            Node::CreateStmt(s) => self.create_table(s),
            Node::CreateTableAsStmt(s) => {
                let action = if s.objtype == nodes::ObjectType::OBJECT_MATVIEW {
                    Action::CreateMaterializedView
                } else {
                    Action::CreateTableAs
                };
                if let Some(into) = s.into() {
                    self.make_table(into, s.query(), action);
                }
            }
            Node::ViewStmt(s) => self.create_view(s),
            Node::IndexStmt(s) => self.create_index(s),
            Node::CreateSeqStmt(s) => self.create_sequence(s),
            Node::CreateSchemaStmt(s) => self.create_schema(s),
            Node::CreateFunctionStmt(s) => self.create_function(s),
            Node::CreateTrigStmt(s) => {
                self.touch(s.relation());
                self.upsetting(Action::CreateTrigger);
            }
            Node::RuleStmt(s) => {
                self.touch(s.relation());
                self.upsetting(Action::CreateRule);
            }
            Node::CreateStatsStmt(s) => self.create_statistics(s),
            Node::CommentStmt(_) => self.changing(Action::Comment),
            Node::CreateForeignServerStmt(_)
            | Node::CreateFdwStmt(_)
            | Node::CreateUserMappingStmt(_)
            | Node::ImportForeignSchemaStmt(_)
            | Node::AlterFdwStmt(_)
            | Node::AlterForeignServerStmt(_)
            | Node::AlterUserMappingStmt(_) => {
                self.upsetting(Action::CreateForeign);
                self.hazard(Hazard::Network);
            }
            Node::CreatePublicationStmt(_) | Node::AlterPublicationStmt(_) => {
                self.changing(Action::CreatePublication);
                self.hazard(Hazard::Replication);
            }
            Node::CreateSubscriptionStmt(_) | Node::AlterSubscriptionStmt(_) => {
                self.changing(Action::CreateSubscription);
                self.hazard(Hazard::Replication);
                self.hazard(Hazard::Network);
            }
            other => return self.define_code(other),
        }
        true
    }

    /// Definitions without relations: types, operators, casts, databases …
    fn define_code(&mut self, node: Node<'_>) -> bool {
        let action = match node {
            Node::CreateExtensionStmt(_) => Action::CreateExtension,
            Node::CreateEventTrigStmt(_) => Action::CreateTrigger,
            Node::DefineStmt(s) => match s.kind {
                nodes::ObjectType::OBJECT_AGGREGATE => Action::CreateAggregate,
                nodes::ObjectType::OBJECT_OPERATOR => Action::CreateOperator,
                nodes::ObjectType::OBJECT_TYPE => Action::CreateType,
                _ => Action::CreateOther,
            },
            Node::CreateOpClassStmt(_) | Node::CreateOpFamilyStmt(_) | Node::AlterOpFamilyStmt(_) => {
                Action::CreateOperator
            }
            Node::CreateCastStmt(_) | Node::CreateTransformStmt(_) => Action::CreateCast,
            Node::CreatePLangStmt(_) => Action::CreateLanguage,
            Node::CreateAmStmt(_) => Action::CreateAccessMethod,
            Node::CompositeTypeStmt(_) | Node::CreateEnumStmt(_) | Node::CreateRangeStmt(_) => Action::CreateType,
            Node::CreateDomainStmt(s) => {
                let scope = super::value_scope();
                for constraint in s.constraints() {
                    self.binder.expr(constraint.raw_expr(), &scope);
                }
                Action::CreateType
            }
            Node::CreateConversionStmt(_) => Action::CreateOther,
            Node::CreatedbStmt(s) => {
                if s.options().iter().any(|o| o.defname() == Some("owner")) {
                    self.hazard(Hazard::Privileges);
                }
                Action::CreateDatabase
            }
            Node::CreateTableSpaceStmt(_) => {
                self.hazard(Hazard::ServerFile);
                Action::CreateTablespace
            }
            _ => return false,
        };
        self.upsetting(action);
        true
    }

    /// Whether a new relation is temporary, and its name.
    fn new_relation(&mut self, var: &nodes::RangeVar) -> (RelName, bool) {
        let temporary =
            u8::try_from(var.relpersistence) == Ok(b't') || var.schemaname().is_some_and(|s| s.starts_with("pg_temp"));
        let name = self.names.new_name(var, temporary);
        if temporary {
            let shadowed = self
                .names
                .relation(None, &name.name)
                .is_some_and(|r| !r.temporary && !r.name.schema.starts_with("pg_temp"));
            if shadowed {
                self.hazard(Hazard::TemporaryShadow);
            }
            self.binder.facts.effects.changes_path = true;
        }
        self.binder.facts.touches.insert(name.clone());
        (name, temporary)
    }

    fn create_table(&mut self, s: &nodes::CreateStmt) {
        let Some(var) = s.relation() else { return };
        let (name, temporary) = self.new_relation(var);
        self.changing(if temporary {
            Action::CreateTemporary
        } else {
            Action::CreateTable
        });
        let mut fields = Vec::new();
        for parent in s.inh_relations() {
            if let Node::RangeVar(var) = parent {
                self.touch(Some(var));
                fields.extend(self.fields_of(var, true));
            }
        }
        for element in s.table_elts() {
            match element {
                Node::ColumnDef(column) => {
                    let ty = column.type_name().map_or(Ty::Unknown, |t| self.binder.type_of(t));
                    fields.push(Field {
                        name: SmolStr::new(column.colname().unwrap_or_default()),
                        flow: Flow::of_type(ty),
                    });
                }
                Node::TableLikeClause(like) => {
                    let like = like.relation().map(|var| self.fields_of(var, false));
                    fields.extend(like.into_iter().flatten());
                }
                _ => {}
            }
        }
        self.constraints(s, &name, &fields);
        let change = match self.names.exact(&name) {
            // IF NOT EXISTS leaves what is there
            Some(_) if s.if_not_exists => None,
            _ if s.of_typename().is_some() => Some(Change::Lost),
            _ if !keeps(&self.names.budget, &fields) => None,
            _ => Some(Change::Create(Arc::new(relation_of(name, 'r', temporary, &fields)))),
        };
        self.changes.extend(change);
    }

    /// The columns of an existing relation; with what they carry, when they share its rows.
    fn fields_of(&mut self, var: &nodes::RangeVar, shared: bool) -> Vec<Field> {
        let Some(relation) = self.binder.relation(var) else {
            return Vec::new();
        };
        if !self.names.budget.make(relation.columns.len()) {
            return Vec::new();
        }
        let field = |c: &crate::catalog::Column| {
            let mut flow = Flow::of_type(Ty::Known(c.ty));
            if shared {
                flow.columns = Arc::clone(&c.origins);
            }
            Field {
                name: c.name.clone(),
                flow,
            }
        };
        relation.columns.iter().map(field).collect()
    }

    /// Defaults, checks and keys: the functions in them run later, on every write.
    fn constraints(&mut self, s: &nodes::CreateStmt, name: &RelName, fields: &[Field]) {
        let mut scope = Scope::default();
        if !self.names.budget.make(fields.len()) {
            return;
        }
        let mut item = Item::new(name.name.clone(), fields.to_vec());
        item.relation = Some(name.clone());
        scope.items.push(item);
        for element in s.table_elts() {
            if let Node::ColumnDef(column) = element {
                self.binder.expr(column.raw_default(), &scope);
                for constraint in column.constraints() {
                    self.constraint(constraint, &scope);
                }
            } else {
                self.constraint(element, &scope);
            }
        }
        for constraint in s.constraints() {
            self.constraint(Node::from(constraint), &scope);
        }
        for key in s.partspec().into_iter().flat_map(|p| p.part_params()) {
            self.binder.expr(key.expr(), &scope);
        }
    }

    pub(super) fn constraint(&mut self, node: Node<'_>, scope: &Scope<'_>) {
        if let Node::Constraint(constraint) = node {
            let flow = self.binder.expr(constraint.raw_expr(), scope);
            self.binder.use_columns(&flow, How::Inferred);
            self.binder.infer(constraint.where_clause(), scope);
            self.touch(constraint.pktable());
        }
    }

    /// CREATE TABLE AS, SELECT INTO, CREATE MATERIALIZED VIEW.
    pub(super) fn make_table(&mut self, into: &nodes::IntoClause, query: Node<'_>, action: Action) {
        let Some(var) = into.rel() else { return };
        let (name, temporary) = self.new_relation(var);
        self.changing(if temporary { Action::CreateTemporary } else { action });
        self.act(action);
        self.binder.facts.writes.insert(name.clone());
        let mut shape = match query {
            Node::ExecuteStmt(execute) => self.executed(execute),
            other => self.binder.query(other, &Scope::default()),
        };
        rename_fields(&mut shape, &strings(into.col_names()));
        self.binder.copy_away(&shape);
        let kind = if action == Action::CreateMaterializedView {
            'm'
        } else {
            'r'
        };
        self.changes
            .push(created_from(&self.names.budget, name, kind, temporary, &shape));
    }

    /// The rows of EXECUTE as a source.
    fn executed(&mut self, execute: &nodes::ExecuteStmt) -> Shape {
        let unknown = Shape {
            open: Some(Flow::default()),
            ..Shape::default()
        };
        let Some(facts) = self.execute(execute) else {
            return unknown;
        };
        match &facts.outputs {
            crate::facts::Outputs::Columns(columns) => {
                let field = |o: &crate::facts::Output| {
                    let columns = Arc::clone(&o.origins);
                    Field {
                        name: o.name.clone(),
                        flow: Flow {
                            columns,
                            direct: o.direct,
                            ..Flow::default()
                        },
                    }
                };
                Shape {
                    fields: columns.iter().map(field).collect(),
                    ..Shape::default()
                }
            }
            crate::facts::Outputs::NoRows => Shape::default(),
            crate::facts::Outputs::Unknown { .. } => unknown,
        }
    }

    fn create_view(&mut self, s: &nodes::ViewStmt) {
        let Some(var) = s.view() else { return };
        let (name, temporary) = self.new_relation(var);
        self.changing(if temporary {
            Action::CreateTemporary
        } else {
            Action::CreateView
        });
        let mut shape = self.binder.query(s.query(), &Scope::default());
        rename_fields(&mut shape, &strings(s.aliases()));
        self.binder.copy_away(&shape);
        let change = created_from(&self.names.budget, name, 'v', temporary, &shape);
        self.changes.push(change);
    }

    fn create_index(&mut self, s: &nodes::IndexStmt) {
        self.changing(Action::CreateIndex);
        self.touch(s.relation());
        let Some(relation) = s.relation().and_then(|var| self.binder.relation(var)) else {
            return;
        };
        let mut scope = Scope::default();
        let shown = self.binder.view_columns(&relation);
        scope.items.push(crate::bind::relation_item(&relation, shown.clone()));
        for element in s.index_params() {
            self.binder.infer(element.expr(), &scope);
            self.names.budget.compare(relation.columns.len());
            // a unique index that cannot be built says which values are there twice
            let named = element.name().filter(|_| s.unique);
            if let Some(field) = named.and_then(|n| shown.iter().find(|f| f.name == n)) {
                self.binder.use_columns(&field.flow, How::Inferred);
            }
        }
        self.binder.infer(s.where_clause(), &scope);
    }

    /// CREATE STATISTICS: its expressions are computed for the rows that ANALYZE samples.
    fn create_statistics(&mut self, s: &nodes::CreateStatsStmt) {
        self.changing(Action::CreateStatistics);
        let mut scope = Scope::default();
        for relation in s.relations() {
            let Node::RangeVar(var) = Node::from(relation) else {
                continue;
            };
            self.touch(Some(var));
            if let Some(relation) = self.binder.relation(var) {
                let shown = self.binder.view_columns(&relation);
                scope.items.push(crate::bind::relation_item(&relation, shown));
            }
        }
        for element in s.exprs() {
            if let Node::StatsElem(element) = element {
                self.binder.infer(element.expr(), &scope);
            }
        }
    }

    fn create_sequence(&mut self, s: &nodes::CreateSeqStmt) {
        let Some(var) = s.sequence() else { return };
        let (name, temporary) = self.new_relation(var);
        self.changing(if temporary {
            Action::CreateTemporary
        } else {
            Action::CreateSequence
        });
        let fields = ["last_value", "log_cnt", "is_called"].map(|n| Field {
            name: SmolStr::new_static(n),
            flow: Flow::default(),
        });
        self.changes
            .push(Change::Create(Arc::new(relation_of(name, 'S', temporary, &fields))));
    }

    /// CREATE SCHEMA, with the objects that it makes at once.
    fn create_schema(&mut self, s: &nodes::CreateSchemaStmt) {
        self.changing(Action::CreateSchema);
        if s.authrole().is_some() {
            self.hazard(Hazard::Privileges);
        }
        if s.schema_elts().is_empty() {
            return;
        }
        self.names
            .budget
            .make(self.names.overlay.len() + self.names.statements.len() + self.names.cursors.len());
        let mut inside = self.names.clone();
        let schema = s.schemaname().map_or_else(|| self.names.user.clone(), SmolStr::new);
        inside.path.insert(0, schema.clone());
        inside.creation = Some(schema);
        for element in s.schema_elts() {
            let (facts, changes) = super::facts_of(element, self.span.clone(), &inside, self.prepared);
            inside.apply(changes.clone(), false);
            self.binder.facts.absorb(&facts);
            self.changes.extend(changes);
        }
    }

    fn create_function(&mut self, s: &nodes::CreateFunctionStmt) {
        self.changing(Action::CreateFunction);
        for parameter in s.parameters() {
            self.binder.expr(parameter.defexpr(), &Scope::default());
        }
        if let Some(name) = strings(s.funcname()).last() {
            self.changes.push(Change::Function(SmolStr::new(name)));
        }
    }
}

/// `CREATE … (a, b) AS`.
fn rename_fields(shape: &mut Shape, names: &[&str]) {
    for (field, name) in shape.fields.iter_mut().zip(names) {
        field.name = SmolStr::new(name);
    }
}
