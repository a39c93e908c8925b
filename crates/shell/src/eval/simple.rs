//! Simple commands: assignments, redirections, and what is then run.

use brush_parser::ast;

use super::expand::literal;
use super::state::{Outcome, State, Value, Variable};
use super::uses::Uses;
use super::{Context, Evaluator};
use crate::facts::{Opaque, Stdin};
use crate::paths::field::{Atom, Field, Hole};
use crate::programs::hooks;
use crate::syntax::Dialect;

/// Builtins whose arguments are assignments to the shell itself.
const DECLARING: [&str; 5] = ["export", "declare", "typeset", "local", "readonly"];

/// Builtins for which `IFS` may be set: what they read is not known anyway.
const READING: [&str; 3] = ["read", "mapfile", "readarray"];

/// Files that the shell opens before the line counts as too complex.
const MAX_REDIRECTIONS: usize = 500;

impl Evaluator<'_> {
    pub(crate) fn simple(&mut self, command: &ast::SimpleCommand, state: State, context: &Context) -> Outcome {
        let mut state = state;
        let context = context.clone();
        let mut words: Vec<&str> = Vec::new();
        let mut assignments = Vec::new();
        let prefix = command.prefix.iter().flat_map(|prefix| &prefix.0);
        let suffix = command.suffix.iter().flat_map(|suffix| &suffix.0);
        let mut redirects = Vec::new();
        for item in prefix {
            match item {
                ast::CommandPrefixOrSuffixItem::IoRedirect(redirect) => redirects.push(redirect),
                ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => assignments.push(assignment),
                ast::CommandPrefixOrSuffixItem::Word(word) => words.push(&word.value),
                ast::CommandPrefixOrSuffixItem::ProcessSubstitution(..) => self.opaque(Opaque::TooComplex),
            }
        }
        words.extend(command.word_or_name.iter().map(|word| word.value.as_str()));
        for item in suffix {
            match item {
                ast::CommandPrefixOrSuffixItem::IoRedirect(redirect) => redirects.push(redirect),
                ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) => {
                    self.array_argument(assignment, &mut state, &context);
                    words.push(&word.value);
                }
                ast::CommandPrefixOrSuffixItem::Word(word) => words.push(&word.value),
                ast::CommandPrefixOrSuffixItem::ProcessSubstitution(..) => self.opaque(Opaque::TooComplex),
            }
        }
        let keeps = match (assignments.as_slice(), words.as_slice()) {
            // A redirection could set it otherwise.
            _ if !redirects.is_empty() => false,
            ([], ["export", word]) => word.strip_prefix("PATH=").is_some_and(adds_to_path),
            ([one], []) => {
                matches!(&one.value, ast::AssignmentValue::Scalar(word) if !one.append && adds_to_path(&word.value))
            }
            _ => false,
        };
        let outer_path = std::mem::replace(&mut self.keeps_path, keeps);
        let outcome = self.simple_command(&words, &assignments, redirects, state, context);
        self.keeps_path = outer_path;
        outcome
    }

    fn simple_command(
        &mut self,
        words: &[&str],
        assignments: &[&ast::Assignment],
        redirects: Vec<&ast::IoRedirect>,
        mut state: State,
        mut context: Context,
    ) -> Outcome {
        let alternatives = self.arguments(words, &mut state, &context);
        let before = context.stdin.clone();
        let opens = redirects.iter().any(|redirect| may_fail(redirect));
        for redirect in redirects {
            self.redirect(redirect, &mut state, &mut context);
        }
        let not_run = opens.then(|| state.clone());
        self.stdin_moved |= before != context.stdin && words.first().is_some_and(|word| word.contains("exec"));
        let reads = words
            .first()
            .is_some_and(|word| READING.contains(word) && state.function(word).is_none());
        let outer = std::mem::replace(&mut self.splits_once, reads);
        let values = self.assigned(assignments, !words.is_empty(), &mut state, &context);
        self.splits_once = outer;
        if words.is_empty() {
            for (name, value) in values {
                state.set(&name, value);
            }
            return Outcome::either(state).or_not_run(not_run.as_ref());
        }
        self.run_each(alternatives, &values, &state, &context)
            .or_not_run(not_run.as_ref())
    }

    /// Runs the command once for each way in which it may be expanded.
    fn run_each(
        &mut self,
        alternatives: Vec<Vec<Field>>,
        values: &[(String, Variable)],
        state: &State,
        context: &Context,
    ) -> Outcome {
        let mut after: Option<Outcome> = None;
        for fields in alternatives {
            let mut inner = state.clone();
            // What is set for one command is seen by what that command runs.
            for (name, value) in values {
                inner.set(name, value.clone());
            }
            let mut outcome = self.invoke(&fields, inner, context);
            for (name, value) in values {
                for state_after in [&mut outcome.ok, &mut outcome.fail] {
                    let before = state.variable(name);
                    // As POSIX has it, what stands before `:`, `export` and their like stays.
                    let stays = self.dialect == Dialect::Posix;
                    state_after.set(name, if stays { before.join(value) } else { before });
                }
            }
            after = Some(match after {
                None => outcome,
                Some(other) => Outcome {
                    ok: other.ok.join(&outcome.ok),
                    fail: other.fail.join(&outcome.fail),
                },
            });
        }
        after.unwrap_or_else(|| Outcome::either(state.clone()))
    }

    fn arguments(&mut self, words: &[&str], state: &mut State, context: &Context) -> Vec<Vec<Field>> {
        let declares = words.first().is_some_and(|word| DECLARING.contains(word));
        let mut all: Vec<Vec<Field>> = vec![Vec::new()];
        for (index, word) in words.iter().enumerate() {
            let assignment = if index > 0 { assignment_name(word) } else { None };
            let alternatives = match assignment {
                Some(name) if declares => {
                    let value = word.get(name.len() + 1..).unwrap_or_default();
                    self.declared(name, value, state, context)
                }
                Some(name) if word.contains('~') => {
                    let value = word.get(name.len() + 1..).unwrap_or_default();
                    self.with_tilde(name, value, state, context)
                }
                _ => self.word(word, state, context),
            };
            self.work(all.len() * alternatives.iter().map(Vec::len).sum::<usize>());
            if let [only] = alternatives.as_slice() {
                for fields in &mut all {
                    fields.extend(only.iter().cloned());
                }
            } else {
                all = super::expand::product(&all, &alternatives);
            }
            if all.len() > 64 || all.first().is_some_and(|fields: &Vec<Field>| fields.len() > 8192) {
                self.opaque(Opaque::TooComplex);
                return vec![vec![Field::unknown()]];
            }
        }
        all
    }

    /// `export name=value`: the value is neither split nor matched.
    fn declared(&mut self, name: &str, value: &str, state: &mut State, context: &Context) -> Vec<Vec<Field>> {
        if value.starts_with('(') || value.contains(":~") {
            return vec![vec![one(
                literal(&format!("{name}=")),
                vec![Atom::Hole(Hole::Anything)],
            )]];
        }
        self.value(value, state, context)
            .into_iter()
            .map(|value| vec![one(literal(&format!("{name}=")), quoted(value))])
            .collect()
    }

    /// `name=~/x` as an argument: bash expands the tilde there.
    fn with_tilde(&mut self, name: &str, value: &str, state: &mut State, context: &Context) -> Vec<Vec<Field>> {
        if !value.starts_with('~') || value.contains(":~") {
            return vec![vec![one(
                literal(&format!("{name}=")),
                vec![Atom::Hole(Hole::Anything)],
            )]];
        }
        let mut all = self.word(value, state, context);
        for fields in &mut all {
            if let Some(first) = fields.first_mut() {
                let mut atoms = literal(&format!("{name}="));
                atoms.append(&mut first.atoms);
                first.atoms = atoms;
            }
        }
        all
    }

    /// An array as an argument runs the substitutions in its elements.
    fn array_argument(&mut self, assignment: &ast::Assignment, state: &mut State, context: &Context) {
        if let ast::AssignmentValue::Array(_) = &assignment.value {
            self.assigned(&[assignment], false, state, context);
        }
    }

    /// What the assignments in front of a command set.
    fn assigned(
        &mut self,
        assignments: &[&ast::Assignment],
        exported: bool,
        state: &mut State,
        context: &Context,
    ) -> Vec<(String, Variable)> {
        let mut set = Vec::new();
        // A later assignment sees an earlier one, also where they are made for one command only.
        let mut scope = state.clone();
        for assignment in assignments {
            let (name, subscript) = match &assignment.name {
                ast::AssignmentName::VariableName(name) => (name, None),
                ast::AssignmentName::ArrayElementName(name, subscript) => (name, Some(subscript)),
            };
            if !(self.splits_once && name == "IFS") {
                self.check_assignment(name, exported);
            }
            let outer = std::mem::take(&mut self.splits_once);
            let value = match &assignment.value {
                ast::AssignmentValue::Scalar(word) => {
                    let values = self.value(&word.value, &mut scope, context);
                    if word.value.contains(":~") {
                        Variable::Unknown
                    } else {
                        Variable::one_of(values.into_iter().map(quoted).collect())
                    }
                }
                ast::AssignmentValue::Array(elements) => {
                    for (key, element) in elements {
                        if key.is_some() || element.value.starts_with('[') {
                            self.opaque(Opaque::Arithmetic);
                        }
                        let raw = key.iter().map(|key| key.value.as_str()).chain([element.value.as_str()]);
                        for raw in raw {
                            self.word(raw, &mut scope, context);
                        }
                    }
                    Variable::Unknown
                }
            };
            self.splits_once = outer;
            let value = match subscript {
                Some(subscript) => {
                    self.opaque(Opaque::Arithmetic);
                    self.expand_for_effect(subscript, &mut scope, context);
                    Variable::Unknown
                }
                None if assignment.append => appended(&scope.variable(name), &value),
                None => value,
            };
            scope.set(name, value.clone());
            set.push((name.clone(), value));
        }
        if !exported {
            *state = scope;
        }
        set
    }

    /// Whether a variable of this name lets the value decide what runs.
    pub(crate) fn check_assignment(&mut self, name: &str, exported: bool) {
        self.temporary_moved |= name == "TMPDIR";
        if name == "IFS" {
            self.opaque(Opaque::FieldSeparator);
        }
        // It changes `$0`.
        if hooks::is_number(name) || name == "BASH_ARGV0" {
            self.opaque(Opaque::ShellState);
        }
        if hooks::is_hook(name) && !(self.keeps_path && name == "PATH") {
            self.opaque(Opaque::HookVariable);
        }
        self.exported |= exported && !hooks::is_harmless(name);
    }

    pub(crate) fn redirect(&mut self, redirect: &ast::IoRedirect, state: &mut State, context: &mut Context) {
        match redirect {
            ast::IoRedirect::File(descriptor, kind, target) => self.file(*descriptor, kind, target, state, context),
            ast::IoRedirect::OutputAndError(word, _) => self.opened(&word.value, Uses::WRITE, state, context),
            ast::IoRedirect::HereString(descriptor, word) => {
                self.expand_for_effect(&word.value, state, context);
                if descriptor.unwrap_or(0) == 0 {
                    context.stdin = Stdin::HereText;
                    context.names_on_stdin = None;
                }
            }
            ast::IoRedirect::HereDocument(descriptor, document) => {
                if document.requires_expansion {
                    self.document(&document.doc.value, state, context);
                }
                if descriptor.unwrap_or(0) == 0 {
                    context.stdin = Stdin::HereText;
                    context.names_on_stdin = None;
                }
            }
        }
    }

    fn file(
        &mut self,
        descriptor: Option<i32>,
        kind: &ast::IoFileRedirectKind,
        target: &ast::IoFileRedirectTarget,
        state: &mut State,
        context: &mut Context,
    ) {
        let word = match target {
            ast::IoFileRedirectTarget::Filename(word) | ast::IoFileRedirectTarget::Duplicate(word) => {
                word.value.as_str()
            }
            ast::IoFileRedirectTarget::Fd(_) => return,
            ast::IoFileRedirectTarget::ProcessSubstitution(..) => return self.opaque(Opaque::TooComplex),
        };
        let input = descriptor.unwrap_or(0) == 0;
        let uses = match kind {
            ast::IoFileRedirectKind::Read => Uses::READ,
            ast::IoFileRedirectKind::Write | ast::IoFileRedirectKind::Append | ast::IoFileRedirectKind::Clobber => {
                return self.opened(word, Uses::WRITE, state, context);
            }
            ast::IoFileRedirectKind::ReadAndWrite => Uses::only(true, true, false),
            ast::IoFileRedirectKind::DuplicateInput => {
                if input {
                    context.stdin = Stdin::Pipe(String::new());
                    context.names_on_stdin = None;
                }
                return self.duplicated(word, state, context, Uses::READ);
            }
            ast::IoFileRedirectKind::DuplicateOutput => return self.duplicated(word, state, context, Uses::WRITE),
        };
        if input {
            context.names_on_stdin = None;
            context.stdin = match word {
                "/dev/null" => Stdin::Null,
                _ if word.starts_with("<(") => Stdin::Pipe(self.first_program(word, state, context)),
                _ => Stdin::File(word.to_owned()),
            };
        }
        self.opened(word, uses, state, context);
    }

    /// The program that a process substitution starts with.
    fn first_program(&mut self, word: &str, state: &State, context: &Context) -> String {
        let before = self.found.runs.len();
        self.word(word, &mut state.clone(), context);
        match self.found.runs.get(before..) {
            Some([first, ..]) => first.program.clone(),
            _ => String::new(),
        }
    }

    /// `>&word`: a descriptor, a dash, or a file.
    fn duplicated(&mut self, word: &str, state: &mut State, context: &Context, uses: Uses) {
        let descriptor = word.strip_suffix('-').unwrap_or(word);
        if !descriptor.chars().all(|c| c.is_ascii_digit()) {
            self.opened(word, uses, state, context);
        }
    }

    fn opened(&mut self, word: &str, uses: Uses, state: &mut State, context: &Context) {
        for fields in self.word(word, state, context) {
            let field = match fields.as_slice() {
                [field] => field.clone(),
                _ => Field::unknown(),
            };
            let network = field.starts_with("/dev/tcp/") || field.starts_with("/dev/udp/");
            let (used, effects) = self.path_use(&field, uses, state);
            if network || !effects.is_empty() {
                self.list(crate::facts::Run {
                    program: "redirection".to_owned(),
                    arguments: vec![field.show()],
                    exact: field.exact().is_some(),
                    builtin: true,
                    known: true,
                    via: context.via.clone(),
                    network,
                    system: effects,
                    ..crate::facts::Run::default()
                });
            }
            let lists = &mut self.found.redirections;
            for one in &used {
                for (wanted, list) in [(uses.reads, &mut lists.reads), (uses.writes, &mut lists.writes)] {
                    // A crowd is as opaque as what it is made of.
                    if wanted && list.len() < MAX_REDIRECTIONS && !list.contains(one) {
                        list.push(one.clone());
                    }
                }
            }
            if lists.reads.len().max(lists.writes.len()) >= MAX_REDIRECTIONS {
                self.opaque(Opaque::TooComplex);
            }
        }
    }
}

