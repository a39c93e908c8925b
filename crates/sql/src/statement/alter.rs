//! ALTER of everything but roles and the server.

use std::collections::HashSet;
use std::sync::Arc;

use pg_raw_parse::{Node, nodes};
use smol_str::SmolStr;

use super::{Change, Statement};
use crate::bind::{Field, Flow, Scope, strings};
use crate::catalog::Relation;
use crate::facts::{Action, Hazard, How, RelName};

impl Statement<'_> {
    pub(super) fn alter(&mut self, node: Node<'_>) -> bool {
        match node {
            Node::AlterTableStmt(s) => self.alter_table(s),
            Node::RenameStmt(s) => self.rename(s),
            Node::AlterObjectSchemaStmt(s) => self.set_schema(s),
            Node::AlterSeqStmt(s) => {
                self.touch(s.sequence());
                self.changing(Action::AlterSequence);
            }
            Node::AlterEnumStmt(_) | Node::AlterTypeStmt(_) => self.upsetting(Action::AlterType),
            Node::AlterDomainStmt(s) => {
                self.constraint(s.def(), &super::value_scope());
                // `X`: DROP CONSTRAINT
                if u8::try_from(s.subtype) == Ok(b'X') {
                    self.act(Action::DropConstraint);
                }
                self.upsetting(Action::AlterType);
            }
            Node::AlterFunctionStmt(_) | Node::AlterOperatorStmt(_) => {
                self.upsetting(Action::AlterFunction);
            }
            Node::AlterExtensionStmt(_) | Node::AlterExtensionContentsStmt(_) => {
                self.upsetting(Action::AlterExtension);
            }
            Node::AlterDatabaseStmt(_) | Node::AlterDatabaseRefreshCollStmt(_) => {
                self.changing(Action::AlterDatabase);
            }
            Node::AlterDatabaseSetStmt(s) => {
                self.changing(Action::AlterDatabase);
                self.later_setting(s.setstmt());
            }
            Node::AlterStatsStmt(_) => self.changing(Action::CreateStatistics),
            Node::AlterEventTrigStmt(_) => {
                self.changing(Action::AlterTriggerState);
                self.hazard(Hazard::DisablesTriggers);
            }
            Node::AlterCollationStmt(_)
            | Node::AlterObjectDependsStmt(_)
            | Node::AlterTSDictionaryStmt(_)
            | Node::AlterTSConfigurationStmt(_)
            | Node::AlterTableSpaceOptionsStmt(_)
            | Node::AlterTableMoveAllStmt(_) => self.changing(Action::AlterOther),
            _ => return false,
        }
        true
    }

    /// A setting for sessions to come: its hazards, not its effects on this one.
    pub(super) fn later_setting(&mut self, set: Option<&nodes::VariableSetStmt>) {
        let Some(set) = set else { return };
        let (facts, _) = self.nested(Node::from(set));
        self.binder.facts.hazards.extend(facts.hazards);
    }

    fn alter_table(&mut self, s: &nodes::AlterTableStmt) {
        let name = self.touch(s.relation());
        let relation = s
            .relation()
            .and_then(|var| self.names.relation(var.schemaname(), var.relname().unwrap_or_default()));
        // indexes and composite types are altered by the same statement, and are not in the snapshot
        let tables = matches!(
            s.objtype,
            nodes::ObjectType::OBJECT_TABLE
                | nodes::ObjectType::OBJECT_VIEW
                | nodes::ObjectType::OBJECT_MATVIEW
                | nodes::ObjectType::OBJECT_FOREIGN_TABLE
        );
        if relation.is_none() && tables && !s.missing_ok {
            self.binder.unresolved(&format!(
                "relation {}",
                name.as_ref().map(ToString::to_string).unwrap_or_default()
            ));
        }
        self.changing(if s.objtype == nodes::ObjectType::OBJECT_TYPE {
            Action::AlterType
        } else {
            Action::AlterTable
        });
        let commands = || {
            s.cmds()
                .iter()
                .filter_map(|c| if let Node::AlterTableCmd(c) = c { Some(c) } else { None })
        };
        let columns = relation.iter().flat_map(|r| &r.columns);
        let there: HashSet<&str> = columns.map(|c| c.name.as_str()).collect();
        let added = commands().filter_map(|c| {
            if let Node::ColumnDef(d) = c.def() {
                d.colname()
            } else {
                None
            }
        });
        self.added = added
            .filter(|name| !there.contains(name))
            .map(|name| Field {
                name: SmolStr::new(name),
                flow: Flow::default(),
            })
            .collect();
        for command in commands() {
            // where IF EXISTS finds nothing, nothing happens
            if relation.is_some() || !s.missing_ok {
                self.alter_command(command, relation.as_ref(), s.objtype);
            }
        }
    }

    fn alter_command(
        &mut self,
        c: &nodes::AlterTableCmd,
        relation: Option<&Arc<Relation>>,
        objtype: nodes::ObjectType::Type,
    ) {
        use nodes::AlterTableType as T;
        let temporary = relation.is_some_and(|r| r.temporary);
        let action = match c.subtype {
            T::AT_DropColumn if temporary => Action::DropTemporary,
            other => alter_action(other),
        };
        self.act(action);
        match action {
            Action::DropColumn => self.hazard(Hazard::ErasesData),
            Action::AlterRowSecurity | Action::AlterOwner => self.hazard(Hazard::Privileges),
            Action::AlterColumnType => {
                let harmless = temporary || objtype == nodes::ObjectType::OBJECT_TYPE;
                self.column_type(c, relation, harmless);
            }
            _ => self.alter_hazards(c.subtype, objtype),
        }
        self.alter_details(c, relation, objtype);
    }

    /// What some commands can do beyond their action.
    fn alter_hazards(&mut self, subtype: nodes::AlterTableType::Type, objtype: nodes::ObjectType::Type) {
        use nodes::AlterTableType as T;
        match subtype {
            // those of replicas do not fire elsewhere
            T::AT_DisableTrig
            | T::AT_DisableTrigAll
            | T::AT_DisableTrigUser
            | T::AT_DisableRule
            | T::AT_EnableReplicaTrig
            | T::AT_EnableReplicaRule => {
                self.hazard(Hazard::DisablesTriggers);
            }
            // unlogged tables are emptied by a crash; an expression that goes takes its values along
            T::AT_SetUnLogged | T::AT_DropExpression | T::AT_SetExpression => {
                self.hazard(Hazard::ErasesData);
            }
            // security_barrier, security_invoker: whose rights a view reads with
            T::AT_SetRelOptions | T::AT_ResetRelOptions | T::AT_ReplaceRelOptions
                if objtype == nodes::ObjectType::OBJECT_VIEW =>
            {
                self.hazard(Hazard::Privileges);
            }
            _ => {}
        }
    }

    /// Expressions, constraints and relations inside one ALTER TABLE command.
    fn alter_details(
        &mut self,
        c: &nodes::AlterTableCmd,
        relation: Option<&Arc<Relation>>,
        objtype: nodes::ObjectType::Type,
    ) {
        use nodes::AlterTableType as T;
        let mut scope = Scope::default();
        if let Some(relation) = relation {
            let mut shown = self.binder.view_columns(relation);
            if self.names.budget.make(self.added.len()) {
                shown.extend(self.added.iter().cloned());
            }
            scope.items.push(crate::bind::relation_item(relation, shown));
        }
        match c.def() {
            Node::ColumnDef(column) => {
                if let Some(ty) = column.type_name().map(|t| self.binder.type_of(t))
                    && let crate::bind::Ty::Known(id) = ty
                {
                    self.binder.domain_code(id);
                }
                // USING is computed for every row, and a failure shows the value
                self.binder.infer(column.raw_default(), &scope);
                for constraint in column.constraints() {
                    self.constraint(constraint, &scope);
                }
                self.added_column(c, column, relation);
            }
            Node::Constraint(constraint) => {
                self.constraint(Node::from(constraint), &scope);
                self.keys(constraint, relation, &scope);
            }
            Node::PartitionCmd(partition) if objtype != nodes::ObjectType::OBJECT_INDEX => {
                self.joined_relation(partition.name());
            }
            Node::RangeVar(var) if matches!(c.subtype, T::AT_AddInherit) => {
                self.joined_relation(Some(var));
            }
            other => {
                if matches!(c.subtype, T::AT_ColumnDefault) {
                    self.binder.infer(other, &scope);
                }
            }
        }
        if let (T::AT_DropColumn, Some(relation), Some(name)) = (c.subtype, relation, c.name()) {
            self.changes
                .push(Change::Column(relation.name.clone(), SmolStr::new(name), None));
        }
        if matches!(c.subtype, T::AT_AttachPartition | T::AT_AddInherit) {
            // rows of the child are now read through the parent
            if let Some(relation) = relation {
                self.copied_columns(relation, None);
            }
            self.changes.push(Change::Lost);
        }
    }

    fn added_column(&mut self, c: &nodes::AlterTableCmd, column: &nodes::ColumnDef, relation: Option<&Arc<Relation>>) {
        let Some(relation) = relation.filter(|_| c.subtype == nodes::AlterTableType::AT_AddColumn) else {
            return;
        };
        if !self.names.budget.make(relation.columns.len()) {
            return;
        }
        let mut fields: Vec<crate::bind::Field> = Vec::new();
        let ty = column
            .type_name()
            .map_or(crate::bind::Ty::Unknown, |t| self.binder.type_of(t));
        fields.push(crate::bind::Field {
            name: SmolStr::new(column.colname().unwrap_or_default()),
            flow: Flow::of_type(ty),
        });
        let mut changed = (**relation).clone();
        changed.columns.extend(
            super::simulate::relation_of(relation.name.clone(), relation.kind, relation.temporary, &fields).columns,
        );
        self.changes.push(Change::Create(Arc::new(changed)));
    }

    /// A unique key or an exclusion that cannot be added says which values stand against it.
    fn keys(&mut self, constraint: &nodes::Constraint, relation: Option<&Arc<Relation>>, scope: &Scope<'_>) {
        let Some(relation) = relation else { return };
        let mut names = strings(constraint.keys());
        names.extend(strings(constraint.fk_attrs()));
        for pair in constraint.exclusions() {
            let element = pair.as_node_list().and_then(|p| p.get(0));
            if let Some(Node::IndexElem(element)) = element {
                self.binder.infer(element.expr(), scope);
                names.extend(element.name());
            }
        }
        let names: HashSet<&str> = names.into_iter().collect();
        self.names.budget.compare(relation.columns.len());
        for column in relation.columns.iter().filter(|c| names.contains(c.name.as_str())) {
            let flow = Flow {
                columns: Arc::clone(&column.origins),
                ..Flow::default()
            };
            self.binder.use_columns(&flow, How::Inferred);
        }
    }

    /// A relation that becomes a part of another: its columns appear under another name.
    fn joined_relation(&mut self, var: Option<&nodes::RangeVar>) {
        self.touch(var);
        if let Some(relation) = var.and_then(|v| self.binder.relation(v)) {
            self.copied_columns(&relation, None);
        }
    }

    /// A type that can hold every old value keeps them; another, or USING, may not.
    fn column_type(&mut self, c: &nodes::AlterTableCmd, relation: Option<&Arc<Relation>>, harmless: bool) {
        let Node::ColumnDef(column) = c.def() else {
            return;
        };
        self.names.budget.compare(relation.map_or(0, |r| r.columns.len()));
        let changed = relation.and_then(|r| r.columns.iter().find(|col| Some(col.name.as_str()) == c.name()));
        let widens = column
            .type_name()
            .is_some_and(|t| changed.is_some_and(|old| holds_all(t, old.ty)));
        let using = !matches!(column.raw_default(), Node::None);
        if !harmless && (using || !widens) {
            self.hazard(Hazard::ErasesData);
        }
        if let Some(changed) = changed {
            // a value that does not convert is in the error
            let flow = Flow {
                columns: Arc::clone(&changed.origins),
                ..Flow::default()
            };
            self.binder.use_columns(&flow, How::Inferred);
        }
    }

    fn rename(&mut self, s: &nodes::RenameStmt) {
        use nodes::ObjectType as O;
        self.changing(Action::Rename);
        let name = self.touch(s.relation());
        let relation = s
            .relation()
            .and_then(|var| self.names.relation(var.schemaname(), var.relname().unwrap_or_default()));
        let new = SmolStr::new(s.newname().unwrap_or_default());
        match s.rename_type {
            O::OBJECT_TABLE | O::OBJECT_VIEW | O::OBJECT_MATVIEW | O::OBJECT_FOREIGN_TABLE | O::OBJECT_SEQUENCE => {
                if let Some(relation) = relation {
                    self.copied_columns(&relation, None);
                    let to = RelName::new(relation.name.schema.clone(), new);
                    self.changes.push(Change::Rename(relation.name.clone(), to));
                } else if !s.missing_ok {
                    self.binder
                        .unresolved(&format!("relation {}", name.map(|n| n.to_string()).unwrap_or_default()));
                }
            }
            O::OBJECT_COLUMN => match relation {
                Some(relation) => {
                    let old = SmolStr::new(s.subname().unwrap_or_default());
                    self.copied_columns(&relation, Some(&old));
                    self.changes.push(Change::Column(relation.name.clone(), old, Some(new)));
                }
                None => self.changes.push(Change::Lost),
            },
            O::OBJECT_SCHEMA => self.renamed_schema(s.subname().unwrap_or_default()),
            O::OBJECT_ROLE => {
                self.act(Action::AlterRole);
                self.hazard(Hazard::Privileges);
            }
            O::OBJECT_DATABASE => self.act(Action::AlterDatabase),
            O::OBJECT_INDEX | O::OBJECT_TABCONSTRAINT | O::OBJECT_TRIGGER | O::OBJECT_RULE | O::OBJECT_POLICY => {}
            _ => self.changes.push(Change::Lost),
        }
    }

    /// Every relation of a schema appears under another name.
    fn renamed_schema(&mut self, schema: &str) {
        let inner = &self.names.catalog.inner;
        self.names.budget.spend(inner.relations.len() / 4);
        let all: Vec<Arc<Relation>> = inner
            .relations
            .values()
            .filter(|r| r.name.schema == schema)
            .cloned()
            .collect();
        for relation in all {
            self.binder.facts.touches.insert(relation.name.clone());
            self.copied_columns(&relation, None);
        }
        self.changes.push(Change::Lost);
    }

    fn set_schema(&mut self, s: &nodes::AlterObjectSchemaStmt) {
        self.changing(Action::SetSchema);
        self.touch(s.relation());
        let relation = s
            .relation()
            .and_then(|var| self.names.relation(var.schemaname(), var.relname().unwrap_or_default()));
        match relation {
            Some(relation) => {
                self.copied_columns(&relation, None);
                let to = RelName::new(s.newschema().unwrap_or_default(), relation.name.name.clone());
                self.changes.push(Change::Rename(relation.name.clone(), to));
            }
            None => self.changes.push(Change::Lost),
        }
    }
}

