//! Functions and operators: which one a call means, and what that one can do.

mod classes;

use std::sync::Arc;

use pg_raw_parse::{Node, nodes};
use smol_str::SmolStr;

use super::flow::{BOOL, Flow, Ty};
use super::scope::Scope;
use super::{Binder, strings};
use crate::catalog::{Function, TypeId};
use crate::facts::{Hazard, How, Setting};

use classes::Class;
pub(crate) use classes::is_known_extension;

/// What a call's candidates amount to.
pub(super) struct Resolved {
    pub(super) candidates: Vec<Arc<Function>>,
}

impl Resolved {
    /// The result type, when all candidates agree.
    pub(super) fn result(&self) -> Ty {
        let mut types = self.candidates.iter().map(|f| f.result);
        match types.next() {
            Some(first) if types.all(|t| t == first) => Ty::Known(first),
            _ => Ty::Unknown,
        }
    }

    fn only(&self) -> Option<&Function> {
        match self.candidates.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

impl Binder<'_> {
    /// A function call in an expression.
    pub(super) fn call(&mut self, call: &nodes::FuncCall, scope: &Scope<'_>) -> Flow {
        let name = strings(call.funcname());
        let mut all = Flow::default();
        let mut types = Vec::new();
        let mut only_arg = None;
        for arg in call.args() {
            let flow = self.expr(arg, scope);
            types.push(flow.ty);
            all.add(&flow);
            only_arg = Some(flow);
        }
        // counting whole rows, `count(c)`, looks at no column: a row is never null
        let row_count =
            name.last() == Some(&"count") && types.len() == 1 && only_arg.as_ref().is_some_and(|f| f.row.is_some());
        if row_count && !call.agg_distinct {
            let columns = only_arg.as_ref().map(Flow::computed).unwrap_or_default();
            all = Flow {
                columns,
                ..Flow::default()
            };
        }
        for sort in call.agg_order() {
            let flow = self.expr(sort.node(), scope);
            if call.agg_within_group {
                types.push(flow.ty);
            }
            all.add(&flow);
        }
        self.infer(call.agg_filter(), scope);
        if let Some(window) = call.over() {
            all.add(&self.window(window, scope));
        }
        if let Some(arg) = only_arg.filter(|_| types.len() == 1 && name.len() == 1)
            && self.candidates(&name, 1, false).is_empty()
            && (arg.row.is_some() || self.row_relation(arg.ty).is_some())
            && let Some(field) = name.first()
        {
            return self.project(arg, field);
        }
        let resolved = self.function(
            &name,
            &types,
            call.func_variadic || named_arguments(call) || self.calling,
        );
        self.settle(&resolved, Some(call), &all);
        if name.last() == Some(&"count") && resolved.candidates.iter().all(|f| f.is_builtin()) {
            self.use_columns(&all, How::Inferred);
            return Flow::of_type(Ty::Known(20));
        }
        let ty = self.result_type(&resolved, &types);
        all.derived(ty)
    }

    /// A function applied to one value, written as if it were a field.
    pub(super) fn apply(&mut self, name: &[&str], arg: Flow) -> Flow {
        let resolved = self.function(name, &[arg.ty], false);
        self.settle(&resolved, None, &arg);
        let ty = self.result_type(&resolved, &[arg.ty]);
        arg.derived(ty)
    }

    /// The result type; a polymorphic function returns the type of its polymorphic argument.
    fn result_type(&self, resolved: &Resolved, types: &[Ty]) -> Ty {
        let result = resolved.result();
        if !is_polymorphic(result) {
            return result;
        }
        let Some(function) = resolved.only() else {
            return Ty::Unknown;
        };
        for (&declared, &given) in function.args.iter().zip(types) {
            if Ty::Known(declared) == result {
                return given;
            }
            // anyelement of anyarray, and the other way about
            match (declared, result) {
                (2277 | 5078, Ty::Known(2283 | 5077)) => return self.element_of(given),
                (2283 | 5077, Ty::Known(2277 | 5078)) => return self.array_type(given),
                _ => {}
            }
        }
        Ty::Unknown
    }

    /// Every function that the name and number of arguments can mean, the path's order kept.
    fn candidates(&self, name: &[&str], count: usize, loose: bool) -> Vec<Arc<Function>> {
        let (schema, name) = match name {
            [name] => (None, *name),
            [.., schema, name] => (Some(*schema), *name),
            [] => return Vec::new(),
        };
        let Some(all) = self.names.catalog.inner.functions.get(name) else {
            return Vec::new();
        };
        // each is compared with those found before it
        self.names.budget.spend(all.len() * all.len() / 32);
        let fits = |f: &&Arc<Function>| {
            loose
                || (count + f.defaults >= f.args.len() && (count <= f.args.len() || f.variadic))
                || (f.variadic && count + 1 >= f.args.len())
        };
        let in_schema = |schema: &str| {
            all.iter()
                .filter(move |f| f.schema == schema)
                .filter(fits)
                .cloned()
                .collect::<Vec<_>>()
        };
        match schema {
            Some("pg_temp") => in_schema(&self.names.temporary_schema()),
            Some(schema) => in_schema(schema),
            // functions are never looked up in the temporary schema unless it is named
            None => {
                let path = self.names.path.iter().filter(|s| !s.starts_with("pg_temp"));
                let mut found: Vec<Arc<Function>> = Vec::new();
                for function in path.flat_map(|s| in_schema(s)) {
                    if !found.iter().any(|f| f.args == function.args) {
                        found.push(function);
                    }
                }
                found
            }
        }
    }

    /// The functions that a call may mean. Where types leave a choice, all of them.
    pub(super) fn function(&mut self, name: &[&str], types: &[Ty], loose: bool) -> Resolved {
        let mut candidates = self.candidates(name, types.len(), loose);
        let created = name.last().is_some_and(|n| self.names.new_functions.contains(*n));
        if candidates.is_empty() || created || self.names.lost {
            self.unresolved(&format!("function {}", name.join(".")));
        }
        let exact = |f: &&Arc<Function>| {
            f.args.len() == types.len()
                && f.args
                    .iter()
                    .zip(types)
                    .all(|(&declared, &given)| given == Ty::Known(declared))
        };
        if let Some(found) = candidates.iter().find(exact).cloned() {
            candidates = vec![found];
        } else if candidates.len() > 1 {
            let possible = |f: &&Arc<Function>| f.args.iter().zip(types).all(|(&d, &g)| self.could_take(d, g));
            let narrowed: Vec<_> = candidates.iter().filter(possible).cloned().collect();
            if !narrowed.is_empty() {
                candidates = narrowed;
            }
        }
        if candidates.iter().any(|f| f.set_returning) {
            self.set_returning += 1;
        }
        self.last_call.clone_from(&candidates);
        Resolved { candidates }
    }

    /// Whether a value of this type can be passed without an explicit cast, as far as is certain.
    fn could_take(&self, declared: TypeId, given: Ty) -> bool {
        let Ty::Known(given) = given else { return true };
        if declared == given {
            return true;
        }
        if is_polymorphic(Ty::Known(declared)) {
            return !matches!(declared, 2277 | 5078) || self.is_array(given) || given >= 16384;
        }
        if self.is_array(given) && given < 16384 {
            return self.is_array(declared);
        }
        // only what is certain is excluded: the common scalar types among themselves
        match (family(declared), family(given)) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        }
    }

