//! `$((…))`: numbers are computed only as far as they must be; what the shell might evaluate as code is found.

use super::state::{State, Value, Variable};
use super::{Context, Evaluator};
use crate::facts::Opaque;
use crate::paths::field::{Atom, Field, Hole};

/// An argument that arithmetic takes as it is.
pub(crate) fn is_number(field: &Field) -> bool {
    numeric(&field.atoms)
}

/// A number, or what is known to be one name or number without a subscript.
fn numeric(atoms: &[Atom]) -> bool {
    let mut characters = atoms.iter().map(|atom| match atom {
        Atom::Char(c, _) => Some(*c),
        Atom::Hole(_) => None,
    });
    let rest: Option<String> = match characters.next() {
        None => return true,
        Some(Some('-' | '+')) => characters.collect(),
        Some(Some(first)) => characters
            .collect::<Option<String>>()
            .map(|rest| format!("{first}{rest}")),
        Some(None) => None,
    };
    rest.is_some_and(|digits| digits.chars().all(|c| c.is_ascii_digit()))
}

impl Evaluator<'_> {
    /// The value of an expression. A small one of constants is computed; any other is some number.
    pub(crate) fn arithmetic_value(&mut self, text: &str, state: &mut State, context: &Context) -> Value {
        self.arithmetic_effects(text, state, context);
        match constant(text) {
            Some(number) => number.to_string().chars().map(|c| Atom::Char(c, true)).collect(),
            None => vec![Atom::Hole(Hole::Integer)],
        }
    }

    /// Names in arithmetic are evaluated again, as expressions, which may hold substitutions in subscripts.
    pub(crate) fn arithmetic_effects(&mut self, text: &str, state: &mut State, context: &Context) {
        for name in read_names(text) {
            let numeric_value = |value: &Value| {
                numeric(value) || matches!(value.as_slice(), [Atom::Hole(Hole::Number | Hole::Integer)])
            };
            let safe = match name.as_str() {
                "RANDOM" | "SECONDS" | "LINENO" | "UID" | "EUID" | "PPID" | "BASHPID" => true,
                _ => match state.variable(&name) {
                    Variable::OneOf(values) => values.iter().all(numeric_value),
                    Variable::Unknown => false,
                },
            };
            if !safe {
                self.opaque(Opaque::Arithmetic);
            }
        }
        if text.contains('$') {
            let fields = self.expand_for_effect(text, state, context);
            // What is expanded becomes part of the expression.
            let parts = fields.iter().flatten().flat_map(|field| &field.atoms);
            let plain = |atom: &Atom| match atom {
                Atom::Char(c, _) => c.is_ascii_alphanumeric() || " \t_+-*/%<>=!&|?:,~^#()".contains(*c),
                Atom::Hole(hole) => matches!(hole, Hole::Number | Hole::Integer),
            };
            if !parts.clone().all(plain) {
                self.opaque(Opaque::Arithmetic);
            }
        }
        let assigns = text.contains("++") || text.contains("--") || has_assignment(text);
        if assigns {
            for name in names(text) {
                self.check_assignment(&name, false);
                // A number: it names no path above the directory that it stands in, and starts with no dash that
                // matters; but it is not one value.
                state.set(&name, Variable::one_of([vec![Atom::Hole(Hole::Integer)]].into()));
            }
        }
    }
}

/// The names whose values are evaluated: not what a plain assignment sets.
fn read_names(text: &str) -> Vec<String> {
    if text.contains(['(', '?']) {
        return names(text);
    }
    let mut read = Vec::new();
    for part in text.split(',') {
        let value = match part.split_once('=') {
            Some((name, value)) if crate::is_name(name.trim()) && !value.starts_with('=') => value,
            _ => part,
        };
        read.extend(names(value));
    }
    read
}

fn has_assignment(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    characters.iter().enumerate().any(|(index, c)| {
        let before = index.checked_sub(1).and_then(|index| characters.get(index)).copied();
        let twice = before.is_some_and(|b| matches!(b, '<' | '>'))
            && index.checked_sub(2).and_then(|i| characters.get(i)).copied() == before;
        let comparison = matches!(before, Some('=' | '!' | '<' | '>')) && !twice;
        *c == '=' && !comparison && characters.get(index + 1) != Some(&'=')
    })
}

/// The names in an expression that stand without `$`.
fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut current = String::new();
    let mut expansion = false;
    for c in text.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() || c == '_' || (c == '#' && !current.is_empty()) {
            current.push(c);
            continue;
        }
        let starts_name = current
            .chars()
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
        if starts_name && !expansion && !names.contains(&current) {
            names.push(current.clone());
        }
        current.clear();
        expansion = matches!(c, '$' | '{') && (c == '$' || expansion);
    }
    names
}

/// The value of an expression of plain decimal numbers, `+`, `-`, `*`, `/`, `%` and parentheses.
fn constant(text: &str) -> Option<i64> {
    let tokens: Vec<char> = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let glued = text
        .split_ascii_whitespace()
        .collect::<Vec<_>>()
        .windows(2)
        .any(|pair| match pair {
            [left, right] => {
                left.ends_with(|c: char| c.is_ascii_digit()) && right.starts_with(|c: char| c.is_ascii_digit())
            }
            _ => false,
        });
    if glued
        || tokens.is_empty()
        || tokens.len() > 64
        || !tokens.iter().all(|c| c.is_ascii_digit() || "+-*/%()".contains(*c))
    {
        return None;
    }
    // `**`, `++` and `--` are other operators.
    if tokens
        .windows(2)
        .any(|pair| matches!(pair, ['*', '*'] | ['+', '+'] | ['-', '-']))
    {
        return None;
    }
    let mut reader = Constant {
        tokens: &tokens,
        index: 0,
    };
    let value = reader.sum(0)?;
    (reader.index == tokens.len()).then_some(value)
}

struct Constant<'a> {
    tokens: &'a [char],
    index: usize,
}

impl Constant<'_> {
    fn take(&mut self, wanted: &[char]) -> Option<char> {
        let c = self.tokens.get(self.index).copied().filter(|c| wanted.contains(c))?;
        self.index += 1;
        Some(c)
    }

    fn sum(&mut self, depth: usize) -> Option<i64> {
        let mut value = self.product(depth)?;
        while let Some(operator) = self.take(&['+', '-']) {
            let other = self.product(depth)?;
            value = if operator == '+' {
                value.checked_add(other)?
            } else {
                value.checked_sub(other)?
            };
        }
        Some(value)
    }

    fn product(&mut self, depth: usize) -> Option<i64> {
        let mut value = self.factor(depth)?;
        while let Some(operator) = self.take(&['*', '/', '%']) {
            let other = self.factor(depth)?;
            value = match operator {
                '*' => value.checked_mul(other)?,
                '/' => value.checked_div(other)?,
                _ => value.checked_rem(other)?,
            };
        }
        Some(value)
    }

    fn factor(&mut self, depth: usize) -> Option<i64> {
        if depth > 16 {
            return None;
        }
        if self.take(&['-']).is_some() {
            return self.factor(depth + 1)?.checked_neg();
        }
        if self.take(&['(']).is_some() {
            let value = self.sum(depth + 1)?;
            self.take(&[')'])?;
            return Some(value);
        }
        let digits: String = self
            .tokens
            .iter()
            .skip(self.index)
            .take_while(|c| c.is_ascii_digit())
            .collect();
        self.index += digits.len();
        // A leading zero makes it octal.
        let plain = digits == "0" || !digits.starts_with('0');
        plain.then(|| digits.parse().ok()).flatten()
    }
}
