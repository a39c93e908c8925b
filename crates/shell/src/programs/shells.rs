//! Shells and interpreters: what runs a text.

use crate::eval::builtins;
use crate::eval::state::{State, Variable};
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Code, Opaque, Run};
use crate::paths::field::{Atom, Field, Hole};
use crate::syntax::Dialect;

/// Shells whose grammar is another.
const FOREIGN: [&str; 12] = [
    "zsh", "ksh", "ksh93", "mksh", "pdksh", "fish", "csh", "tcsh", "rc", "es", "pwsh", "xonsh",
];

/// Interpreters, without the version that may stand behind the name.
const INTERPRETERS: [&str; 24] = [
    "python",
    "pypy",
    "perl",
    "ruby",
    "node",
    "nodejs",
    "deno",
    "bun",
    "php",
    "lua",
    "luajit",
    "tclsh",
    "wish",
    "guile",
    "java",
    "Rscript",
    "R",
    "julia",
    "groovy",
    "scala",
    "irb",
    "ipython",
    "osascript",
    "swift",
];

/// What a shell was told to do.
#[derive(Default)]
struct Given {
    text: bool,
    stdin: bool,
    state: bool,
    unknown: bool,
    files: Vec<Field>,
    operands: Vec<Field>,
}

impl Evaluator<'_> {
    /// Shells, and programs that hold many.
    pub(crate) fn shell(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        let dialect = match run.program.as_str() {
            "bash" | "rbash" => Dialect::Bash,
            "sh" | "dash" | "ash" | "posh" => Dialect::Posix,
            "busybox" | "toybox" => {
                self.applet(run.clone(), arguments, state, context);
                return true;
            }
            name if FOREIGN.contains(&name) => {
                self.foreign(run.clone(), arguments, state);
                return true;
            }
            name if is_interpreter(name) => {
                self.interpreter(run.clone(), arguments, state);
                return true;
            }
            _ => return false,
        };
        self.shell_of(run.clone(), arguments, state, context, dialect);
        true
    }

    fn shell_of(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context, dialect: Dialect) {
        run.known = true;
        let given = read(arguments);
        if given.state {
            self.opaque(Opaque::ShellState);
        }
        if given.unknown {
            self.opaque(Opaque::UnknownOption);
        }
        for file in &given.files {
            self.opaque(Opaque::CodeFromFile);
            self.path(&mut run, file, Uses::READ, state);
        }
        let via = context.through(&format!("{} -c", run.program));
        match given.operands.split_first() {
            Some((text, rest)) if given.text => {
                run.interprets = Some(Code::Shell);
                self.list(run);
                let mut child = state.child(self.setting);
                let zeroth = match rest.first() {
                    None => vec![Atom::Hole(Hole::Token)],
                    Some(field) if field.below || field.many => vec![Atom::Hole(Hole::Anything)],
                    Some(field) => field.atoms.clone(),
                };
                child.set("0", Variable::one_of([zeroth].into()));
                child.set_positional(Some(rest.get(1..).unwrap_or_default().to_vec()));
                self.followed(text, dialect, child, &via);
            }
            Some((file, _)) if !given.stdin => {
                run.interprets = Some(Code::File);
                self.opaque(Opaque::CodeFromFile);
                self.path(&mut run, file, Uses::READ, state);
                self.list(run);
            }
            _ if given.text => self.list(run),
            _ if arguments
                .first()
                .and_then(Field::exact)
                .is_some_and(|text| text == "--version" || text == "--help") =>
            {
                self.list(run);
            }
            _ => {
                run.interprets = Some(Code::Stdin);
                self.opaque(Opaque::CodeFromStdin);
                self.list(run);
            }
        }
    }

    /// A text for a shell, if it is constant.
    pub(crate) fn followed(&mut self, text: &Field, dialect: Dialect, state: State, context: &Context) {
        match text.exact() {
            Some(text) => {
                let mut context = context.clone();
                context.program_only = false;
                context.subshell = false;
                // In a shell of its own, it stands in no function.
                let functions = std::mem::take(&mut self.functions);
                self.text(&text, dialect, state, &context);
                self.functions = functions;
            }
            None => self.opaque(Opaque::Eval),
        }
    }

    /// A text that a program hands to `sh -c`.
    pub(crate) fn shell_text(&mut self, text: &Field, state: &State, context: &Context) {
        let child = state.child(self.setting);
        self.followed(text, Dialect::Posix, child, context);
    }

    fn applet(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        run.known = true;
        match arguments.first().map(Field::exact) {
            None | Some(Some(_)) if arguments.first().is_none_or(|field| !field.starts_with("-")) => {
                self.list(run.clone());
                let mut context = context.through(&run.program);
                context.program_only = true;
                self.invoke(arguments, state.clone(), &context);
            }
            Some(Some(option)) if option == "--list" || option == "--help" => self.list(run),
            _ => {
                self.opaque(Opaque::UnknownOption);
                self.unknown(run, arguments, state);
            }
        }
    }

    fn foreign(&mut self, mut run: Run, arguments: &[Field], state: &State) {
        self.opaque(Opaque::ForeignShell);
        run.interprets = Some(if arguments.is_empty() { Code::Stdin } else { Code::Text });
        run.known = true;
        self.any_path(&mut run, arguments, Uses::READ, state);
        self.list(run);
    }

    /// What an interpreter runs is not followed: only that it does is known.
    fn interpreter(&mut self, mut run: Run, arguments: &[Field], state: &State) {
        run.known = true;
        let only = arguments.first().and_then(Field::exact);
        let says = |text: String| match text.as_str() {
            "--version" | "-V" | "--help" => true,
            // Others begin to read with it.
            "-v" => matches!(
                run.program.as_str(),
                "node" | "nodejs" | "perl" | "php" | "ruby" | "lua"
            ),
            "-version" => run.program == "java",
            _ => false,
        };
        if arguments.len() == 1 && only.is_some_and(says) {
            return self.list(run);
        }
        let operand = arguments
            .iter()
            .find(|field| !field.starts_with("-") || field.atoms.len() == 1);
        let takes_text = |text: &str| {
            let long = matches!(text, "--eval" | "--print" | "--execute" | "--command");
            let short = text.starts_with('-')
                && !text.starts_with("--")
                && text.contains(['c', 'e', 'E', 'm', 'r', 'p', 'n', 'i', 'M', 'I']);
            long || short
        };
        let text = arguments
            .iter()
            .any(|field| field.exact().is_none_or(|text| takes_text(&text)));
        let (code, reason) = match operand {
            _ if text => (Code::Text, Opaque::CodeText),
            Some(field) if field.exact().as_deref() != Some("-") => (Code::File, Opaque::CodeFromFile),
            Some(_) | None => (Code::Stdin, Opaque::CodeFromStdin),
        };
        run.interprets = Some(code);
        self.opaque(reason);
        if let (Some(file), Code::File) = (operand, code) {
            self.path(&mut run, file, Uses::READ, state);
        }
        self.list(run);
    }
}

