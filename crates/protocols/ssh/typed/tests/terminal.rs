//! What is made of bytes, without a shell.

use proptest::prelude::*;
use sallyport_typed::{Line, Patience, Size, Step, Typed, Verdict};

const SIZE: Size = Size { columns: 80, rows: 24 };

fn whole(_: &str) -> bool {
    false
}

/// Somebody who has typed a line at this prompt that came back.
fn seat(prompt: &str) -> Typed {
    let mut typed = Typed::new(SIZE, whole);
    typed.shown(prompt.as_bytes());
    typed.quiet();
    assert_eq!(typed.keys(b"ls"), Step::Pass(2));
    typed.shown(b"ls");
    assert_eq!(typed.judge(Patience::Fresh), agreed("ls"));
    typed.submitted(b"\r");
    typed.shown(format!("\r\nfile\r\n{prompt}").as_bytes());
    typed.quiet();
    typed
}

fn press(typed: &mut Typed, mut keys: &[u8]) {
    while !keys.is_empty() {
        match typed.keys(keys) {
            Step::Pass(count) => keys = keys.get(count..).unwrap_or_default(),
            other @ (Step::Swallow(_) | Step::Submit(_)) => assert_eq!(other, Step::Pass(keys.len())),
        }
    }
}

fn agreed(text: &str) -> Verdict {
    Verdict::Line(Line {
        keys: Some(text.to_owned()),
        screen: None,
    })
}

fn seen(text: &str) -> Verdict {
    Verdict::Line(Line {
        keys: None,
        screen: Some(text.to_owned()),
    })
}

#[test]
fn marks_of_the_shell_say_where_a_prompt_ends_that_came_behind_the_keys() {
    let mut typed = Typed::new(SIZE, whole);
    typed.shown(b"work... ");
    press(&mut typed, b"\x1b[A");
    typed.shown(b"done\r\n\x1b]133;A\x07odd prompt - \x1b]133;B\x07remembered");
    assert_eq!(typed.judge(Patience::Settled), seen("remembered"));
    // A mark that comes while a line stands at its prompt is none of the shell's.
    let mut typed = seat("$ ");
    press(&mut typed, b"\x1b[A");
    typed.shown(b"rm x\x1b]133;B\x07 y");
    assert_eq!(typed.judge(Patience::Settled), seen("rm x y"));
}

#[test]
fn every_key_that_submits_waits_wherever_it_stands() {
    for submit in [&b"\r"[..], b"\n", b"\x0f"] {
        for before in [
            &b""[..],
            b"ls",
            b"\x1b",
            b"\x1b[",
            b"\x1b[200~",
            b"\x1b]0;",
            b"\x16",
            b"\x18",
            b"\xc3",
        ] {
            let mut typed = seat("$ ");
            press(&mut typed, before);
            assert_eq!(typed.keys(submit), Step::Submit(1), "{before:?} {submit:?}");
        }
    }
    let mut typed = seat("$ ");
    assert_eq!(typed.keys(b"\x04"), Step::Pass(1), "at an empty line it is the end");
    let mut typed = seat("$ ");
    press(&mut typed, b"ls");
    assert_eq!(typed.keys(b"\x04"), Step::Submit(1));
}

#[test]
fn nothing_is_known_before_the_host_has_answered_a_key_that_only_it_understands() {
    let mut typed = seat("$ ");
    press(&mut typed, b"\x1b[A");
    assert_eq!(typed.judge(Patience::Settled), Verdict::Wait);
    assert_eq!(typed.judge(Patience::Over), Verdict::Unknown);
    typed.shown(b"rm x");
    assert_eq!(typed.judge(Patience::Fresh), Verdict::Wait);
    assert_eq!(typed.judge(Patience::Settled), seen("rm x"));
    // Wiped off the screen, it may still be there.
    typed.shown(b"\x08\x08\x08\x08\x1b[K");
    assert_eq!(typed.judge(Patience::Settled), Verdict::ShownEmpty);
    typed.shown(b"\r\x1b[K$ ls");
    assert_eq!(typed.judge(Patience::Settled), Verdict::Unknown);
}

#[test]
fn a_line_that_stands_at_a_prompt_though_no_key_was_pressed_is_a_line() {
    let mut typed = seat("$ ");
    press(&mut typed, b"rm x\x03");
    typed.shown(b"rm x");
    assert_eq!(typed.judge(Patience::Settled), seen("rm x"));
}

#[test]
fn what_the_shell_leaves_at_its_next_prompt_is_part_of_the_line_there() {
    for (before, submit) in [(&b"ls"[..], &b"\x0f"[..]), (b"ls\x16", b"\r")] {
        let mut typed = seat("$ ");
        press(&mut typed, before);
        typed.shown(b"ls");
        typed.submitted(submit);
        typed.shown(b"\r\nfile\r\n$ rm x");
        typed.quiet();
        assert_eq!(typed.judge(Patience::Settled), seen("rm x"), "{before:?}");
        press(&mut typed, b" y");
        typed.shown(b" y");
        assert_eq!(typed.judge(Patience::Fresh), Verdict::Wait, "{before:?}");
        assert_eq!(typed.judge(Patience::Settled), seen("rm x y"), "{before:?}");
    }
}

