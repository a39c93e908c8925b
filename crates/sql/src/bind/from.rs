//! FROM: relations, joins, subqueries, functions.

use std::cell::Cell;
use std::sync::Arc;

use pg_raw_parse::{Node, nodes};
use smol_str::SmolStr;

use super::scope::{Item, ItemColumn, Scope};
use super::{Binder, Field, Flow, Shape, Ty, strings};
use crate::catalog::Relation;
use crate::facts::{Hazard, How, RelName};

/// What an element of FROM costs besides its columns.
const PER_ITEM: usize = 10;

impl Binder<'_> {
    /// Adds one element of FROM to the scope. Returns the numbers of the items that it added and
    /// whose columns are visible.
    pub(crate) fn source(&mut self, node: Node<'_>, scope: &mut Scope<'_>) -> Vec<usize> {
        self.deeper(|b| b.source_here(node, scope)).unwrap_or_default()
    }

    fn source_here(&mut self, node: Node<'_>, scope: &mut Scope<'_>) -> Vec<usize> {
        let item = match node {
            Node::RangeVar(var) => self.range_var(var, scope),
            Node::RangeSubselect(sub) => self.subselect(sub, scope),
            Node::RangeFunction(function) => self.range_function(function, scope),
            Node::RangeTableFunc(table) => self.xml_table(table, scope),
            Node::JsonTable(table) => self.json_table(table, scope),
            Node::JoinExpr(join) => return self.join(join, scope),
            Node::RangeTableSample(sample) => {
                for arg in sample.args() {
                    self.infer(arg, scope);
                }
                self.infer(sample.repeatable(), scope);
                self.sampling_method(&strings(sample.method()));
                return self.source(sample.relation(), scope);
            }
            other => {
                self.unresolved(&format!("source {}", super::expr::kind(other)));
                return Vec::new();
            }
        };
        if !self.names.budget.spend(PER_ITEM) {
            return Vec::new();
        }
        scope.items.push(item);
        vec![scope.items.len() - 1]
    }

    fn sampling_method(&mut self, name: &[&str]) {
        if !matches!(name, ["system" | "bernoulli"] | ["pg_catalog", "system" | "bernoulli"]) {
            let resolved = self.function(name, &[Ty::Known(2281)], true);
            self.settle(&resolved, None, &Flow::default());
        }
    }

    /// A relation or a common table expression by name.
    fn range_var(&mut self, var: &nodes::RangeVar, scope: &Scope<'_>) -> Item {
        let name = SmolStr::new(var.relname().unwrap_or_default());
        let mut item = match (var.schemaname(), scope.cte(&name)) {
            (None, Some(cte)) if self.names.budget.make(cte.shape.fields.len()) => shape_item(name, cte.shape.clone()),
            _ => self.relation_item(var),
        };
        self.looked(scope);
        rename(&mut item, var.alias());
        item
    }

    fn relation_item(&mut self, var: &nodes::RangeVar) -> Item {
        let name = SmolStr::new(var.relname().unwrap_or_default());
        match self.relation(var) {
            Some(relation) => self.read_relation(&relation, var.inh),
            None => {
                let mut item = Item::new(name, Vec::new());
                item.open = Some(Flow::default());
                self.facts.reads.insert(self.names.rel_name(var));
                item
            }
        }
    }

    /// A relation that is read: its columns, what a view shows, the code that reading runs.
    pub(crate) fn read_relation(&mut self, relation: &Arc<Relation>, _inherit: bool) -> Item {
        self.facts.reads.insert(relation.name.clone());
        self.note_reading(relation);
        let shown = self.view_columns(relation);
        let mut item = relation_item(relation, shown);
        item.unaliased = Some(relation.name.clone());
        item
    }

    /// The hazards and the code of reading a relation.
    fn note_reading(&mut self, relation: &Relation) {
        if relation.opaque {
            self.hazards_of_reading(&relation.name);
        }
        if relation.kind == 'f' {
            self.hazard(Hazard::Network);
        }
        self.attached_code(relation, '1');
    }

    /// System relations and views that hold more than names.
    fn hazards_of_reading(&mut self, name: &RelName) {
        let hazard = match name.name.as_str() {
            "pg_largeobject" => Hazard::LargeObject,
            "pg_hba_file_rules" | "pg_ident_file_mappings" | "pg_file_settings" => Hazard::ServerFile,
            "pg_replication_slots" | "pg_stat_replication" | "pg_stat_subscription" | "pg_subscription" => {
                Hazard::Replication
            }
            _ => return,
        };
        self.hazard(hazard);
    }

    fn subselect(&mut self, sub: &nodes::RangeSubselect, scope: &Scope<'_>) -> Item {
        // a subquery sees its siblings only when it is LATERAL, but always the common table expressions
        let hidden = Scope {
            parent: scope.parent,
            depth: scope.depth,
            beside: Some(scope),
            ..Scope::default()
        };
        let shape = self.query(sub.subquery(), if sub.lateral { scope } else { &hidden });
        let mut item = shape_item(SmolStr::default(), shape);
        item.visible = sub.alias().is_some();
        rename(&mut item, sub.alias());
        item
    }

    /// `function(…)`, `ROWS FROM (…)`, WITH ORDINALITY, column definition lists.
    fn range_function(&mut self, range: &nodes::RangeFunction, scope: &Scope<'_>) -> Item {
        let mut fields = Vec::new();
        let mut open = None;
        let mut scalar = false;
        let mut name = SmolStr::default();
        for entry in range.functions() {
            let Node::NodeList(pair) = entry else {
                continue;
            };
            let (Some(call), definitions) = (pair.get(0), pair.get(1)) else {
                continue;
            };
            let (function, shape) = self.function_rows(call, scope);
            if name.is_empty() {
                name = function;
            }
            let listed = definitions
                .and_then(|d| d.as_node_list())
                .map(|l| self.definitions(l.iter(), &self.all_of(&shape)));
            match listed.filter(|l| !l.is_empty()) {
                Some(listed) => fields.extend(listed),
                None => {
                    scalar = shape.fields.len() == 1 && range.functions().len() == 1;
                    fields.extend(shape.fields);
                    open = open.or(shape.open);
                }
            }
        }
        if !range.coldeflist().is_empty() {
            let all = self.all_of(&Shape {
                fields,
                open: open.take(),
                restricted: false,
            });
            fields = self.definitions(range.coldeflist().iter().map(Node::from), &all);
            scalar = false;
        }
        if range.ordinality {
            fields.push(Field {
                name: SmolStr::new_static("ordinality"),
                flow: Flow::of_type(Ty::Known(20)),
            });
            scalar = false;
        }
        // the column of a scalar function is called like the alias, else like the function
        let alias = range.alias().and_then(|a| a.aliasname()).map(SmolStr::new);
        let scalar_row = fields.len() == 1 || range.ordinality;
        if let Some(field) = fields.first_mut().filter(|_| scalar_row)
            && field.name == name
            && let Some(alias) = &alias
        {
            field.name = alias.clone();
        }
        let mut item = Item::new(name, fields);
        item.open = open;
        item.scalar = scalar;
        rename(&mut item, range.alias());
        item
    }

    /// The rows of one function in FROM: its name and the columns that it returns.
    fn function_rows(&mut self, call: Node<'_>, scope: &Scope<'_>) -> (SmolStr, Shape) {
        if let Node::FuncCall(f) = call
            && f.args().len() > 1
            && matches!(strings(f.funcname()).as_slice(), ["unnest"] | ["pg_catalog", "unnest"])
        {
            return (SmolStr::new_static("unnest"), self.unnest(f, scope));
        }
        self.last_call.clear();
        let flow = self.expr(call, scope);
        // what decides about the rows of a source is more than what its columns show
        self.use_columns(&flow, How::Inferred);
        let Node::FuncCall(function) = call else {
            let name = if self.too_deep {
                SmolStr::default()
            } else {
                super::titles::column_name(call)
            };
            return (name.clone(), one_column(name, flow));
        };
        let parts = strings(function.funcname());
        let name = SmolStr::new(parts.last().copied().unwrap_or_default());
        let outs = self.out_columns();
        self.names.budget.make(outs.len());
        if !outs.is_empty() {
            let field = |(name, ty): (SmolStr, u32)| Field {
                name,
                flow: flow.clone().derived(Ty::Known(ty)),
            };
            return (
                name,
                Shape {
                    fields: outs.into_iter().map(field).collect(),
                    ..Shape::default()
                },
            );
        }
        if let Some(fields) = self.row_fields(&flow) {
            self.names.budget.make(fields.len());
            let derived = fields.into_iter().map(|f| Field {
                name: f.name,
                flow: flow.clone().derived(f.flow.ty),
            });
            return (
                name,
                Shape {
                    fields: derived.collect(),
                    ..Shape::default()
                },
            );
        }
        if matches!(flow.ty, Ty::Unknown | Ty::Known(2249)) {
            let fields = vec![Field {
                name: name.clone(),
                flow: flow.clone(),
            }];
            return (
                name,
                Shape {
                    fields,
                    open: Some(flow),
                    ..Shape::default()
                },
            );
        }
        (name.clone(), one_column(name, flow))
    }

    /// The OUT columns of the function called last, when its candidates agree on them.
    fn out_columns(&self) -> Vec<(SmolStr, u32)> {
        let mut candidates = self.last_call.iter();
        match candidates.next() {
            Some(first) if candidates.all(|f| f.outs == first.outs) => first.outs.clone(),
            _ => Vec::new(),
        }
    }

    /// `unnest(a, b, …)` in FROM is one call for each of its arguments.
    fn unnest(&mut self, call: &nodes::FuncCall, scope: &Scope<'_>) -> Shape {
        let name = SmolStr::new_static("unnest");
        let mut fields = Vec::new();
        for arg in call.args() {
            let flow = self.expr(arg, scope);
            self.use_columns(&flow, How::Inferred);
            let ty = self.element_of(flow.ty);
            fields.push(Field {
                name: name.clone(),
                flow: flow.derived(ty),
            });
        }
        self.facts.functions.insert(SmolStr::new_static("pg_catalog.unnest"));
        self.set_returning += 1;
        Shape {
            fields,
            ..Shape::default()
        }
    }

    /// `AS t(a int, b text)`.
    fn definitions<'n>(&mut self, list: impl IntoIterator<Item = Node<'n>>, all: &Flow) -> Vec<Field> {
        let mut fields = Vec::new();
        for node in list {
            if let Node::ColumnDef(column) = node {
                let ty = column.type_name().map_or(Ty::Unknown, |t| self.type_of(t));
                let flow = all.clone().derived(ty);
                fields.push(Field {
                    name: SmolStr::new(column.colname().unwrap_or_default()),
                    flow,
                });
            }
        }
        fields
    }

    fn xml_table(&mut self, table: &nodes::RangeTableFunc, scope: &Scope<'_>) -> Item {
        let mut all = self.exprs([table.docexpr(), table.rowexpr()], scope);
        all.add(&self.exprs(table.namespaces(), scope));
        self.use_columns(&all, How::Inferred);
        let mut fields = Vec::new();
        for column in table.columns() {
            all.add(&self.exprs([column.colexpr(), column.coldefexpr()], scope));
            column.type_name().map(|t| self.type_of(t));
            fields.push(SmolStr::new(column.colname().unwrap_or_default()));
        }
        let field = |name| Field {
            name,
            flow: all.clone().derived(Ty::Unknown),
        };
        let mut item = Item::new(SmolStr::new_static("xmltable"), fields.into_iter().map(field).collect());
        rename(&mut item, table.alias());
        item
    }

    fn json_table(&mut self, table: &nodes::JsonTable, scope: &Scope<'_>) -> Item {
        let mut all = self.expr(table.context_item().into(), scope);
        all.add(&self.exprs(table.passing(), scope));
        self.use_columns(&all, How::Inferred);
        let mut fields = Vec::new();
        let mut open: Vec<Node<'_>> = table.columns().iter().map(Node::from).collect();
        while let Some(node) = open.pop() {
            if let Node::JsonTableColumn(column) = node {
                column.type_name().map(|t| self.type_of(t));
                fields.extend(column.name().map(|n| Field {
                    name: SmolStr::new(n),
                    flow: all.clone().derived(Ty::Unknown),
                }));
                open.extend(column.columns());
            }
        }
        let mut item = Item::new(SmolStr::new_static("json_table"), fields);
        // nested columns come in an order that is not worth following: any name may be any of them
        item.open = Some(all);
        rename(&mut item, table.alias());
        item
    }
}

