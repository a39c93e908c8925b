//! Paths: from what an argument says to what it may name.

pub(crate) mod field;
pub(crate) mod pattern;

use pattern::{Component, Pattern, Symbol};

use field::{Atom, Field, Hole};

/// Longest path that is followed, in characters.
const MAX_PATH: usize = 4096;

/// Directories in which the system keeps its programs.
const PROGRAM_DIRECTORIES: [&str; 9] = [
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/lib/openssh",
    "/usr/libexec",
    "/snap/bin",
];

/// Names that lead elsewhere on every system that this is for.
const LINKS: [(&[&str], &[&str]); 9] = [
    (&["bin"], &["usr", "bin"]),
    (&["sbin"], &["usr", "sbin"]),
    (&["lib"], &["usr", "lib"]),
    (&["lib32"], &["usr", "lib32"]),
    (&["lib64"], &["usr", "lib64"]),
    (&["usr", "sbin"], &["usr", "bin"]),
    (&["var", "run"], &["run"]),
    (&["var", "lock"], &["run", "lock"]),
    (&["usr", "tmp"], &["var", "tmp"]),
];

/// Files in `/dev` that are no way to the content of others.
const HARMLESS_DEVICES: [&str; 16] = [
    "null", "zero", "full", "random", "urandom", "tty", "stdin", "stdout", "stderr", "fd", "pts", "ptmx", "shm", "tcp",
    "udp", "log",
];

/// What an argument may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of the paths that the pattern matches.
    At(Pattern),
    /// It cannot be known.
    Anywhere,
}

/// Where a path leads, beside its own name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolved {
    pub(crate) places: Vec<Place>,
    /// `..` out of what may be a link.
    pub(crate) parent_of_link: bool,
    /// Through a descriptor of another process, or its root or working directory.
    pub(crate) descriptor: bool,
    /// A device below the file system.
    pub(crate) device: bool,
}

/// Makes a field absolute from each directory in which the shell may be.
pub(crate) fn resolve(field: &Field, directories: Option<&[Pattern]>, home: &Pattern) -> Resolved {
    let mut resolved = Resolved::default();
    if field.atoms.len() > MAX_PATH || field.atoms.contains(&Atom::Hole(Hole::Anything)) {
        // A constant beginning bounds nothing: the rest may climb with `..`.
        resolved.places.push(Place::Anywhere);
        return resolved;
    }
    let absolute = field
        .atoms
        .first()
        .is_some_and(|atom| matches!(atom, Atom::Char('/', _)));
    let root = [Pattern::default()];
    let starts = match directories {
        _ if absolute => root.as_slice(),
        Some(directories) => directories,
        None => {
            resolved.places.push(Place::Anywhere);
            return resolved;
        }
    };
    for atoms in with_holes_empty(&field.atoms) {
        let parts = split(&atoms);
        let absolute = matches!(atoms.first(), Some(Atom::Char('/', _)));
        for start in if absolute { root.as_slice() } else { starts } {
            let place = walk(start, &parts, home, &mut resolved.parent_of_link);
            follow(place, &mut resolved);
        }
    }
    resolved
}

/// The path, and the same without what is not known in it, where a component is nothing else but dots: `$!` may be
/// empty, as the output of a program that fails is. Then `/a/$!/b` is `/a/b`, `/a/$!../b` is `/b`, and `$!/a` is `/a`.
fn with_holes_empty(atoms: &[Atom]) -> Vec<Vec<Atom>> {
    let hole = |atom: &Atom| matches!(atom, Atom::Hole(_));
    let dot_or_hole = |atom: &Atom| hole(atom) || matches!(atom, Atom::Char('.', _));
    let slash = |atom: &Atom| matches!(atom, Atom::Char('/', _));
    let vanishes = |part: &[Atom]| part.iter().any(hole) && part.iter().all(dot_or_hole);
    let mut ways = vec![atoms.to_vec()];
    if atoms.split(slash).any(vanishes) {
        let shown = atoms.split(slash).map(|part| {
            let kept = part.iter().filter(|atom| !(vanishes(part) && hole(atom)));
            kept.copied().collect::<Vec<_>>()
        });
        ways.push(shown.collect::<Vec<_>>().join(&Atom::Char('/', true)));
    }
    ways
}

/// The pattern, if there is one and the way to it is plain.
pub(crate) fn directory(field: &Field, from: &[Pattern], home: &Pattern) -> Option<Vec<Pattern>> {
    let resolved = resolve(field, Some(from), home);
    if resolved.parent_of_link || resolved.descriptor {
        return None;
    }
    resolved
        .places
        .into_iter()
        .map(|place| match place {
            Place::At(pattern) => Some(pattern),
            Place::Anywhere => None,
        })
        .collect()
}

