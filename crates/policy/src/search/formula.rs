//! A rule taken apart: `&&`, `||`, `!` and `if` over atoms, each of which asks about few things.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::ast::{Expr, ExprKind, Literal, UnaryOp, Var};
use smol_str::SmolStr;

/// What of a request an expression can ask about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Variable {
    /// Who asks, with the groups.
    Principal,
    /// The target.
    Place,
    /// The class that would be revealed.
    Class,
    /// An attribute of the context.
    Fact(SmolStr),
}

impl Variable {
    /// Whether it is a fact of the command or of what is around it, and not who, where or of which class.
    pub(crate) fn is_fact(&self) -> bool {
        matches!(self, Self::Fact(_))
    }
}

/// The shape of a rule's condition; atoms by their places in [`Atoms`].
#[derive(Debug, Clone)]
pub(crate) enum Formula {
    Is(bool),
    Atom(usize),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
    If(Box<[Self; 3]>),
}

/// One expression that is not taken apart further.
#[derive(Debug, Clone)]
pub(crate) struct Atom {
    pub(crate) expr: Expr,
    pub(crate) asks: BTreeSet<Variable>,
    /// It uses the context as a whole, so that what it asks about is not known.
    pub(crate) opaque: bool,
}

/// The different atoms of some rules about one action.
#[derive(Debug, Default)]
pub(crate) struct Atoms {
    pub(crate) list: Vec<Atom>,
    by_text: BTreeMap<String, usize>,
}

/// What depends on the action: whether its resource is a class, and what an expression about nothing but the action says.
pub(crate) struct Setting<'a> {
    pub(crate) reveals: bool,
    pub(crate) says: &'a dyn Fn(&Expr) -> Option<bool>,
}

impl Atoms {
    /// Takes a condition apart.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not taken apart is an atom")]
    pub(crate) fn read(&mut self, expr: &Expr, setting: &Setting<'_>) -> Formula {
        match expr.expr_kind() {
            ExprKind::Lit(Literal::Bool(value)) => Formula::Is(*value),
            ExprKind::And { left, right } => all([self.read(left, setting), self.read(right, setting)]),
            ExprKind::Or { left, right } => any([self.read(left, setting), self.read(right, setting)]),
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => not(self.read(arg, setting)),
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => {
                let test = self.read(test_expr, setting);
                let [then, otherwise] = [then_expr, else_expr].map(|branch| self.read(branch, setting));
                if let Formula::Is(value) = test {
                    return if value { then } else { otherwise };
                }
                Formula::If(Box::new([test, then, otherwise]))
            }
            _ => self.atom(expr, setting),
        }
    }

    fn atom(&mut self, expr: &Expr, setting: &Setting<'_>) -> Formula {
        let (asks, opaque) = asks(expr, setting.reveals);
        if asks.is_empty()
            && !opaque
            && let Some(value) = (setting.says)(expr)
        {
            return Formula::Is(value);
        }
        let at = *self.by_text.entry(expr.to_string()).or_insert_with(|| {
            self.list.push(Atom {
                expr: expr.clone(),
                asks,
                opaque,
            });
            self.list.len() - 1
        });
        Formula::Atom(at)
    }
}

/// Whether an expression asks about the action otherwise than by `==` and `in`, or at all.
pub(crate) fn asks_action(expr: &Expr) -> bool {
    expr.subexpressions()
        .any(|part| matches!(part.expr_kind(), ExprKind::Var(Var::Action)))
}

/// What an expression asks about, and whether it asks about the context as a whole.
fn asks(expr: &Expr, reveals: bool) -> (BTreeSet<Variable>, bool) {
    let (mut asks, mut opaque) = (BTreeSet::new(), false);
    let mut open = vec![expr];
    while let Some(next) = open.pop() {
        let fact = |attr: &SmolStr| match attr.as_str() {
            "target" if reveals => Variable::Place,
            _ => Variable::Fact(attr.clone()),
        };
        match next.expr_kind() {
            ExprKind::Var(Var::Principal) => {
                asks.insert(Variable::Principal);
            }
            ExprKind::Var(Var::Resource) => {
                asks.insert(if reveals { Variable::Class } else { Variable::Place });
            }
            ExprKind::Var(Var::Context) => opaque = true,
            ExprKind::GetAttr { expr: of, attr } | ExprKind::HasAttr { expr: of, attr } if is_context(of) => {
                asks.insert(fact(attr));
            }
            ExprKind::ExtHasAttr { expr: of, attrs } if is_context(of) => {
                asks.insert(fact(attrs.first()));
            }
            ExprKind::GetAttr { expr, .. } | ExprKind::HasAttr { expr, .. } | ExprKind::ExtHasAttr { expr, .. } => {
                open.push(expr);
            }
            ExprKind::Like { expr, .. } | ExprKind::Is { expr, .. } | ExprKind::UnaryApp { arg: expr, .. } => {
                open.push(expr);
            }
            ExprKind::And { left, right } | ExprKind::Or { left, right } => open.extend([left.as_ref(), right]),
            ExprKind::BinaryApp { arg1, arg2, .. } => open.extend([arg1.as_ref(), arg2]),
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => open.extend([test_expr.as_ref(), then_expr, else_expr]),
            ExprKind::ExtensionFunctionApp { args, .. } | ExprKind::Set(args) => open.extend(args.iter()),
            ExprKind::Record(fields) => open.extend(fields.values()),
            ExprKind::Lit(_) | ExprKind::Var(Var::Action) | ExprKind::Slot(_) | ExprKind::Unknown(_) => {}
        }
    }
    (asks, opaque)
}

fn is_context(expr: &Expr) -> bool {
    matches!(expr.expr_kind(), ExprKind::Var(Var::Context))
}

fn not(formula: Formula) -> Formula {
    match formula {
        Formula::Is(value) => Formula::Is(!value),
        Formula::Not(inner) => *inner,
        Formula::Atom(_) | Formula::All(_) | Formula::Any(_) | Formula::If(_) => Formula::Not(Box::new(formula)),
    }
}

fn all(parts: [Formula; 2]) -> Formula {
    let mut list = Vec::new();
    for part in parts {
        match part {
            Formula::Is(true) => {}
            Formula::Is(false) => return Formula::Is(false),
            Formula::All(more) => list.extend(more),
            Formula::Atom(_) | Formula::Not(_) | Formula::Any(_) | Formula::If(_) => list.push(part),
        }
    }
    if list.is_empty() {
        Formula::Is(true)
    } else {
        Formula::All(list)
    }
}

fn any(parts: [Formula; 2]) -> Formula {
    let mut list = Vec::new();
    for part in parts {
        match part {
            Formula::Is(false) => {}
            Formula::Is(true) => return Formula::Is(true),
            Formula::Any(more) => list.extend(more),
            Formula::Atom(_) | Formula::Not(_) | Formula::All(_) | Formula::If(_) => list.push(part),
        }
    }
    if list.is_empty() {
        Formula::Is(false)
    } else {
        Formula::Any(list)
    }
}
