//! What the host's shell is given to run: the line, in the place where the line before it left off.

use std::fmt::Write;

use sallyport_target::LoginShell;

use super::Place;

/// The line, and around it what puts it into its place and says where it ends.
pub(super) fn wrap(line: &str, place: &Place, nonce: &str, shell: LoginShell) -> String {
    let mut script = format!("cd -- {} || exit 1\n", quoted(&place.directory));
    for (name, value) in &place.exports {
        let _ = writeln!(script, "export {name}={}", quoted(value));
    }
    // `$?` of the line before is what the line sees.
    let _ = writeln!(script, "(exit {})", place.status.min(255));
    // As one word, so that nothing in the line can reach what stands around it; and not as an option.
    let _ = writeln!(script, "eval {}", quoted(&format!(" {line}")));
    let exports = match shell {
        LoginShell::Bash => "export -p",
        // What it prints is not the same everywhere.
        LoginShell::Sh => ":",
    };
    let _ = write!(
        script,
        "__sallyport=$?; printf '\\033]7777;{nonce};'; pwd -P; {exports}; printf '\\033\\\\'; exit $__sallyport\n"
    );
    script
}

/// A text as one word of a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sallyport_target::LoginShell;

    use super::{Place, quoted, wrap};

    #[test]
    fn a_place_cannot_break_out_of_its_quotes() {
        assert_eq!(quoted("it's; rm -rf /"), r"'it'\''s; rm -rf /'");
        let place = Place {
            directory: "/tmp/a'b".to_owned(),
            exports: BTreeMap::from([("A".to_owned(), "$(id)\n'x".to_owned())]),
            status: 3,
        };
        let script = wrap("ls # here", &place, "n", LoginShell::Bash);
        assert!(script.starts_with("cd -- '/tmp/a'\\''b' || exit 1\nexport A='$(id)\n'\\''x'\n(exit 3)\neval ' ls # here'\n"));
    }
}
