//! From a rule's expression to a formula: which parts are the same question, and which questions exclude others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cedar_policy_core::ast::{BinaryOp, EntityUID, Expr, ExprKind, Literal, UnaryOp, Var};
use smol_str::SmolStr;

use super::formula::{AtomId, Formula};
use crate::places::Places;

/// A question that is not made of others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Atom {
    /// `action == …`
    Action(EntityUID),
    /// `action in …`
    ActionIn(EntityUID),
    /// `principal is …`, `resource is …`; what is asked about, and the type.
    Kind(String, String),
    /// `… == …` with a literal.
    Equals(String, Literal),
    /// `… in …`
    In(String, EntityUID),
    /// `….contains(…)` with a literal.
    Contains(String, String),
    /// `….isEmpty()`
    Empty(String),
    /// Anything else.
    Other(String),
}

impl Atom {
    /// Whether its answer changes when somebody approves or watches.
    pub(super) fn is_about_people(&self) -> bool {
        let asks = |text: &str| text.contains("approved_by") || text.contains("watched_by");
        match self {
            Self::Action(_) | Self::ActionIn(_) | Self::Kind(..) => false,
            Self::Equals(of, _) | Self::In(of, _) | Self::Contains(of, _) | Self::Empty(of) | Self::Other(of) => {
                asks(of)
            }
        }
    }
}

/// All atoms of a bundle's rules.
#[derive(Debug, Default)]
pub(super) struct Atoms {
    list: Vec<Atom>,
    ids: HashMap<Atom, AtomId>,
}

impl Atoms {
    pub(super) fn id(&mut self, atom: Atom) -> AtomId {
        if let Some(id) = self.ids.get(&atom) {
            return *id;
        }
        let id = self.list.len();
        self.ids.insert(atom.clone(), id);
        self.list.push(atom);
        id
    }

    pub(super) fn get(&self, id: AtomId) -> Option<&Atom> {
        self.list.get(id)
    }

    fn atom(&mut self, atom: Atom) -> Formula {
        Formula::Atom(self.id(atom))
    }

    /// What a boolean expression says.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not understood is a question of its own"
    )]
    pub(super) fn read(&mut self, expr: &Expr) -> Formula {
        match expr.expr_kind() {
            ExprKind::Lit(Literal::Bool(value)) => Formula::Const(*value),
            ExprKind::And { left, right } => {
                let left = self.read(left);
                left.and(self.read(right))
            }
            ExprKind::Or { left, right } => {
                let left = self.read(left);
                left.or(self.read(right))
            }
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => self.read(arg).negated(),
            ExprKind::UnaryApp {
                op: UnaryOp::IsEmpty,
                arg,
            } => self.atom(Atom::Empty(arg.to_string())),
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => {
                let (test, then) = (self.read(test_expr), self.read(then_expr));
                let otherwise = test.clone().negated().and(self.read(else_expr));
                test.and(then).or(otherwise)
            }
            ExprKind::Is { expr, entity_type } => self.atom(Atom::Kind(expr.to_string(), entity_type.to_string())),
            ExprKind::BinaryApp { op, arg1, arg2 } => self.read_pair(*op, arg1, arg2, expr),
            _ => self.atom(Atom::Other(expr.to_string())),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not understood is a question of its own"
    )]
    fn read_pair(&mut self, op: BinaryOp, a: &Expr, b: &Expr, whole: &Expr) -> Formula {
        let read = match op {
            BinaryOp::Eq => self.read_equals(a, b),
            BinaryOp::In => self.read_in(a, b),
            BinaryOp::Contains => literal(b).map(|value| self.atom(Atom::Contains(a.to_string(), value.to_string()))),
            BinaryOp::ContainsAll => self.read_contains(a, b, Formula::Const(true), Formula::and),
            BinaryOp::ContainsAny => self.read_contains(a, b, Formula::Const(false), Formula::or),
            _ => None,
        };
        read.unwrap_or_else(|| self.atom(Atom::Other(whole.to_string())))
    }

    fn read_equals(&mut self, a: &Expr, b: &Expr) -> Option<Formula> {
        let (of, value) = match (literal(a), literal(b)) {
            (None, Some(value)) => (a, value),
            (Some(value), None) => (b, value),
            (Some(a), Some(b)) => return Some(Formula::Const(a == b)),
            (None, None) => return None,
        };
        Some(match (of.expr_kind(), value) {
            (ExprKind::Var(Var::Action), Literal::EntityUID(action)) => self.atom(Atom::Action((**action).clone())),
            (_, Literal::Bool(true)) => self.read(of),
            (_, Literal::Bool(false)) => self.read(of).negated(),
            (_, value) => self.atom(Atom::Equals(of.to_string(), value.clone())),
        })
    }

    fn read_in(&mut self, a: &Expr, b: &Expr) -> Option<Formula> {
        if let ExprKind::Set(items) = b.expr_kind() {
            return items
                .iter()
                .try_fold(Formula::Const(false), |any, item| Some(any.or(self.read_in(a, item)?)));
        }
        let Some(Literal::EntityUID(uid)) = literal(b) else {
            return None;
        };
        let uid = (**uid).clone();
        let is_action = matches!(a.expr_kind(), ExprKind::Var(Var::Action));
        Some(self.atom(if is_action {
            Atom::ActionIn(uid)
        } else {
            Atom::In(a.to_string(), uid)
        }))
    }

    fn read_contains(
        &mut self,
        a: &Expr,
        b: &Expr,
        none: Formula,
        join: impl Fn(Formula, Formula) -> Formula,
    ) -> Option<Formula> {
        let ExprKind::Set(items) = b.expr_kind() else {
            return None;
        };
        let of = a.to_string();
        items.iter().try_fold(none, |all, item| {
            let value = literal(item)?.to_string();
            Some(join(all, self.atom(Atom::Contains(of.clone(), value))))
        })
    }
}

