//! The forms of expressions that conditions are made of: plain columns, constants.

use pg_raw_parse::{Node, nodes};

use super::bounds::{Compared, Kind};
use crate::bind::flow::{BOOL, Ty};
use crate::bind::literal::{Literals, boolean, cast_type, is_integer, is_null};
use crate::bind::scope::{Found, Scope};
use crate::bind::{Binder, strings};
use crate::catalog::TypeId;

/// Level and item of a plain column.
pub(super) fn place_of(column: &nodes::ColumnRef, scope: &Scope<'_>) -> Option<(usize, usize)> {
    let parts = strings(column.fields());
    if parts.len() != column.fields().len() {
        return None;
    }
    let found = match parts.as_slice() {
        [name] => scope.column(name),
        [item, name] => scope.qualified(None, item, name),
        [schema, item, name] | [_, schema, item, name] => scope.qualified(Some(schema), item, name),
        _ => Found::Nothing,
    };
    match found {
        Found::Column(_, place) => Some((place.level, place.item)),
        // of the system columns only the row's own address tells rows apart
        Found::Other(_, place) if parts.last() == Some(&"ctid") => Some((place.level, place.item)),
        _ => None,
    }
}

impl Binder<'_> {
    /// A plain column, looked for behind casts that keep values apart.
    pub(super) fn place_of_node(&self, node: Node<'_>, scope: &Scope<'_>) -> Option<(usize, usize)> {
        match node {
            Node::ColumnRef(c) => place_of(c, scope),
            Node::CollateClause(c) => self.place_of_node(c.arg(), scope),
            Node::TypeCast(c) => {
                let name = c.type_name().and_then(|t| t.names().iter().next_back()?.sval())?;
                let keeps = matches!(
                    name,
                    "text"
                        | "varchar"
                        | "bpchar"
                        | "int4"
                        | "int8"
                        | "numeric"
                        | "uuid"
                        | "date"
                        | "timestamp"
                        | "timestamptz"
                        | "citext"
                );
                self.place_of_node(c.arg(), scope)
                    .filter(|_| keeps && c.type_name().is_some_and(|t| t.typmods().is_empty()))
            }
            Node::FuncCall(f) => {
                let name = strings(f.funcname());
                if matches!(name.as_slice(), [.., "extract" | "date_part" | "date_trunc"]) {
                    let part = f
                        .args()
                        .get(0)
                        .and_then(|part| self.names.literals.text(part))?
                        .to_ascii_lowercase();
                    // whole eras leave out nothing that a table holds
                    let wide = matches!(part.as_str(), "decade" | "century" | "millennium" | "era" | "timezone");
                    return self.place_of_node(f.args().get(1)?, scope).filter(|_| !wide);
                }
                let keeps =
                    matches!(name.as_slice(), [.., "lower" | "upper" | "btrim" | "date"]) && f.args().len() == 1;
                f.args()
                    .first()
                    .filter(|_| keeps)
                    .and_then(|arg| self.place_of_node(arg, scope))
            }
            _ => None,
        }
    }

    /// The item of this query whose plain column this is.
    pub(super) fn own_item(&self, node: Node<'_>, scope: &Scope<'_>) -> Option<usize> {
        match self.place_of_node(node, scope) {
            Some((0, item)) => Some(item),
            _ => None,
        }
    }

    /// As `own_item`, where intervals mean something: not for the row's own address, nor for truth values.
    pub(super) fn ranged_item(&self, node: Node<'_>, scope: &Scope<'_>) -> Option<usize> {
        self.own_item(node, scope).filter(|_| {
            column_type(node, scope).is_some_and(|ty| ty != BOOL)
                && !matches!(node, Node::FuncCall(f) if self.takes_epoch(f))
        })
    }

    /// `extract(epoch FROM …)`: seconds since 1970, whose bounds are not those of other numbers.
    fn takes_epoch(&self, call: &nodes::FuncCall) -> bool {
        matches!(strings(call.funcname()).as_slice(), [.., "extract" | "date_part"])
            && call
                .args()
                .get(0)
                .and_then(|part| self.names.literals.text(part))
                .is_some_and(|p| p.eq_ignore_ascii_case("epoch"))
    }
}

/// Whether the column behind a value holds truth values, of which a list is soon complete.
pub(super) fn is_two_valued(node: Node<'_>, scope: &Scope<'_>) -> bool {
    column_type(node, scope) == Some(BOOL)
}

/// What a column, or what is made of one, is compared as.
pub(super) fn compared(node: Node<'_>, scope: &Scope<'_>) -> Compared {
    let ty = compared_type(node, scope);
    Compared {
        // what a plain column is compared with takes its type
        near: ty.filter(|_| matches!(node, Node::ColumnRef(_))),
        kind: ty.map_or(Kind::Other, Kind::of),
    }
}