/// Whether a program at this place is one of the system.
pub(crate) fn is_system_program(path: &str) -> bool {
    let plain = !path.split('/').any(|part| part == ".." || part == ".");
    plain
        && path.rsplit_once('/').is_some_and(|(directory, name)| {
            let directory = format!("/{}", Pattern::of(directory).show().trim_start_matches('/'));
            !name.is_empty() && path.starts_with('/') && PROGRAM_DIRECTORIES.contains(&directory.as_str())
        })
}

/// Components as symbols; an empty one is dropped.
fn split(atoms: &[Atom]) -> Vec<Vec<Symbol>> {
    let mut parts = vec![Vec::new()];
    let mut rest = atoms;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let symbol = match first {
            Atom::Char('/', _) => {
                parts.push(Vec::new());
                continue;
            }
            Atom::Char('*', false) | Atom::Hole(Hole::Token | Hole::Number | Hole::Integer | Hole::Anything) => {
                Symbol::Many
            }
            Atom::Char('?', false) => Symbol::One,
            Atom::Char('[', false) => match bracket(after) {
                // A class has brackets of its own: what ends where is not followed.
                Some(_) if has_class(after) => {
                    let end = after.iter().position(|atom| matches!(atom, Atom::Char('/', _)));
                    rest = after.get(end.unwrap_or(after.len())..).unwrap_or_default();
                    Symbol::Many
                }
                Some(length) => {
                    rest = after.get(length..).unwrap_or_default();
                    Symbol::One
                }
                None => Symbol::Char('['),
            },
            Atom::Char(c, _) => Symbol::Char(*c),
        };
        if let Some(part) = parts.last_mut() {
            part.push(symbol);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// How many atoms after a `[` belong to a bracket expression.
fn bracket(after: &[Atom]) -> Option<usize> {
    for (index, atom) in after.iter().enumerate() {
        match atom {
            Atom::Char('/', _) => return None,
            Atom::Char(']', false) if index > 0 && !negation_only(after, index) => return Some(index + 1),
            Atom::Char(..) | Atom::Hole(_) => {}
        }
    }
    None
}

/// Whether `[:`, `[.` or `[=` stands in this component.
fn has_class(after: &[Atom]) -> bool {
    let component: Vec<char> = after
        .iter()
        .map_while(|atom| match atom {
            Atom::Char('/', _) => None,
            Atom::Char(c, _) => Some(*c),
            Atom::Hole(_) => Some(' '),
        })
        .collect();
    component.windows(2).any(|pair| matches!(pair, ['[', ':' | '.' | '=']))
}

fn negation_only(after: &[Atom], index: usize) -> bool {
    index == 1 && matches!(after.first(), Some(Atom::Char('!' | '^', false)))
}

fn walk(start: &Pattern, parts: &[Vec<Symbol>], home: &Pattern, suspicious: &mut bool) -> Place {
    let mut components = start.components.clone();
    for symbols in parts {
        let component = Component::Name(symbols.clone());
        match component.exact().as_deref() {
            Some(".") => {}
            Some("..") => {
                if may_be_link(&components, home) {
                    *suspicious = true;
                    return Place::Anywhere;
                }
                components.pop();
            }
            Some(_) => components.push(component),
            // `.*` matches `..` in older shells.
            None if symbols.first() == Some(&Symbol::Char('.')) && component.may_be("..") => {
                *suspicious = true;
                return Place::Anywhere;
            }
            None => components.push(component),
        }
    }
    Place::At(Pattern { components })
}

/// Whether the directory may be a symbolic link that somebody other than the system's owner made: then `..` leads
/// out of where the link points to.
fn may_be_link(components: &[Component], home: &Pattern) -> bool {
    if components == home.components.as_slice() {
        return false;
    }
    let names: Vec<Option<String>> = components.iter().map(Component::exact).collect();
    let is = |link: &[&str]| {
        link.len() == names.len() && link.iter().zip(&names).all(|(own, name)| name.as_deref() == Some(own))
    };
    if LINKS.iter().any(|(link, _)| is(link)) {
        return true;
    }
    let first = names.first().cloned().flatten();
    match (first.as_deref(), components.len()) {
        (None, 0) => false,
        (None, _) => true,
        (Some("proc" | "sys" | "dev"), length) => length > 1,
        (Some("etc" | "usr" | "boot" | "bin" | "sbin" | "lib"), _) => names.iter().any(Option::is_none),
        (Some("home" | "opt" | "srv" | "var" | "mnt" | "media" | "run"), length) => {
            length > 2 || names.iter().any(Option::is_none)
        }
        (Some(_), length) => length > 1,
    }
}

/// Adds the place, and where it leads.
fn follow(place: Place, resolved: &mut Resolved) {
    let mut work = vec![place];
    let mut rounds = 0;
    while let Some(place) = work.pop() {
        rounds += 1;
        let Place::At(pattern) = &place else {
            resolved.places.push(Place::Anywhere);
            continue;
        };
        if rounds > 16 || resolved.places.contains(&place) {
            continue;
        }
        let tail = |from: usize, prefix: &[&str]| {
            let mut components: Vec<Component> = prefix.iter().map(|name| Component::literal(name)).collect();
            components.extend(pattern.components.iter().skip(from).cloned());
            Place::At(Pattern { components })
        };
        for (from, to) in LINKS {
            if pattern.may_start_with(from) {
                work.push(tail(from.len(), to));
            }
        }
        if may_be_process(pattern) {
            resolved.descriptor = true;
            if pattern.components.get(2).is_some_and(|third| third.may_be("root")) {
                work.push(tail(3, &[]));
            } else {
                resolved.places.push(Place::Anywhere);
            }
        }
        if is_descriptor_directory(pattern) {
            resolved.descriptor = true;
            resolved.places.push(Place::Anywhere);
        }
        if is_device(pattern) {
            resolved.device = true;
            resolved.places.push(Place::Anywhere);
        }
        resolved.places.push(place);
    }
}

/// `/proc/…/root`, `cwd`, `fd`, `mem`, `task`, `map_files`: ways to files under other names. The process's own
/// descriptors are none: what they are open on is known where it is opened.
fn may_be_process(pattern: &Pattern) -> bool {
    if !pattern.may_start_with(&["proc"]) {
        return false;
    }
    let third = pattern.components.get(2);
    let own = pattern
        .components
        .get(1)
        .is_some_and(|second| second.exact().as_deref() == Some("self"));
    let own_descriptor =
        own && third.and_then(Component::exact).as_deref() == Some("fd") && pattern.components.len() == 4;
    let kcore = pattern.components.get(1).is_some_and(|second| second.may_be("kcore")) && pattern.components.len() == 2;
    kcore
        || (!own_descriptor
            && third.is_some_and(|third| {
                ["root", "cwd", "fd", "mem", "task", "map_files"]
                    .iter()
                    .any(|name| third.may_be(name))
            }))
}

/// `/dev/fd/N/…`: a path below an open directory.
fn is_descriptor_directory(pattern: &Pattern) -> bool {
    pattern.may_start_with(&["dev", "fd"]) && pattern.components.len() > 3
}

fn is_device(pattern: &Pattern) -> bool {
    pattern.may_start_with(&["dev"])
        && pattern.components.get(1).is_some_and(|second| {
            !second
                .exact()
                .is_some_and(|name| HARMLESS_DEVICES.contains(&name.as_str()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> (Vec<String>, bool) {
        let home = Pattern::of("/root");
        let resolved = resolve(&Field::constant(text), Some(std::slice::from_ref(&home)), &home);
        let mut places: Vec<String> = resolved
            .places
            .iter()
            .map(|place| match place {
                Place::At(pattern) => pattern.show(),
                Place::Anywhere => "anywhere".to_owned(),
            })
            .collect();
        places.sort();
        (places, resolved.parent_of_link)
    }

    #[test]
    fn names_of_one_file_become_one() {
        for alias in [
            "/etc//./shadow",
            "/etc/../etc/shadow",
            "../etc/shadow",
            "//etc/shadow/",
            "/./etc/shadow",
        ] {
            assert_eq!(shown(alias), (vec!["/etc/shadow".to_owned()], false), "{alias}");
        }
        for alias in [
            "/proc/self/root/etc/shadow",
            "/proc/1/root/etc/shadow",
            "/proc/thread-self/root/etc/shadow",
        ] {
            assert!(shown(alias).0.contains(&"/etc/shadow".to_owned()), "{alias}");
        }
        assert!(shown("/var/run/x").0.contains(&"/run/x".to_owned()));
    }

    #[test]
    fn what_leads_anywhere_says_so() {
        for alias in [
            "/proc/self/cwd/shadow",
            "/proc/12/fd/3",
            "/dev/fd/3/etc/shadow",
            "/dev/sda",
            "/tmp/a/../b",
            "a/../b",
        ] {
            assert!(shown(alias).0.contains(&"anywhere".to_owned()), "{alias}");
        }
        for plain in [
            "/dev/null",
            "/dev/fd/3",
            "/proc/self/fd/0",
            "/proc/cpuinfo",
            "/srv/../srv",
            "..",
        ] {
            assert!(!shown(plain).0.contains(&"anywhere".to_owned()), "{plain}");
        }
    }

    #[test]
    fn programs_of_the_system_are_where_it_keeps_them() {
        assert!(is_system_program("/bin/rm"));
        assert!(is_system_program("/usr/bin//rm"));
        assert!(!is_system_program("/tmp/rm"));
        assert!(!is_system_program("/bin/../tmp/rm"));
        assert!(!is_system_program("./rm"));
    }
}