/// Whether a redirection may fail: then the command that it stands at is not run.
pub(crate) fn may_fail(redirect: &ast::IoRedirect) -> bool {
    let opens = |word: &str| {
        !matches!(
            word,
            "/dev/null" | "/dev/stdout" | "/dev/stderr" | "0" | "1" | "2" | "-"
        )
    };
    match redirect {
        ast::IoRedirect::File(_, _, target) => match target {
            ast::IoFileRedirectTarget::Filename(word) | ast::IoFileRedirectTarget::Duplicate(word) => {
                opens(&word.value)
            }
            ast::IoFileRedirectTarget::Fd(descriptor) => *descriptor > 2,
            ast::IoFileRedirectTarget::ProcessSubstitution(..) => true,
        },
        ast::IoRedirect::OutputAndError(word, _) => opens(&word.value),
        ast::IoRedirect::HereString(..) | ast::IoRedirect::HereDocument(..) => false,
    }
}

/// `$PATH` and directories of the system's programs: what is found there is what would have been found, or the system's.
fn adds_to_path(value: &str) -> bool {
    let plain = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(value);
    plain
        .split(':')
        .all(|part| matches!(part, "$PATH" | "${PATH}") || crate::paths::is_system_program(&format!("{part}/x")))
}

/// The name in `name=value`.
fn assignment_name(word: &str) -> Option<&str> {
    let (name, _) = word.split_once('=')?;
    crate::is_name(name).then_some(name)
}

fn one(mut prefix: Value, mut value: Value) -> Field {
    prefix.append(&mut value);
    Field {
        atoms: prefix,
        below: false,
        many: false,
    }
}

fn quoted(value: Value) -> Value {
    value
        .into_iter()
        .map(|atom| match atom {
            Atom::Char(c, _) => Atom::Char(c, true),
            hole @ Atom::Hole(_) => hole,
        })
        .collect()
}

fn appended(old: &Variable, new: &Variable) -> Variable {
    match (old, new) {
        (Variable::OneOf(old), Variable::OneOf(new)) => Variable::one_of(
            old.iter()
                .flat_map(|before| {
                    new.iter()
                        .map(move |after| before.iter().chain(after).copied().collect())
                })
                .collect(),
        ),
        (Variable::Unknown, _) | (_, Variable::Unknown) => Variable::Unknown,
    }
}
