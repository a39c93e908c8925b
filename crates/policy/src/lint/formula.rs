//! What a rule says, as far as `and`, `or` and `not` go: everything else is an atom, which may be true or not.

use std::collections::BTreeSet;
use std::rc::Rc;

/// Index of an atom.
pub(super) type AtomId = usize;

/// A formula over atoms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Formula {
    Const(bool),
    Atom(AtomId),
    Not(Rc<Self>),
    And(Rc<Self>, Rc<Self>),
    Or(Rc<Self>, Rc<Self>),
}

impl Formula {
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Const(value) => Self::Const(!value),
            Self::Not(inner) => Rc::unwrap_or_clone(inner),
            other @ (Self::Atom(_) | Self::And(..) | Self::Or(..)) => Self::Not(Rc::new(other)),
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Const(false), _) | (_, Self::Const(false)) => Self::Const(false),
            (Self::Const(true), one) | (one, Self::Const(true)) => one,
            (a, b) => Self::And(Rc::new(a), Rc::new(b)),
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Const(true), _) | (_, Self::Const(true)) => Self::Const(true),
            (Self::Const(false), one) | (one, Self::Const(false)) => one,
            (a, b) => Self::Or(Rc::new(a), Rc::new(b)),
        }
    }

    /// The formula with something else in the place of each atom.
    pub(super) fn replace(&self, with: &mut impl FnMut(AtomId) -> Self) -> Self {
        match self {
            Self::Const(value) => Self::Const(*value),
            Self::Atom(atom) => with(*atom),
            Self::Not(inner) => inner.replace(with).negated(),
            Self::And(a, b) => {
                let a = a.replace(with);
                a.and(b.replace(with))
            }
            Self::Or(a, b) => {
                let a = a.replace(with);
                a.or(b.replace(with))
            }
        }
    }

    pub(super) fn atoms(&self, into: &mut BTreeSet<AtomId>) {
        match self {
            Self::Const(_) => {}
            Self::Atom(atom) => {
                into.insert(*atom);
            }
            Self::Not(inner) => inner.atoms(into),
            Self::And(a, b) | Self::Or(a, b) => {
                a.atoms(into);
                b.atoms(into);
            }
        }
    }

    /// Its value, if what is known of the atoms decides it.
    pub(super) fn value(&self, known: &impl Fn(AtomId) -> Option<bool>) -> Option<bool> {
        match self {
            Self::Const(value) => Some(*value),
            Self::Atom(atom) => known(*atom),
            Self::Not(inner) => inner.value(known).map(|value| !value),
            Self::And(a, b) => match (a.value(known), b.value(known)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                (None, Some(true) | None) | (Some(true), None) => None,
            },
            Self::Or(a, b) => match (a.value(known), b.value(known)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                (None, Some(false) | None) | (Some(false), None) => None,
            },
        }
    }
}
