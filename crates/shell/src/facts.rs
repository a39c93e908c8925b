//! What is known of a command line.

use std::collections::BTreeSet;

use serde::Serialize;

/// Everything that is known of one command line.
///
/// The lists are over-approximations: what the line may do is in them, and what is in them may not happen. What
/// keeps that promise from being kept exactly is in [`opaque`](Analysis::opaque) or [`unparsed`](Analysis::unparsed).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Analysis {
    /// Every program that may be run, builtins of the shell included, in the order in which they stand.
    pub runs: Vec<Run>,
    /// What files the line itself opens (`> file`, `< file`), beside what programs do.
    pub redirections: Redirections,
    /// Why the facts may miss something.
    pub opaque: BTreeSet<Opaque>,
    /// The text is not understood; the facts are those of the part before it, if any.
    pub unparsed: Option<Unparsed>,
    /// Pipelines, each as the names of its programs.
    pub pipelines: Vec<Vec<String>>,
    /// Functions that the line, or a shell in it, defines. One that is not called runs nothing: its body is in no other
    /// fact.
    pub functions: BTreeSet<String>,
    /// Something outlives the command line's own end (`&`, `nohup`, `at`, …).
    pub background: bool,
}

/// What the shell itself opens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Redirections {
    /// Opened for reading.
    pub reads: Vec<PathUse>,
    /// Opened for writing, created or truncated.
    pub writes: Vec<PathUse>,
}

/// One program that may be run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The base name, as it is resolved. Empty if it cannot be known. `redirection` stands for the shell itself, where
    /// it opens what matters to the system: a connection, a device, a file that makes code run later.
    pub program: String,
    /// The program as it is written, if that has a slash; otherwise empty: the shell looks it up.
    pub path: String,
    /// The arguments after expansion. What is not constant is shown as a pattern (`*`) or as `…`.
    pub arguments: Vec<String>,
    /// Every argument is constant.
    pub exact: bool,
    /// The wrappers through which it is run, outermost first: `sudo`, `env`, `xargs`, `sh -c`, `ssh` …
    pub via: Vec<String>,
    /// The user that a wrapper changes to (`sudo` alone: `root`).
    pub as_user: Option<String>,
    /// The host that a wrapper runs it on (`ssh`, `kubectl exec`: the pod).
    pub host: Option<String>,
    /// What its standard input is.
    pub stdin: Stdin,
    /// It is not waited for.
    pub background: bool,
    /// It runs in a subshell.
    pub subshell: bool,
    /// The shell itself does it: no program is started.
    pub builtin: bool,
    /// What it reads.
    pub reads: Vec<PathUse>,
    /// What it writes, creates, or changes the metadata of.
    pub writes: Vec<PathUse>,
    /// What it removes, or moves away.
    pub removes: Vec<PathUse>,
    /// What it looks at without reading its content (`ls`, `stat`, `test`).
    pub lists: Vec<PathUse>,
    /// How this program uses its arguments is known here. If not, whatever could be a path counts as read,
    /// written and removed.
    pub known: bool,
    /// It talks to the network.
    pub network: bool,
    /// It runs code: what the code is.
    pub interprets: Option<Code>,
    /// What it does to the system.
    pub system: BTreeSet<Effect>,
    /// Kinds that it deletes in a Kubernetes cluster; `*` if they cannot be known.
    pub kubernetes_deletes: BTreeSet<String>,
}

/// A path that is used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PathUse {
    /// Absolute and lexically normalised; a pattern if it is not constant. `…` stands for what cannot be known.
    pub path: String,
    /// All that is below it, too.
    pub recursive: bool,
    /// The classes of protected paths that this use may touch.
    pub classes: BTreeSet<String>,
}

/// Standard input of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stdin {
    /// What the command line itself was given: the client's bytes.
    #[default]
    Inherited,
    /// The output of the program of this name; empty if it cannot be known.
    Pipe(String),
    /// A file.
    File(String),
    /// Text in the command line.
    HereText,
    /// `/dev/null`.
    Null,
}

/// Where code that a program runs comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// An argument, in a language that is not followed (`python -c`).
    Text,
    /// An argument, in the shell's language, which was followed into.
    Shell,
    /// A file.
    File,
    /// Standard input.
    Stdin,
    /// A person or a client that types (`vim`, `gdb`, `python` alone).
    Interactive,
}

/// What a program does to the system as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Stops or restarts the machine.
    Power,
    /// Starts, stops, changes services or processes of others.
    Service,
    /// Changes users, groups, passwords or who may log in.
    Account,
    /// Mounts, unmounts, formats, partitions.
    Mount,
    /// Loads code into the kernel or changes its settings.
    Kernel,
    /// Changes the network's settings or filters.
    Firewall,
    /// Installs or removes software.
    Package,
    /// Makes code run later: start-up files, timers, keys, hooks, programs on the search path.
    Startup,
    /// Reads or writes a device below the file system.
    Device,
    /// Changes what a Kubernetes cluster or a container engine runs.
    Cluster,
    /// Sends signals.
    Signal,
}

