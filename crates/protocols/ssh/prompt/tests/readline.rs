//! The same keys to bash's readline, on a pseudo-terminal, and to the editor: what is submitted must be the same.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sallyport_prompt::{Editor, Event, Size};
use support::Readline;

const HISTORY: &[&str] = &[
    "ls -l /tmp",
    "echo one two",
    "cat <in >out; echo 'three four' \"five $(date +%s) six\"",
    "héllo wörld 漢字",
    "grep -r needle . | wc -l",
    "echo one again",
];

/// What the editor submits first; nothing if the input ended.
fn ours(keys: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut editor = Editor::new(Size { columns: 80, rows: 24 }, true, |_| false);
    HISTORY.iter().for_each(|line| editor.add_history(line));
    editor.begin("$ ", &mut out);
    match editor.keys(keys.as_bytes(), &mut out).1 {
        Some(Event::Line(line)) => Some(line),
        Some(Event::EndOfInput) => None,
        other => panic!("{keys:?} gave {other:?}"),
    }
}

/// What differs, if anything.
fn differs(keys: &str) -> Option<String> {
    // Whatever the last key has begun is over then.
    let keys = format!("{keys}\r\r\r");
    let (ours, theirs) = (ours(&keys), Readline::start(HISTORY).submit(&keys));
    if theirs
        .as_deref()
        .is_some_and(|line| line.contains(char::REPLACEMENT_CHARACTER))
    {
        return None;
    }
    (ours != theirs).then(|| format!("{keys:?}: the editor {ours:?}, readline {theirs:?}"))
}

#[test]
fn a_table_of_keys() {
    let table = [
        "plain",
        "héllo\x7f\x7fX",
        "e\u{301}x\x1b[D\x7f",
        "abc\x08\x08d",
        "abc\x01X\x05Y",
        "abc\x02\x02X\x06Y",
        "abc\x1b[D\x1b[DX\x1b[CY\x1b[HZ\x1b[FW",
        "abc\x1bOD\x1bODX\x1bOHZ\x1bOFW",
        "abc\x1b[1~X\x1b[4~Y\x1b[D\x1b[3~",
        "one two three\x1bbX\x1bbY\x1b[1;5DZ\x1b[1;5CW",
        "one-two_three\x17X",
        "one-two_three\x1b\x7fX\x1b\x7fY",
        "one two three\x01\x1bd\x1bd\x19\x19",
        "one two three\x17\x17\x19 \x19",
        "one two\x15three\x19",
        "one two\x02\x02\x0bthree\x19\x19",
        "one\x15two\x05\x15three\x05\x15\x19\x1by\x1by",
        "one\x15two\x05\x15\x19\x1by\x1by\x1by\x19",
        "ab\x14",
        "abc\x02\x14\x14d",
        "a\x14",
        "\x14ab",
        "one two three\x1bt",
        "one two three\x01\x1bf\x1bt",
        "one\x1bt",
        "one two three\x01\x1bu\x1bc\x1bl",
        "ONE TWO\x01\x1bc\x1bl",
        "one two\x1b-\x1bu",
        "one two-three\x1b-2\x1bc",
        "one two\x1f",
        "one\x17two\x1f\x1f",
        "one\x17\x1f",
        "abcdefghijklmnopqrstuvwxyz\x1f",
        "abcdefghijklmnopqrstuvwxyz\x1f\x1f",
        "abc\x18\x15x",
        "abc\x1br",
        "a\x16\x01b",
        "a\x16\x1b[Ab",
        "a\x16\tb",
        "\x1b5x",
        "\x1b1\x1b2x",
        "\x1b12x",
        "\x1b-5x",
        "abcdef\x1b3\x7f\x19\x19",
        "abcdef\x01\x1b3\x04\x19\x19",
        "abcdef\x1b-3\x04",
        "abcdef\x1b3\x02X\x1b-2\x02Y",
        "one two three\x1b2\x17X",
        "one two three\x1b2\x1bbX",
        "one two three\x01\x1b2\x1bdX",
        "one two three\x1b-1\x0bX",
        "\x1b[A",
        "\x10\x10X",
        "\x1b[A\x1b[A\x1b[BX",
        "new\x1b[A\x1b[BX",
        "new\x1b[Aedited\x1b[A\x1b[BX",
        "\x1b3\x10X",
        "\x1b<X",
        "new\x1b<\x1b>X",
        "\x0e\x0eX",
        "\x12one",
        "\x12one\x12",
        "\x12one\x12\x12\x12",
        "\x12one\x12\x13",
        "\x12one\x01X",
        "\x12one\x1b[DX",
        "\x12one\x07X",
        "new\x12one\x07X",
        "\x12nosuch",
        "\x12onenosuch",
        "\x12onex\x7f\x7fX",
        "\x12\x12X",
        "\x12l\x12\x06X",
        "one two one\x12one\x02X",
        "\x12漢",
        "echo \x1b.",
        "echo \x1b.\x1b.",
        "echo \x1b.\x1b.\x1b.",
        "echo \x1b.\x1b.\x1b.\x1b.\x1b.\x1b.\x1b.\x1b.",
        "echo \x1b.\x1b.\x1b-\x1b.",
        "echo \x1b1\x1b.",
        "echo \x1b2\x1b.\x1b.",
        "echo \x1b0\x1b.\x1b.\x1b.",
        "echo \x1b\x19",
        "echo \x1b2\x1b\x19",
        "\x1b[A\x1b.",
        "cat /etc/hostname; \x1b#",
        "abc  \x16\t  def\x02\x02\x02\x1b\\",
        "ab   cd\x02\x02\x1b\\",
        "abcabc\x01\x1dcX",
        "abcabc\x1b\x1daX",
        "abcabc\x01\x1b2\x1dcX",
        "\x04",
        "abc\x04\x01\x04\x04\x04",
        "a\x02\x04\x04\x04b",
        "a\x7f\x04",
        "abc\x07d",
        "\x1b[200~pasted text\x1b[201~X",
        "a b\x02\x1b[200~x y\x1b[201~\x1f",
        "a\x1b[1;2Dx",
        "one two\x1b\x1b[Dx",
        "one two\x1b[3;5~x\x01\x1b[3;5~",
        "!cat !$ ^a^b",
    ];
    let different: Vec<String> = table.iter().filter_map(|keys| differs(keys)).collect();
    assert!(different.is_empty(), "{different:#?}");
}

