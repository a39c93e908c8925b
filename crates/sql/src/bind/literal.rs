//! The values of literals and parameters, and whether anything that was found depends on one.
//!
//! This is the only place that reads them: what was found without reading any holds for a statement with
//! other literals of the same kinds as well.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use pg_raw_parse::{ConstValue, Node, nodes};

use super::flow::{BOOL, Flow, INT4, NUMERIC, Ty};
use crate::catalog::TypeId;
use crate::parameters::Parameters;

/// Reads literals, and remembers that it did.
#[derive(Debug, Default)]
pub(crate) struct Literals {
    read: Cell<bool>,
    /// The values of parameters; none as long as nothing is bound to them.
    parameters: RefCell<Option<Rc<Parameters>>>,
    weighed: Cell<bool>,
    /// The year at the server.
    year: i32,
}

impl Literals {
    /// Whether the value of any number or string was read.
    pub(crate) fn were_read(&self) -> bool {
        self.read.get()
    }

    /// Those of a statement that runs in this year.
    pub(crate) fn in_year(year: i32) -> Literals {
        Literals {
            year,
            ..Literals::default()
        }
    }

    /// As `self`, with these values of parameters.
    pub(crate) fn bound(self, parameters: Parameters) -> Literals {
        Literals {
            parameters: RefCell::new(Some(Rc::new(parameters))),
            ..self
        }
    }

    /// The year at the server.
    pub(crate) fn year(&self) -> i32 {
        self.year
    }

    /// Does something with other values of parameters, or none bound to them yet.
    pub(crate) fn with<T>(&self, parameters: Option<Rc<Parameters>>, body: impl FnOnce() -> T) -> T {
        let before = self.parameters.replace(parameters);
        let result = body();
        self.parameters.replace(before);
        result
    }

    /// Whether parameters still wait for their values.
    pub(crate) fn are_open(&self) -> bool {
        self.parameters.borrow().is_none()
    }

    /// Whether what was found since `set_weighed` would be another with some values of parameters.
    pub(crate) fn weighed(&self) -> bool {
        self.weighed.get()
    }

    pub(crate) fn set_weighed(&self, weighed: bool) -> bool {
        self.weighed.replace(weighed)
    }

    /// Whether a value is a parameter that waits for its value. What it decides has to be decided again with it.
    pub(crate) fn is_open(&self, node: Node<'_>) -> bool {
        let open = self.are_open() && is_parameter(node);
        self.weighed.set(self.weighed.get() | open);
        open
    }

    /// The text of a literal, or of the value of a parameter whose place gives it the type `near`.
    pub(crate) fn value(&self, node: Node<'_>, near: Option<TypeId>) -> Option<String> {
        match node {
            Node::ParamRef(p) => self.parameters.borrow().as_ref()?.text(p.number, near),
            other => self.text(other),
        }
    }

    /// The text of a literal, casts around it looked through.
    pub(crate) fn text(&self, node: Node<'_>) -> Option<String> {
        match node {
            Node::A_Const(c) => {
                let value = c.val()?;
                // words of the language are no values that could be others
                if !matches!(value, ConstValue::Boolean(_)) {
                    self.read.set(true);
                }
                match value {
                    ConstValue::String(s) | ConstValue::Float(s) => Some(s.to_owned()),
                    ConstValue::Integer(i) => Some(i.to_string()),
                    ConstValue::Boolean(b) => Some(b.to_string()),
                    _ => None,
                }
            }
            Node::TypeCast(c) if keeps_text(c) => self.text(c.arg()),
            Node::NamedArgExpr(a) => self.text(a.arg()),
            _ => None,
        }
    }

    /// The value of a plain integer.
    pub(crate) fn integer(&self, node: Node<'_>) -> Option<i32> {
        let Node::A_Const(c) = node else { return None };
        let Some(ConstValue::Integer(value)) = c.val() else {
            return None;
        };
        self.read.set(true);
        Some(value)
    }

