//! SELECT, VALUES, set operations, WITH.

use pg_raw_parse::{ConstValue, Node, nodes};
use smol_str::SmolStr;

use super::restrict::QueryNote;
use super::scope::{Found, Scope};
use super::titles::column_name;
use super::{Binder, Field, Flow, Shape, Ty, strings};
use crate::facts::{Action, How};

impl Binder<'_> {
    /// A query, or a statement with RETURNING, seen from `parent`.
    pub(crate) fn query(&mut self, node: Node<'_>, parent: &Scope<'_>) -> Shape {
        self.deeper(|b| b.query_here(node, parent)).unwrap_or_else(|| Shape {
            open: Some(Flow::default()),
            ..Shape::default()
        })
    }

    fn query_here(&mut self, node: Node<'_>, parent: &Scope<'_>) -> Shape {
        match node {
            Node::SelectStmt(select) => self.select(select, parent),
            Node::InsertStmt(insert) => self.insert(insert, parent),
            Node::UpdateStmt(update) => self.update(update, parent),
            Node::DeleteStmt(delete) => self.delete(delete, parent),
            Node::MergeStmt(merge) => self.merge(merge, parent),
            other => {
                self.unresolved(&format!("query {}", super::expr::kind(other)));
                Shape {
                    open: Some(Flow::default()),
                    ..Shape::default()
                }
            }
        }
    }

    pub(crate) fn select(&mut self, select: &nodes::SelectStmt, parent: &Scope<'_>) -> Shape {
        self.act(Action::Select);
        let mut scope = Scope::inside(Some(parent));
        let outside = std::mem::replace(&mut self.outermost, usize::MAX);
        self.with(select.with_clause(), &mut scope);
        let (mut shape, mut note) = if select.op != nodes::SetOperation::SETOP_NONE {
            self.set_operation(select, &scope)
        } else if !select.values_lists().is_empty() {
            self.values(select, &scope)
        } else {
            self.plain(select, &mut scope)
        };
        self.tail(select, &scope, &shape);
        note.correlated |= self.outermost < scope.depth;
        // its rows may be made of an outer row: then they are few for each of those, and as many as those
        shape.restricted &= !note.correlated;
        self.outermost = self.outermost.min(outside);
        self.queries.insert(std::ptr::from_ref(select).addr(), note);
        shape
    }

    /// SELECT … FROM … WHERE.
    fn plain(&mut self, select: &nodes::SelectStmt, scope: &mut Scope<'_>) -> (Shape, QueryNote) {
        for source in select.from_clause() {
            self.source(source, scope);
        }
        let scope = &*scope;
        self.infer(select.where_clause(), scope);
        let named = self.named_setting(select, scope);
        let outside = std::mem::replace(&mut self.setting_name, named);
        let set_returning = self.set_returning;
        let mut shape = self.targets(select.target_list().iter(), scope);
        self.setting_name = outside;
        let multiplied = self.set_returning > set_returning;
        for group in select.group_clause() {
            self.group_by(group, scope, &shape);
        }
        self.infer(select.having_clause(), scope);
        for window in select.window_clause() {
            if let Node::WindowDef(window) = window {
                let flow = self.window(window, scope);
                self.use_columns(&flow, How::Inferred);
            }
        }
        self.unused_computations(scope);
        // how many rows the outermost query has bounds nothing
        if scope.depth <= 1 {
            return (shape, QueryNote::default());
        }
        let note = self.note_of(select, scope, multiplied);
        shape.restricted = note.restricted;
        (shape, note)
    }

    /// The one setting that a query of `pg_settings` is about: pg_dump sets settings that a server
    /// may not have in this way.
    fn named_setting(&self, select: &nodes::SelectStmt, scope: &Scope<'_>) -> Option<String> {
        let [only] = scope.items.as_slice() else {
            return None;
        };
        let settings = only
            .relation
            .as_ref()
            .is_some_and(|r| r.schema == "pg_catalog" && r.name == "pg_settings");
        let Node::A_Expr(e) = select.where_clause() else {
            return None;
        };
        let Node::ColumnRef(column) = e.lexpr() else {
            return None;
        };
        let name = strings(column.fields()).last() == Some(&"name") && strings(e.name()) == ["="];
        (settings && name && e.kind == nodes::A_Expr_Kind::AEXPR_OP && !self.too_deep)
            .then(|| self.names.literals.text(e.rexpr()))
            .flatten()
    }

    /// DISTINCT, ORDER BY, LIMIT.
    fn tail(&mut self, select: &nodes::SelectStmt, scope: &Scope<'_>, shape: &Shape) {
        for distinct in select.distinct_clause() {
            if matches!(distinct, Node::None) {
                let all = self.all_of(shape);
                self.use_columns(&all, How::Inferred);
            } else {
                self.order_by(distinct, scope, shape);
            }
        }
        for sort in select.sort_clause() {
            self.order_by(sort.node(), scope, shape);
            self.operator_name(&strings(sort.use_op()), Some(Ty::Unknown), Ty::Unknown);
        }
        self.infer(select.limit_count(), scope);
        self.infer(select.limit_offset(), scope);
    }

    /// The target list, with `*` spelled out.
    pub(crate) fn targets<'n>(
        &mut self,
        list: impl IntoIterator<Item = &'n nodes::ResTarget>,
        scope: &Scope<'_>,
    ) -> Shape {
        let mut shape = Shape::default();
        for target in list {
            match target.val() {
                Node::ColumnRef(column) if column.fields().iter().any(|f| matches!(f, Node::A_Star(_))) => {
                    self.star(column, scope, &mut shape);
                }
                Node::A_Indirection(path) if path.indirection().iter().any(|f| matches!(f, Node::A_Star(_))) => {
                    self.row_star(path, scope, &mut shape);
                }
                value => {
                    let flow = self.expr(value, scope);
                    let name = match target.name() {
                        Some(name) => SmolStr::new(name),
                        None if self.too_deep => SmolStr::new_static("?column?"),
                        None => column_name(value),
                    };
                    shape.fields.push(Field { name, flow });
                }
            }
            if !self.names.budget.targets(shape.fields.len()) {
                break;
            }
        }
        shape
    }

    fn star(&mut self, column: &nodes::ColumnRef, scope: &Scope<'_>, shape: &mut Shape) {
        let parts = strings(column.fields());
        if parts.is_empty() {
            let budget = &self.names.budget;
            let width = scope.star_width();
            if budget.targets(shape.fields.len() + width) && budget.make(width) {
                shape.fields.extend(scope.star());
            }
            let opens = scope
                .items
                .iter()
                .filter(|i| i.columns_visible)
                .filter_map(|i| i.open.clone());
            shape.open = opens.chain(shape.open.take()).reduce(|a, b| a.either(&b));
            return;
        }
        let row = self.whole_row(&parts, scope);
        let open = match parts.as_slice() {
            [name] => scope.item(None, name).and_then(|(_, _, i)| i.open.clone()),
            _ => None,
        };
        self.spread(row, shape);
        if open.is_some() {
            shape.open = open;
        }
    }

    /// `(value).*`
    fn row_star(&mut self, path: &nodes::A_Indirection, scope: &Scope<'_>, shape: &mut Shape) {
        let mut flow = self.expr(path.arg(), scope);
        for step in path.indirection().iter().filter(|s| !matches!(s, Node::A_Star(_))) {
            flow = self.step(flow, step, scope);
        }
        self.spread(flow, shape);
    }

    fn spread(&mut self, row: Flow, shape: &mut Shape) {
        match self.row_fields(&row) {
            Some(fields) => shape.fields.extend(fields),
            None => shape.open = Some(row),
        }
    }

    /// VALUES (…), (…).
    fn values(&mut self, select: &nodes::SelectStmt, scope: &Scope<'_>) -> (Shape, QueryNote) {
        let mut fields: Vec<Field> = Vec::new();
        for row in select.values_lists() {
            for (index, value) in row.as_node_list().into_iter().flatten().enumerate() {
                if !self.names.budget.targets(index + 1) {
                    break;
                }
                let flow = self.expr(value, scope);
                match fields.get_mut(index) {
                    Some(field) => field.flow = std::mem::take(&mut field.flow).either(&flow),
                    None => fields.push(Field {
                        name: SmolStr::new(format!("column{}", index + 1)),
                        flow,
                    }),
                }
            }
        }
        // rows written out are as many as written, but rows made of outer columns restrict nothing
        let own = self.outermost >= scope.depth;
        (
            Shape {
                fields,
                open: None,
                restricted: true,
            },
            QueryNote {
                restricted: true,
                own_output: own,
                ..QueryNote::default()
            },
        )
    }

    /// UNION, INTERSECT, EXCEPT. Chains that lean left are walked, not recursed into.
    fn set_operation(&mut self, select: &nodes::SelectStmt, scope: &Scope<'_>) -> (Shape, QueryNote) {
        use nodes::SetOperation as S;
        let mut chain = vec![select];
        let mut first = select.larg();
        while let Some(left) = first
            && left.op != S::SETOP_NONE
            && is_bare(left)
        {
            chain.push(left);
            first = left.larg();
        }
        let (mut shape, mut note) = self.arm(first, scope);
        // whether all that the left side carries so far is recorded as compared
        let mut compared = false;
        for operation in chain.into_iter().rev() {
            if self.names.budget.is_exceeded() {
                break;
            }
            let (right, right_note) = self.arm(operation.rarg(), scope);
            if operation.op == S::SETOP_UNION && operation.all {
                compared = false;
            } else {
                let fresh = [(!compared).then_some(&shape), Some(&right)];
                for side in fresh.into_iter().flatten() {
                    let all = self.all_of(side);
                    self.use_columns(&all, How::Inferred);
                }
                compared = true;
            }
            let restricted = match operation.op {
                S::SETOP_UNION => note.restricted && right_note.restricted,
                S::SETOP_INTERSECT => note.restricted || right_note.restricted,
                _ => note.restricted,
            };
            note = QueryNote {
                restricted,
                own_output: note.own_output && right_note.own_output,
                ..QueryNote::default()
            };
            self.names.budget.make(right.fields.len());
            shape = united(shape, right);
            shape.restricted = restricted;
        }
        (shape, note)
    }

    fn arm(&mut self, select: Option<&nodes::SelectStmt>, scope: &Scope<'_>) -> (Shape, QueryNote) {
        let shape = self.query(select.into(), scope);
        let note = select.and_then(|s| self.queries.get(&std::ptr::from_ref(s).addr()).cloned());
        (shape, note.unwrap_or_default())
    }

    /// ORDER BY, DISTINCT ON: an output column by number or name first, an expression else.
    fn order_by(&mut self, node: Node<'_>, scope: &Scope<'_>, shape: &Shape) {
        let output = match node {
            Node::A_Const(_) => self.numbered(node, shape),
            Node::ColumnRef(c) => match strings(c.fields()).as_slice() {
                [name] if c.fields().len() == 1 => self.titled(name, shape),
                _ => None,
            },
            _ => None,
        };
        match output {
            Some(field) => self.use_columns(&field.flow, How::Inferred),
            None => self.infer(node, scope),
        }
    }

    /// The output that a number in ORDER BY or GROUP BY means.
    fn numbered<'s>(&self, node: Node<'_>, shape: &'s Shape) -> Option<&'s Field> {
        let number = usize::try_from(self.names.literals.integer(node)?).ok()?;
        shape.fields.get(number.checked_sub(1)?)
    }

    /// The output of this name.
    fn titled<'s>(&self, name: &str, shape: &'s Shape) -> Option<&'s Field> {
        let known = self.names.budget.compare(shape.fields.len());
        shape.fields.iter().filter(|_| known).find(|f| f.name == name)
    }

    /// GROUP BY: an input column first, an output column else.
    fn group_by(&mut self, node: Node<'_>, scope: &Scope<'_>, shape: &Shape) {
        self.looked(scope);
        match node {
            _ if self.names.budget.is_exceeded() => {}
            Node::A_Const(_) => {
                if let Some(field) = self.numbered(node, shape) {
                    self.use_columns(&field.flow, How::Inferred);
                }
            }
            Node::GroupingSet(set) => {
                for inner in set.content() {
                    self.group_by(inner, scope, shape);
                }
            }
            Node::ColumnRef(c) => {
                let parts = strings(c.fields());
                let alias = match parts.as_slice() {
                    [name] if matches!(scope.column(name), Found::Nothing) => self.titled(name, shape),
                    _ => None,
                };
                match alias {
                    Some(field) => self.use_columns(&field.flow, How::Inferred),
                    None => self.infer(node, scope),
                }
            }
            other => self.infer(other, scope),
        }
    }

    /// PARTITION BY, ORDER BY and frame of a window.
    pub(crate) fn window(&mut self, window: &nodes::WindowDef, scope: &Scope<'_>) -> Flow {
        let mut flow = self.exprs(window.partition_clause(), scope);
        for sort in window.order_clause() {
            flow.add(&self.expr(sort.node(), scope));
        }
        flow.add(&self.exprs([window.start_offset(), window.end_offset()], scope));
        self.use_columns(&flow, How::Inferred);
        flow
    }

    /// Expressions of subqueries that nobody shows are computed nevertheless, and may fail or not.
    fn unused_computations(&mut self, scope: &Scope<'_>) {
        for item in scope.items.iter().filter(|i| i.relation.is_none() && !i.join) {
            for column in item.columns.iter().filter(|c| !c.used.get()) {
                let flow = Flow {
                    columns: column.flow.computed(),
                    ..Flow::default()
                };
                self.use_columns(&flow, How::Inferred);
            }
        }
    }
}

