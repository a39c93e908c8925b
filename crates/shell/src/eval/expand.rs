//! Words → arguments. What is constant is evaluated exactly; what is not becomes a hole.

use std::collections::BTreeSet;

use super::state::{State, Value, Variable};
use super::{Context, Evaluator};
use crate::facts::Opaque;
use crate::paths::field::{Atom, Field, Hole};
use crate::syntax::brace;
use crate::syntax::word::{self, Operation, Parameter, Piece};

/// Ways in which one command may be expanded before its arguments count as unknown.
const MAX_ALTERNATIVES: usize = 64;
/// Longest text that expansions may make.
const MAX_ATOMS: usize = 64 * 1024;

/// A command's arguments: one list for each way in which variables may stand.
pub(crate) type Alternatives = Vec<Vec<Field>>;

/// The fields of one word while they are made.
#[derive(Debug, Clone, Default)]
struct Build {
    done: Vec<Field>,
    /// The field at the end; `None`: nothing yet, not even an empty one.
    open: Option<Vec<Atom>>,
    many: bool,
}

/// What one piece adds.
enum Part {
    /// Text that is not split.
    Whole(Value),
    /// Text that is split at blanks and holds patterns.
    Split(Value),
    /// Several fields, as `"$@"` gives; the first and the last join with their neighbours.
    Fields(Vec<Field>),
}

