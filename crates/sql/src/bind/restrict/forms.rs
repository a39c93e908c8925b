//! The forms of expressions that conditions are made of: plain columns, constants, bounds.

use pg_raw_parse::{Node, nodes};

use crate::bind::literal::{Literals, boolean, is_integer, is_null};
use crate::bind::scope::{Found, Scope};
use crate::bind::strings;

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

/// A plain column, looked for behind casts that keep values apart.
pub(super) fn place_of_node(node: Node<'_>, scope: &Scope<'_>) -> Option<(usize, usize)> {
    match node {
        Node::ColumnRef(c) => place_of(c, scope),
        Node::CollateClause(c) => place_of_node(c.arg(), scope),
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
            place_of_node(c.arg(), scope).filter(|_| keeps && c.type_name().is_some_and(|t| t.typmods().is_empty()))
        }
        Node::FuncCall(f) => {
            let name = strings(f.funcname());
            if matches!(name.as_slice(), [.., "extract" | "date_part" | "date_trunc"]) {
                let part = f.args().get(0).filter(|a| is_constant(*a));
                return part.and_then(|_| place_of_node(f.args().get(1)?, scope));
            }
            let keeps = matches!(name.as_slice(), [.., "lower" | "upper" | "btrim" | "date"]) && f.args().len() == 1;
            f.args()
                .first()
                .filter(|_| keeps)
                .and_then(|arg| place_of_node(arg, scope))
        }
        _ => None,
    }
}

/// The item of this query whose plain column this is.
pub(super) fn own_item(node: Node<'_>, scope: &Scope<'_>) -> Option<usize> {
    match place_of_node(node, scope) {
        Some((0, item)) => Some(item),
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
        Node::FuncCall(f) => f.args().iter().all(is_constant) && f.over().is_none(),
        Node::A_ArrayExpr(a) => a.elements().iter().all(is_constant),
        Node::RowExpr(r) => r.args().iter().all(is_constant),
        Node::NodeList(l) => l.iter().all(is_constant),
        Node::NamedArgExpr(a) => is_constant(a.arg()),
        Node::A_Indirection(i) => is_constant(i.arg()),
        _ => false,
    }
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

pub(super) fn flipped(symbol: &str) -> &'static str {
    match symbol {
        "<" => ">",
        ">" => "<",
        "<=" => ">=",
        ">=" => "<=",
        _ => "",
    }
}

impl Literals {
    /// Whether `column <symbol> value` leaves something out that a column is likely to hold. Bounds at
    /// the edge of a type, or at the start of what counters and dates begin with, do not.
    pub(super) fn is_bound(&self, symbol: &str, value: Node<'_>) -> bool {
        let lower = matches!(symbol, ">" | ">=");
        if !(lower || matches!(symbol, "<" | "<=")) || !is_constant(value) {
            return false;
        }
        let Some(text) = self.signed_text(value) else {
            return true;
        };
        if let Ok(number) = text.parse::<f64>() {
            return if lower {
                number > 1.0 && number.is_finite()
            } else {
                number < 1e9 && number.is_finite()
            };
        }
        let year: Option<i32> = text.get(..4).and_then(|y| y.parse().ok());
        match year {
            Some(year) if lower => year > 1970,
            Some(year) => year < 2100,
            None => !text.trim().is_empty() && !text.trim_start_matches(['-', '+']).eq_ignore_ascii_case("infinity"),
        }
    }

    /// The text of a literal, a minus before it included.
    fn signed_text(&self, node: Node<'_>) -> Option<String> {
        match node {
            Node::A_Expr(e) if matches!(e.lexpr(), Node::None) => {
                let sign = strings(e.name()).last().copied().unwrap_or_default();
                Some(format!("{sign}{}", self.signed_text(e.rexpr())?))
            }
            Node::TypeCast(c) => self.signed_text(c.arg()),
            other => self.text(other),
        }
    }

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
