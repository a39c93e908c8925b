//! The init system, and who may stop the machine.

use super::options::{Options, Order, Parsed, parse};
use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Effect, Opaque, Run};
use crate::paths::field::{Atom, Field};
use crate::paths::pattern::{Component, Symbol};

const SYSTEMCTL: &str = "-t,--type=_ --state=_ -p,--property=_ -P=_ -a,--all -r,--recursive --reverse --after \
    --before -l,--full --value -s,--signal=_ --kill-whom=_ --kill-value=_ -i --check-inhibitors=_ -q,--quiet \
    -f,--force --now --no-block --wait --user --system --no-legend --no-pager --no-wall --no-reload \
    --no-ask-password --runtime --plain --output,-o=_ -n,--lines=_ --failed --job-mode=_ --show-types \
    --timestamp=_ --with-dependencies --version --help,-h --what=_ --message=_ --when=_ --preset-mode=_ --legend?_ \
    --root=O -H,--host=O -M,--machine=O --image=O --boot-loader-menu=_ --boot-loader-entry=_ --firmware-setup \
    --drop-in=_ --dry-run -T,--show-transaction --fail --no-warn --read-only --mkdir --marked";
const JOURNALCTL: &str = "-u,--unit=_ -n,--lines?_ -p,--priority=_ -S,--since=_ -U,--until=_ -o,--output=_ \
    -b,--boot?_ -t,--identifier=_ -g,--grep=_ -D,--directory=r --file=r --root=r --image=r -c,--cursor=_ \
    --after-cursor=_ --cursor-file=rw -M,--machine=_ -F,--field=_ --facility=_ --namespace=_ --user-unit=_ \
    --output-fields=_ --vacuum-size=v --vacuum-files=v --vacuum-time=v --rotate!v --flush!v --relinquish-var!v \
    --smart-relinquish-var!v --sync!v --setup-keys!v --verify-key=_ --interval=_";

/// Verbs of `systemctl` that only look.
const LOOKS: [&str; 21] = [
    "status",
    "show",
    "cat",
    "list-units",
    "list-unit-files",
    "list-timers",
    "list-sockets",
    "list-jobs",
    "list-dependencies",
    "list-machines",
    "list-paths",
    "list-automounts",
    "is-active",
    "is-enabled",
    "is-failed",
    "is-system-running",
    "get-default",
    "show-environment",
    "help",
    "whoami",
    "log-level",
];
/// Verbs that stop, suspend or restart the machine, or take it where nothing else runs.
const POWER: [&str; 14] = [
    "poweroff",
    "reboot",
    "halt",
    "kexec",
    "soft-reboot",
    "suspend",
    "hibernate",
    "hybrid-sleep",
    "suspend-then-hibernate",
    "sleep",
    "emergency",
    "rescue",
    "exit",
    "switch-root",
];
/// Verbs that change services.
const SERVICE: [&str; 30] = [
    "start",
    "stop",
    "restart",
    "reload",
    "try-restart",
    "reload-or-restart",
    "try-reload-or-restart",
    "condrestart",
    "condstop",
    "force-reload",
    "isolate",
    "default",
    "kill",
    "reset-failed",
    "clean",
    "freeze",
    "thaw",
    "cancel",
    "daemon-reload",
    "daemon-reexec",
    "enable",
    "disable",
    "reenable",
    "preset",
    "mask",
    "unmask",
    "set-default",
    "set-property",
    "add-wants",
    "add-requires",
];
/// Units that do the same as those verbs.
const POWER_UNITS: [&str; 30] = [
    // The first process itself, and what all else runs in or depends on.
    "init.scope",
    "-.slice",
    "system.slice",
    "-.mount",
    "sysinit.target",
    "basic.target",
    "emergency.service",
    "rescue.service",
    "poweroff.target",
    "reboot.target",
    "halt.target",
    "kexec.target",
    "shutdown.target",
    "suspend.target",
    "hibernate.target",
    "hybrid-sleep.target",
    "sleep.target",
    "emergency.target",
    "rescue.target",
    "exit.target",
    "runlevel0.target",
    "runlevel1.target",
    "runlevel6.target",
    "ctrl-alt-del.target",
    "soft-reboot.target",
    "final.target",
    "umount.target",
    "suspend-then-hibernate.target",
    "initrd-switch-root.target",
    "factory-reset.target",
];

