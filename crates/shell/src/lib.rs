//! A shell command line → facts: what it runs, reads, writes and removes, and what of it cannot be known. Pure.
//!
//! [`analyse`] follows the line as the login shell would run it (`bash -c LINE`): constants are evaluated, wrappers
//! (`sudo`, `env`, `xargs`, `sh -c`, `ssh` …) are followed into, and what each program does with its arguments is taken
//! from profiles. Whatever is not exact is said to be so: [`Analysis::opaque`] and [`Analysis::unparsed`].

mod carried;
pub mod complete;
mod eval;
mod facts;
mod paths;
mod programs;
mod setting;
mod syntax;

pub use carried::{may_be_exported, may_be_set};
pub use facts::{Analysis, Code, Effect, Opaque, PathUse, Redirections, Run, Stdin, Unparsed};
pub use setting::{LoginShell, Pager, Protected, ProtectedError, Setting};

use eval::state::State;
use eval::{Context, Evaluator};

/// Longest command line, in bytes.
pub const MAX_LENGTH: usize = syntax::MAX_LENGTH;

/// What a command line does, as a shell in this setting would run it.
#[must_use]
pub fn analyse(command: &[u8], setting: &Setting) -> Analysis {
    let mut evaluator = Evaluator::new(setting);
    match std::str::from_utf8(command) {
        Ok(text) => {
            if setting.shell == LoginShell::Other {
                evaluator.opaque(Opaque::ForeignShell);
            }
            for name in &setting.exported {
                evaluator.check_assignment(name, true);
            }
            let dialect = evaluator.dialect;
            let state = if setting.goes_on {
                State::elsewhere(setting)
            } else {
                State::first(setting)
            };
            evaluator.text(text, dialect, state, &Context::default());
            evaluator.follow_handlers();
        }
        Err(error) => evaluator.unparsed(syntax::Stop::new("bytes that are no UTF-8", error.valid_up_to())),
    }
    evaluator.found
}

/// Whether a line goes on in the next: an open quote or here-document, a `\` or `|` at its end, `do` without `done`.
#[must_use]
pub fn is_incomplete(line: &str) -> bool {
    syntax::parse(line, syntax::Dialect::Bash).is_err_and(|stop| stop.is_open())
}

/// Whether a text is a name of a variable.
fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::is_incomplete;

    #[test]
    fn lines_that_go_on_are_told_from_lines_that_are_whole_or_wrong() {
        for open in [
            "echo 'a",
            "echo \"a",
            "cat <<E\nx",
            "ls \\",
            "ls |",
            "ls &&",
            "if true; then",
            "for i in 1; do ls",
            "f() {",
            "(ls",
            "echo $(ls",
        ] {
            assert!(is_incomplete(open), "{open:?}");
        }
        for whole in [
            "",
            "ls",
            "echo 'a'",
            "if true; then ls; fi",
            "ls )",
            "cat <<E\nx\nE",
            "# '",
        ] {
            assert!(!is_incomplete(whole), "{whole:?}");
        }
    }
}
