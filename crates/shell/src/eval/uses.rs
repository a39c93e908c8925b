//! Arguments → uses of paths, with the classes that they may touch.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::Evaluator;
use super::state::State;
use crate::facts::{Effect, Opaque, PathUse, Run};
use crate::paths::field::Field;
use crate::paths::pattern::{Component, Pattern, Symbol};
use crate::paths::{self, Place};

/// What is done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Uses {
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    pub(crate) removes: bool,
    pub(crate) lists: bool,
    pub(crate) recursive: bool,
}

impl Uses {
    pub(crate) const READ: Self = Self::only(true, false, false);
    pub(crate) const WRITE: Self = Self::only(false, true, false);
    pub(crate) const ALL: Self = Self {
        recursive: true,
        ..Self::only(true, true, true)
    };

    pub(crate) const fn only(reads: bool, writes: bool, removes: bool) -> Self {
        Self {
            reads,
            writes,
            removes,
            lists: false,
            recursive: false,
        }
    }

    pub(crate) const fn recursively(self) -> Self {
        Self {
            recursive: true,
            ..self
        }
    }
}

/// Files, or directories with files, that make code run later: pattern, and whether all below counts.
const STARTUP: [&str; 44] = [
    "/etc/cron*/**",
    "/var/spool/cron/**",
    "/var/spool/at/**",
    "/etc/systemd/**",
    "/run/systemd/**",
    "/usr/lib/systemd/**",
    "/usr/local/lib/**",
    "/usr/lib/**",
    "/usr/lib64/**",
    "/usr/lib32/**",
    "/etc/profile*",
    "/etc/profile.d/**",
    "/etc/bash*",
    "/etc/bash_completion.d/**",
    "/etc/rc*",
    "/etc/rc*/**",
    "/etc/init*/**",
    "/etc/environment",
    "/etc/ld.so*",
    "/etc/ld.so.conf.d/**",
    "/etc/pam*/**",
    "/etc/ssh/**",
    "/etc/update-motd.d/**",
    "/etc/udev/**",
    "/etc/apt/**",
    "/etc/logrotate*",
    "/etc/logrotate.d/**",
    "/etc/inputrc",
    "/etc/X11/**",
    "/etc/network/**",
    "/etc/NetworkManager/**",
    "/etc/modprobe.d/**",
    "/etc/modules*",
    "/etc/python*/**",
    "/etc/gitconfig",
    "/etc/vim/**",
    "/boot/**",
    "/usr/bin/**",
    "/usr/local/bin/**",
    "/usr/local/sbin/**",
    "/usr/libexec/**",
    "/etc/alternatives/**",
    "/etc/zsh*/**",
    "/opt/bin/**",
];

/// Files that decide who may log in and as whom.
const ACCOUNTS: [&str; 10] = [
    "/etc/passwd*",
    "/etc/shadow*",
    "/etc/group*",
    "/etc/gshadow*",
    "/etc/sudoers*",
    "/etc/sudoers.d/**",
    "/etc/sub?id",
    "/etc/security/**",
    "/etc/login.defs",
    "/etc/krb5*",
];

const POWER: [&str; 4] = ["/proc/sysrq-trigger", "/sys/power/**", "/run/initctl", "/dev/initctl"];
const KERNEL: [&str; 2] = ["/proc/sys/**", "/sys/**"];

/// In a home directory, what programs take code or keys from when they start: dot files, and directories of programs.
fn starts_from_home(pattern: &Pattern, home: &Pattern) -> bool {
    let own = home.components.len();
    let is_home = pattern.components.len() > own
        && home
            .components
            .iter()
            .zip(&pattern.components)
            .all(|(left, right)| left.overlaps(right));
    let other = pattern.may_start_with(&["root"]);
    let after = if is_home {
        own
    } else if other {
        1
    } else if pattern.components.len() > 2 && pattern.may_start_with(&["home"]) {
        2
    } else {
        return false;
    };
    let Some(name) = pattern.components.get(after) else {
        return false;
    };
    let harmless = [
        ".cache",
        ".bash_history",
        ".lesshst",
        ".viminfo",
        ".wget-hsts",
        ".sudo_as_admin_successful",
        ".hushlogin",
    ];
    match name.exact() {
        Some(name) if name == "bin" || name == "GNUmakefile" => true,
        Some(name) => name.starts_with('.') && !harmless.contains(&name.as_str()),
        None => name.may_be(".bashrc") || name.may_be(".ssh") || name.may_be("bin"),
    }
}