#[test]
fn full_screens_are_left_alone_but_not_shells_in_them() {
    let mut typed = seat("a@h:~$ ");
    typed.shown(b"\r\n\x1b[?1049h\x1b[2J\x1b[Htext");
    press(&mut typed, b"ihello");
    assert_eq!(typed.judge(Patience::Fresh), Verdict::FullScreen);
    // A flood goes by unseen, but for the end of it.
    for _ in 0..100 {
        typed.shown(&[b'x'; 10_000]);
    }
    assert_eq!(typed.judge(Patience::Fresh), Verdict::FullScreen);
    typed.shown(b"\r\n\x1b[?1049l\r\na@h:/tmp$ ");
    typed.quiet();
    press(&mut typed, b"\x03");
    typed.quiet();
    press(&mut typed, b"rm x");
    typed.shown(b"rm x");
    assert_eq!(typed.judge(Patience::Settled), agreed("rm x"));
    let mut typed = seat("a@h:~$ ");
    typed.shown(b"\x1b[?1049h\r\na@h:~$ ");
    typed.quiet();
    press(&mut typed, b"rm x");
    assert_eq!(typed.judge(Patience::Settled), agreed("rm x"));
}

#[test]
fn keys_for_a_program_are_no_part_of_the_line_behind_it() {
    let mut typed = seat("$ ");
    press(&mut typed, b"less file");
    typed.shown(b"less file");
    typed.submitted(b"\r");
    typed.shown(b"\r\ntext\r\n:");
    typed.quiet();
    press(&mut typed, b"jjq");
    typed.shown(b"\r\x1b[Kmore\r\n:\r\x1b[K$ ");
    typed.quiet();
    press(&mut typed, b"ls");
    typed.shown(b"ls");
    assert_eq!(typed.judge(Patience::Settled), seen("ls"));
}

#[test]
fn a_line_is_found_again_behind_what_it_may_be_completed_to_and_on_a_cleared_screen() {
    for prompt in ["$ ", "READY:~$ "] {
        let mut typed = seat(prompt);
        press(&mut typed, b"y alp\t\t");
        typed.shown(format!("y alph\x07\r\nalphabet  alphorn\r\n{prompt}y alph").as_bytes());
        assert_eq!(typed.judge(Patience::Settled), seen("y alph"), "{prompt}");
        press(&mut typed, b"\x0c");
        typed.shown(format!("\x1b[H\x1b[2J{prompt}y alph").as_bytes());
        assert_eq!(typed.judge(Patience::Settled), seen("y alph"), "{prompt}");
    }
}

#[test]
fn stars_for_a_password_are_no_line() {
    let mut typed = seat("$ ");
    typed.shown(b"\r\n[sudo] password for a: ");
    typed.quiet();
    press(&mut typed, b"s3cret");
    typed.shown(b"******");
    assert_eq!(typed.judge(Patience::Settled), Verdict::NoEcho);
}

#[test]
fn a_paste_is_known_by_its_keys_alone() {
    let mut typed = seat("$ ");
    press(&mut typed, b"\x1b[200~rm x");
    assert_eq!(typed.judge(Patience::Fresh), agreed("rm x"));
    // Behind a line of the history it is not.
    let mut typed = seat("$ ");
    press(&mut typed, b"\x1b[A");
    typed.shown(b"rm x");
    press(&mut typed, b"\x1b[200~ y");
    assert_eq!(typed.judge(Patience::Settled), seen("rm x"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_fail(
        pieces in prop::collection::vec(
            (0_u8..6, prop::collection::vec(any::<u8>(), 0..60), 0_u32..200, 0_u32..60),
            0..40,
        ),
    ) {
        let mut typed = Typed::new(SIZE, |text| text.ends_with('\\'));
        for (what, bytes, columns, rows) in pieces {
            match what {
                0 | 1 => typed.shown(&bytes),
                2 => typed.resize(Size { columns, rows }),
                3 => typed.quiet(),
                _ => {
                    let mut rest = bytes.as_slice();
                    while !rest.is_empty() {
                        let count = match typed.keys(rest) {
                            Step::Pass(count) | Step::Swallow(count) => count,
                            Step::Submit(count) => {
                                typed.judge(Patience::Fresh);
                                typed.judge(Patience::Settled);
                                typed.submitted(rest.get(..count).unwrap_or_default());
                                count
                            }
                        };
                        prop_assert!(count > 0 && count <= rest.len());
                        rest = rest.get(count..).unwrap_or_default();
                    }
                }
            }
            typed.is_at_prompt();
            typed.judge(Patience::Over);
        }
    }

    /// As terminals are used: text, moves, erasures, wide characters, and all that was cut anywhere.
    #[test]
    fn output_in_pieces_comes_to_the_same(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", "漢", "\r", "\n", "\x08", "\x1b[K", "\x1b[2J", "\x1b[H", "\x1b[3C", "\x1b[2P", "\x1b[?1049h",
                "\x1b[?1049l", "\x1b]133;B\x07", "$ ", "word ", "\x1b[31m", "\u{301}", "\t", "\x1b[L", "\x1b[5;1H",
            ]),
            0..60,
        ),
        cuts in prop::collection::vec(1_usize..7, 1..8),
    ) {
        let text = parts.concat();
        let (mut one, mut other) = (seat("$ "), seat("$ "));
        for typed in [&mut one, &mut other] {
            press(typed, b"\x1b[A");
        }
        one.shown(text.as_bytes());
        let (mut rest, mut cuts) = (text.as_bytes(), cuts.iter().cycle());
        while !rest.is_empty() {
            let at = cuts.next().map_or(1, |cut| *cut).min(rest.len());
            let (piece, behind) = rest.split_at(at);
            other.shown(piece);
            other.is_at_prompt();
            rest = behind;
        }
        prop_assert_eq!(one.judge(Patience::Settled), other.judge(Patience::Settled));
    }
}
