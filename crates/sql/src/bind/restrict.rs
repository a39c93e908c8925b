//! Whether a condition provably restricts the rows of a relation.
//!
//! Tautologies cannot be listed, so they are not looked for. A condition counts only when it is of a
//! form that restricts: a plain column against constants, or a key joined to something restricted.

mod bounds;
mod forms;

use std::collections::BTreeMap;

use pg_raw_parse::{Node, nodes};

use super::scope::Scope;
use super::{Binder, strings};
use bounds::flipped;
use forms::{compared, is_constant, is_two_valued, names_booleans, place_of};

/// What later analysis needs to know of a query that was bound.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueryNote {
    /// Every source of it is restricted by constants.
    pub(crate) restricted: bool,
    /// Its first output column is a plain column of its own sources, or a constant.
    pub(crate) own_output: bool,
    /// It names columns of an outer query.
    pub(crate) correlated: bool,
    /// Items of the next outer level with a column that equals a column of a restricted source.
    pub(crate) joined: Vec<usize>,
}

/// How firmly a condition restricts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    /// An interval: two of them, joined by OR, may cover everything.
    Range,
    /// Listed values.
    Point,
}

/// What one condition says about the items of its own query.
#[derive(Debug, Default)]
struct Verdict {
    restricts: BTreeMap<usize, Strength>,
    /// Pairs of items joined by equal columns.
    joins: Vec<(usize, usize)>,
    /// Items of the next outer level joined to items here.
    outer: Vec<(usize, usize)>,
    /// It is false whatever the rows are.
    never: bool,
}

/// What the items of a scope amount to under some conditions.
#[derive(Debug, Default)]
pub(super) struct Restricted {
    items: Vec<bool>,
    outer: Vec<usize>,
}

impl Verdict {
    /// The condition restricts this item at least so firmly.
    fn restrict(&mut self, item: usize, strength: Strength) {
        let known = self.restricts.entry(item).or_insert(strength);
        *known = strength.max(*known);
    }
}

impl Restricted {
    pub(super) fn item(&self, index: usize) -> bool {
        self.items.get(index).copied().unwrap_or(false)
    }
}

