//! Programs that run the command in their arguments.

use super::options::{Options, Order, Parsed, parse};
use crate::eval::expand::literal;
use crate::eval::state::{State, Variable};
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Code, Effect, Opaque, Run};
use crate::paths::field::{Atom, Field};
use crate::syntax::Dialect;

/// `name | options | operands before the command`. What an option's value does is said as in the table of profiles.
const WRAPPERS: [(&str, &str, usize); 16] = [
    ("nohup", "", 0),
    ("setsid", "-c,--ctty -f,--fork -w,--wait", 0),
    ("nice", "-n,--adjustment=_", 0),
    (
        "ionice",
        "-c,--class=_ -n,--classdata=_ -t,--ignore -p,--pid=O -P,--pgid=O -u,--uid=O",
        0,
    ),
    (
        "chrt",
        "-a,--all-tasks -b,--batch -d,--deadline -f,--fifo -i,--idle -o,--other -r,--rr -R,--reset-on-fork \
            -v,--verbose -p,--pid!O",
        1,
    ),
    ("taskset", "-c,--cpu-list -a,--all-tasks -p,--pid!O", 1),
    (
        "timeout",
        "-k,--kill-after=_ -s,--signal=_ -v,--verbose -p -f --preserve-status --foreground",
        1,
    ),
    ("stdbuf", "-i,--input=_ -o,--output=_ -e,--error=_", 0),
    (
        "time",
        "-f,--format=_ -o,--output=w -a,--append -p,--portability -v,--verbose -q,--quiet",
        0,
    ),
    ("chroot", "--userspec=_ --groups=_ --skip-chdir", 1),
    (
        "unshare",
        "-m,--mount?_ -u,--uts?_ -i,--ipc?_ -n,--net?_ -p,--pid?_ -U,--user?_ -C,--cgroup?_ -T,--time?_ -f,--fork \
            -r,--map-root-user -c,--map-current-user --mount-proc?O --kill-child?_ --propagation=_ -S,--setuid=_ \
            -G,--setgid=_ -R,--root=O -w,--wd=O",
        0,
    ),
    (
        "nsenter",
        "-a,--all -t,--target=_ -m,--mount?_ -u,--uts?_ -i,--ipc?_ -n,--net?_ -p,--pid?_ -U,--user?_ -C,--cgroup?_ \
            -T,--time?_ -S,--setuid=_ -G,--setgid=_ -F,--no-fork --preserve-credentials -r,--root?O -w,--wd?O \
            -Z,--follow-context",
        0,
    ),
    (
        "setpriv",
        "--reuid=_ --regid=_ --groups=_ --clear-groups --init-groups --no-new-privs --reset-env --keep-groups \
            --inh-caps=_ --ambient-caps=_ --bounding-set=_",
        0,
    ),
    ("pkexec", "--user=_ --disable-internal-agent --keep-cwd", 0),
    ("systemd-inhibit", "--what=_ --who=_ --why=_ --mode=_", 0),
    (
        "systemd-cat",
        "-t,--identifier=_ -p,--priority=_ --stderr-priority=_ --level-prefix=_",
        0,
    ),
];

const SUDO: &str = "-u,--user=_ -g,--group=_ -n,--non-interactive -S,--stdin -k,--reset-timestamp \
    -K,--remove-timestamp -E,--preserve-env?_ -H,--set-home -i,--login -s,--shell -b,--background -A,--askpass!O \
    -P,--preserve-groups -l,--list -v,--validate -e,--edit -C,--close-from=_ -D,--chdir=O -h,--host=_ \
    -p,--prompt=_ -R,--chroot=O -r,--role=_ -t,--type=_ -T,--command-timeout=_ -U,--other-user=_ -B,--bell";
const SU: &str = "-c,--command=c --session-command=c -s,--shell=O -l,--login -m,-p,--preserve-environment \
    -g,--group=_ -G,--supp-group=_ -P,--pty -w,--whitelist-environment=_ -f,--fast -u,--user=_";
const ENV: &str = "-i,--ignore-environment -0,--null -u,--unset=U -C,--chdir=D -S,--split-string=S -v,--debug \
    --block-signal?_ --default-signal?_ --ignore-signal?_ --list-signal-handling";
const XARGS: &str = "-0,--null -a,--arg-file=r -d,--delimiter=_ -E=_ -e,--eof?_ -I=_ -i,--replace?_ -L=_ \
    -l,--max-lines?_ -n,--max-args=_ -P,--max-procs=_ -p,--interactive -r,--no-run-if-empty -s,--max-chars=_ \
    -t,--verbose -x,--exit -o,--open-tty --process-slot-var=O --show-limits";

