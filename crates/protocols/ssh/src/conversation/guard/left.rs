//! What a line says that it left, behind its output: read as if whoever says it were an enemy, for any program can say it.

use std::collections::{BTreeMap, BTreeSet};

use super::wrapper::UNREAD;
use super::{Place, ShellOption};

/// The most variables that are kept from one line to the next, of each kind, and the longest value.
const MAX_VARIABLES: usize = 256;
const MAX_VALUE: usize = 32 * 1024;
/// Bytes of all of one kind, in the quotes of the next line's wrapper: a command line has at most 128 KiB.
const MAX_BYTES: usize = 24 * 1024;
/// The longest name.
const MAX_NAME: usize = 128;

/// Between the variables that the login gave and those that the line left.
pub(super) const SEPARATOR: &str = "-";

/// What a line left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    directory: String,
    mask: Option<String>,
    /// `None` where the host's shell does not say them.
    variables: Option<Variables>,
    /// What was typed and not read, as the terminal made it.
    unread: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Variables {
    exports: BTreeMap<String, String>,
    own: BTreeMap<String, String>,
    options: BTreeSet<ShellOption>,
}

/// One line of `declare -p`.
struct Declared<'d> {
    flags: &'d str,
    name: &'d str,
    value: String,
}

impl Left {
    /// The directory on the first line and the file mode mask on the second; then the variables that the login gave, a
    /// separator, and those that are there now. A terminal makes `\n` to `\r\n`.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.replace("\r\n", "\n");
        let (directory, rest) = text.split_once('\n')?;
        if !directory.starts_with('/') || directory.chars().any(char::is_control) {
            return None;
        }
        let (mask, rest) = rest.split_once('\n').unwrap_or((rest, ""));
        let octal = (3..=4).contains(&mask.len()) && mask.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let mut lines = rest.lines();
        let given: BTreeMap<String, String> = lines
            .by_ref()
            .take_while(|line| *line != SEPARATOR)
            .filter_map(Declared::read)
            .map(|declared| (declared.name.to_owned(), declared.value))
            .collect();
        let declared: Vec<Declared<'_>> = lines.filter_map(Declared::read).collect();
        let unread = declared.iter().find(|one| one.name == UNREAD);
        let unread = unread.map(|one| one.value.clone());
        Some(Self {
            unread: unread.filter(|unread| !unread.is_empty()),
            directory: directory.to_owned(),
            mask: octal.then(|| mask.to_owned()),
            variables: (!declared.is_empty()).then(|| Variables::of(declared, &given)),
        })
    }

    /// What of `typed` was not read by what it was typed for: the end of it that begins with what the host has seen. What
    /// nobody typed is not believed to have been.
    pub(super) fn unread<'t>(&self, typed: &'t [u8]) -> &'t [u8] {
        let Some(unread) = &self.unread else { return &[] };
        // A terminal makes `\r` to `\n`.
        let seen: Vec<u8> = typed
            .iter()
            .map(|byte| if *byte == b'\r' { b'\n' } else { *byte })
            .collect();
        let at = memchr::memmem::rfind(&seen, unread.as_bytes());
        at.and_then(|at| typed.get(at..)).unwrap_or_default()
    }

    /// The next line begins here.
    pub(super) fn into_place(self, place: &mut Place) {
        place.directory = self.directory;
        if self.mask.is_some() {
            place.mask = self.mask;
        }
        if let Some(variables) = self.variables {
            place.exports = variables.exports;
            place.variables = variables.own;
            place.options = variables.options;
        }
    }
}

impl Variables {
    fn of(declared: Vec<Declared<'_>>, given: &BTreeMap<String, String>) -> Self {
        let mut variables = Self::default();
        for one in declared {
            let Declared { flags, name, value } = one;
            if name == "SHELLOPTS" {
                variables.options = ShellOption::ALL
                    .into_iter()
                    .filter(|option| value.split(':').any(|set| set == option.name()))
                    .collect();
                continue;
            }
            // What the login gives is given anew to each line.
            let as_given = given.get(name) == Some(&value);
            match flags {
                "x" if !as_given && may_be_exported(name) => keep(&mut variables.exports, name, value),
                "-" if may_be_set(name) => keep(&mut variables.own, name, value),
                // Arrays, numbers, references, and what cannot be changed.
                _ => {}
            }
        }
        variables
    }
}

