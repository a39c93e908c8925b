//! Expressions: which columns a value comes from.

use pg_raw_parse::{Node, nodes};
use smol_str::SmolStr;

use super::flow::{BOOL, INT4, TEXT};
use super::literal::constant;
use super::scope::{Found, Scope};
use super::{Binder, Field, Flow, Ty, strings};
use crate::facts::How;

impl Binder<'_> {
    /// What an expression's value carries. A missing expression carries nothing.
    pub(crate) fn expr(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Flow {
        let flow = self.deeper(|b| b.expr_here(node, scope)).unwrap_or_default();
        self.note_type(flow.ty);
        self.looked(scope);
        // what a value may come from was put together somewhere below
        self.names.budget.spend(flow.columns.len());
        flow
    }

    /// Expressions whose values decide about rows.
    pub(crate) fn infer(&mut self, node: Node<'_>, scope: &Scope<'_>) {
        let flow = self.expr(node, scope);
        self.use_columns(&flow, How::Inferred);
    }

    /// What several expressions carry together.
    pub(crate) fn exprs<'n>(&mut self, nodes: impl IntoIterator<Item = Node<'n>>, scope: &Scope<'_>) -> Flow {
        let mut all = Flow::default();
        for node in nodes {
            let flow = self.expr(node, scope);
            all.add(&flow);
        }
        all
    }

    fn expr_here(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Flow {
        match node {
            Node::None | Node::SetToDefault(_) | Node::CurrentOfExpr(_) => Flow::default(),
            Node::MergeSupportFunc(_) => {
                self.shadowed_by_syntax(node);
                Flow::of_type(TEXT)
            }
            Node::A_Const(c) => constant(c),
            Node::ParamRef(p) => {
                self.facts.parameters = self.facts.parameters.max(u32::try_from(p.number).unwrap_or(0));
                Flow::of_type(Ty::Literal)
            }
            Node::ColumnRef(c) => self.column_ref(c, scope),
            Node::A_Expr(e) => self.operation(e, scope),
            Node::BoolExpr(e) => self.exprs(e.args(), scope).derived(BOOL),
            Node::NullTest(t) => self.expr(t.arg(), scope).derived(BOOL),
            Node::BooleanTest(t) => self.expr(t.arg(), scope).derived(BOOL),
            Node::SubLink(s) => self.sublink(s, scope),
            Node::FuncCall(f) => self.call(f, scope),
            Node::CaseExpr(c) => self.case(c, scope),
            Node::CoalesceExpr(c) => self.one_of(c.args(), scope),
            Node::MinMaxExpr(c) => self.one_of(c.args(), scope),
            Node::RowExpr(r) => self.row_of(r, scope),
            Node::A_ArrayExpr(a) => self.array_of(a, scope),
            Node::A_Indices(i) => self.exprs([i.lidx(), i.uidx()], scope),
            Node::A_Indirection(i) => self.indirection(i, scope),
            Node::TypeCast(c) => self.cast(c, scope),
            Node::CollateClause(c) => {
                let mut flow = self.expr(c.arg(), scope);
                flow.row = None;
                flow
            }
            Node::SQLValueFunction(_) => Flow::default(),
            Node::GroupingFunc(g) => self.exprs(g.args(), scope).derived(INT4),
            Node::NamedArgExpr(a) => self.expr(a.arg(), scope),
            Node::MultiAssignRef(m) => self.expr(m.source(), scope),
            Node::NodeList(list) => self.exprs(list, scope),
            Node::ResTarget(t) => self.expr(t.val(), scope),
            Node::XmlExpr(x) => {
                let mut flow = self.exprs(x.named_args(), scope);
                flow.add(&self.exprs(x.args(), scope));
                flow
            }
            Node::XmlSerialize(x) => self.expr(x.expr(), scope).derived(TEXT),
            json => self.json(json, scope),
        }
    }

    fn json(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Flow {
        self.shadowed_by_syntax(node);
        match node {
            Node::JsonValueExpr(v) => self.exprs([v.raw_expr(), v.formatted_expr()], scope),
            Node::JsonKeyValue(kv) => {
                let mut flow = self.expr(kv.key(), scope);
                flow.add(&self.expr(kv.value().into(), scope));
                flow
            }
            Node::JsonArgument(a) => self.expr(a.val().into(), scope),
            Node::JsonObjectConstructor(o) => self.exprs(o.exprs().iter().map(Node::from), scope),
            Node::JsonArrayConstructor(a) => self.exprs(a.exprs().iter().map(Node::from), scope),
            Node::JsonArrayQueryConstructor(a) => {
                let shape = self.query(a.query(), scope);
                self.all_of(&shape)
            }
            Node::JsonObjectAgg(a) => {
                let flow = self.expr(a.arg().into(), scope);
                self.json_aggregate(flow, a.constructor(), scope)
            }
            Node::JsonArrayAgg(a) => {
                let flow = self.expr(a.arg().into(), scope);
                self.json_aggregate(flow, a.constructor(), scope)
            }
            Node::JsonFuncExpr(f) => {
                let mut flow = self.exprs([f.context_item().into(), f.pathspec()], scope);
                flow.add(&self.exprs(f.passing(), scope));
                for behavior in [f.on_empty(), f.on_error()].into_iter().flatten() {
                    flow.add(&self.expr(behavior.expr(), scope));
                }
                flow
            }
            Node::JsonIsPredicate(p) => self.expr(p.expr(), scope).derived(BOOL),
            Node::JsonParseExpr(p) => self.expr(p.expr().into(), scope).derived(Ty::Unknown),
            Node::JsonScalarExpr(p) => self.expr(p.expr(), scope).derived(Ty::Unknown),
            Node::JsonSerializeExpr(p) => self.expr(p.expr().into(), scope).derived(Ty::Unknown),
            other => {
                self.unresolved(&format!("expression {}", kind(other)));
                Flow::default()
            }
        }
    }

    /// What newer servers parse as syntax is an ordinary call on older ones: a user's function of
    /// that name is what runs there.
    fn shadowed_by_syntax(&mut self, node: Node<'_>) {
        use nodes::JsonExprOp as J;
        let name = match node {
            Node::JsonFuncExpr(f) => match f.op {
                J::JSON_EXISTS_OP => "json_exists",
                J::JSON_QUERY_OP => "json_query",
                J::JSON_VALUE_OP => "json_value",
                _ => "json_table",
            },
            Node::JsonObjectConstructor(_) => "json_object",
            Node::JsonArrayConstructor(_) | Node::JsonArrayQueryConstructor(_) => "json_array",
            Node::JsonObjectAgg(_) => "json_objectagg",
            Node::JsonArrayAgg(_) => "json_arrayagg",
            Node::JsonParseExpr(_) => "json",
            Node::JsonScalarExpr(_) => "json_scalar",
            Node::JsonSerializeExpr(_) => "json_serialize",
            Node::MergeSupportFunc(_) => "merge_action",
            _ => return,
        };
        let functions = self.names.catalog.inner.functions.get(name);
        for function in functions.into_iter().flatten().filter(|f| !f.is_builtin()) {
            self.facts.code.insert(function.identity.clone());
        }
    }

    fn json_aggregate(&mut self, mut flow: Flow, rest: Option<&nodes::JsonAggConstructor>, scope: &Scope<'_>) -> Flow {
        if let Some(rest) = rest {
            flow.add(&self.exprs(rest.agg_order(), scope));
            self.infer(rest.agg_filter(), scope);
            if let Some(window) = rest.over() {
                flow.add(&self.window(window, scope));
            }
        }
        flow.derived(Ty::Unknown)
    }

    /// `a`, `a.b`, `schema.a.b`, `catalog.schema.a.b`, each perhaps with `.*`.
    pub(crate) fn column_ref(&mut self, column: &nodes::ColumnRef, scope: &Scope<'_>) -> Flow {
        let parts = strings(column.fields());
        if column.fields().iter().any(|f| matches!(f, Node::A_Star(_))) {
            return self.whole_row(&parts, scope);
        }
        let found = match parts.as_slice() {
            [name] => scope.column(name),
            [item, name] => scope.qualified(None, item, name),
            [schema, item, name] | [_, schema, item, name] => scope.qualified(Some(schema), item, name),
            _ => Found::Nothing,
        };
        match found {
            Found::Column(column, place) => {
                self.reach(scope, place.level);
                column.flow.clone()
            }
            Found::Other(flow, place) => {
                self.reach(scope, place.level);
                flow
            }
            Found::Nothing => self.not_a_column(&parts, scope),
        }
    }

    /// Notes how far out a name was found: a query that reaches out of itself is correlated.
    fn reach(&mut self, scope: &Scope<'_>, level: usize) {
        self.outermost = self.outermost.min(scope.depth.saturating_sub(level));
    }

    /// A name that is no column: a whole row, or a function applied to one (`c.to_jsonb`).
    fn not_a_column(&mut self, parts: &[&str], scope: &Scope<'_>) -> Flow {
        let (item, function) = match parts {
            [name] => (scope.item(None, name), None),
            [item, function] => (scope.item(None, item), Some(*function)),
            [schema, item, function] | [_, schema, item, function] => (scope.item(Some(schema), item), Some(*function)),
            _ => (None, None),
        };
        match item {
            Some((level, _, item)) => {
                self.reach(scope, level);
                match function {
                    None => self.row_value(item),
                    Some(function) => self.apply(&[function], self.row_value(item)),
                }
            }
            None => {
                self.unresolved(&format!("column {}", parts.join(".")));
                Flow::default()
            }
        }
    }

    /// `item.*` where one value is wanted: the whole row.
    pub(crate) fn whole_row(&mut self, parts: &[&str], scope: &Scope<'_>) -> Flow {
        let item = match parts {
            [] => return self.star_row(scope),
            [name] => scope.item(None, name),
            [schema, name] | [_, schema, name] => scope.item(Some(schema), name),
            _ => None,
        };
        if let Some((level, _, item)) = item {
            self.reach(scope, level);
            return self.row_value(item);
        }
        // `(c.row).*` spelled `c.row.*`
        match parts {
            [item, column] => match scope.qualified(None, item, column) {
                Found::Column(column, _) => column.flow.clone(),
                Found::Other(flow, _) => flow,
                Found::Nothing => self.missing_row(parts),
            },
            _ => self.missing_row(parts),
        }
    }

    /// All columns that `*` stands for, as one row.
    fn star_row(&mut self, scope: &Scope<'_>) -> Flow {
        let items = scope.items.iter().filter(|i| i.columns_visible);
        let cost = items.flat_map(|i| &i.columns).map(|c| 2 + c.flow.columns.len()).sum();
        if !self.names.budget.targets(scope.star_width()) || !self.names.budget.spend(cost) {
            return Flow::default();
        }
        Flow::of_row(scope.star(), Ty::Unknown)
    }

    fn missing_row(&mut self, parts: &[&str]) -> Flow {
        self.unresolved(&format!("row {}", parts.join(".")));
        Flow::default()
    }

    /// An operator. Chains that lean left (`a || b || c …`) are walked, not recursed into.
    fn operation(&mut self, first: &nodes::A_Expr, scope: &Scope<'_>) -> Flow {
        let mut all = Flow::default();
        let mut chain = vec![first];
        let mut expr = first;
        while let Node::A_Expr(left) = expr.lexpr() {
            chain.push(left);
            expr = left;
        }
        let mut left = self.expr(expr.lexpr(), scope);
        all.add(&left);
        for expr in chain.into_iter().rev() {
            let right = self.expr(expr.rexpr(), scope);
            all.add(&right);
            let unary = matches!(expr.lexpr(), Node::None);
            let ty = self.operator(expr, if unary { None } else { Some(left.ty) }, right.ty);
            left = Flow::of_type(ty);
        }
        all.derived(left.ty)
    }

    fn sublink(&mut self, link: &nodes::SubLink, scope: &Scope<'_>) -> Flow {
        use nodes::SubLinkType as T;
        let test = self.expr(link.testexpr(), scope);
        let shape = self.query(link.subselect(), scope);
        if link.sub_link_type == T::EXISTS_SUBLINK {
            // nobody sees the values, but what is computed may fail
            self.computed(&shape);
            return Flow::of_type(BOOL);
        }
        self.operator_name(&strings(link.oper_name()), Some(test.ty), Ty::Unknown);
        let single = match (shape.fields.as_slice(), &shape.open) {
            ([only], None) => Some(only.flow.clone()),
            _ => None,
        };
        if link.sub_link_type == T::EXPR_SUBLINK
            && let Some(flow) = single
        {
            return flow;
        }
        let mut flow = self.all_of(&shape);
        flow.add(&test);
        match link.sub_link_type {
            T::ANY_SUBLINK | T::ALL_SUBLINK | T::ROWCOMPARE_SUBLINK => flow.derived(BOOL),
            _ => flow.derived(Ty::Unknown),
        }
    }

    fn case(&mut self, case: &nodes::CaseExpr, scope: &Scope<'_>) -> Flow {
        let mut all = self.expr(case.arg(), scope);
        let mut result = self.expr(case.defresult(), scope);
        all.add(&result);
        for when in case.args() {
            if let Node::CaseWhen(when) = when {
                all.add(&self.expr(when.expr(), scope));
                let value = self.expr(when.result(), scope);
                all.add(&value);
                result = result.either(&value);
            }
        }
        all.derived(result.ty)
    }

    /// COALESCE, GREATEST, LEAST: one of the arguments.
    fn one_of(&mut self, args: &pg_raw_parse::list::NodeList, scope: &Scope<'_>) -> Flow {
        let mut result: Option<Flow> = None;
        for arg in args {
            let flow = self.expr(arg, scope);
            result = Some(match result {
                Some(so_far) => so_far.either(&flow),
                None => flow,
            });
        }
        let result = result.unwrap_or_default();
        let ty = result.ty;
        result.derived(ty)
    }

    /// `ROW(a, b)`: fields `f1`, `f2` …; `ROW(t.*)` has the columns of `t`.
    fn row_of(&mut self, row: &nodes::RowExpr, scope: &Scope<'_>) -> Flow {
        let mut fields: Vec<Field> = Vec::new();
        for arg in row.args() {
            let flow = self.expr(arg, scope);
            let star = matches!(arg, Node::ColumnRef(c) if c.fields().iter().any(|f| matches!(f, Node::A_Star(_))));
            let width = flow.row.as_ref().filter(|_| star).map_or(1, |r| r.len());
            let budget = &self.names.budget;
            if !budget.targets(fields.len() + width) || !budget.spend(width + flow.columns.len()) {
                break;
            }
            match flow.row.as_ref().filter(|_| star) {
                Some(row) => fields.extend(row.iter().cloned()),
                None => fields.push(Field {
                    name: SmolStr::default(),
                    flow,
                }),
            }
        }
        for (index, field) in fields.iter_mut().enumerate() {
            field.name = SmolStr::new(format!("f{}", index + 1));
        }
        Flow::of_row(fields, Ty::Unknown)
    }

    fn array_of(&mut self, array: &nodes::A_ArrayExpr, scope: &Scope<'_>) -> Flow {
        let mut element = Ty::Unknown;
        let mut all = Flow::default();
        for node in array.elements() {
            let flow = self.expr(node, scope);
            if element == Ty::Unknown {
                element = flow.ty;
            }
            all.add(&flow);
        }
        // nested brackets are further dimensions of the same array
        let nested = array
            .elements()
            .first()
            .is_some_and(|e| matches!(e, Node::A_ArrayExpr(_)));
        let ty = if nested { element } else { self.array_type(element) };
        all.derived(ty)
    }

    fn cast(&mut self, cast: &nodes::TypeCast, scope: &Scope<'_>) -> Flow {
        let inner = self.expr(cast.arg(), scope);
        let target = match cast.type_name() {
            Some(name) => self.type_of(name),
            None => Ty::Unknown,
        };
        self.explicit_cast(inner.ty, target);
        inner.derived(target)
    }

    /// `(value).field`, `value[index]`, `(value).function`.
    pub(crate) fn indirection(&mut self, node: &nodes::A_Indirection, scope: &Scope<'_>) -> Flow {
        let mut flow = self.expr(node.arg(), scope);
        for step in node.indirection() {
            flow = self.step(flow, step, scope);
        }
        flow
    }

    pub(crate) fn step(&mut self, flow: Flow, step: Node<'_>, scope: &Scope<'_>) -> Flow {
        if let Node::A_Indices(index) = step {
            let ty = if index.is_slice {
                flow.ty
            } else {
                self.element_of(flow.ty)
            };
            let mut flow = flow.derived(ty);
            flow.add(&self.exprs([index.lidx(), index.uidx()], scope));
            return flow;
        }
        let Some(name) = step.as_str() else {
            return flow;
        };
        self.project(flow, name)
    }

    /// A field of a row; or a function applied to it, which SQL writes the same way.
    pub(crate) fn project(&mut self, flow: Flow, name: &str) -> Flow {
        self.names.budget.compare(flow.row.as_ref().map_or(0, |r| r.len()));
        if let Some(row) = &flow.row
            && let Some(field) = row.iter().find(|f| f.name == name)
        {
            return field.flow.clone();
        }
        if let Some(id) = self.row_relation(flow.ty)
            && let Some(relation) = self.names.catalog.inner.relations.get(&id)
            && self.names.budget.compare(relation.columns.len())
            && let Some(column) = relation.columns.iter().find(|c| c.name == name)
        {
            return flow.derived(Ty::Known(column.ty));
        }
        if self.names.catalog.inner.functions.contains_key(name) {
            return self.apply(&[name], flow);
        }
        flow.derived(Ty::Unknown)
    }

    /// The fields that `(value).*` stands for, if they are known.
    pub(crate) fn row_fields(&self, flow: &Flow) -> Option<Vec<Field>> {
        if let Some(row) = &flow.row {
            return self.names.budget.make(row.len()).then(|| row.to_vec());
        }
        let relation = self.names.catalog.inner.relations.get(&self.row_relation(flow.ty)?)?;
        if !self.names.budget.make(relation.columns.len()) {
            return None;
        }
        let field = |c: &crate::catalog::Column| Field {
            name: c.name.clone(),
            flow: flow.clone().derived(Ty::Known(c.ty)),
        };
        Some(relation.columns.iter().map(field).collect())
    }
}

/// The name of a node's kind, for messages.
pub(crate) fn kind(node: Node<'_>) -> String {
    /// Takes the first word, then fails, so that the tree below is never walked.
    struct FirstWord(String);
    impl std::fmt::Write for FirstWord {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            let word = text
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default();
            self.0.push_str(word);
            if word.len() == text.len() && self.0.len() < 64 {
                Ok(())
            } else {
                Err(std::fmt::Error)
            }
        }
    }
    let mut word = FirstWord(String::new());
    let _cut_short = std::fmt::Write::write_fmt(&mut word, format_args!("{node:?}"));
    word.0
}