fn is_interpreter(name: &str) -> bool {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.contains(&base) || INTERPRETERS.contains(&name)
}

/// Reads the options of a POSIX shell or bash.
fn read(arguments: &[Field]) -> Given {
    let mut given = Given::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(text) = argument.exact() else {
            given.unknown |= argument.may_be_option() || argument.starts_with("-") || argument.starts_with("+");
            given.operands.push(argument.clone());
            break;
        };
        match text.as_str() {
            "--" | "-" => break,
            "--norc" | "--noprofile" | "--login" | "--verbose" | "--version" | "--help" => {}
            "--rcfile" | "--init-file" => given.files.extend(rest.next().cloned()),
            _ if text.starts_with("--") => given.unknown = true,
            _ if text.starts_with(['-', '+']) => {
                for letter in text.chars().skip(1) {
                    match letter {
                        'c' => given.text = true,
                        's' => given.stdin = true,
                        'e' | 'u' | 'x' | 'v' | 'l' | 'f' | 'n' | 'h' | 'b' | 'm' | 'C' | 'p' | 'r' | 'B' | 'H' => {}
                        'o' => {
                            let name = rest.next().and_then(Field::exact);
                            given.state |= !name.is_some_and(|name| builtins::PLAIN_OPTIONS.contains(&name.as_str()));
                        }
                        'O' => {
                            rest.next();
                            given.state = true;
                        }
                        _ => given.state = true,
                    }
                }
            }
            _ => {
                given.operands.push(argument.clone());
                break;
            }
        }
    }
    given.operands.extend(rest.cloned());
    given
}