/// `kill`: signals to the first process, or to all, stop the machine.
pub(crate) fn signalled(run: &mut Run, arguments: &[Field]) {
    run.system.insert(Effect::Signal);
    // A number may have blanks, a sign and zeros before it.
    let number = |text: &str| text.trim().parse::<i64>().ok();
    let all = |(index, field): (usize, &Field)| match field.exact() {
        Some(text) => match number(&text) {
            Some(-1) => index > 0 || arguments.len() == 1,
            Some(process) => process == 1,
            None => false,
        },
        None => field.atoms != [Atom::Hole(crate::paths::field::Hole::Number)],
    };
    if arguments.iter().enumerate().any(all) {
        run.system.insert(Effect::Power);
    }
}

/// Whether an argument of `pkill` or `killall` may choose the first process: a pattern, a part of its name, or
/// whatever is chosen by something else than a name.
fn may_mean_init(field: &Field) -> bool {
    const FIRST: [&str; 3] = [
        "/sbin/init splash",
        "/usr/lib/systemd/systemd --switched-root --system",
        "systemd",
    ];
    let Some(text) = field.exact() else { return true };
    let lower = text.to_ascii_lowercase();
    match text.strip_prefix('-') {
        Some(option) => {
            let signal = option.trim_start_matches('-').trim_start_matches("signal=");
            let digits = signal.chars().all(|c| c.is_ascii_digit());
            // Single letters are options.
            let named = signal.len() > 2 && signal.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
            let is_signal = !signal.is_empty() && (digits || named);
            let plain = [
                "f", "x", "e", "q", "w", "9", "n", "s", "-exact", "-full", "-wait", "-signal", "fx", "xf",
            ];
            !is_signal && !plain.contains(&option)
        }
        None => {
            text.contains(['*', '[', '^', '?', '+', '|', '(', '{', '$', '\\'])
                || lower.contains("init")
                || lower.contains("systemd")
                || FIRST.iter().any(|name| matches_within(&lower, name))
        }
    }
}

/// Whether a pattern of which only dots are special matches somewhere in a text.
fn matches_within(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let same = |(one, other): (&char, &char)| *one == '.' || one == other;
    pattern.is_empty()
        || text
            .windows(pattern.len())
            .any(|part| pattern.iter().zip(part).all(same))
}

fn is_no_pager(field: &Field) -> bool {
    field.exact().as_deref() == Some("--no-pager")
}