impl Binder<'_> {
    /// The note on a SELECT with FROM and WHERE.
    pub(super) fn note_of(&mut self, select: &nodes::SelectStmt, scope: &Scope<'_>, multiplied: bool) -> QueryNote {
        let mut conditions = vec![select.where_clause()];
        join_conditions(select.from_clause(), &mut conditions);
        let found = self.restricted(scope, &conditions);
        let all = scope
            .items
            .iter()
            .enumerate()
            .all(|(i, item)| item.join || found.item(i));
        let own_output = !self.too_deep
            && select
                .target_list()
                .first()
                .is_some_and(|t| self.is_own(t.val(), scope));
        let plain = !self.too_deep && is_plain(select);
        QueryNote {
            restricted: all && !multiplied,
            own_output,
            correlated: false,
            joined: if plain { found.outer } else { Vec::new() },
        }
    }

    /// A plain column of this query's own sources, a constant, or `*`.
    fn is_own(&self, node: Node<'_>, scope: &Scope<'_>) -> bool {
        match node {
            Node::ColumnRef(c) if c.fields().iter().any(|f| matches!(f, Node::A_Star(_))) => true,
            Node::ColumnRef(c) => matches!(place_of(c, scope), Some((0, _))),
            Node::TypeCast(c) => self.is_own(c.arg(), scope),
            other => is_constant(other),
        }
    }

    /// Which items of the scope the conditions restrict, all of them holding.
    pub(super) fn restricted(&mut self, scope: &Scope<'_>, conditions: &[Node<'_>]) -> Restricted {
        let mut verdict = Verdict::default();
        let walkable = !self.too_deep;
        for &condition in conditions.iter().filter(|_| walkable) {
            self.judge(condition, scope, &mut verdict, 0);
        }
        let mut items: Vec<bool> = scope.items.iter().map(|i| i.restricted || verdict.never).collect();
        for &item in verdict.restricts.keys() {
            if let Some(flag) = items.get_mut(item) {
                *flag = true;
            }
        }
        spread_over_joins(&mut items, &verdict.joins);
        self.looked(scope);
        let outer = verdict
            .outer
            .iter()
            .filter(|(here, _)| items.get(*here).copied().unwrap_or(false));
        let outer = outer.map(|&(_, out)| out).collect();
        Restricted { items, outer }
    }

    /// Adds what one condition says, taken as true.
    fn judge(&mut self, node: Node<'_>, scope: &Scope<'_>, verdict: &mut Verdict, depth: usize) {
        if depth > 64 {
            return;
        }
        if self.names.literals.is_never(node) {
            verdict.never = true;
            return;
        }
        match node {
            Node::BoolExpr(e) if e.boolop == nodes::BoolExprType::AND_EXPR => {
                for arg in e.args() {
                    self.judge(arg, scope, verdict, depth + 1);
                }
            }
            Node::BoolExpr(e) if e.boolop == nodes::BoolExprType::OR_EXPR => {
                self.judge_or(e, scope, verdict, depth);
            }
            Node::BoolExpr(e) => {
                if let Some(arg) = e.args().first()
                    && let Some(item) = self.own_item(arg, scope)
                {
                    verdict.restrict(item, Strength::Range);
                }
            }
            Node::BooleanTest(t) if t.booltesttype == nodes::BoolTestType::IS_TRUE => {
                self.judge(t.arg(), scope, verdict, depth + 1);
            }
            Node::A_Expr(e) => self.judge_comparison(e, scope, verdict),
            Node::SubLink(s) => self.judge_sublink(s, scope, verdict),
            Node::ColumnRef(_) => {
                if let Some(item) = self.own_item(node, scope) {
                    verdict.restrict(item, Strength::Range);
                }
            }
            // one row: that of the cursor
            Node::CurrentOfExpr(_) => verdict.restrict(0, Strength::Point),
            _ => {}
        }
    }

    /// An item is restricted by OR when every arm lists values for it, or can never hold.
    fn judge_or(&mut self, or: &nodes::BoolExpr, scope: &Scope<'_>, verdict: &mut Verdict, depth: usize) {
        // for each item that every arm restricts, in how many arms only by an interval
        let mut common: Option<Vec<(usize, usize)>> = None;
        for arm in or.args() {
            if self.names.literals.is_never(arm) {
                continue;
            }
            let mut inner = Verdict::default();
            self.judge(arm, scope, &mut inner, depth + 1);
            if inner.never {
                continue;
            }
            let loose = |strength: Strength| usize::from(strength != Strength::Point);
            common = Some(match common {
                None => inner.restricts.iter().map(|(&i, &s)| (i, loose(s))).collect(),
                Some(so_far) => {
                    let kept = so_far.into_iter().filter_map(|(i, n)| {
                        let strength = inner.restricts.get(&i)?;
                        Some((i, n + loose(*strength)))
                    });
                    kept.collect()
                }
            });
        }
        let Some(common) = common else {
            verdict.never = true;
            return;
        };
        // two intervals may cover everything between them; one and some values cannot
        for (item, intervals) in common.into_iter().filter(|&(_, n)| n < 2) {
            let strength = if intervals == 0 {
                Strength::Point
            } else {
                Strength::Range
            };
            verdict.restrict(item, strength);
        }
    }

    fn judge_comparison(&mut self, e: &nodes::A_Expr, scope: &Scope<'_>, verdict: &mut Verdict) {
        use nodes::A_Expr_Kind as K;
        let name = strings(e.name());
        if !matches!(name.as_slice(), [_] | ["pg_catalog", _]) {
            return;
        }
        let symbol = name.last().copied().unwrap_or_default();
        match e.kind {
            K::AEXPR_OP if symbol == "=" => self.judge_equal(e.lexpr(), e.rexpr(), scope, verdict),
            K::AEXPR_OP => {
                for (column, value, symbol) in [(e.lexpr(), e.rexpr(), symbol), (e.rexpr(), e.lexpr(), flipped(symbol))]
                {
                    if let Some(item) = self.ranged_item(column, scope)
                        && self.names.literals.is_bound(symbol, value, compared(column, scope))
                    {
                        verdict.restrict(item, Strength::Range);
                    }
                }
            }
            K::AEXPR_IN if symbol == "=" && matches!(e.lexpr(), Node::RowExpr(_)) => {
                let columns = listed_columns(e.lexpr(), e.rexpr());
                let own = columns.filter(|c| !is_two_valued(*c, scope));
                for item in own.filter_map(|c| self.own_item(c, scope)) {
                    verdict.restrict(item, Strength::Point);
                }
            }
            K::AEXPR_IN if symbol == "=" => {
                let constants = is_constant(e.rexpr()) && !is_two_valued(e.lexpr(), scope);
                if let Some(item) = self.own_item(e.lexpr(), scope).filter(|_| constants) {
                    verdict.restrict(item, Strength::Point);
                }
            }
            K::AEXPR_OP_ANY if symbol == "=" => {
                let Some(item) = self
                    .own_item(e.lexpr(), scope)
                    .filter(|_| !is_two_valued(e.lexpr(), scope))
                else {
                    return;
                };
                let listed = is_constant(e.rexpr()) && !names_booleans(e.rexpr());
                if listed || self.is_restricted_array(e.rexpr()) {
                    verdict.restrict(item, Strength::Point);
                }
            }
            K::AEXPR_BETWEEN | K::AEXPR_BETWEEN_SYM => self.judge_between(e, scope, verdict),
            K::AEXPR_LIKE | K::AEXPR_ILIKE if matches!(symbol, "~~" | "~~*") => {
                if let Some(item) = self.ranged_item(e.lexpr(), scope)
                    && self.names.literals.is_telling_pattern(e.rexpr())
                {
                    verdict.restrict(item, Strength::Point);
                }
            }
            _ => {}
        }
    }

    fn judge_between(&mut self, e: &nodes::A_Expr, scope: &Scope<'_>, verdict: &mut Verdict) {
        let Node::NodeList(bounds) = e.rexpr() else {
            return;
        };
        let Some(item) = self
            .ranged_item(e.lexpr(), scope)
            .filter(|_| bounds.iter().all(is_constant))
        else {
            return;
        };
        let (literals, near) = (&self.names.literals, compared(e.lexpr(), scope));
        let within = |low: usize, high: usize| {
            bounds.get(low).is_some_and(|v| literals.is_bound(">=", v, near))
                || bounds.get(high).is_some_and(|v| literals.is_bound("<=", v, near))
        };
        if within(0, 1) && (e.kind == nodes::A_Expr_Kind::AEXPR_BETWEEN || within(1, 0)) {
            verdict.restrict(item, Strength::Range);
        }
    }

    fn judge_equal(&mut self, left: Node<'_>, right: Node<'_>, scope: &Scope<'_>, verdict: &mut Verdict) {
        if let (Node::RowExpr(l), Node::RowExpr(r)) = (left, right) {
            for (a, b) in l.args().iter().zip(r.args()) {
                self.judge_equal(a, b, scope, verdict);
            }
            return;
        }
        for (column, value) in [(left, right), (right, left)] {
            let Some(item) = self.own_item(column, scope) else {
                continue;
            };
            if is_constant(value) || self.is_single_value(value) {
                let strength = if names_booleans(value) || is_two_valued(column, scope) {
                    Strength::Range
                } else {
                    Strength::Point
                };
                verdict.restrict(item, strength);
            }
        }
        // both values of a truth value are soon there: such a join leaves nothing out
        if is_two_valued(left, scope) || is_two_valued(right, scope) {
            return;
        }
        match (self.place_of_node(left, scope), self.place_of_node(right, scope)) {
            (Some((0, a)), Some((0, b))) if a != b => verdict.joins.push((a, b)),
            (Some((0, here)), Some((1, out))) | (Some((1, out)), Some((0, here))) => {
                verdict.outer.push((here, out));
            }
            _ => {}
        }
    }

    /// `column IN (SELECT …)`, `EXISTS (SELECT …)`.
    fn judge_sublink(&mut self, link: &nodes::SubLink, scope: &Scope<'_>, verdict: &mut Verdict) {
        use nodes::SubLinkType as T;
        let Some(note) = self.note_on(link.subselect()) else {
            return;
        };
        match link.sub_link_type {
            T::ANY_SUBLINK if matches!(strings(link.oper_name()).as_slice(), [] | ["="]) => {
                if note.restricted
                    && note.own_output
                    && !is_two_valued(link.testexpr(), scope)
                    && let Some(item) = self.own_item(link.testexpr(), scope)
                {
                    verdict.restrict(item, Strength::Point);
                }
            }
            T::EXISTS_SUBLINK => {
                for item in note.joined {
                    verdict.restrict(item, Strength::Point);
                }
            }
            _ => {}
        }
    }

    fn note_on(&self, query: Node<'_>) -> Option<QueryNote> {
        let Node::SelectStmt(select) = query else {
            return None;
        };
        self.queries.get(&std::ptr::from_ref(select).addr()).cloned()
    }

    /// A scalar subquery that does not depend on the row: one value for all.
    fn is_single_value(&self, node: Node<'_>) -> bool {
        let Node::SubLink(link) = node else {
            return false;
        };
        link.sub_link_type == nodes::SubLinkType::EXPR_SUBLINK
            && self.note_on(link.subselect()).is_some_and(|n| !n.correlated)
    }

    /// `ARRAY(SELECT …)` of a restricted query.
    fn is_restricted_array(&self, node: Node<'_>) -> bool {
        let Node::SubLink(link) = node else {
            return false;
        };
        link.sub_link_type == nodes::SubLinkType::ARRAY_SUBLINK
            && self
                .note_on(link.subselect())
                .is_some_and(|n| n.restricted && n.own_output)
    }
}