    /// The text that an argument of `EXECUTE` gives a parameter, of whatever type: nothing where its value could still be
    /// another once it has that type.
    pub(crate) fn argument(&self, node: Node<'_>) -> Option<String> {
        match node {
            Node::A_Const(c) if matches!(c.val(), Some(ConstValue::Integer(_) | ConstValue::String(_))) => {
                self.text(node)
            }
            Node::TypeCast(c) => {
                let plain = c.type_name().is_some_and(|t| t.typmods().is_empty());
                let exact = matches!(cast_type(c), Some(20 | 21 | 23 | 25 | 1043 | 1082 | 1114 | 1184 | 1186));
                (plain && exact && matches!(c.arg(), Node::A_Const(_)))
                    .then(|| self.argument(c.arg()))
                    .flatten()
            }
            _ => None,
        }
    }

    /// Whether a literal says yes.
    pub(crate) fn is_true(&self, node: Node<'_>) -> bool {
        self.text(node)
            .is_some_and(|t| matches!(t.as_str(), "true" | "t" | "on" | "yes" | "1"))
    }
}

/// Whether it is a plain integer, whatever its value.
pub(crate) fn is_integer(node: Node<'_>) -> bool {
    matches!(node, Node::A_Const(c) if matches!(c.val(), Some(ConstValue::Integer(_))))
}

/// Whether it is `true` or `false`, and which.
pub(crate) fn boolean(node: Node<'_>) -> Option<bool> {
    match node {
        Node::A_Const(c) => match c.val() {
            Some(ConstValue::Boolean(value)) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// Whether it is the literal NULL.
pub(crate) fn is_null(node: Node<'_>) -> bool {
    matches!(node, Node::A_Const(c) if c.val().is_none())
}

/// What a literal is as a value: its type follows from its kind.
pub(crate) fn constant(node: &nodes::A_Const) -> Flow {
    Flow::of_type(match node.val() {
        Some(ConstValue::Integer(_)) => INT4,
        // digits only, and few enough: the kinds of numbers that a shape tells apart
        Some(ConstValue::Float(text)) if text.parse::<i64>().is_ok() => Ty::Known(20),
        Some(ConstValue::Float(_)) => NUMERIC,
        Some(ConstValue::Boolean(_)) => BOOL,
        Some(ConstValue::BitString(_)) => Ty::Known(1560),
        _ => Ty::Literal,
    })
}

/// Whether it is a parameter, cast or not.
pub(crate) fn is_parameter(node: Node<'_>) -> bool {
    match node {
        Node::ParamRef(_) => true,
        Node::TypeCast(c) => is_parameter(c.arg()),
        _ => false,
    }
}

/// The type that a cast gives a parameter under it, of those whose values are read.
pub(crate) fn cast_type(cast: &nodes::TypeCast) -> Option<TypeId> {
    let ty = cast.type_name().filter(|t| t.array_bounds().is_empty())?;
    let parts: Vec<&str> = ty.names().iter().filter_map(|s| s.sval()).collect();
    let ([name] | ["pg_catalog", name]) = parts.as_slice() else {
        return None;
    };
    Some(match *name {
        "int2" => 21,
        "int4" => 23,
        "int8" => 20,
        "float4" => 700,
        "float8" => 701,
        "numeric" => 1700,
        "text" => 25,
        "varchar" => 1043,
        "bpchar" => 1042,
        "date" => 1082,
        "timestamp" => 1114,
        "timestamptz" => 1184,
        "interval" => 1186,
        "uuid" => 2950,
        _ => return None,
    })
}

/// Whether a cast to this type leaves the text of a literal as it is.
pub(crate) fn keeps_text(cast: &nodes::TypeCast) -> bool {
    let Some(name) = cast.type_name() else { return false };
    let last = name.names().iter().next_back().and_then(|s| s.sval());
    name.typmods().is_empty() && matches!(last, Some("text" | "varchar" | "name" | "bool"))
}