    /// Records what the call may do.
    pub(super) fn settle(&mut self, resolved: &Resolved, call: Option<&nodes::FuncCall>, args: &Flow) {
        for function in &resolved.candidates {
            self.facts.functions.insert(function.identity.clone());
            match classes::classify(function) {
                Class::Pure => {}
                Class::Code => {
                    self.facts.code.insert(function.identity.clone());
                }
                Class::Hazards(hazards) => self.facts.hazards.extend(hazards.iter().cloned()),
                Class::Sink(hazards) => {
                    self.facts.hazards.extend(hazards.iter().cloned());
                    self.use_columns(args, How::Copied);
                }
                Class::SetConfig => {
                    self.use_columns(args, How::Copied);
                    self.set_config(call);
                }
                Class::Unknown => self.hazard(Hazard::UnknownFunction(function.identity.clone())),
            }
        }
    }

    /// `set_config(name, value, is_local)`: SET as a function.
    fn set_config(&mut self, call: Option<&nodes::FuncCall>) {
        self.hazard(Hazard::SettingWrite);
        let call = call.filter(|_| !self.too_deep);
        let literal = |i: usize| {
            call.and_then(|c| c.args().get(i))
                .and_then(|a| self.names.literals.text(a))
        };
        let column = call
            .and_then(|c| c.args().get(0))
            .filter(|a| matches!(a, Node::ColumnRef(c) if strings(c.fields()).last() == Some(&"name")));
        let named = column.and_then(|_| self.setting_name.clone());
        match literal(0).or(named) {
            Some(name) => {
                let local = call
                    .and_then(|c| c.args().get(2))
                    .is_some_and(|a| self.names.literals.is_true(a));
                self.setting(&name.to_ascii_lowercase(), literal(1).as_deref(), local);
            }
            None => {
                self.hazard(Hazard::SessionIdentity);
                self.hazard(Hazard::ParserSetting);
                self.facts.effects.changes_path = true;
                self.facts.effects.sets.push(Setting {
                    name: SmolStr::new_static("*"),
                    value: None,
                    local: false,
                });
            }
        }
    }