fn literal(expr: &Expr) -> Option<&Literal> {
    if let ExprKind::Lit(literal) = expr.expr_kind() {
        Some(literal)
    } else {
        None
    }
}

/// What the bundle says of targets and classes: which answers exclude others.
#[derive(Debug)]
pub(super) struct World<'a> {
    /// Every class, with those that it lies directly within.
    pub(super) classes: &'a BTreeMap<SmolStr, BTreeSet<SmolStr>>,
    pub(super) places: Option<&'a Places>,
}

impl World<'_> {
    /// Whether two atoms cannot have these answers together.
    pub(super) fn excludes(&self, (a, is_a): (&Atom, bool), (b, is_b): (&Atom, bool)) -> bool {
        self.excludes_in_order((a, is_a), (b, is_b)) || self.excludes_in_order((b, is_b), (a, is_a))
    }

    fn excludes_in_order(&self, (a, is_a): (&Atom, bool), (b, is_b): (&Atom, bool)) -> bool {
        if !is_a {
            return false;
        }
        match (a, b) {
            (Atom::Equals(a, x), Atom::Equals(b, y)) => is_b && a == b && x != y,
            (Atom::Equals(a, Literal::EntityUID(x)), Atom::In(b, y)) if a == b => {
                self.within(x, y).is_some_and(|within| within != is_b)
            }
            (Atom::In(a, x), Atom::In(b, y)) if a == b => {
                let environments = kind(x) == "Environment" && kind(y) == "Environment";
                // A target has one environment. What lies in a class lies in all that the class lies in.
                (is_b && environments && x != y) || (!is_b && kind(x) == "Classification" && self.is_class_in(x, y))
            }
            (Atom::Empty(a), Atom::Contains(b, _)) => is_b && a == b,
            _ => false,
        }
    }

    /// Whether an entity lies in another, if the bundle says so or says not.
    pub(super) fn within(&self, x: &EntityUID, y: &EntityUID) -> Option<bool> {
        if x == y {
            return Some(true);
        }
        match (kind(x).as_str(), kind(y).as_str()) {
            ("Classification", "Classification") => Some(self.is_class_in(x, y)),
            ("Target", "Target") => Some(false),
            ("Target", place) => self.is_target_in(id(x), place, id(y)),
            _ => None,
        }
    }

    /// Whether a target is in an environment or has a tag.
    pub(super) fn is_target_in(&self, target: &str, kind: &str, name: &str) -> Option<bool> {
        let (environment, tags) = self.places?.by_target.get(target)?;
        match kind {
            "Environment" => Some(environment.as_deref() == Some(name)),
            "Tag" => Some(tags.contains(name)),
            _ => None,
        }
    }

    fn is_class_in(&self, x: &EntityUID, y: &EntityUID) -> bool {
        let mut open = vec![id(x)];
        let mut seen = BTreeSet::new();
        while let Some(class) = open.pop() {
            if class == id(y) {
                return true;
            }
            if seen.insert(class) {
                open.extend(self.classes.get(class).into_iter().flatten().map(SmolStr::as_str));
            }
        }
        false
    }
}

pub(super) fn kind(uid: &EntityUID) -> String {
    uid.entity_type().to_string()
}

pub(super) fn id(uid: &EntityUID) -> &str {
    uid.eid().as_ref()
}
