//! Following a text through: what may be run, with which arguments, from where.

pub(crate) mod arithmetic;
pub(crate) mod builtins;
pub(crate) mod expand;
pub(crate) mod flow;
pub(crate) mod handlers;
pub(crate) mod output;
mod parameter;
pub(crate) mod simple;
pub(crate) mod state;
pub(crate) mod uses;

use std::collections::HashSet;

use crate::facts::{Analysis, Opaque, Run, Stdin, Unparsed};
use crate::paths::pattern::Pattern;
use crate::setting::{LoginShell, Setting};
use crate::syntax::{self, Dialect, Stop};
use state::State;

/// Texts, functions, wrappers and constructs within each other.
const MAX_DEPTH: usize = 40;
/// Commands that are followed, each as often as it is reached.
const MAX_STEPS: usize = 20_000;
/// Programs that are listed.
const MAX_RUNS: usize = 2_000;
/// Characters of texts and arguments that are followed, each as often as it is reached.
const MAX_WORK: usize = 1024 * 1024;

/// What surrounds a command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context {
    pub(crate) via: Vec<String>,
    pub(crate) as_user: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) stdin: Stdin,
    /// Paths below which the names lie that come in on standard input, each ended by a NUL.
    pub(crate) names_on_stdin: Option<Vec<crate::paths::field::Field>>,
    pub(crate) background: bool,
    pub(crate) subshell: bool,
    /// No shell is between the wrapper and the program: names are of programs only.
    pub(crate) program_only: bool,
}

impl Context {
    pub(crate) fn through(&self, wrapper: &str) -> Self {
        let mut context = self.clone();
        context.via.push(wrapper.to_owned());
        context
    }
}

/// Follows texts and collects what is found.
pub(crate) struct Evaluator<'s> {
    pub(crate) setting: &'s Setting,
    pub(crate) home: Pattern,
    pub(crate) found: Analysis,
    pub(crate) dialect: Dialect,
    seen: HashSet<u64>,
    depth: usize,
    steps: usize,
    worked: usize,
    /// What the state may have been at a `break`, `continue` or `return`.
    jumped: Option<State>,
    /// Programs are given a variable of which it is not known who looks at it.
    pub(crate) exported: bool,
    /// `exec <` has changed what the commands that follow read.
    pub(crate) stdin_moved: bool,
    /// Some variable was made for a function alone: what a function sets may be undone behind it.
    pub(crate) scoped: bool,
    /// In how many functions of one shell what is followed stands.
    pub(crate) functions: usize,
    /// What a command sets before it is followed is for the shell's own reading of fields, and gone behind it.
    pub(crate) splits_once: bool,
    /// The command that is followed only adds directories of the system to `PATH`.
    pub(crate) keeps_path: bool,
    /// `TMPDIR` was set.
    pub(crate) temporary_moved: bool,
    /// Paths below which the names lie that `find` has just written, each ended by a NUL.
    pub(crate) names: Option<Vec<crate::paths::field::Field>>,
    pub(crate) handlers: handlers::Handlers,
}

impl<'s> Evaluator<'s> {
    pub(crate) fn new(setting: &'s Setting) -> Self {
        Self {
            setting,
            home: Pattern::of(&setting.home),
            found: Analysis::default(),
            dialect: match setting.shell {
                LoginShell::Bash => Dialect::Bash,
                LoginShell::Posix | LoginShell::Other => Dialect::Posix,
            },
            seen: HashSet::new(),
            depth: 0,
            steps: 0,
            worked: 0,
            exported: false,
            stdin_moved: false,
            jumped: None,
            scoped: false,
            functions: 0,
            splits_once: false,
            keeps_path: false,
            temporary_moved: false,
            names: None,
            handlers: handlers::Handlers::default(),
        }
    }

    /// Remembers the state at which a loop or a function may be left.
    pub(crate) fn jump(&mut self, state: &State) {
        self.jumped = Some(match &self.jumped {
            Some(jumped) => jumped.join(state),
            None => state.clone(),
        });
    }

    /// The state behind a loop or a function.
    pub(crate) fn landed(&self, state: State) -> State {
        match &self.jumped {
            Some(jumped) => state.join(jumped),
            None => state,
        }
    }

    /// Follows a text from a state; returns the state after it.
    pub(crate) fn text(&mut self, text: &str, dialect: Dialect, state: State, context: &Context) -> State {
        if !self.enter() {
            return state;
        }
        let outer = std::mem::replace(&mut self.dialect, dialect);
        self.work(text.len());
        // What comes in may be read by more than one command of the text.
        let context = &Context {
            names_on_stdin: None,
            ..context.clone()
        };
        let after = match syntax::parse(text, dialect) {
            Ok(program) => self.program(&program, state, context),
            Err(stop) => {
                self.unparsed(stop);
                state
            }
        };
        self.dialect = outer;
        self.leave();
        after
    }

    /// Goes one level deeper, unless that is too deep.
    pub(crate) fn enter(&mut self) -> bool {
        self.steps += 1;
        if self.depth >= MAX_DEPTH || self.steps > MAX_STEPS || self.worked > MAX_WORK {
            self.opaque(Opaque::TooComplex);
            return false;
        }
        self.depth += 1;
        true
    }

    /// Counts what is followed.
    pub(crate) fn work(&mut self, characters: usize) {
        self.worked = self.worked.saturating_add(characters);
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(crate) fn opaque(&mut self, reason: Opaque) {
        self.found.opaque.insert(reason);
    }

    pub(crate) fn unparsed(&mut self, stop: Stop) {
        self.found.unparsed.get_or_insert_with(|| Unparsed::from(stop));
    }

    /// Lists a program, once however often it is reached.
    pub(crate) fn list(&mut self, run: Run) {
        if run.background {
            self.found.background = true;
        }
        if !self.seen.insert(fingerprint(&run)) {
            return;
        }
        if self.found.runs.len() >= MAX_RUNS {
            return self.opaque(Opaque::TooComplex);
        }
        self.found.runs.push(run);
    }
}

/// Two programs that differ in anything differ in this.
fn fingerprint(run: &Run) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (
        &run.program,
        &run.path,
        &run.arguments,
        &run.via,
        &run.as_user,
        &run.host,
    )
        .hash(&mut hasher);
    (
        run.background,
        run.subshell,
        run.builtin,
        &run.reads,
        &run.writes,
        &run.removes,
    )
        .hash(&mut hasher);
    format!("{:?}", run.stdin).hash(&mut hasher);
    hasher.finish()
}