/// Why the facts may miss something. Each is reason enough not to trust the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opaque {
    /// Which program is run is computed.
    DynamicProgram,
    /// An argument that decides what is done, or to what, is computed.
    DynamicArgument,
    /// `eval` of a text that is not constant, or an expansion that evaluates a value as code.
    Eval,
    /// A shell or an interpreter reads its code from standard input.
    CodeFromStdin,
    /// A shell or an interpreter reads its code from a file.
    CodeFromFile,
    /// Code in a language that is not followed.
    CodeText,
    /// A program from which a person can run others (an editor, a pager, a debugger).
    ShellEscape,
    /// An option, or a form of arguments, of a wrapper or an interpreter that is not known here.
    UnknownOption,
    /// A program outside the directories of the system.
    UntrustedProgram,
    /// An alias is defined or may be expanded.
    Alias,
    /// A handler that runs later.
    Trap,
    /// A variable that programs or the shell take code or places of code from (`PS4`, `LD_PRELOAD`, `PATH`, `PAGER` …).
    HookVariable,
    /// How words are split is changed.
    FieldSeparator,
    /// An option of the shell that changes how the rest is read, or a builtin that changes what names mean.
    ShellState,
    /// A co-process.
    Coprocess,
    /// Arithmetic on a value that is not a number: the shell may evaluate it as code.
    Arithmetic,
    /// `..` out of a directory that may be a symbolic link somebody made.
    ParentOfLink,
    /// A function calls itself, or the line is too deep or too large to be followed to the end.
    TooComplex,
    /// A text for a shell whose grammar is not this one.
    ForeignShell,
    /// Files through names of descriptors or of other processes.
    Descriptor,
    /// An interactive shell puts something of its history into the line.
    HistoryExpansion,
    /// What the line leaves behind decides what later lines of the same shell mean, or whether they are seen.
    LastingState,
}

/// The text is not understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Unparsed {
    /// What is not understood; one sentence in lower case.
    pub message: String,
    /// Where, in characters of the text (or of the nested text) from 0.
    pub position: usize,
}

impl Analysis {
    /// The facts as JSON: an object with the fields of this type, and the unions that rules ask for most:
    /// `programs`, `reads_classes`, `writes_classes`, `removes_classes`, `system`, `kubernetes_deletes`.
    #[must_use]
    pub fn facts_json(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            object.insert("programs".into(), json(&self.programs()));
            object.insert("unknown_programs".into(), json(&self.unknown_programs()));
            object.insert("reads_classes".into(), json(&self.reads_classes()));
            object.insert("writes_classes".into(), json(&self.writes_classes()));
            object.insert("removes_classes".into(), json(&self.removes_classes()));
            object.insert("system".into(), json(&self.system()));
            object.insert("kubernetes_deletes".into(), json(&self.kubernetes_deletes()));
        }
        value
    }

    /// The names of all programs; an empty name stands for one that cannot be known.
    #[must_use]
    pub fn programs(&self) -> BTreeSet<String> {
        self.runs.iter().map(|run| run.program.clone()).collect()
    }

    /// The names of the programs whose use of arguments is not known here.
    #[must_use]
    pub fn unknown_programs(&self) -> BTreeSet<String> {
        self.runs
            .iter()
            .filter(|run| !run.known)
            .map(|run| run.program.clone())
            .collect()
    }

    /// The classes of protected paths that may be read.
    #[must_use]
    pub fn reads_classes(&self) -> BTreeSet<String> {
        let own = self.redirections.reads.iter();
        classes(own.chain(self.runs.iter().flat_map(|run| &run.reads)))
    }

    /// The classes of protected paths that may be written.
    #[must_use]
    pub fn writes_classes(&self) -> BTreeSet<String> {
        let own = self.redirections.writes.iter();
        classes(own.chain(self.runs.iter().flat_map(|run| &run.writes)))
    }

    /// The classes of protected paths that may be removed or moved away.
    #[must_use]
    pub fn removes_classes(&self) -> BTreeSet<String> {
        classes(self.runs.iter().flat_map(|run| &run.removes))
    }

    /// What is done to the system.
    #[must_use]
    pub fn system(&self) -> BTreeSet<Effect> {
        self.runs.iter().flat_map(|run| &run.system).copied().collect()
    }

    /// Kinds that are deleted in a cluster.
    #[must_use]
    pub fn kubernetes_deletes(&self) -> BTreeSet<String> {
        self.runs
            .iter()
            .flat_map(|run| &run.kubernetes_deletes)
            .cloned()
            .collect()
    }

    /// Whether all that the line can do is in the facts.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.opaque.is_empty() && self.unparsed.is_none()
    }
}

fn classes<'a>(uses: impl Iterator<Item = &'a PathUse>) -> BTreeSet<String> {
    uses.flat_map(|used| &used.classes).cloned().collect()
}

fn json<T: Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}
