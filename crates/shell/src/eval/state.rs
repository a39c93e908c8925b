//! What the shell may know and be at one point of the text.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use brush_parser::ast::FunctionBody;

use crate::paths::field::{Atom, Field, Hole};
use crate::paths::pattern::{Component, Pattern, Symbol};
use crate::setting::Setting;

/// Values that one variable may have before it counts as unknown.
const MAX_VALUES: usize = 16;
/// Directories that the shell may be in before that counts as unknown.
const MAX_DIRECTORIES: usize = 8;

/// The text of a variable.
pub(crate) type Value = Vec<Atom>;

/// A variable: every value that it may have here, or that this is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variable {
    OneOf(BTreeSet<Value>),
    Unknown,
}

/// A function: the bodies that its name may stand for.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) bodies: Vec<Rc<FunctionBody>>,
    /// It may also be undefined here.
    pub(crate) maybe: bool,
}

/// The state of the shell. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct State(Rc<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    variables: BTreeMap<String, Variable>,
    functions: BTreeMap<String, Function>,
    /// The parameters `$1` …, if they are known.
    positional: Option<Vec<Field>>,
    /// Where it may be, if that is known.
    directories: Option<Vec<Pattern>>,
    /// Something of it was changed since [`State::untouched`].
    touched: bool,
}

/// The states after a command, by its exit status.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) ok: State,
    pub(crate) fail: State,
}

impl Outcome {
    pub(crate) fn either(state: State) -> Self {
        Self {
            ok: state.clone(),
            fail: state,
        }
    }

    pub(crate) fn join(self) -> State {
        self.ok.join(&self.fail)
    }

    /// The command may also fail before it is run.
    pub(crate) fn or_not_run(self, before: Option<&State>) -> Self {
        match before {
            Some(before) => Self {
                fail: self.fail.join(before),
                ..self
            },
            None => self,
        }
    }
}

impl Variable {
    pub(crate) fn constant(text: &str) -> Self {
        Self::OneOf(BTreeSet::from([text.chars().map(|c| Atom::Char(c, true)).collect()]))
    }

    pub(crate) fn one_of(values: BTreeSet<Value>) -> Self {
        if values.len() > MAX_VALUES {
            Self::Unknown
        } else {
            Self::OneOf(values)
        }
    }

    /// The values; one that can be anything if they are unknown.
    pub(crate) fn values(&self) -> Vec<Value> {
        match self {
            Self::OneOf(values) => values.iter().cloned().collect(),
            Self::Unknown => vec![vec![Atom::Hole(Hole::Anything)]],
        }
    }

    pub(crate) fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::OneOf(left), Self::OneOf(right)) => Self::one_of(left.union(right).cloned().collect()),
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
        }
    }
}