impl Evaluator<'_> {
    /// Wrappers. What they run is listed of its own, with the wrapper in `via`.
    pub(crate) fn wrapper(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        let run = run.clone();
        match run.program.as_str() {
            "sudo" | "doas" | "sudoedit" => self.sudo(run, arguments, state, context),
            "su" | "runuser" => self.su(run, arguments, state, context),
            "env" => self.env(run, arguments, state, context),
            "xargs" => self.xargs(run, arguments, state, context),
            "watch" => self.watch(run, arguments, state, context),
            "flock" => self.flock(run, arguments, state, context),
            "make" | "gmake" => self.make(run, arguments, state),
            name => {
                let Some((_, options, skip)) = WRAPPERS.iter().find(|(own, ..)| *own == name) else {
                    return false;
                };
                self.plain_wrapper(run, arguments, state, context, (options, *skip));
            }
        }
        true
    }

    /// Reads a wrapper's options; whatever is not known of them is said.
    fn wrapper_options(
        &mut self,
        run: &mut Run,
        options: &str,
        arguments: &[Field],
        state: &State,
        context: &Context,
    ) -> Parsed {
        run.known = true;
        let parsed = parse(&Options::of(options), arguments, Order::First);
        let number = |field: &Field| {
            field
                .exact()
                .is_some_and(|text| text.trim_start_matches('-').chars().all(|c| c.is_ascii_digit()))
        };
        let unknown = parsed
            .unknown
            .iter()
            .any(|field| !(run.program == "nice" && number(field)));
        if unknown || parsed.dynamic || parsed.wild {
            self.opaque(Opaque::UnknownOption);
        }
        for given in &parsed.given {
            if given.role.contains('O') {
                self.opaque(Opaque::UnknownOption);
            }
            if let Some(value) = &given.value {
                let role: String = given.role.chars().filter(|c| "rwx".contains(*c)).collect();
                self.role(&role, value, run, state, context);
            }
        }
        parsed
    }

    fn plain_wrapper(
        &mut self,
        mut run: Run,
        arguments: &[Field],
        state: &State,
        context: &Context,
        how: (&str, usize),
    ) {
        let parsed = self.wrapper_options(&mut run, how.0, arguments, state, context);
        let mut via = context.through(&run.program);
        via.program_only = true;
        let mut inner = state.clone();
        match run.program.as_str() {
            "nohup" | "setsid" => {
                via.background = run.program == "setsid" || context.background;
                self.found.background = true;
            }
            "pkexec" => {
                via.as_user = Some("root".to_owned());
                inner.forget_environment();
            }
            "setpriv" => {
                via.as_user = Some(String::new());
                inner.forget_environment();
            }
            "chroot" => {
                // In another root the same names are other files.
                if parsed.operands.first().and_then(Field::exact).as_deref() != Some("/") {
                    self.opaque(Opaque::UnknownOption);
                }
                inner.set_directories(None);
            }
            _ => {}
        }
        let command = parsed.operands.get(how.1..).unwrap_or_default().to_vec();
        let shell_without_command =
            command.is_empty() && matches!(run.program.as_str(), "chroot" | "unshare" | "nsenter");
        if shell_without_command {
            self.opaque(Opaque::CodeFromStdin);
            run.interprets = Some(Code::Stdin);
        }
        self.list(run);
        self.invoke(&command, inner, &via);
    }

    fn sudo(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        let parsed = self.wrapper_options(&mut run, SUDO, arguments, state, context);
        let mut via = context.through(&run.program);
        via.program_only = true;
        via.as_user = Some(match parsed.values("-u").last() {
            Some(user) => user.exact().unwrap_or_default(),
            None => "root".to_owned(),
        });
        if parsed.has("-b") {
            via.background = true;
            self.found.background = true;
        }
        let mut inner = state.clone();
        inner.forget_environment();
        if parsed.has("-i") {
            inner.set_directories(None);
        }
        if parsed.has("-e") || run.program == "sudoedit" {
            self.opaque(Opaque::ShellEscape);
            self.any_path(&mut run, &parsed.operands, Uses::only(true, true, false), state);
            return self.list(run);
        }
        let command = self.assignments_before(&parsed.operands, &mut inner);
        if command.is_empty() && (parsed.has("-i") || parsed.has("-s")) {
            self.opaque(Opaque::CodeFromStdin);
            run.interprets = Some(Code::Stdin);
        }
        // A shell runs it, to which `sudo` leaves the dollar signs.
        let shell = parsed.has("-i") || parsed.has("-s");
        if shell && command.iter().any(|field| field.contains('$')) {
            self.opaque(Opaque::Eval);
        }
        self.list(run);
        if parsed.has("-l") || parsed.has("-v") {
            return;
        }
        self.invoke(&command, inner, &via);
    }

    /// `NAME=value` in front of a command; what follows.
    fn assignments_before(&mut self, operands: &[Field], state: &mut State) -> Vec<Field> {
        let mut rest = operands;
        while let Some((first, after)) = rest.split_first() {
            let Some((name, value)) = first.split_at('=') else {
                break;
            };
            match name.exact() {
                Some(name) if crate::is_name(&name) => {
                    self.check_assignment(&name, true);
                    state.set(&name, Variable::one_of([value.atoms].into()));
                }
                Some(name) if name.contains('/') => break,
                _ => self.opaque(Opaque::HookVariable),
            }
            rest = after;
        }
        rest.to_vec()
    }

    fn su(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        // Options may stand behind the user's name.
        run.known = true;
        let parsed = parse(&Options::of(SU), arguments, Order::Anywhere);
        if !parsed.unknown.is_empty() || parsed.dynamic || parsed.has("-s") {
            self.opaque(Opaque::UnknownOption);
        }
        let mut via = context.through(&run.program);
        let user = parsed
            .values("-u")
            .chain(&parsed.operands)
            .find(|field| field.exact().as_deref() != Some("-"));
        via.as_user = Some(user.map_or_else(|| "root".to_owned(), |user| user.exact().unwrap_or_default()));
        let texts: Vec<Field> = parsed
            .values("-c")
            .chain(parsed.values("--session-command"))
            .cloned()
            .collect();
        run.interprets = Some(if texts.is_empty() { Code::Stdin } else { Code::Shell });
        self.list(run);
        if texts.is_empty() {
            if parsed.has("-u") {
                // Without the dashes, which options are whose cannot be told.
                if !arguments.iter().any(|field| field.exact().as_deref() == Some("--")) {
                    self.opaque(Opaque::UnknownOption);
                }
                via.program_only = true;
                let mut inner = state.clone();
                inner.forget_environment();
                self.invoke(&parsed.operands, inner, &via);
            } else {
                self.opaque(Opaque::CodeFromStdin);
            }
        }
        for text in texts {
            let mut inner = State::at_a_home(self.setting);
            if !parsed.has("-l") {
                inner.set_directories(state.directories().map(<[_]>::to_vec));
            }
            self.followed(&text, Dialect::Posix, inner, &via);
        }
    }

    fn env(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        let mut arguments = arguments.to_vec();
        // A lone dash means `-i`, and options go on behind it.
        let given = arguments.len();
        while let Some(at) = arguments
            .iter()
            .take_while(|field| field.starts_with("-"))
            .position(|field| field.atoms.len() == 1)
        {
            arguments.remove(at);
        }
        let parsed = self.wrapper_options(&mut run, ENV, &arguments, state, context);
        let mut inner = state.clone();
        if parsed.has("-i") || arguments.len() < given {
            inner.forget_environment();
        }
        for name in parsed.values("-u") {
            match name.exact() {
                Some(name) => {
                    self.check_assignment(&name, false);
                    inner.set(&name, Variable::Unknown);
                }
                None => self.opaque(Opaque::HookVariable),
            }
        }
        for directory in parsed.values("-C") {
            let from = state.directories().unwrap_or_default();
            inner.set_directories(crate::paths::directory(directory, from, &self.home));
        }
        let mut operands = Vec::new();
        for text in parsed.values("-S") {
            match text.exact() {
                Some(text)
                    if text
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || " _./=:,+@%-".contains(c)) =>
                {
                    operands.extend(text.split(' ').filter(|word| !word.is_empty()).map(Field::constant));
                }
                _ => self.opaque(Opaque::UnknownOption),
            }
        }
        operands.extend(parsed.operands.iter().cloned());
        if operands.first().is_some_and(|field| field.starts_with("-")) {
            self.opaque(Opaque::UnknownOption);
        }
        let command = self.assignments_before(&operands, &mut inner);
        self.list(run);
        let mut via = context.through("env");
        via.program_only = true;
        self.invoke(&command, inner, &via);
    }

    fn xargs(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        let parsed = self.wrapper_options(&mut run, XARGS, arguments, state, context);
        let from_file = parsed.has("-a");
        let names = match &context.names_on_stdin {
            Some(names) if parsed.has("-0") && !from_file && !self.stdin_moved => names.clone(),
            _ => vec![Field::unknown()],
        };
        let mut command = parsed.operands.clone();
        if command.is_empty() {
            command.push(Field::constant("echo"));
        }
        self.list(run);
        let mut via = context.through("xargs");
        via.program_only = true;
        via.names_on_stdin = None;
        via.stdin = crate::facts::Stdin::Null;
        let place = parsed
            .values("-I")
            .chain(parsed.values("-i"))
            .last()
            .and_then(Field::exact);
        let place = place.or_else(|| parsed.has("-i").then(|| "{}".to_owned()));
        for name in names {
            let fields: Vec<Field> = match &place {
                Some(place) => command.iter().map(|field| replaced(field, place, &name)).collect(),
                None => command.iter().cloned().chain([name]).collect(),
            };
            self.invoke(&fields, state.clone(), &via);
        }
    }

    /// `watch` joins its arguments and hands them to a shell.
    fn watch(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        let options = "-n,--interval=_ -d,--differences?_ -t,--no-title -b,--beep -e,--errexit -g,--chgexit \
            -c,--color -x,--exec -p,--precise -q,--equexit=_ -w,--no-wrap -C,--no-color";
        let parsed = self.wrapper_options(&mut run, options, arguments, state, context);
        run.interprets = Some(Code::Shell);
        self.list(run);
        let via = context.through("watch");
        if parsed.has("-x") {
            self.invoke(&parsed.operands, state.clone(), &via);
        } else {
            self.shell_text(&joined(&parsed.operands), state, &via);
        }
    }

    fn flock(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        let options = "-s,--shared -x,-e,--exclusive -n,--nb,--nonblock -u,--unlock -o,--close -F,--no-fork \
            -v,--verbose -E,--conflict-exit-code=_ -w,--timeout,--wait=_ -c,--command=O";
        let parsed = self.wrapper_options(&mut run, options, arguments, state, context);
        if let Some(file) = parsed.operands.first() {
            self.path(&mut run, file, Uses::WRITE, state);
        }
        self.list(run);
        let mut via = context.through("flock");
        via.program_only = true;
        let command = parsed.operands.get(1..).unwrap_or_default();
        match command {
            [option, text, ..] if matches!(option.exact().as_deref(), Some("-c" | "--command")) => {
                self.shell_text(text, state, &via);
            }
            _ => {
                self.invoke(command, state.clone(), &via);
            }
        }
    }

    fn make(&mut self, mut run: Run, arguments: &[Field], state: &State) {
        self.opaque(Opaque::CodeFromFile);
        run.known = true;
        run.interprets = Some(Code::File);
        run.system.insert(Effect::Startup);
        self.any_path(&mut run, arguments, Uses::only(true, true, false), state);
        self.list(run);
    }
}

