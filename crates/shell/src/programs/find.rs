//! `find`: where it looks, and what it does with what it finds.

use super::wrappers::replaced;
use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Code, Opaque, Run};
use crate::paths::field::Field;

/// Tests and options that take one argument, which names no file.
const WITH_ARGUMENT: &str = " -name -iname -path -ipath -wholename -iwholename -regex -iregex -type -xtype -size \
    -mtime -atime -ctime -mmin -amin -cmin -user -group -uid -gid -perm -maxdepth -mindepth -links -inum -fstype \
    -lname -ilname -regextype -used -context -printf ";
/// Those that take none.
const ALONE: &str = " -print -print0 -ls -prune -quit -depth -d -xdev -mount -follow -empty -readable -writable \
    -executable -nouser -nogroup -true -false -daystart -noleaf -o -a -or -and -not -warn -nowarn \
    -ignore_readdir_race -noignore_readdir_race -help --help -version --version ! ( ) , ";

/// What an expression says.
#[derive(Default)]
struct Expression {
    commands: Vec<Vec<Field>>,
    reads: Vec<Field>,
    writes: Vec<Field>,
    deletes: bool,
    names: bool,
    unknown: bool,
    dynamic: bool,
    roots_elsewhere: bool,
}

impl Evaluator<'_> {
    /// `find`.
    pub(crate) fn finder(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        if run.program != "find" {
            return false;
        }
        let mut run = run.clone();
        run.known = true;
        let (roots, rest) = self.roots(arguments);
        let expression = expression(rest);
        if expression.unknown {
            self.opaque(Opaque::UnknownOption);
        }
        if expression.dynamic || expression.roots_elsewhere {
            self.opaque(Opaque::DynamicArgument);
        }
        let below: Vec<Field> = roots
            .iter()
            .map(|root| Field {
                below: true,
                ..root.clone()
            })
            .collect();
        let lists = Uses {
            lists: true,
            removes: expression.deletes,
            recursive: true,
            ..Uses::default()
        };
        for root in &below {
            self.path(&mut run, root, lists, state);
        }
        for file in &expression.reads {
            self.path(&mut run, file, Uses::READ, state);
        }
        for file in &expression.writes {
            self.path(&mut run, file, Uses::WRITE, state);
        }
        if !expression.commands.is_empty() {
            run.interprets = Some(Code::Shell);
        }
        self.list(run);
        let mut via = context.through("find");
        via.program_only = true;
        for command in &expression.commands {
            for root in &below {
                let fields: Vec<Field> = command.iter().map(|field| replaced(field, "{}", root)).collect();
                self.invoke(&fields, state.clone(), &via);
            }
        }
        self.names = (expression.names && expression.commands.is_empty() && !expression.dynamic).then_some(below);
        true
    }

    /// Where it starts, and the expression.
    fn roots<'f>(&mut self, arguments: &'f [Field]) -> (Vec<Field>, &'f [Field]) {
        let mut rest = arguments;
        while let Some((first, after)) = rest.split_first() {
            match first.exact().as_deref() {
                Some("-H" | "-L" | "-P" | "--") => rest = after,
                Some("-D") => rest = after.get(1..).unwrap_or_default(),
                Some(text) if text.starts_with("-O") => rest = after,
                _ => break,
            }
        }
        let starts_expression =
            |field: &Field| field.starts_with("-") || field.starts_with("(") || field.starts_with("!");
        let end = rest.iter().position(starts_expression).unwrap_or(rest.len());
        let (roots, expression) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        if roots.iter().any(|root| root.is_open() || root.may_be_option()) {
            self.opaque(Opaque::DynamicArgument);
        }
        let mut roots = roots.to_vec();
        if roots.is_empty() {
            roots.push(Field::constant("."));
        }
        (roots, expression)
    }
}

fn expression(arguments: &[Field]) -> Expression {
    let mut found = Expression::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(text) = argument.exact() else {
            found.dynamic = true;
            continue;
        };
        let word = format!(" {text} ");
        match text.as_str() {
            "-exec" | "-execdir" | "-ok" | "-okdir" => {
                let mut command = Vec::new();
                for field in rest.by_ref() {
                    let last = field.exact();
                    let plus = last.as_deref() == Some("+")
                        && command
                            .last()
                            .is_some_and(|field: &Field| field.exact().as_deref() == Some("{}"));
                    if plus || last.as_deref() == Some(";") {
                        break;
                    }
                    found.dynamic |= field.many;
                    command.push(field.clone());
                }
                found.commands.push(command);
            }
            "-delete" => found.deletes = true,
            "-fprint" | "-fprint0" | "-fls" => found.writes.extend(rest.next().cloned()),
            "-fprintf" => {
                found.writes.extend(rest.next().cloned());
                rest.next();
            }
            "-files0-from" => {
                found.roots_elsewhere = true;
                found.reads.extend(rest.next().cloned());
            }
            "-samefile" | "-anewer" | "-cnewer" => {
                rest.next();
            }
            _ if text.starts_with("-newer") => {
                rest.next();
            }
            _ if text.contains(' ') => found.unknown = true,
            _ if WITH_ARGUMENT.contains(&word) => {
                // What is printed may be anything, also names that were not found.
                found.dynamic |= rest.next().is_none_or(|value| value.many);
            }
            _ if ALONE.contains(&word) => found.names |= text == "-print0",
            _ => found.unknown = true,
        }
    }
    found
}
