//! What the host's shell is given to run: the line, in the place where the line before it left off.

use std::fmt::Write;

use sallyport_target::LoginShell;

use super::Place;
use super::left::SEPARATOR;

/// The commands that the wrapper itself uses. A function of one of these names would run with it, though the line that
/// defines it calls it nowhere.
pub(crate) const OWN: [&str; 10] = [
    "cd", "declare", "eval", "exit", "export", "printf", "pwd", "read", "set", "umask",
];

/// From a pager nothing else is run, and git starts no editor: what a person types there is judged by nobody.
const PAGERS: &str = "export LESSSECURE=1 SYSTEMD_PAGERSECURE=1 PAGER=less MANPAGER=less SYSTEMD_PAGER=less GIT_PAGER=less \
                      GIT_EDITOR=: GIT_SEQUENCE_EDITOR=:\n";

/// Where the wrapper keeps what was typed and what the line's programs did not read.
pub(super) const UNREAD: &str = "__sallyport_unread";

/// The line, and around it what puts it into its place and says where it ends.
pub(super) fn wrap(line: &str, place: &Place, nonce: &str, shell: LoginShell, terminal: bool) -> String {
    let says = |what: &str| format!("printf '\\033]7777;{nonce};'; {what}; printf '\\033\\\\'");
    // The line was judged for this directory and runs in no other.
    let nowhere = says("cd; pwd -P");
    let mut script = format!("cd -- {} || {{ {nowhere}; exit 1; }}\n", quoted(&place.directory));
    script.push_str(PAGERS);
    if shell == LoginShell::Bash {
        // What the login gives need not be carried.
        script.push_str("__sallyport_given=$(export -p)\n");
    }
    if let Some(mask) = &place.mask {
        let _ = writeln!(script, "umask {mask}");
    }
    for (name, value) in &place.exports {
        let _ = writeln!(script, "export {name}={}", quoted(value));
    }
    for (name, value) in &place.variables {
        // Not exported, though the login may have given one of this name.
        let _ = writeln!(script, "declare +x {name}={}", quoted(value));
    }
    for option in &place.options {
        let _ = writeln!(script, "set -o {}", option.name());
    }
    // What the line sees as the status of the one before.
    let _ = writeln!(script, "(exit {})", place.status.min(255));
    // As one word, so that nothing in the line can reach what stands around it; and not as an option.
    let _ = writeln!(script, "eval {}", quoted(&format!(" {line}")));
    // What was typed and not read is for the next line, as in any shell. The gateway sends nothing more as soon as it sees that
    // the end has begun; what was on its way then is waited for.
    // Mostly nothing was typed, and under `set -e` what fails ends a shell unless it is negated.
    let unread = if terminal {
        format!("! IFS= read -r -s -N 4096 -t 0.01 {UNREAD} </dev/tty 2>/dev/null; ")
    } else {
        String::new()
    };
    let left = match shell {
        LoginShell::Bash => {
            format!("pwd -P; umask; printf '%s\\n' \"$__sallyport_given\" {SEPARATOR}; {unread}declare -p")
        }
        // How another shell says its variables is not the same everywhere.
        LoginShell::Sh => "pwd -P; umask".to_owned(),
    };
    let _ = writeln!(script, "__sallyport=$?; {}; exit $__sallyport", says(&left));
    script
}

/// A text as one word of a shell, whatever is in it.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sallyport_target::LoginShell;

    use super::{Place, quoted, wrap};
    use crate::conversation::guard::ShellOption;

    #[test]
    fn every_command_of_the_wrapper_is_known_as_its_own() {
        let place = Place {
            exports: BTreeMap::from([("A".to_owned(), "v".to_owned())]),
            variables: BTreeMap::from([("a".to_owned(), "v".to_owned())]),
            options: ShellOption::ALL.into(),
            mask: Some("0022".to_owned()),
            ..Place::at("/d")
        };
        let script = wrap("", &place, "n", LoginShell::Bash, true);
        let analysis = sallyport_shell::analyse(script.as_bytes(), &sallyport_shell::Setting::new("/root"));
        assert_eq!(analysis.unparsed, None, "{script}");
        for program in analysis.programs() {
            assert!(super::OWN.contains(&program.as_str()), "{program}");
        }
    }

    #[test]
    fn a_line_that_sets_errexit_comes_to_its_end() {
        let script = wrap("set -euo pipefail", &Place::at("/"), "n", LoginShell::Bash, true);
        assert!(script.contains("; ! IFS= read "), "{script}");
    }

    #[test]
    fn a_place_cannot_break_out_of_its_quotes() {
        assert_eq!(quoted("it's; rm -rf /"), r"'it'\''s; rm -rf /'");
        let place = Place {
            exports: BTreeMap::from([("A".to_owned(), "$(id)\n'x".to_owned())]),
            variables: BTreeMap::from([("a".to_owned(), "';id'".to_owned())]),
            status: 3,
            ..Place::at("/tmp/a'b")
        };
        let script = wrap("ls # here", &place, "n", LoginShell::Bash, false);
        assert!(script.starts_with("cd -- '/tmp/a'\\''b' || {"), "{script}");
        assert!(
            script.contains("\nexport A='$(id)\n'\\''x'\ndeclare +x a=''\\'';id'\\'''\n(exit 3)\neval ' ls # here'\n"),
            "{script}"
        );
    }
}