fn compared_type(node: Node<'_>, scope: &Scope<'_>) -> Option<TypeId> {
    match node {
        Node::TypeCast(c) => cast_type(c),
        Node::CollateClause(c) => compared_type(c.arg(), scope),
        Node::FuncCall(f) => match strings(f.funcname()).last().copied()? {
            "extract" | "date_part" => Some(1700),
            "lower" | "upper" | "btrim" => Some(25),
            "date" => Some(1082),
            _ => f.args().iter().next_back().and_then(|arg| compared_type(arg, scope)),
        },
        _ => match column_type(node, scope)? {
            Ty::Known(ty) => Some(ty),
            Ty::Unknown | Ty::Literal => None,
        },
    }
}

/// The type of the column that `place_of_node` finds; none for a system column.
fn column_type(node: Node<'_>, scope: &Scope<'_>) -> Option<Ty> {
    match node {
        Node::ColumnRef(c) => {
            let parts = strings(c.fields());
            let found = match parts.as_slice() {
                [name] => scope.column(name),
                [item, name] => scope.qualified(None, item, name),
                [schema, item, name] | [_, schema, item, name] => scope.qualified(Some(schema), item, name),
                _ => Found::Nothing,
            };
            match found {
                Found::Column(column, _) => Some(column.flow.ty),
                Found::Other(..) | Found::Nothing => None,
            }
        }
        Node::CollateClause(c) => column_type(c.arg(), scope),
        Node::TypeCast(c) => column_type(c.arg(), scope),
        Node::FuncCall(f) => f.args().iter().next_back().and_then(|arg| column_type(arg, scope)),
        _ => None,
    }
}

/// No column, no subquery: the same for all rows. Chains of operators are walked, not recursed into.
pub(super) fn is_constant(node: Node<'_>) -> bool {
    let mut node = node;
    while let Node::A_Expr(e) = node {
        if !is_constant(e.rexpr()) {
            return false;
        }
        if matches!(e.lexpr(), Node::None) {
            return true;
        }
        node = e.lexpr();
    }
    match node {
        Node::A_Const(_) | Node::ParamRef(_) | Node::SQLValueFunction(_) => true,
        Node::TypeCast(c) => is_constant(c.arg()),
        Node::CollateClause(c) => is_constant(c.arg()),
        Node::FuncCall(f) => f.args().iter().all(is_constant) && f.over().is_none() && !changes_by_the_row(f),
        Node::A_ArrayExpr(a) => a.elements().iter().all(is_constant),
        Node::RowExpr(r) => r.args().iter().all(is_constant),
        Node::NodeList(l) => l.iter().all(is_constant),
        Node::NamedArgExpr(a) => is_constant(a.arg()),
        Node::A_Indirection(i) => is_constant(i.arg()),
        _ => false,
    }
}

/// Functions of the server that give each row another value, and let whoever calls them choose which.
fn changes_by_the_row(call: &nodes::FuncCall) -> bool {
    matches!(
        strings(call.funcname()).last().copied(),
        Some("nextval" | "setval" | "currval" | "lastval" | "random" | "random_normal" | "timeofday" | "set_config")
    )
}

/// Literal booleans: a handful of them covers a whole column.
pub(super) fn names_booleans(node: Node<'_>) -> bool {
    match node {
        Node::A_Const(_) => boolean(node).is_some(),
        Node::TypeCast(c) => {
            c.type_name()
                .is_some_and(|t| t.names().iter().next_back().is_some_and(|s| s.sval() == Some("bool")))
                || names_booleans(c.arg())
        }
        Node::NodeList(l) => l.iter().any(names_booleans),
        Node::A_ArrayExpr(a) => a.elements().iter().any(names_booleans),
        _ => false,
    }
}

impl Literals {
    /// False for every row: `false`, `1 = 2`, `NULL`.
    pub(super) fn is_never(&self, node: Node<'_>) -> bool {
        match node {
            Node::A_Const(_) => boolean(node) == Some(false) || is_null(node),
            Node::TypeCast(c) => names_booleans(node) && matches!(self.text(c.arg()).as_deref(), Some("f" | "false")),
            Node::A_Expr(e) if e.kind == nodes::A_Expr_Kind::AEXPR_OP => {
                // a value is looked at only where it decides: next to a column it does not
                if !is_integer(e.lexpr()) || !is_integer(e.rexpr()) {
                    return false;
                }
                let (left, right) = (self.integer(e.lexpr()), self.integer(e.rexpr()));
                match strings(e.name()).as_slice() {
                    ["="] => left != right,
                    ["<>"] => left == right,
                    ["<"] => left >= right,
                    [">"] => left <= right,
                    _ => false,
                }
            }
            _ => false,
        }
    }
}