fn keep(kept: &mut BTreeMap<String, String>, name: &str, value: String) {
    // Quotes are three bytes more in the next line's wrapper.
    let size = |name: &str, value: &str| name.len() + value.len() + 3 * value.matches('\'').count() + 16;
    let used: usize = kept.iter().map(|(name, value)| size(name, value)).sum();
    if kept.len() < MAX_VARIABLES && value.len() <= MAX_VALUE && used + size(name, &value) <= MAX_BYTES {
        kept.insert(name.to_owned(), value);
    }
}

impl<'d> Declared<'d> {
    /// `declare -FLAGS NAME=VALUE`, where the value is text on one line.
    fn read(line: &'d str) -> Option<Self> {
        let (flags, rest) = line.strip_prefix("declare -")?.split_once(' ')?;
        let (name, value) = rest.split_once('=')?;
        Some(Self {
            flags,
            name,
            value: text(value)?,
        })
    }
}

/// What stands between quotes as bash writes them.
fn text(quoted: &str) -> Option<String> {
    if let Some(escaped) = quoted.strip_prefix("$'") {
        return ansi(escaped.strip_suffix('\'')?);
    }
    let value = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut plain = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(chars.next()?),
            '"' | '`' => return None,
            c => plain.push(c),
        }
    }
    is_text(&plain).then_some(plain)
}

/// The inside of `$'…'`.
fn ansi(escaped: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = escaped.bytes().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'\'' => return None,
            b'\\' => bytes.push(match rest.next()? {
                b'n' => b'\n',
                b't' => b'\t',
                quoted @ (b'\\' | b'\'' | b'"' | b'?') => quoted,
                first @ b'0'..=b'3' => {
                    let mut octal = first - b'0';
                    for _ in 0..2 {
                        let digit = rest.next_if(|byte| (b'0'..=b'7').contains(byte))?;
                        octal = octal * 8 + (digit - b'0');
                    }
                    octal
                }
                _ => return None,
            }),
            byte => bytes.push(byte),
        }
    }
    let plain = String::from_utf8(bytes).ok()?;
    is_text(&plain).then_some(plain)
}

fn is_text(value: &str) -> bool {
    !value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'))
}

/// Whether a line may hand a variable of this name on. What decides which code runs never is, nor what the login gives.
fn may_be_set(name: &str) -> bool {
    name.len() <= MAX_NAME && sallyport_shell::may_be_set(name) && !is_given(name)
}

fn may_be_exported(name: &str) -> bool {
    name.len() <= MAX_NAME && sallyport_shell::may_be_exported(name) && !is_given(name)
}

fn is_given(name: &str) -> bool {
    sallyport_target::AcceptEnv::changes_code(name) || GIVEN.contains(&name)
}