    /// An operator of an expression: its type, and the code behind a user's operator.
    pub(super) fn operator(&mut self, expr: &nodes::A_Expr, left: Option<Ty>, right: Ty) -> Ty {
        use nodes::A_Expr_Kind as K;
        let name = strings(expr.name());
        let result = match expr.kind {
            K::AEXPR_OP => self.operator_name(&name, left, right),
            // these compare, whatever they are called: BETWEEN is `>=` and `<=`
            K::AEXPR_BETWEEN | K::AEXPR_NOT_BETWEEN | K::AEXPR_BETWEEN_SYM | K::AEXPR_NOT_BETWEEN_SYM => {
                for bound in [">=", "<="] {
                    self.operator_name(&[bound], left, Ty::Unknown);
                }
                BOOL
            }
            K::AEXPR_NULLIF => {
                self.operator_name(&name, left, right);
                left.unwrap_or_default()
            }
            _ => {
                self.operator_name(&name, left, Ty::Unknown);
                BOOL
            }
        };
        if expr.kind == K::AEXPR_OP {
            result
        } else {
            result_of_kind(expr.kind, result)
        }
    }

    /// An operator by name: records users' operators that it may mean.
    pub(super) fn operator_name(&mut self, name: &[&str], left: Option<Ty>, right: Ty) -> Ty {
        let (schema, symbol) = match name {
            [symbol] => (None, *symbol),
            [.., schema, symbol] => (Some(*schema), *symbol),
            [] => return Ty::Unknown,
        };
        let catalog = self.names.catalog;
        let operators = catalog.inner.operators.get(symbol);
        self.names.budget.compare(operators.map_or(0, Vec::len));
        for operator in operators.into_iter().flatten() {
            let visible = match schema {
                Some(schema) => operator.schema == schema,
                None => self.names.path.contains(&operator.schema),
            };
            let takes = |declared: TypeId, given: Ty| match given {
                Ty::Known(given) => self.could_take(declared, Ty::Known(given)),
                Ty::Unknown | Ty::Literal => true,
            };
            let arity = (operator.left == 0) == left.is_none();
            if visible && arity && left.is_none_or(|l| takes(operator.left, l)) && takes(operator.right, right) {
                self.run_code(operator.function);
            }
        }
        match symbol {
            "=" | "<>" | "!=" | "<" | ">" | "<=" | ">=" | "~~" | "!~~" | "~~*" | "!~~*" | "~" | "!~" | "~*" | "!~*"
            | "@>" | "<@" | "&&" | "?" | "@@" => BOOL,
            "+" | "-" | "*" | "/" | "%" if left == Some(right) => right,
            "||" if left == Some(super::flow::TEXT) || right == super::flow::TEXT => super::flow::TEXT,
            "->>" | "#>>" => super::flow::TEXT,
            _ => Ty::Unknown,
        }
    }
}

fn result_of_kind(kind: nodes::A_Expr_Kind::Type, result: Ty) -> Ty {
    if kind == nodes::A_Expr_Kind::AEXPR_NULLIF {
        result
    } else {
        BOOL
    }
}

fn named_arguments(call: &nodes::FuncCall) -> bool {
    call.args().iter().any(|a| matches!(a, Node::NamedArgExpr(_)))
}

/// anyelement, anyarray, anynonarray, anyenum, anyrange, anycompatible…, "any", record.
fn is_polymorphic(ty: Ty) -> bool {
    matches!(
        ty,
        Ty::Known(2283 | 2277 | 2776 | 3500 | 3831 | 4537 | 5077 | 5078 | 5079 | 5080 | 4538 | 2276 | 2249)
    )
}

/// Types that convert implicitly only among themselves.
fn family(ty: TypeId) -> Option<u8> {
    match ty {
        16 => Some(0),
        20 | 21 | 23 | 26 | 700 | 701 | 1700 => Some(1),
        19 | 25 | 1042 | 1043 => Some(2),
        17 => Some(3),
        1082 | 1114 | 1184 => Some(4),
        1083 | 1266 => Some(5),
        1186 => Some(6),
        2950 => Some(7),
        114 => Some(8),
        3802 => Some(9),
        142 => Some(10),
        _ => None,
    }
}
