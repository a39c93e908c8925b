//! A line of a gated shell, as far as it could be reconstructed.

use bytes::Bytes;
use sallyport_policy::Classification;
use sallyport_session::Command;
use sallyport_shell::{Analysis, Opaque};
use sallyport_typed::Line;
use serde_json::json;

use super::{command, line, state};
use crate::account::Account;
use crate::conversation::Setup;

/// Programs that change what a terminal shows of later lines.
const BLINDING: [&str; 1] = ["stty"];

/// The command that a line of a gated shell is. The readers of the line may differ about it: all that it may be must be
/// permitted. Where the shell is, and what its variables are, only the shell knows.
pub(crate) fn gated(typed: &Line, setup: &Setup, account: &Account, classification: &Classification) -> Command {
    let setting = line::setting(account, setup, classification).going_on();
    let terminal = setup.pty.is_some();
    let (mut acts, mut unparsed, mut facts) = (Vec::new(), None, Vec::new());
    for text in typed.candidates() {
        let mut analysis = sallyport_shell::analyse(text.as_bytes(), &setting);
        analysis.opaque.extend(of_interactive_shells(text, &analysis));
        let (more, why) = line::judged(text.as_bytes(), terminal, account, &analysis, &[]);
        acts.extend(more);
        unparsed = unparsed.or(why);
        facts.push(analysis.facts_json());
    }
    let text = match (&typed.keys, &typed.screen) {
        (Some(keys), Some(screen)) => format!("{keys}\n# or, as the terminal shows it:\n{screen}"),
        (Some(text), None) | (None, Some(text)) => text.clone(),
        (None, None) => String::new(),
    };
    let words = match facts.as_slice() {
        [only] => only.clone(),
        _ => json!({ "readings": facts }),
    };
    command(acts, Bytes::from(text), state(account, setup), &words, unparsed)
}

/// What a shell that goes on behind the line, and remembers those before it, makes of it beside.
fn of_interactive_shells(text: &str, analysis: &Analysis) -> Vec<Opaque> {
    let mut found = Vec::new();
    if expands_history(text) {
        found.push(Opaque::HistoryExpansion);
    }
    let blinds = analysis.runs.iter().any(|run| BLINDING.contains(&run.program.as_str()));
    if blinds || !analysis.functions.is_empty() {
        found.push(Opaque::LastingState);
    }
    found
}

/// Whether bash may put something of its history into the line: `!` outside of single quotes, or `^` at its beginning.
fn expands_history(text: &str) -> bool {
    let (mut single, mut double) = (false, false);
    let mut previous = ' ';
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' if !single => {
                characters.next();
            }
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            '!' if !single && !matches!(previous, '$' | '{' | '[') => {
                let plain = characters
                    .peek()
                    .is_none_or(|next| matches!(next, ' ' | '\t' | '\n' | '=' | '('));
                if !plain {
                    return true;
                }
            }
            _ => {}
        }
        previous = c;
    }
    text.lines().any(|line| line.starts_with('^'))
}

#[cfg(test)]
mod tests {
    use sallyport_policy::Classification;
    use sallyport_typed::Line;

    use crate::account::Account;
    use crate::conversation::Setup;

    fn facts(text: &str) -> String {
        let line = Line {
            keys: Some(text.to_owned()),
            screen: None,
        };
        let account = Account::for_tests("deploy");
        let command = super::gated(&line, &Setup::default(), &account, &Classification::default());
        command.shape.facts.clone()
    }

    #[test]
    fn what_the_history_or_later_lines_would_make_of_it_is_not_known() {
        for (text, opaque) in [
            ("!rm", true),
            ("echo \"!!\"", true),
            ("^ls^rm", true),
            ("echo 'hi!x'", false),
            ("echo hi!", false),
            ("[ ! -e x ] && echo a != b", false),
            ("echo \\!x $! ${!x}", false),
        ] {
            assert_eq!(facts(text).contains("history-expansion"), opaque, "{text}");
        }
        for (text, opaque) in [
            ("ls() { rm -rf /; }", true),
            ("stty -echo", true),
            ("sudo stty -echo", true),
            ("ls", false),
        ] {
            assert_eq!(facts(text).contains("lasting-state"), opaque, "{text}");
        }
    }

    #[test]
    fn where_the_shell_is_and_what_it_knows_is_not_known() {
        for text in ["cat x", "cat ~/x", "cat \"$USER\""] {
            assert!(facts(text).contains('…'), "{text}: {}", facts(text));
        }
        assert!(!facts("cat /etc/hosts").contains('…'));
    }

    #[test]
    fn every_reading_of_a_line_must_be_permitted() {
        let line = Line {
            keys: Some("ls".to_owned()),
            screen: Some("rm /x".to_owned()),
        };
        let account = Account::for_tests("deploy");
        let command = super::gated(&line, &Setup::default(), &account, &Classification::default());
        assert_eq!(command.shape.acts.len(), 4, "a line and a program for each");
        assert_eq!(&*command.text, b"ls\n# or, as the terminal shows it:\nrm /x");
    }
}