/// What a restricted item's columns equal is restricted with it.
fn spread_over_joins(items: &mut [bool], joins: &[(usize, usize)]) {
    let mut partners: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &(a, b) in joins {
        partners.entry(a).or_default().push(b);
        partners.entry(b).or_default().push(a);
    }
    let restricted = items.iter().enumerate().filter(|(_, flag)| **flag);
    let mut open: Vec<usize> = restricted.map(|(index, _)| index).collect();
    while let Some(item) = open.pop() {
        for &other in partners.get(&item).into_iter().flatten() {
            if let Some(flag) = items.get_mut(other).filter(|flag| !**flag) {
                *flag = true;
                open.push(other);
            }
        }
    }
}

/// Whether a query has a row only where its sources have: an aggregate or an empty grouping gives one in any case.
fn is_plain(select: &nodes::SelectStmt) -> bool {
    fn is_plain_value(node: Node<'_>) -> bool {
        match node {
            Node::ColumnRef(_) | Node::A_Const(_) | Node::ParamRef(_) => true,
            Node::TypeCast(c) => is_plain_value(c.arg()),
            _ => false,
        }
    }
    select.group_clause().is_empty()
        && matches!(select.having_clause(), Node::None)
        && select.target_list().iter().all(|t| is_plain_value(t.val()))
}

/// Of `(a, b) IN ((1, 2), (3, 4))` the columns for which every row of the list has a constant.
fn listed_columns<'n>(row: Node<'n>, list: Node<'n>) -> impl Iterator<Item = Node<'n>> {
    let columns = if let Node::RowExpr(row) = row {
        Some(row.args())
    } else {
        None
    };
    let columns = columns.into_iter().flatten().enumerate();
    columns.filter_map(move |(index, column)| {
        let in_row = |row: Node<'_>| match row {
            Node::RowExpr(row) => row.args().get(index).is_some_and(is_constant),
            _ => false,
        };
        let always = list.as_node_list().is_some_and(|rows| rows.iter().all(in_row));
        always.then_some(column)
    })
}

/// The conditions of inner joins, which hold for every row.
pub(super) fn join_conditions<'n>(sources: impl IntoIterator<Item = Node<'n>>, conditions: &mut Vec<Node<'n>>) {
    let mut open: Vec<Node<'n>> = sources.into_iter().collect();
    while let Some(node) = open.pop() {
        if let Node::JoinExpr(join) = node
            && join.jointype == nodes::JoinType::JOIN_INNER
        {
            conditions.push(join.quals());
            open.extend([join.larg(), join.rarg()]);
        }
    }
}