/// Keys that are bound in both. What readline finds typed ahead it inserts without noting that a command came between
/// two that remove; so a key that does nothing stands behind all text.
const KEYS: &[&str] = &[
    "a\x1b[99~",
    "b\x1b[99~",
    "éa\x1b[99~",
    "b漢\x1b[99~",
    " \x1b[99~",
    "-\x1b[99~",
    "_\x1b[99~",
    "two three\x1b[99~",
    "\x01",
    "\x02",
    "\x04",
    "\x05",
    "\x06",
    "\x08",
    "\x0b",
    "\x0e",
    "\x10",
    "\x12",
    "\x12o",
    "\x12e\x12",
    "\x14",
    "\x15",
    "\x17",
    "\x19",
    "\x1f",
    "\x7f",
    "\x1bb",
    "\x1bd",
    "\x1bf",
    "\x1bu",
    "\x1bl",
    "\x1bc",
    "\x1bt",
    "\x1by",
    "\x1b.",
    "\x1b\x7f",
    "\x1b2",
    "\x1b-",
    "\x1b<",
    "\x1b>",
    "\x1br",
    "\x1b\\",
    "\x1b[A",
    "\x1b[B",
    "\x1b[C",
    "\x1b[D",
    "\x1b[H",
    "\x1b[F",
    "\x1b[3~",
    "\x1b[1;5D",
    "\x1b[1;5C",
    "\x16\x02",
    "\x1do",
    "\x07",
];

proptest! {
    // The same keys in every run: readline has corners of its own, and they are not what is tested here.
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(3),
        ..ProptestConfig::with_cases(ProptestConfig::default().cases.max(300))
    })]

    #[test]
    fn any_keys(keys in proptest::collection::vec(proptest::sample::select(KEYS), 1..16)) {
        let keys = keys.concat();
        // Having found nothing forwards, readline may go on in another line than the one that it shows.
        prop_assume!(!(keys.contains("\x12") && keys.contains("\x1b-")));
        prop_assert_eq!(differs(&keys), None);
    }
}