impl State {
    pub(crate) fn new(setting: &Setting) -> Self {
        let mut variables: BTreeMap<String, Variable> = setting
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), Variable::constant(value)))
            .collect();
        variables.insert("0".to_owned(), Variable::one_of([vec![Atom::Hole(Hole::Token)]].into()));
        for (name, value) in [("HOME", &setting.home), ("PWD", &setting.directory)] {
            variables.insert(name.to_owned(), Variable::constant(value));
        }
        Self(Rc::new(Inner {
            variables,
            functions: BTreeMap::new(),
            positional: Some(Vec::new()),
            directories: Some(vec![Pattern::of(&setting.directory)]),
            touched: false,
        }))
    }

    /// The state in which the line itself begins.
    pub(crate) fn first(setting: &Setting) -> Self {
        let mut first = Self::new(setting);
        let own = setting.own_variables.iter();
        let own = own.map(|(name, value)| (name.clone(), Variable::constant(value)));
        first.inner().variables.extend(own);
        first
    }

    /// The state of another shell that this one starts: exported or not is not kept apart, so what is only known
    /// here is unknown there.
    pub(crate) fn child(&self, setting: &Setting) -> Self {
        let mut child = Self::new(setting);
        let inner = child.inner();
        inner.directories.clone_from(&self.0.directories);
        for (name, value) in &mut inner.variables {
            match self.0.variables.get(name) {
                Some(own) => value.clone_from(own),
                None => *value = Variable::Unknown,
            }
        }
        child
    }

    /// Of a shell on another host, or of another user: it starts in a home directory, and nothing else is known.
    pub(crate) fn at_a_home(setting: &Setting) -> Self {
        let mut state = Self::elsewhere(setting);
        let mut home = Pattern::of("/home");
        home.components.push(Component::Name(vec![Symbol::Many]));
        state.inner().directories = Some(vec![Pattern::of("/root"), home]);
        state
    }

    /// Of a program in a container, or of another shell: nothing is known.
    pub(crate) fn elsewhere(setting: &Setting) -> Self {
        let mut state = Self::new(setting);
        let inner = state.inner();
        inner.variables.clear();
        inner.directories = None;
        state
    }

    fn inner(&mut self) -> &mut Inner {
        let inner = Rc::make_mut(&mut self.0);
        inner.touched = true;
        inner
    }

    /// The same, of which nothing was changed so far.
    pub(crate) fn untouched(mut self) -> Self {
        self.inner().touched = false;
        self
    }

    /// Whether anything in it may have been changed since.
    pub(crate) fn is_touched(&self) -> bool {
        self.0.touched
    }

    pub(crate) fn variable(&self, name: &str) -> Variable {
        if changes_by_itself(name) {
            return Variable::Unknown;
        }
        self.0.variables.get(name).cloned().unwrap_or(Variable::Unknown)
    }

    pub(crate) fn set(&mut self, name: &str, value: Variable) {
        // A crowd of variables costs more than it is worth to follow.
        if self.0.variables.len() < 256 || self.0.variables.contains_key(name) {
            self.inner().variables.insert(name.to_owned(), value);
        }
    }

    pub(crate) fn forget_variables(&mut self) {
        self.inner().variables.clear();
    }

    /// What runs is given none of this shell's variables, or others; where it is, a shell finds out by itself.
    pub(crate) fn forget_environment(&mut self) {
        self.forget_variables();
        let directories = self.directories().map(<[_]>::to_vec);
        self.set_directories(directories);
    }

    pub(crate) fn function(&self, name: &str) -> Option<Function> {
        self.0.functions.get(name).cloned()
    }

    pub(crate) fn define(&mut self, name: &str, body: Rc<FunctionBody>) {
        let function = Function {
            bodies: vec![body],
            maybe: false,
        };
        self.inner().functions.insert(name.to_owned(), function);
    }

    /// Whether there is a function of this name, whatever happened.
    pub(crate) fn is_defined(&self, name: &str) -> bool {
        self.0.functions.get(name).is_some_and(|function| !function.maybe)
    }

    /// The names of all such functions.
    pub(crate) fn defined(&self) -> BTreeSet<String> {
        let names = self.0.functions.keys();
        names.filter(|name| self.is_defined(name)).cloned().collect()
    }

    /// The name may stand for any of these, or (`maybe`) for no function.
    pub(crate) fn may_be_defined(&mut self, name: &str, bodies: &[Rc<FunctionBody>], maybe: bool) {
        let function = Function {
            bodies: bodies.to_vec(),
            maybe,
        };
        self.inner().functions.insert(name.to_owned(), function);
    }

    pub(crate) fn positional(&self) -> Option<&[Field]> {
        self.0.positional.as_deref()
    }

    pub(crate) fn set_positional(&mut self, positional: Option<Vec<Field>>) {
        self.inner().positional = positional;
    }

    /// Gives a function its parameters, or takes them back: behind the call the shell has its own again.
    pub(crate) fn lend_positional(&mut self, positional: Option<Vec<Field>>) {
        Rc::make_mut(&mut self.0).positional = positional;
    }

    pub(crate) fn directories(&self) -> Option<&[Pattern]> {
        self.0.directories.as_deref()
    }

    pub(crate) fn set_directories(&mut self, directories: Option<Vec<Pattern>>) {
        let kept = directories.filter(|directories| !directories.is_empty() && directories.len() <= MAX_DIRECTORIES);
        let value = match kept.as_deref() {
            Some([only]) => only.exact().map_or(Variable::Unknown, |path| Variable::constant(&path)),
            _ => Variable::Unknown,
        };
        self.set("PWD", value);
        self.inner().directories = kept;
    }

    /// What is true in one of two states.
    pub(crate) fn join(&self, other: &Self) -> Self {
        if Rc::ptr_eq(&self.0, &other.0) {
            return self.clone();
        }
        let (left, right) = (&self.0, &other.0);
        let variables = left
            .variables
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.join(right.variables.get(name)?))))
            .collect();
        Self(Rc::new(Inner {
            variables,
            functions: join_functions(&left.functions, &right.functions),
            positional: (left.positional == right.positional)
                .then(|| left.positional.clone())
                .flatten(),
            directories: join_directories(left.directories.as_deref(), right.directories.as_deref()),
            touched: left.touched || right.touched,
        }))
    }

    /// Whether a further round of a loop could find anything new.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let (left, right) = (&self.0, &other.0);
        Rc::ptr_eq(left, right)
            || (left.variables == right.variables
                && left.positional == right.positional
                && left.directories == right.directories
                && left.functions.len() == right.functions.len()
                && left.functions.iter().all(|(name, function)| {
                    right
                        .functions
                        .get(name)
                        .is_some_and(|other| other.bodies.len() == function.bodies.len())
                }))
    }
}

/// Variables that the shell sets when it likes.
pub(crate) fn changes_by_itself(name: &str) -> bool {
    const OWN: [&str; 20] = [
        "_",
        "OLDPWD",
        "DIRSTACK",
        "FUNCNAME",
        "GROUPS",
        "HISTCMD",
        "PIPESTATUS",
        "OPTIND",
        "OPTARG",
        "OPTERR",
        "COPROC",
        "SHLVL",
        "RANDOM",
        "SRANDOM",
        "SECONDS",
        "LINENO",
        "EPOCHSECONDS",
        "EPOCHREALTIME",
        "COMP_WORDS",
        "READLINE_LINE",
    ];
    OWN.contains(&name) || name.starts_with("BASH")
}

fn join_functions(left: &BTreeMap<String, Function>, right: &BTreeMap<String, Function>) -> BTreeMap<String, Function> {
    let mut joined = left.clone();
    for (name, function) in &mut joined {
        function.maybe |= !right.contains_key(name);
    }
    for (name, function) in right {
        match joined.get_mut(name) {
            Some(known) => {
                known.maybe |= function.maybe;
                for body in &function.bodies {
                    if !known.bodies.iter().any(|other| Rc::ptr_eq(other, body)) {
                        known.bodies.push(Rc::clone(body));
                    }
                }
            }
            None => {
                let function = Function {
                    bodies: function.bodies.clone(),
                    maybe: true,
                };
                joined.insert(name.clone(), function);
            }
        }
    }
    joined
}

fn join_directories(left: Option<&[Pattern]>, right: Option<&[Pattern]>) -> Option<Vec<Pattern>> {
    let mut joined = left?.to_vec();
    for directory in right? {
        if !joined.contains(directory) {
            joined.push(directory.clone());
        }
    }
    (joined.len() <= MAX_DIRECTORIES).then_some(joined)
}
