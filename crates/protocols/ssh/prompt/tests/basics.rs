//! What the editor gives for keys.

#![expect(clippy::unwrap_used, reason = "tests")]

use sallyport_prompt::{Editor, Event, Size};

const SIZE: Size = Size { columns: 80, rows: 24 };

/// Feeds keys to a fresh line, and gives the event that ended it.
fn event(keys: &str) -> Option<Event> {
    let mut out = Vec::new();
    let mut editor = Editor::new(SIZE, true, |_| false);
    editor.add_history("echo one two");
    editor.begin("$ ", &mut out);
    let (taken, event) = editor.keys(keys.as_bytes(), &mut out);
    assert!(event.is_none() || taken == keys.len(), "{keys:?} ended after {taken}");
    event
}

#[test]
fn keys_edit_the_line() {
    for (keys, line) in [
        ("ls\r", "ls"),
        ("lX\x7fs\r", "ls"),
        ("s\x01l\r", "ls"),
        ("cat b\x17c\r", "cat c"),
        ("\x1b[A\x7f!\r", "echo one tw!"),
        ("ls \x1b.\r", "ls two"),
        ("\x12one\r", "echo one two"),
        ("é\u{301}x\x1b[D\x7f\r", "x"),
    ] {
        assert_eq!(event(keys), Some(Event::Line(line.to_owned())), "{keys:?}");
    }
}

#[test]
fn the_rest_behind_an_event_is_left() {
    let mut out = Vec::new();
    let mut editor = Editor::new(SIZE, true, |_| false);
    assert_eq!(editor.keys(b"early", &mut out), (0, None));
    editor.begin("$ ", &mut out);
    let (taken, event) = editor.keys(b"ls\rcat\r", &mut out);
    assert_eq!((taken, event.unwrap()), (3, Event::Line("ls".to_owned())));
    assert_eq!(editor.keys(b"cat\r", &mut out), (0, None));
}