/// A relation as an item, its columns carrying what `shown` says.
pub(crate) fn relation_item(relation: &Relation, shown: Vec<Field>) -> Item {
    let mut item = Item::new(relation.name.name.clone(), shown);
    item.relation = Some(relation.name.clone());
    if relation.kind == 'S' {
        item.restricted = true;
    }
    item
}

fn shape_item(name: SmolStr, shape: Shape) -> Item {
    let mut item = Item::new(name, shape.fields);
    item.open = shape.open;
    item.restricted = shape.restricted;
    item
}

fn one_column(name: SmolStr, flow: Flow) -> Shape {
    let ty = flow.ty;
    let row = flow.row.clone();
    let mut flow = flow.derived(ty);
    flow.row = row;
    Shape {
        fields: vec![Field { name, flow }],
        ..Shape::default()
    }
}

/// Gives an item the names of its alias.
pub(crate) fn rename(item: &mut Item, alias: Option<&nodes::Alias>) {
    let Some(alias) = alias else { return };
    item.unaliased = None;
    item.name = SmolStr::new(alias.aliasname().unwrap_or_default());
    let open = item.open.clone();
    let columns = item.columns_mut();
    for (index, name) in strings(alias.colnames()).into_iter().enumerate() {
        match columns.get_mut(index) {
            Some(column) => column.name = SmolStr::new(name),
            None => {
                if let Some(open) = &open {
                    columns.push(ItemColumn {
                        name: SmolStr::new(name),
                        flow: open.clone(),
                        used: Cell::new(false),
                    });
                }
            }
        }
    }
}