impl Evaluator<'_> {
    /// `systemctl`, `shutdown`, `busctl` and what else asks the init system.
    pub(crate) fn systemd(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        let mut run = run.clone();
        match run.program.as_str() {
            "shutdown" | "reboot" | "halt" | "poweroff" | "init" | "telinit" | "systemd-reboot" => {
                run.known = true;
                run.system.insert(Effect::Power);
                self.list(run);
            }
            "pkill" | "killall" | "skill" | "snice" => {
                run.known = true;
                signalled(&mut run, arguments);
                if arguments.iter().any(may_mean_init) {
                    run.system.insert(Effect::Power);
                }
                self.list(run);
            }
            "systemctl" => self.systemctl(run, arguments, context),
            "busctl" | "dbus-send" | "gdbus" | "qdbus" => self.bus(run, arguments),
            "journalctl" => self.journal(run, arguments, state, context),
            "systemd-run" => {
                run.system.extend([Effect::Service, Effect::Startup]);
                self.opaque(Opaque::UnknownOption);
                self.unknown(run, arguments, state);
            }
            "systemd-analyze" | "systemd-detect-virt" | "systemd-cgls" => {
                run.known = true;
                self.any_path(&mut run, arguments, Uses::READ, state);
                self.list(run);
            }
            _ => return false,
        }
        true
    }

    fn systemctl(&mut self, mut run: Run, arguments: &[Field], context: &Context) {
        run.known = true;
        let pages = !arguments.iter().any(is_no_pager);
        let parsed = parse(&Options::of(SYSTEMCTL), arguments, Order::Anywhere);
        self.options_refused(&parsed);
        let units = parsed.operands.get(1..).unwrap_or_default();
        let verb = match parsed.operands.first() {
            None => {
                if pages {
                    self.pages(context);
                }
                return self.list(run);
            }
            Some(field) => field.exact(),
        };
        match verb.as_deref() {
            None => {
                self.opaque(Opaque::DynamicArgument);
                run.system.extend([Effect::Power, Effect::Service]);
            }
            Some(verb) if POWER.contains(&verb) => {
                run.system.insert(Effect::Power);
            }
            Some(verb) if LOOKS.contains(&verb) && pages => self.pages(context),
            Some(verb) if LOOKS.contains(&verb) => {}
            Some(verb) if SERVICE.contains(&verb) => {
                run.system.insert(Effect::Service);
                if matches!(
                    verb,
                    "enable" | "reenable" | "preset" | "add-wants" | "add-requires" | "set-default" | "set-property"
                ) {
                    run.system.insert(Effect::Startup);
                }
                if verb == "kill" {
                    run.system.insert(Effect::Signal);
                }
                // What `default` and `isolate` reach is the machine's own matter.
                let isolates = parsed
                    .values("--job-mode")
                    .any(|mode| mode.exact().is_none_or(|mode| mode == "isolate"));
                let anywhere = verb == "default" || verb == "isolate" || isolates;
                if anywhere || units.iter().any(|unit| self.stops_the_machine(unit)) {
                    run.system.insert(Effect::Power);
                }
            }
            Some(
                "set-environment" | "import-environment" | "unset-environment" | "edit" | "link" | "revert" | "bind"
                | "mount-image",
            ) => {
                self.opaque(Opaque::HookVariable);
                run.system.extend([Effect::Service, Effect::Startup]);
            }
            Some(_) => {
                run.known = false;
                run.system.insert(Effect::Service);
            }
        }
        self.list(run);
    }

    fn options_refused(&mut self, parsed: &Parsed) {
        let refused = parsed.given.iter().any(|given| given.role.contains('O'));
        if refused || !parsed.unknown.is_empty() {
            self.opaque(Opaque::UnknownOption);
        }
        if parsed.dynamic {
            self.opaque(Opaque::DynamicArgument);
        }
    }

    /// Whether a unit, or a pattern of units, may be one of those.
    fn stops_the_machine(&mut self, unit: &Field) -> bool {
        if unit.is_open() || unit.many {
            self.opaque(Opaque::DynamicArgument);
            return true;
        }
        let symbols = unit.atoms.iter().map(|atom| match atom {
            Atom::Char('*', _) => Symbol::Many,
            Atom::Char('?' | '[' | ']', _) => Symbol::Many,
            Atom::Char(c, _) => Symbol::Char(*c),
            Atom::Hole(_) => Symbol::Many,
        });
        let pattern = Component::Name(symbols.collect());
        let text = unit.exact().unwrap_or_default();
        let service = POWER
            .iter()
            .any(|verb| text.trim_end_matches(".service") == format!("systemd-{verb}"));
        service || POWER_UNITS.iter().any(|name| pattern.may_be(name))
    }

    /// Calls over D-Bus.
    fn bus(&mut self, mut run: Run, arguments: &[Field]) {
        run.known = true;
        let words: Option<Vec<String>> = arguments.iter().map(Field::exact).collect();
        let Some(words) = words else {
            self.opaque(Opaque::DynamicArgument);
            run.system.extend([Effect::Power, Effect::Service]);
            return self.list(run);
        };
        let looks = [
            "list",
            "status",
            "tree",
            "introspect",
            "get-property",
            "monitor",
            "capture",
            "--help",
            "--version",
        ];
        let verb = words
            .iter()
            .find(|word| !word.starts_with('-'))
            .map(String::as_str)
            .unwrap_or_default();
        if run.program == "busctl"
            && (verb.is_empty() || looks.contains(&verb))
            && !words
                .iter()
                .any(|word| word.starts_with("-H") || word.starts_with("--h") || word.starts_with("--address"))
        {
            return self.list(run);
        }
        run.system.insert(Effect::Service);
        let all = words.join(" ").to_ascii_lowercase();
        let machine = [
            "login1",
            "systemd1",
            "consolekit",
            "poweroff",
            "reboot",
            "halt",
            "suspend",
            "hibernate",
            "shutdown",
            "kexec",
            "sleep",
        ];
        if machine.iter().any(|word| all.contains(word)) {
            run.system.insert(Effect::Power);
        }
        self.list(run);
    }

    fn journal(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        run.known = true;
        if !arguments.iter().any(is_no_pager) {
            self.pages(context);
        }
        let parsed = parse(&Options::of(JOURNALCTL), arguments, Order::Anywhere);
        if parsed.dynamic {
            self.opaque(Opaque::DynamicArgument);
        }
        for given in &parsed.given {
            if given.role.contains('v') {
                let lists = Field::constant("/var/log/journal");
                self.path(&mut run, &lists, Uses::only(false, true, true).recursively(), state);
            }
            if let Some(value) = &given.value {
                let role: String = given.role.chars().filter(|c| "rw".contains(*c)).collect();
                self.role(&role, value, &mut run, state, context);
            }
        }
        self.list(run);
    }
}
