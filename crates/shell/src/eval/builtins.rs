//! What the shell does itself.

use super::state::{Outcome, State, Variable};
use super::uses::Uses;
use super::{Context, Evaluator};
use crate::facts::{Code, Opaque, Run};
use crate::paths;
use crate::paths::field::{Atom, Field, Hole};
use crate::paths::pattern::Pattern;
use crate::programs::hooks;

/// Letters of `set` that change neither how words are read nor what is exported.
const PLAIN_FLAGS: &str = "euxvfCbhmETn";
pub(crate) const PLAIN_OPTIONS: [&str; 9] = [
    "errexit",
    "nounset",
    "xtrace",
    "verbose",
    "noglob",
    "noclobber",
    "pipefail",
    "errtrace",
    "functrace",
];

impl Evaluator<'_> {
    /// Runs a builtin of this name; `None`: there is none.
    pub(crate) fn builtin(
        &mut self,
        name: &str,
        arguments: &[Field],
        state: &State,
        context: &Context,
    ) -> Option<Outcome> {
        let mut run = self.run(name, "", arguments, context);
        run.builtin = true;
        run.known = true;
        let mut after = state.clone();
        match name {
            ":" | "true" | "false" | "echo" | "pwd" | "times" | "dirs" | "jobs" | "fg" | "bg" | "exit" | "logout"
            | "umask" | "ulimit" | "type" | "caller" | "help" | "suspend" => {}
            "wait" => {
                let plain =
                    |text: &str| text == "-n" || text == "-f" || text.chars().all(|c| c.is_ascii_digit() || c == '%');
                // `-p` names a variable, whose subscript is evaluated.
                let known = |field: &Field| {
                    field.exact().is_some_and(|text| plain(&text)) || field.atoms == [Atom::Hole(Hole::Number)]
                };
                if !arguments.iter().all(known) {
                    self.opaque(Opaque::ShellState);
                }
            }
            "disown" => self.found.background = true,
            "break" | "continue" | "return" => self.jump(state),
            "cd" | "pushd" => return Some(self.change_directory(run, arguments, state)),
            "popd" => {
                self.handlers.moved();
                after.set_directories(None);
            }
            "eval" => return Some(self.evaluated(run, arguments, after, context)),
            "source" | "." => self.sourced(&mut run, arguments, &mut after),
            "exec" => return Some(self.replaced(run, arguments, after, context)),
            "command" | "builtin" => return Some(self.commanded(run, arguments, after, context)),
            "export" | "declare" | "typeset" | "local" | "readonly" => self.declare(name, arguments, &mut after),
            "unset" => self.unset(arguments, &mut after),
            "set" => self.set_options(arguments, &mut after),
            "shopt" => self.shell_options(arguments),
            "alias" if arguments.is_empty() => {}
            "alias" | "unalias" => self.opaque(Opaque::Alias),
            "trap" => self.trap(arguments, state, context),
            "read" => self.read_names(arguments, &mut after),
            "mapfile" | "readarray" => self.map_file(arguments, &mut after),
            "printf" => self.print(arguments, &mut after),
            "test" | "[" => self.tested_paths(&mut run, arguments, state),
            "let" => self.let_each(arguments, &mut after, context),
            "getopts" => {
                self.set_unknown(arguments.get(1), &mut after);
                after.set("OPTARG", Variable::Unknown);
            }
            "shift" => after.set_positional(shifted(arguments, state)),
            "kill" => {
                crate::programs::system::signalled(&mut run, arguments);
            }
            "hash" | "history" if arguments.is_empty() => {}
            // It forgets where programs were found.
            "hash" if matches!(arguments, [only] if only.exact().as_deref() == Some("-r")) => {}
            "hash" | "history" | "enable" | "fc" | "bind" | "complete" | "compgen" | "compopt" => {
                self.opaque(Opaque::ShellState);
            }
            _ => return None,
        }
        self.list(run);
        Some(Outcome::either(after))
    }

    fn change_directory(&mut self, run: Run, arguments: &[Field], state: &State) -> Outcome {
        let mut operands = arguments.iter().skip_while(|field| {
            field
                .exact()
                .is_some_and(|text| matches!(text.as_str(), "-L" | "-P" | "-e" | "-@" | "-LP" | "-Pe" | "--"))
        });
        let target = operands.next().cloned();
        let directories = match (&target, operands.next()) {
            (None, _) if run.program == "cd" => self.home_directories(state),
            (Some(field), None) if field.exact().as_deref() != Some("-") && !field.many && !field.may_be_option() => {
                let from = state.directories().unwrap_or_default();
                let absolute = field.starts_with("/");
                let known = absolute || state.directories().is_some();
                known.then(|| paths::directory(field, from, &self.home)).flatten()
            }
            _ => None,
        };
        self.list(run);
        self.handlers.moved();
        let mut ok = state.clone();
        ok.set_directories(directories);
        Outcome {
            ok,
            fail: state.clone(),
        }
    }

    fn home_directories(&self, state: &State) -> Option<Vec<Pattern>> {
        state
            .variable("HOME")
            .values()
            .into_iter()
            .map(|atoms| {
                Field {
                    atoms,
                    below: false,
                    many: false,
                }
                .exact()
                .filter(|path| path.starts_with('/'))
            })
            .map(|path| path.map(|path| Pattern::of(&path)))
            .collect()
    }

    fn evaluated(&mut self, mut run: Run, arguments: &[Field], state: State, context: &Context) -> Outcome {
        run.interprets = Some(Code::Shell);
        self.list(run);
        let words: Option<Vec<String>> = arguments.iter().map(Field::exact).collect();
        match words {
            Some(words) => {
                let text = words.join(" ");
                Outcome::either(self.text(
                    text.trim_start_matches("-- "),
                    self.dialect,
                    state,
                    &context.through("eval"),
                ))
            }
            None => {
                self.opaque(Opaque::Eval);
                Outcome::either(self.anything_may_have_changed(state))
            }
        }
    }

    /// After code that is not known, nothing of the shell's state is.
    pub(crate) fn anything_may_have_changed(&mut self, mut state: State) -> State {
        self.handlers.moved();
        state.forget_variables();
        state.set_directories(None);
        state.set_positional(None);
        state
    }

    fn sourced(&mut self, run: &mut Run, arguments: &[Field], state: &mut State) {
        self.opaque(Opaque::CodeFromFile);
        run.interprets = Some(Code::File);
        if let Some(file) = arguments.iter().find(|field| !field.starts_with("-")) {
            self.path(run, file, Uses::READ, &state.clone());
        }
        *state = self.anything_may_have_changed(state.clone());
    }

    /// `exec`: a program in place of the shell; without one, only its redirections count.
    fn replaced(&mut self, run: Run, arguments: &[Field], state: State, context: &Context) -> Outcome {
        let mut rest = arguments;
        while let Some((first, after)) = rest.split_first() {
            match first.exact().as_deref() {
                Some("-c" | "-l" | "-cl" | "-lc") => rest = after,
                Some("-a") => rest = after.get(1..).unwrap_or_default(),
                Some("--") => {
                    rest = after;
                    break;
                }
                Some(text) if text.starts_with('-') => {
                    self.opaque(Opaque::UnknownOption);
                    break;
                }
                _ => break,
            }
        }
        if rest.is_empty() {
            self.list(run);
            return Outcome::either(state);
        }
        let mut context = context.through("exec");
        context.program_only = true;
        self.invoke(rest, state, &context)
    }

    fn commanded(&mut self, run: Run, arguments: &[Field], state: State, context: &Context) -> Outcome {
        let mut rest = arguments;
        while let Some((first, after)) = rest.split_first() {
            match first.exact().as_deref() {
                Some("-p" | "--") => rest = after,
                Some("-v" | "-V" | "-pv" | "-pV") => {
                    self.list(run);
                    return Outcome::either(state);
                }
                Some(text) if text.starts_with('-') => {
                    self.opaque(Opaque::UnknownOption);
                    rest = after;
                }
                _ => break,
            }
        }
        let name = rest.first().map(Field::exact);
        match (name, rest.split_first()) {
            (Some(Some(name)), Some((_, arguments))) if !name.contains('/') => {
                // Functions are passed over.
                self.command_named(&name, arguments, state, &context.through(&run.program))
            }
            (None, _) => {
                self.list(run);
                Outcome::either(state)
            }
            _ => self.invoke(rest, state, &context.through(&run.program)),
        }
    }

    fn declare(&mut self, builtin: &str, arguments: &[Field], state: &mut State) {
        if builtin == "local" || builtin == "declare" || builtin == "typeset" {
            self.scoped = true;
        }
        let mut exported = builtin == "export";
        if builtin == "readonly" {
            // What is assigned later does not take.
            self.opaque(Opaque::ShellState);
        }
        for argument in arguments {
            if let Some(option) = argument.exact().filter(|text| text.starts_with(['-', '+'])) {
                exported |= option.contains('x');
                // What is exported no more is unset in every program that is started from here on.
                let hides = option.starts_with('+') && option.contains('x');
                if option.contains(['r', 'n', 'f', 'F', 'i', 'l', 'u', 'c', 'I', 't']) || hides {
                    self.opaque(Opaque::ShellState);
                }
                continue;
            }
            let (name, value) = match argument.split_at('=') {
                Some((name, value)) => (name, Some(value)),
                None => (argument.clone(), None),
            };
            let Some(name) = name.exact().filter(|name| crate::is_name(name.trim_end_matches('+'))) else {
                self.opaque(Opaque::Arithmetic);
                continue;
            };
            let appends = name.ends_with('+');
            let name = name.trim_end_matches('+');
            if value.is_some() || builtin != "export" {
                self.check_assignment(name, exported);
            }
            if builtin != "export" && self.setting.variables.contains_key(name) {
                // In a function it is another variable, which no program is given.
                state.set(name, Variable::Unknown);
                continue;
            }
            match value {
                Some(value)
                    if !value.many && !value.below && !appends && (builtin != "local" || self.functions > 0) =>
                {
                    state.set(name, Variable::one_of([value.atoms].into()));
                }
                // Outside functions it fails.
                Some(value) if !value.many && !value.below && !appends => {
                    let new = Variable::one_of([value.atoms].into());
                    state.set(name, state.variable(name).join(&new));
                }
                Some(_) => state.set(name, Variable::Unknown),
                None if builtin == "export" || builtin == "readonly" => {
                    self.exported |= exported && !hooks::is_harmless(name) && name != "PATH";
                }
                None => state.set(name, Variable::Unknown),
            }
        }
    }

    fn set_unknown(&mut self, field: Option<&Field>, state: &mut State) {
        match field.map(Field::exact) {
            Some(Some(name)) if crate::is_name(&name) => {
                self.check_assignment(&name, false);
                state.set(&name, Variable::Unknown);
            }
            Some(_) => self.opaque(Opaque::Arithmetic),
            None => {}
        }
    }

    fn unset(&mut self, arguments: &[Field], state: &mut State) {
        for argument in arguments {
            match argument.exact() {
                Some(name) if name == "-v" || name == "--" => {}
                Some(name) if name.starts_with('-') => self.opaque(Opaque::ShellState),
                Some(name) if crate::is_name(&name) && state.function(&name).is_none() => {
                    self.check_assignment(&name, false);
                    state.set(&name, Variable::constant(""));
                }
                _ => self.opaque(Opaque::ShellState),
            }
        }
    }

    fn set_options(&mut self, arguments: &[Field], state: &mut State) {
        let mut rest = arguments;
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            match first.exact().as_deref() {
                Some("--") => return state.set_positional(Some(after.to_vec())),
                Some(text) if names_option(text) => {
                    let name = after.first().and_then(Field::exact);
                    // Without a name, all are listed.
                    if !after.is_empty() && !name.is_some_and(|name| PLAIN_OPTIONS.contains(&name.as_str())) {
                        self.opaque(Opaque::ShellState);
                    }
                    rest = after.get(1..).unwrap_or_default();
                }
                Some(text) if text.len() > 1 && text.starts_with(['-', '+']) => {
                    if !text.chars().skip(1).all(|c| PLAIN_FLAGS.contains(c)) {
                        self.opaque(Opaque::ShellState);
                    }
                }
                _ => {
                    if first.may_be_option() || first.exact().as_deref() == Some("-") {
                        self.opaque(Opaque::ShellState);
                    }
                    let mut fields = vec![first.clone()];
                    fields.extend(after.iter().cloned());
                    return state.set_positional(Some(fields));
                }
            }
        }
    }

    fn shell_options(&mut self, arguments: &[Field]) {
        let plain = |field: &Field| {
            let text = field.exact().unwrap_or_default();
            matches!(
                text.as_str(),
                "-s" | "-u" | "-q" | "-p" | "nullglob" | "failglob" | "dotglob" | "inherit_errexit"
            )
        };
        if !arguments.iter().all(plain) {
            self.opaque(Opaque::ShellState);
        }
    }

    /// Where and when a handler runs is not known.
    fn trap(&mut self, arguments: &[Field], state: &State, context: &Context) {
        let Some(first) = arguments.iter().find(|field| field.exact().as_deref() != Some("--")) else {
            return;
        };
        match first.exact().as_deref() {
            Some("-p" | "-l" | "-" | "") => {}
            Some(text) if context.via.last().is_some_and(|via| via == "trap") => {
                self.handle(text.to_owned(), state, context.clone());
            }
            Some(text) => self.handle(text.to_owned(), state, context.through("trap")),
            None => self.opaque(Opaque::Trap),
        }
    }

    fn read_names(&mut self, arguments: &[Field], state: &mut State) {
        state.set("REPLY", Variable::Unknown);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let text = argument.exact();
            match text.as_deref() {
                Some(option) if option.starts_with('-') && option.len() > 1 => {
                    if option.ends_with('a') {
                        self.set_unknown(rest.next(), state);
                    } else if option.ends_with(['d', 'n', 'N', 'p', 't', 'u', 'i']) {
                        rest.next();
                    }
                }
                Some(name) if crate::is_name(name) => {
                    self.check_assignment(name, false);
                    state.set(name, Variable::Unknown);
                }
                _ => self.opaque(Opaque::Arithmetic),
            }
        }
    }

    fn map_file(&mut self, arguments: &[Field], state: &mut State) {
        state.set("MAPFILE", Variable::Unknown);
        for argument in arguments {
            match argument.exact() {
                Some(text) if text.starts_with("-C") => self.opaque(Opaque::Eval),
                Some(text) if text.starts_with('-') || text.chars().all(|c| c.is_ascii_digit()) => {
                    if text.contains('C') {
                        self.opaque(Opaque::Eval);
                    }
                }
                Some(name) if crate::is_name(&name) => {
                    self.check_assignment(&name, false);
                    state.set(&name, Variable::Unknown);
                }
                _ => self.opaque(Opaque::Arithmetic),
            }
        }
    }

    fn print(&mut self, arguments: &[Field], state: &mut State) {
        if let Some(first) = arguments.first() {
            if first.may_be_option() {
                self.opaque(Opaque::DynamicArgument);
            } else if first.exact().as_deref() == Some("-v") {
                self.set_unknown(arguments.get(1), state);
            } else if first.starts_with("-v") {
                self.set_unknown(Some(&first.skip(2)), state);
            }
        }
    }

    /// `test`: what it names is looked at; the name behind `-v` may be a subscript that is evaluated.
    pub(crate) fn tested_paths(&mut self, run: &mut Run, arguments: &[Field], state: &State) {
        if arguments.iter().any(|field| field.many)
            || (arguments.len() <= 3 && arguments.first().is_some_and(Field::is_open))
        {
            let brackets = arguments.iter().any(|field| field.contains('['));
            if brackets {
                self.opaque(Opaque::Arithmetic);
            }
        }
        for pair in arguments.windows(2) {
            let [option, operand] = pair else { continue };
            match option.exact().as_deref() {
                Some("-v" | "-R") if !operand.exact().is_some_and(|name| crate::is_name(&name)) => {
                    self.opaque(Opaque::Arithmetic);
                }
                Some(text) if text.len() == 2 && text.starts_with('-') && !operand.is_open() => {
                    let lists = Uses {
                        lists: true,
                        ..Uses::default()
                    };
                    self.path(run, operand, lists, state);
                }
                _ => {}
            }
        }
    }

    fn let_each(&mut self, arguments: &[Field], state: &mut State, context: &Context) {
        for argument in arguments {
            match argument.exact() {
                Some(text)
                    if text
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || " _+-*/%<>=!&|?:,~^()".contains(c)) =>
                {
                    self.arithmetic_effects(&text, state, context);
                }
                _ => self.opaque(Opaque::Arithmetic),
            }
        }
    }
}

/// `-o`, `+o`, or letters that end with it, as in `-euo`.
fn names_option(text: &str) -> bool {
    let letters = text.strip_prefix(['-', '+']).and_then(|rest| rest.strip_suffix('o'));
    letters.is_some_and(|letters| letters.chars().all(|c| PLAIN_FLAGS.contains(c)))
}

fn shifted(arguments: &[Field], state: &State) -> Option<Vec<Field>> {
    let by = match arguments.first() {
        None => 1,
        Some(field) => field.exact()?.parse::<usize>().ok()?,
    };
    let positional = state.positional()?;
    if by > positional.len() {
        // It fails, and shifts nothing.
        return Some(positional.to_vec());
    }
    if positional.iter().take(by).any(|field| field.many || field.below) {
        return None;
    }
    Some(positional.iter().skip(by).cloned().collect())
}