/// Whether a type holds every value of another, by its number, without rounding it.
fn holds_all(wider: &nodes::TypeName, old: u32) -> bool {
    const WHOLE: [u32; 3] = [21, 23, 20];
    let name = wider
        .names()
        .iter()
        .next_back()
        .and_then(|s| s.sval())
        .unwrap_or_default();
    let plain = wider.typmods().is_empty() && wider.array_bounds().is_empty();
    plain
        && match name {
            "text" | "varchar" => true,
            "int4" => WHOLE.get(..2).is_some_and(|w| w.contains(&old)),
            "int8" => WHOLE.contains(&old),
            "numeric" => old == 1700 || WHOLE.contains(&old),
            "float8" => matches!(old, 21 | 23 | 700 | 701),
            // date, timestamp, timestamptz
            "timestamp" => matches!(old, 1082 | 1114),
            "timestamptz" => matches!(old, 1082 | 1114 | 1184),
            "jsonb" => old == 3802,
            _ => false,
        }
}

/// The action of one command of ALTER TABLE.
fn alter_action(subtype: nodes::AlterTableType::Type) -> Action {
    use nodes::AlterTableType as T;
    match subtype {
        T::AT_DropColumn => Action::DropColumn,
        T::AT_AddColumn => Action::AddColumn,
        T::AT_AlterColumnType => Action::AlterColumnType,
        T::AT_ColumnDefault | T::AT_DropExpression | T::AT_SetExpression => Action::AlterDefault,
        T::AT_AddConstraint | T::AT_AddIndex | T::AT_AddIndexConstraint | T::AT_ValidateConstraint => {
            Action::AddConstraint
        }
        T::AT_DropConstraint => Action::DropConstraint,
        T::AT_EnableTrig
        | T::AT_EnableAlwaysTrig
        | T::AT_EnableReplicaTrig
        | T::AT_EnableTrigAll
        | T::AT_EnableTrigUser
        | T::AT_EnableRule
        | T::AT_EnableAlwaysRule
        | T::AT_EnableReplicaRule
        | T::AT_DisableTrig
        | T::AT_DisableTrigAll
        | T::AT_DisableTrigUser
        | T::AT_DisableRule => Action::AlterTriggerState,
        T::AT_EnableRowSecurity | T::AT_DisableRowSecurity | T::AT_ForceRowSecurity | T::AT_NoForceRowSecurity => {
            Action::AlterRowSecurity
        }
        T::AT_ChangeOwner => Action::AlterOwner,
        T::AT_AttachPartition | T::AT_AddInherit | T::AT_AddOf => Action::AttachPartition,
        T::AT_DetachPartition | T::AT_DetachPartitionFinalize | T::AT_DropInherit | T::AT_DropOf => {
            Action::DetachPartition
        }
        _ => Action::AlterTable,
    }
}