impl Evaluator<'_> {
    /// The arguments that words become.
    pub(crate) fn fields<W: AsRef<str>>(&mut self, words: &[W], state: &mut State, context: &Context) -> Alternatives {
        let mut all: Alternatives = vec![Vec::new()];
        for word in words {
            let alternatives = self.word(word.as_ref(), state, context);
            self.work(all.len() * alternatives.iter().map(Vec::len).sum::<usize>());
            if let [only] = alternatives.as_slice() {
                for fields in &mut all {
                    fields.extend(only.iter().cloned());
                }
                continue;
            }
            all = product(&all, &alternatives);
            if all.len() > MAX_ALTERNATIVES || all.iter().map(Vec::len).sum::<usize>() > MAX_ATOMS {
                self.opaque(Opaque::TooComplex);
                return vec![vec![Field::unknown()]];
            }
        }
        all
    }

    /// One word, with all expansions.
    pub(crate) fn word(&mut self, raw: &str, state: &mut State, context: &Context) -> Alternatives {
        let expanded = match brace::expand(raw, self.dialect) {
            Ok(words) => words,
            Err(stop) => {
                self.unparsed(stop);
                return vec![vec![Field::unknown()]];
            }
        };
        let mut all: Alternatives = vec![Vec::new()];
        for word in &expanded {
            let alternatives = match word::pieces(word, self.dialect) {
                Ok(pieces) => self.split_pieces(&pieces, state, context),
                Err(stop) => {
                    self.unparsed(stop);
                    vec![vec![Field::unknown()]]
                }
            };
            all = product(&all, &alternatives);
            self.work(all.iter().map(Vec::len).sum());
            if all.len() > MAX_ALTERNATIVES {
                self.opaque(Opaque::TooComplex);
                return vec![vec![Field::unknown()]];
            }
        }
        all
    }

    /// A word where the shell neither splits nor matches: the value of an assignment, a pattern.
    pub(crate) fn value(&mut self, raw: &str, state: &mut State, context: &Context) -> Vec<Value> {
        match word::pieces(raw, self.dialect) {
            Ok(pieces) => self.joined_pieces(&pieces, state, context),
            Err(stop) => {
                self.unparsed(stop);
                vec![vec![Atom::Hole(Hole::Anything)]]
            }
        }
    }

    /// The text of a here-document.
    pub(crate) fn document(&mut self, raw: &str, state: &mut State, context: &Context) -> Vec<Value> {
        match word::here_document(raw, self.dialect) {
            Ok(pieces) => self.joined_pieces(&pieces, state, context),
            Err(stop) => {
                self.unparsed(stop);
                vec![vec![Atom::Hole(Hole::Anything)]]
            }
        }
    }

    /// A word of which only what its substitutions run matters.
    pub(crate) fn expand_for_effect(&mut self, raw: &str, state: &mut State, context: &Context) -> Alternatives {
        let values = self.value(raw, state, context);
        values
            .into_iter()
            .map(|atoms| {
                vec![Field {
                    atoms,
                    below: false,
                    many: false,
                }]
            })
            .collect()
    }

    /// What a variable may be that takes one of these arguments at a time.
    pub(crate) fn possible_values(&self, alternatives: &[Vec<Field>]) -> Variable {
        let fields = alternatives.iter().flatten();
        if fields.clone().any(|field| field.many || field.below) {
            return Variable::Unknown;
        }
        let values: BTreeSet<Value> = fields
            .map(|field| {
                // The shell puts a name in place of a pattern: one component may be anything that matches, and is
                // kept as a pattern that still stands for all of them.
                field.atoms.clone()
            })
            .collect();
        Variable::one_of(values)
    }

    fn split_pieces(&mut self, pieces: &[Piece], state: &mut State, context: &Context) -> Alternatives {
        let mut builds = vec![Build::default()];
        for piece in pieces {
            let parts = self.parts(piece, false, state, context);
            builds = self.combine(&builds, &parts);
        }
        builds.into_iter().map(Build::finish).collect()
    }

    fn joined_pieces(&mut self, pieces: &[Piece], state: &mut State, context: &Context) -> Vec<Value> {
        let mut values: Vec<Value> = vec![Vec::new()];
        for piece in pieces {
            let parts = self.parts(piece, true, state, context);
            let mut next = Vec::new();
            for value in &values {
                for part in &parts {
                    let mut value = value.clone();
                    value.extend(part.joined());
                    next.push(value);
                }
            }
            if next.len() > MAX_ALTERNATIVES || next.iter().map(Vec::len).sum::<usize>() > MAX_ATOMS {
                self.opaque(Opaque::TooComplex);
                return vec![vec![Atom::Hole(Hole::Anything)]];
            }
            values = next;
            self.work(values.iter().map(Vec::len).sum());
        }
        values
    }

    fn combine(&mut self, builds: &[Build], parts: &[Part]) -> Vec<Build> {
        if builds.len() * parts.len() > MAX_ALTERNATIVES {
            self.opaque(Opaque::TooComplex);
            return vec![Build {
                done: Vec::new(),
                open: Some(vec![Atom::Hole(Hole::Anything)]),
                many: true,
            }];
        }
        let mut next = Vec::new();
        for build in builds {
            for part in parts {
                let mut build = build.clone();
                build.add(part);
                next.push(build);
            }
        }
        next
    }

    /// The ways in which a piece may be expanded. `quoted`: nothing is split.
    fn parts(&mut self, piece: &Piece, quoted: bool, state: &mut State, context: &Context) -> Vec<Part> {
        let spread = |values: Vec<Value>| -> Vec<Part> {
            let part = |value| if quoted { Part::Whole(value) } else { Part::Split(value) };
            values.into_iter().map(part).collect()
        };
        match piece {
            Piece::Plain(text) => vec![Part::Whole(text.chars().map(|c| Atom::Char(c, false)).collect())],
            Piece::Quoted(text) => vec![Part::Whole(literal(text))],
            Piece::Tilde(name) => self.tilde(name, state).into_iter().map(Part::Whole).collect(),
            Piece::Double(pieces) => match pieces.as_slice() {
                [] => vec![Part::Whole(Vec::new())],
                [Piece::Parameter(parameter)] if is_all(parameter) => vec![all_positional(state)],
                _ => self
                    .joined_pieces(pieces, state, context)
                    .into_iter()
                    .map(Part::Whole)
                    .collect(),
            },
            Piece::Parameter(parameter) if !quoted && is_all(parameter) => match state.positional() {
                Some(fields) => vec![Part::Fields(fields.iter().map(resplit).collect())],
                None => vec![Part::Fields(vec![Field::unknown()])],
            },
            Piece::Parameter(parameter) => {
                let values = self.parameter(parameter, quoted, state, context);
                spread(values)
            }
            Piece::Command(text) => {
                let values = self.substitution(text, state, context);
                spread(values)
            }
            Piece::Process { text, reads } => {
                let mut context = context.clone();
                context.subshell = true;
                self.text(text, self.dialect, state.clone(), &context);
                let _ = reads;
                vec![Part::Whole(literal("/dev/fd/63"))]
            }
            Piece::Arithmetic(text) => spread(vec![self.arithmetic_value(text, state, context)]),
        }
    }

    fn tilde(&mut self, name: &str, state: &State) -> Vec<Value> {
        match name {
            "" => state.variable("HOME").values(),
            "root" => vec![literal("/root")],
            _ => vec![vec![Atom::Hole(Hole::Anything)]],
        }
    }

    /// What `$(…)` leaves.
    fn substitution(&mut self, text: &str, state: &State, context: &Context) -> Vec<Value> {
        let mut inner = context.clone();
        inner.subshell = true;
        let before = self.found.runs.len();
        // Also one that ran before says what it writes.
        let seen = std::mem::take(&mut self.seen);
        self.text(text, self.dialect, state.clone(), &inner);
        let runs = self.found.runs.split_off(before.min(self.found.runs.len()));
        let values = self.output(text, &runs, state);
        self.seen = seen;
        for run in runs {
            self.list(run);
        }
        values.unwrap_or_else(|| vec![vec![Atom::Hole(Hole::Anything)]])
    }
}