/// Arguments joined by blanks, as some programs hand them to a shell.
pub(crate) fn joined(fields: &[Field]) -> Field {
    let mut whole = Field::default();
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            whole.atoms.push(Atom::Char(' ', true));
        }
        whole.atoms.extend(field.atoms.iter().copied());
        whole.many |= field.many || field.below;
    }
    whole
}

/// The argument with a name in place of a mark.
pub(crate) fn replaced(field: &Field, mark: &str, name: &Field) -> Field {
    match field.exact() {
        Some(text) if text == mark => Field {
            many: false,
            ..name.clone()
        },
        Some(text) if text.contains(mark) && !mark.is_empty() => {
            let mut atoms = Vec::new();
            for (index, part) in text.split(mark).enumerate() {
                if index > 0 {
                    atoms.push(Atom::Hole(crate::paths::field::Hole::Anything));
                }
                atoms.extend(literal(part));
            }
            Field {
                atoms,
                below: false,
                many: false,
            }
        }
        // Beside what is not constant.
        None if has(field, mark) => Field {
            atoms: vec![Atom::Hole(crate::paths::field::Hole::Anything)],
            below: false,
            many: field.many,
        },
        _ => field.clone(),
    }
}

/// Whether a mark stands in what is constant of a field, or may be in the rest.
fn has(field: &Field, mark: &str) -> bool {
    let text: String = field
        .atoms
        .iter()
        .map(|atom| match atom {
            Atom::Char(c, _) => *c,
            Atom::Hole(_) => '\0',
        })
        .collect();
    !mark.is_empty() && text.contains(mark)
}
