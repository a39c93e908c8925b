//! Expansions of parameters: `$name`, `${name:-word}` and their kin.

use super::expand::{joined_with_blanks, literal, quote};
use super::state::{State, Value, Variable};
use super::{Context, Evaluator};
use crate::facts::Opaque;
use crate::paths::field::{Atom, Field, Hole};
use crate::syntax::word::{Operation, Parameter};

impl Evaluator<'_> {
    /// The values of `$name` and `${name…}`.
    pub(crate) fn parameter(
        &mut self,
        parameter: &Parameter,
        quoted: bool,
        state: &mut State,
        context: &Context,
    ) -> Vec<Value> {
        let unknown = || vec![vec![Atom::Hole(Hole::Anything)]];
        let token = || vec![vec![Atom::Hole(Hole::Number)]];
        if let Some(subscript) = &parameter.subscript {
            self.subscript(subscript, state, context);
            if let Operation::Test { word, .. } = &parameter.operation {
                self.nested(word, quoted, state, context);
            }
            return if parameter.operation == Operation::Length {
                token()
            } else {
                unknown()
            };
        }
        match &parameter.operation {
            Operation::Value => self.plain_values(&parameter.name, state),
            Operation::Length => token(),
            Operation::Indirect(text) => {
                // The value is a name, or a subscript that is evaluated.
                let is_name = |value: &Value| {
                    Field {
                        atoms: value.clone(),
                        below: false,
                        many: false,
                    }
                    .exact()
                    .is_some_and(|name| crate::is_name(&name))
                };
                if !crate::is_name(text) || !state.variable(text).values().iter().all(is_name) {
                    self.expand_for_effect(text, state, context);
                    self.opaque(Opaque::Arithmetic);
                }
                unknown()
            }
            Operation::Test { kind, empty_too, word } => {
                self.tested(parameter, (*kind, *empty_too, word), quoted, state, context)
            }
            Operation::Trim { kind, longest, pattern } => {
                let patterns = self.value(pattern, state, context);
                self.trimmed(&parameter.name, (*kind, *longest), &patterns, state)
            }
            Operation::Other { text, evaluates } => {
                if *evaluates {
                    self.opaque(Opaque::Eval);
                }
                self.expand_for_effect(text, state, context);
                unknown()
            }
        }
    }

    fn subscript(&mut self, subscript: &str, state: &mut State, context: &Context) {
        let plain = subscript.chars().all(|c| c.is_ascii_digit()) || matches!(subscript, "@" | "*");
        if !plain {
            self.opaque(Opaque::Arithmetic);
            self.expand_for_effect(subscript, state, context);
        }
    }

    fn plain_values(&mut self, name: &str, state: &State) -> Vec<Value> {
        if let Ok(index) = name.parse::<usize>() {
            return match (index, state.positional()) {
                (0, _) => state.variable("0").values(),
                (_, Some(fields)) => match fields.get(index - 1) {
                    // An unknown argument before it may be several.
                    _ if fields.iter().take(index).any(|field| field.many || field.below) => {
                        vec![vec![Atom::Hole(Hole::Anything)]]
                    }
                    Some(field) => vec![field.atoms.clone()],
                    None => vec![Vec::new()],
                },
                (_, None) => vec![vec![Atom::Hole(Hole::Anything)]],
            };
        }
        match name {
            "#" | "?" | "$" | "!" | "-" | "RANDOM" | "SECONDS" | "LINENO" | "UID" | "EUID" | "PPID" | "BASHPID" => {
                vec![vec![Atom::Hole(if name == "-" { Hole::Token } else { Hole::Number })]]
            }
            "@" | "*" => match state.positional() {
                Some(fields) => vec![joined_with_blanks(fields)],
                None => vec![vec![Atom::Hole(Hole::Anything)]],
            },
            _ => state.variable(name).values(),
        }
    }

    /// `${name:-word}` and its kin.
    fn tested(
        &mut self,
        parameter: &Parameter,
        test: (char, bool, &str),
        quoted: bool,
        state: &mut State,
        context: &Context,
    ) -> Vec<Value> {
        let (kind, empty_too, word) = test;
        let own = self.plain_values(&parameter.name, state);
        let other = self.nested(word, quoted, state, context);
        // A value that is known and not empty decides the test; any other may or may not.
        let decided = own
            .iter()
            .all(|value| !value.is_empty() && !value.contains(&Atom::Hole(Hole::Anything)));
        let empty = own.iter().all(Vec::is_empty);
        let _ = empty_too;
        let mut values = own;
        match kind {
            '+' if decided => values = other,
            '+' => {
                values = other;
                values.push(Vec::new());
            }
            '?' => {}
            _ if decided => {}
            _ => {
                if kind == '=' {
                    self.check_assignment(&parameter.name, false);
                    state.set(&parameter.name, Variable::Unknown);
                }
                if !empty && values.iter().flatten().any(|atom| *atom == Atom::Hole(Hole::Anything)) {
                    return values;
                }
                values.extend(other);
            }
        }
        values
    }

    /// The word within an expansion.
    fn nested(&mut self, word: &str, quoted: bool, state: &mut State, context: &Context) -> Vec<Value> {
        let values = if quoted {
            self.document(word, state, context)
        } else {
            self.value(word, state, context)
        };
        values
            .into_iter()
            .map(|value| value.into_iter().map(quote).collect())
            .collect()
    }

    /// `${name%pattern}` and its kin, where both are constant and the pattern is none.
    fn trimmed(&mut self, name: &str, how: (char, bool), patterns: &[Value], state: &State) -> Vec<Value> {
        let unknown = || vec![vec![Atom::Hole(Hole::Anything)]];
        let [pattern] = patterns else { return unknown() };
        let field = |atoms: &Value| Field {
            atoms: atoms.clone(),
            below: false,
            many: false,
        };
        let Some(pattern) = field(pattern).exact() else {
            return unknown();
        };
        let mut values = Vec::new();
        for value in self.plain_values(name, state) {
            let quoted: Value = value.into_iter().map(quote).collect();
            let Some(text) = field(&quoted).exact() else {
                return unknown();
            };
            let rest = match how.0 {
                '#' => text.strip_prefix(&pattern),
                _ => text.strip_suffix(&pattern),
            };
            values.push(literal(rest.unwrap_or(&text)));
        }
        values
    }
}