/// What lies in `.git` names programs that git runs; where a `HEAD` lies, git takes the directory itself for such a one.
fn steers_git(pattern: &Pattern) -> bool {
    let hidden = |component: &Component| match component.exact() {
        Some(name) => name == ".git",
        // A pattern of the shell matches no name with a dot at its beginning.
        None => {
            matches!(component, Component::Name(symbols) if symbols.first() == Some(&Symbol::Char('.')))
                && component.may_be(".git")
        }
    };
    let head = pattern.components.last().and_then(Component::exact);
    pattern.components.iter().any(hidden) || head.as_deref() == Some("HEAD")
}

/// Those lists as patterns.
struct Places {
    startup: Vec<Pattern>,
    accounts: Vec<Pattern>,
    power: Vec<Pattern>,
    kernel: Vec<Pattern>,
}

fn places() -> &'static Places {
    static PLACES: OnceLock<Places> = OnceLock::new();
    let patterns = |rules: &[&str]| {
        rules
            .iter()
            .filter_map(|rule| paths::pattern::parse_rule(rule))
            .collect()
    };
    PLACES.get_or_init(|| Places {
        startup: patterns(&STARTUP),
        accounts: patterns(&ACCOUNTS),
        power: patterns(&POWER),
        kernel: patterns(&KERNEL),
    })
}

fn matches(pattern: &Pattern, rules: &[Pattern], recursive: bool) -> bool {
    rules.iter().any(|rule| pattern.touches(rule, recursive))
}

impl Evaluator<'_> {
    /// Notes in a run what it does with the path that an argument names.
    pub(crate) fn path(&mut self, run: &mut Run, field: &Field, uses: Uses, state: &State) {
        let (used, effects) = self.path_use(field, uses, state);
        run.system.extend(effects);
        for (wanted, list) in [
            (uses.reads, &mut run.reads),
            (uses.writes, &mut run.writes),
            (uses.removes, &mut run.removes),
            (uses.lists, &mut run.lists),
        ] {
            for one in &used {
                if wanted && !list.contains(one) {
                    list.push(one.clone());
                }
            }
        }
    }

    /// The uses of the path that an argument names, and what they do to the system.
    pub(crate) fn path_use(&mut self, field: &Field, uses: Uses, state: &State) -> (Vec<PathUse>, BTreeSet<Effect>) {
        let mut effects = BTreeSet::new();
        if field.atoms.is_empty() && !field.many {
            return (Vec::new(), effects);
        }
        let resolved = paths::resolve(field, state.directories(), &self.home);
        let changes = uses.writes || uses.removes;
        if resolved.parent_of_link {
            self.opaque(Opaque::ParentOfLink);
        }
        if resolved.descriptor && (uses.reads || changes) {
            self.opaque(Opaque::Descriptor);
        }
        if resolved.device && (uses.reads || changes) {
            effects.insert(Effect::Device);
        }
        let recursive = uses.recursive || field.below;
        let mut used = Vec::new();
        for place in &resolved.places {
            used.push(self.use_of(place, recursive));
            if let Place::At(pattern) = place
                && (uses.reads || changes)
                && pattern
                    .components
                    .last()
                    .and_then(Component::exact)
                    .is_some_and(|name| name.ends_with(".sock"))
            {
                effects.insert(Effect::Cluster);
            }
            if let (Place::At(pattern), true) = (place, changes) {
                self.effects_of_change(pattern, recursive, &mut effects);
                if uses.writes && steers_git(pattern) {
                    effects.insert(Effect::Startup);
                }
            }
        }
        if resolved.places.contains(&Place::Anywhere) && !resolved.device && (uses.reads || changes) {
            self.opaque(Opaque::DynamicArgument);
        }
        (used, effects)
    }

    fn use_of(&self, place: &Place, recursive: bool) -> PathUse {
        let rules = &self.setting.protected.rules;
        match place {
            Place::Anywhere => PathUse {
                path: "…".to_owned(),
                recursive,
                classes: rules.iter().map(|(_, class)| class.clone()).collect(),
            },
            Place::At(pattern) => PathUse {
                path: pattern.show(),
                recursive,
                classes: rules
                    .iter()
                    .filter(|(rule, _)| pattern.touches(rule, recursive))
                    .map(|(_, class)| class.clone())
                    .collect(),
            },
        }
    }

    fn effects_of_change(&self, pattern: &Pattern, recursive: bool, effects: &mut BTreeSet<Effect>) {
        if matches(pattern, &places().startup, recursive) || starts_from_home(pattern, &self.home) {
            effects.insert(Effect::Startup);
        }
        if matches(pattern, &places().accounts, recursive) {
            effects.insert(Effect::Account);
        }
        if matches(pattern, &places().power, recursive) {
            effects.insert(Effect::Power);
        }
        if matches(pattern, &places().kernel, recursive) {
            effects.insert(Effect::Kernel);
        }
        // A whole home directory holds what starts from it.
        if recursive && self.home.touches(pattern, false) && !pattern.touches(&self.home, false) {
            effects.insert(Effect::Startup);
        }
    }
}