/// The most rows that a query gives, if a number after LIMIT says it.
///
/// The number is read although it is a literal: [`crate::shape`] leaves such a number in its place, so that statements of one shape
/// have the same. Where it does not, the statement with a parameter in its place has other facts, and none are shared.
pub(crate) fn most_rows(query: Node<'_>) -> Option<u64> {
    let Node::SelectStmt(select) = query else { return None };
    let Node::A_Const(limit) = select.limit_count() else {
        return None;
    };
    match limit.val() {
        Some(ConstValue::Integer(rows)) if select.limit_option == nodes::LimitOption::LIMIT_OPTION_COUNT => {
            u64::try_from(rows).ok()
        }
        Some(_) | None => None,
    }
}

/// A set operation without clauses of its own.
fn is_bare(select: &nodes::SelectStmt) -> bool {
    select.with_clause().is_none()
        && select.sort_clause().is_empty()
        && select.locking_clause().is_empty()
        && matches!(select.limit_count(), Node::None)
        && matches!(select.limit_offset(), Node::None)
}

/// Both sides of a set operation, column by column, named like the left.
fn united(mut left: Shape, right: Shape) -> Shape {
    let shared = left.fields.len().min(right.fields.len());
    for (field, other) in left.fields.iter_mut().zip(&right.fields) {
        field.flow = std::mem::take(&mut field.flow).either(&other.flow);
    }
    // where one side has more columns than are known of the other, they are among its unknown ones
    if let Some(open) = &right.open {
        for field in left.fields.iter_mut().skip(shared) {
            field.flow = std::mem::take(&mut field.flow).either(open);
        }
    }
    let rest = right.fields.into_iter().skip(shared).map(|field| Field {
        flow: match &left.open {
            Some(open) => open.clone().either(&field.flow),
            None => field.flow,
        },
        name: field.name,
    });
    left.fields.extend(rest);
    left.open = match (left.open, right.open) {
        (Some(a), Some(b)) => Some(a.either(&b)),
        _ => None,
    };
    left.restricted = false;
    left
}