fn is_all(parameter: &Parameter) -> bool {
    parameter.subscript.is_none() && parameter.operation == Operation::Value && parameter.name == "@"
}

fn all_positional(state: &State) -> Part {
    Part::Fields(match state.positional() {
        Some(fields) => fields.to_vec(),
        None => vec![Field::unknown()],
    })
}

/// Unquoted, a parameter is split again and is a pattern again.
fn resplit(field: &Field) -> Field {
    let blank = field
        .atoms
        .iter()
        .any(|atom| matches!(atom, Atom::Char(' ' | '\t' | '\n', _)));
    if blank || field.atoms.is_empty() {
        return Field::unknown();
    }
    Field {
        atoms: field.atoms.iter().copied().map(unquote).collect(),
        ..*field
    }
}

pub(crate) fn joined_with_blanks(fields: &[Field]) -> Value {
    let mut value = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            value.push(Atom::Char(' ', true));
        }
        if field.below || field.many {
            value.push(Atom::Hole(Hole::Anything));
        }
        value.extend(field.atoms.iter().copied());
    }
    value
}

pub(crate) fn literal(text: &str) -> Value {
    text.chars().map(|c| Atom::Char(c, true)).collect()
}

pub(crate) fn quote(atom: Atom) -> Atom {
    match atom {
        Atom::Char(c, _) => Atom::Char(c, true),
        Atom::Hole(hole) => Atom::Hole(hole),
    }
}

fn unquote(atom: Atom) -> Atom {
    match atom {
        Atom::Char(c, _) => Atom::Char(c, false),
        Atom::Hole(hole) => Atom::Hole(hole),
    }
}

impl Part {
    fn joined(&self) -> Value {
        match self {
            Self::Whole(value) | Self::Split(value) => value.clone(),
            Self::Fields(fields) => joined_with_blanks(fields),
        }
    }
}

impl Build {
    fn add(&mut self, part: &Part) {
        match part {
            Part::Whole(value) => self.open.get_or_insert_with(Vec::new).extend(value.iter().copied()),
            Part::Split(value) => {
                for atom in value {
                    match atom {
                        Atom::Char(' ' | '\t' | '\n', _) => self.close(),
                        Atom::Hole(Hole::Anything) => {
                            self.many = true;
                            self.open.get_or_insert_with(Vec::new).push(*atom);
                        }
                        Atom::Char(..) | Atom::Hole(Hole::Token | Hole::Number | Hole::Integer) => {
                            self.open.get_or_insert_with(Vec::new).push(unquote(*atom));
                        }
                    }
                }
            }
            Part::Fields(fields) => {
                for (index, field) in fields.iter().enumerate() {
                    if index > 0 {
                        self.close();
                    }
                    self.many |= field.many || field.below;
                    self.open
                        .get_or_insert_with(Vec::new)
                        .extend(field.atoms.iter().copied());
                    if field.below {
                        self.open.get_or_insert_with(Vec::new).push(Atom::Hole(Hole::Anything));
                    }
                }
            }
        }
    }

    fn close(&mut self) {
        if let Some(atoms) = self.open.take() {
            self.done.push(Field {
                atoms,
                below: false,
                many: std::mem::take(&mut self.many),
            });
        }
    }

    fn finish(mut self) -> Vec<Field> {
        self.close();
        self.done
    }
}

pub(crate) fn product(left: &Alternatives, right: &Alternatives) -> Alternatives {
    if let [only] = right.as_slice() {
        return left
            .iter()
            .map(|fields| fields.iter().chain(only).cloned().collect())
            .collect();
    }
    let mut all = Vec::new();
    for fields in left.iter().take(MAX_ALTERNATIVES + 1) {
        for more in right.iter().take(MAX_ALTERNATIVES + 1) {
            all.push(fields.iter().chain(more).cloned().collect());
        }
    }
    all
}