/// Variables that every login has anew.
const GIVEN: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PATH",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "TERM",
    "MAIL",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "SSH_AUTH_SOCK",
    "SSH_ORIGINAL_COMMAND",
    "LESSSECURE",
    "SYSTEMD_PAGERSECURE",
    "PAGER",
    "MANPAGER",
    "SYSTEMD_PAGER",
    "GIT_PAGER",
    "GIT_EDITOR",
    "GIT_SEQUENCE_EDITOR",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_ID",
    "XDG_SESSION_TYPE",
    "XDG_SESSION_CLASS",
    "DBUS_SESSION_BUS_ADDRESS",
    "_",
];

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::{BTreeMap, BTreeSet};

    use super::{Left, Variables};
    use crate::conversation::guard::ShellOption;

    fn read(declarations: &str) -> Variables {
        Left::read(format!("/srv\n0022\n-\n{declarations}\n").as_bytes())
            .unwrap()
            .variables
            .unwrap_or_default()
    }

    fn exports(declarations: &str) -> Vec<(String, String)> {
        read(declarations).exports.into_iter().collect()
    }

    fn own(declarations: &str) -> Vec<(String, String)> {
        read(declarations).own.into_iter().collect()
    }

    /// A program can forge what its line leaves.
    #[test]
    fn what_is_no_variable_does_not_get_into_the_next_line() {
        for forged in [
            "A;touch /tmp/x;B=\"v\"",
            "A$(id)=\"v\"",
            "-f=\"v\"",
            "1A=\"v\"",
            "=\"v\"",
            "A B=\"v\"",
            "BASH_ENV=\"/tmp/x\"",
            "PATH=\"/tmp\"",
            "IFS=\"/\"",
            "PROMPT_COMMAND=\"id\"",
            "PS4=\"x\"",
            "LD_PRELOAD=\"x\"",
            "ENV=\"x\"",
            "BASH_COMPAT=\"31\"",
            "OPTIND=\"x\"",
            "A=\"`id`\"",
            "A=$'v",
            "A=$'v\\e'",
            "A=$'v\\000'",
            "A=$'a'b'",
            "A=\"a\"b\"",
            "A=v",
            "A=\"\u{1b}\"",
        ] {
            assert_eq!(exports(&format!("declare -x {forged}")), [], "{forged}");
            assert_eq!(own(&format!("declare -- {forged}")), [], "{forged}");
        }
        for flags in ["a", "A", "i", "r", "n", "rx", "ax", "ix", "lx", "", "x-"] {
            let declaration = format!("declare -{flags} A=\"v\"");
            assert_eq!((exports(&declaration), own(&declaration)), (vec![], vec![]), "{flags}");
        }
        let taken = vec![("A_1".to_owned(), "v $(id) 'q'".to_owned())];
        assert_eq!(exports("declare -x A_1=\"v \\$(id) 'q'\""), taken);
        let taken = vec![("a".to_owned(), "1\n2\t'\\ü".to_owned())];
        assert_eq!(own("declare -- a=$'1\\n2\\t\\'\\\\\\303\\274'"), taken);
    }

    #[test]
    fn what_the_login_gives_is_not_kept() {
        let left = Left::read(
            b"/srv\r\n0027\r\ndeclare -x A=\"1\"\r\ndeclare -x B=\"1\"\r\n-\r\ndeclare -x A=\"1\"\r\ndeclare -x B=\"2\"\r\n",
        );
        let expected = Variables {
            exports: BTreeMap::from([("B".to_owned(), "2".to_owned())]),
            ..Variables::default()
        };
        let left = left.unwrap();
        assert_eq!((left.variables, left.mask.as_deref()), (Some(expected), Some("0027")));
    }

    #[test]
    fn only_what_was_typed_can_have_been_left_unread() {
        let left = |unread: &str| {
            let said = format!("/srv\n0022\n-\ndeclare -- __sallyport_unread={unread}\n");
            Left::read(said.as_bytes()).unwrap()
        };
        assert_eq!(left("$'ls\\n'").unread(b"secret\rls\r"), b"ls\r");
        // What came behind it was typed later.
        assert_eq!(left("$'ls\\n'").unread(b"ls\rpw"), b"ls\rpw");
        assert_eq!(left("\"rm -rf /\"").unread(b"ls\r"), b"");
        assert_eq!(left("\"\"").unread(b"ls\r"), b"");
        assert_eq!(left("$'\\e[A'").unread(b"\x1b[A"), b"");
    }

    #[test]
    fn of_too_much_not_everything_is_kept() {
        let crowd: String = (0..400).map(|n| format!("declare -- v{n}=\"x\"\n")).collect();
        assert_eq!(own(&crowd).len(), super::MAX_VARIABLES);
        let quotes = "'".repeat(super::MAX_BYTES / 3);
        assert_eq!(own(&format!("declare -- a=\"{quotes}\"")), []);
    }

    #[test]
    fn options_are_those_that_change_nothing_of_how_a_line_is_judged() {
        let options = read("declare -r SHELLOPTS=\"braceexpand:errexit:noglob:posix:xtrace:pipefail\"").options;
        assert_eq!(options, BTreeSet::from([ShellOption::NoGlob, ShellOption::PipeFail]));
    }

    #[test]
    fn a_place_that_is_none_is_not_believed() {
        for odd in ["relative\n", "/a\x1bb\n", "/nothing follows"] {
            assert_eq!(Left::read(odd.as_bytes()), None, "{odd:?}");
        }
        for odd in ["/a\n022;id\n", "/a\n9999\n", "/a\n\n"] {
            assert_eq!(Left::read(odd.as_bytes()).unwrap().mask, None, "{odd:?}");
        }
    }
}
