//! Commands over several lines, to an interactive bash on a pseudo-terminal and to the editor: what runs must be the
//! same.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use sallyport_prompt::{Editor, Event, Size};
use support::{Shell, run};

/// An open quote, a backslash at the end, a here-document, `do` without `done`; enough for what is typed below.
fn incomplete(text: &str) -> bool {
    let here = text
        .lines()
        .next()
        .and_then(|line| line.split_once("<<"))
        .map(|(_, word)| word.trim_matches('\''));
    if let Some(end) = here {
        return !text.lines().skip(1).any(|line| line == end);
    }
    let open = |quote| text.matches(quote).count() % 2 == 1;
    let words = |word| text.split([' ', '\n', ';']).filter(|found| *found == word).count();
    text.ends_with('\\') || open('\'') || open('"') || words("do") > words("done") || words("{") > words("}")
}

/// What the lines that the editor submits do when bash runs each of them.
fn ours(typed: &[&str]) -> Vec<String> {
    let mut out = Vec::new();
    let mut editor = Editor::new(Size { columns: 80, rows: 24 }, true, incomplete);
    let mut lines = Vec::new();
    editor.begin("$ ", &mut out);
    let keys = typed.concat();
    let mut rest = keys.as_bytes();
    while !rest.is_empty() {
        let (taken, event) = editor.keys(rest, &mut out);
        rest = rest.get(taken..).unwrap();
        match event {
            Some(Event::Line(line)) => {
                editor.add_history(&line);
                lines.push(line);
            }
            Some(Event::Interrupt | Event::Unfinished) | None => {}
            Some(other) => panic!("{keys:?} gave {other:?}"),
        }
        if !editor.is_active() {
            editor.begin("$ ", &mut out);
        }
    }
    lines.iter().flat_map(|line| run(line)).collect()
}

#[test]
fn a_table_of_commands() {
    // Each piece ends with what makes the shell show its prompt again.
    let table: &[&[&str]] = &[
        &["one two\r"],
        &["o\\\rne t\\\rwo\r"],
        &["one 'a\rb' c\r"],
        &["one 'a\rlost\x15b' c\r"],
        &["one 'a\rb\x01x' c\r"],
        &["one 'a\r\x7f\x7fb'\r"],
        &["one <<'X'\rhello\rX\r", "two\r"],
        &["for a in 1 2; do\rone $a\rdone\r"],
        &["{\rone\rtwo\r}\r"],
        &["\x1b[200~one\ntwo\x1b[201~\r"],
        &["\x1b[200~one 'a\nb'\x1b[201~ c\r"],
        &["\x1b[200~one\n\x1b[201~\x7f two\r"],
        &["\x1b[200~one\rtwo\r\x1b[201~\r"],
        &["x\x01\x1b[200~one\n\x1b[201~\r"],
        &["one\r", "two\r", "\x1b[A\x1b[A\r"],
        &["one 'a\rb'\r", "\x1b[A\r"],
        &["one 'a\rb'\r", "\x1b[A\x7f c'\r"],
        &["one\r", "\x12on\x05 two\r"],
        &["one a\r", "two \x1b.\r"],
        &["one; \x1b#", "two\r"],
        &["\r", "one\r"],
        &["one\n", "two\n"],
        &["one '\x16\rx'\r"],
        &["one \x16\nlost\x16\n two\r"],
        &["one ' \x04x'\r"],
    ];
    let mut different = Vec::new();
    for typed in table {
        let (ours, theirs) = (ours(typed), Shell::start().type_in(typed));
        if ours != theirs {
            different.push(format!("{typed:?}: the editor {ours:?}, bash {theirs:?}"));
        }
        assert!(!theirs.is_empty(), "{typed:?} did nothing");
    }
    assert!(different.is_empty(), "{different:#?}");
}
