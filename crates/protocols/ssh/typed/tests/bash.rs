//! What is read of lines that a real bash edits: it must be what bash then runs.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use sallyport_typed::{Patience, Step, Verdict};
use support::{Seat, agreed, line, seen};

#[test]
fn what_is_typed_and_edited_is_known_to_both_readers() {
    let mut seat = Seat::take("");
    seat.line("one two", &agreed("one two"));
    seat.line("wrong\x15right", &agreed("right"));
    seat.line("a bb\x17cc\x7fd", &agreed("a cd"));
    seat.line("world\x01hello \x05!", &agreed("hello world!"));
    seat.line("ac\x1b[Db\x1b[C", &agreed("abc"));
    seat.line("abx\x1b[D\x04", &agreed("ab"));
    assert_eq!(
        seat.ran(),
        ["one|two|", "right|", "a|cd|", "hello|world!|", "abc|", "ab|"]
    );
}

#[test]
fn what_only_the_shell_knows_is_read_off_the_screen() {
    let mut seat = Seat::take("");
    seat.line("first", &agreed("first"));
    // History.
    seat.line("\x1b[A\x1b[A\x1b[A", &seen("remembered one"));
    // A search in it.
    seat.line("\x12other", &seen("other two"));
    // Completion: of one name, and of one of which there are two.
    seat.line("x uni\t", &seen("x unique\\ name"));
    seat.reads("y alp\t", &seen("y alph"));
    seat.reads("\t\t", &seen("y alph"));
    seat.wait_for("alphorn");
    seat.wait_for("$ y alph");
    seat.line("a\t", &seen("y alphabet"));
    // Killed, and put back.
    seat.line("tail head\x17\x01\x19", &seen("headtail"));
    let ran = seat.ran();
    let expected = [
        "first|",
        "remembered|one|",
        "other|two|",
        "x|unique name|",
        "y|alphabet|",
        "headtail|",
    ];
    assert_eq!(ran, expected);
}

#[test]
fn long_lines_and_wide_characters_are_whole() {
    let mut seat = Seat::take("");
    seat.line("first", &agreed("first"));
    let long = format!("long {}", "0123456789".repeat(9));
    seat.line(&long, &agreed(&long));
    seat.line(
        "wide 漢字かな交じり文の長い行 ünïcödé 漢字かな交じり文",
        &agreed("wide 漢字かな交じり文の長い行 ünïcödé 漢字かな交じり文"),
    );
    seat.line("\x1b[A\x1b[A", &seen(&long));
    let ran = seat.ran();
    assert_eq!(ran[1], format!("long|{}|", "0123456789".repeat(9)));
    assert_eq!(ran[2], "wide|漢字かな交じり文の長い行|ünïcödé|漢字かな交じり文|");
    assert_eq!(ran[3], ran[1]);
}

#[test]
fn lines_that_go_on_are_one() {
    let mut seat = Seat::take("");
    seat.reads("say 'one", &Verdict::GoesOn);
    seat.enter("> ");
    seat.reads("", &Verdict::GoesOn);
    seat.enter("> ");
    seat.line("two'", &agreed("say 'one\n\ntwo'"));
    seat.reads("a \\", &Verdict::GoesOn);
    seat.enter("> ");
    seat.line("b", &agreed("a \\\nb"));
    // Given up, nothing of it is left.
    seat.reads("lost 'x", &Verdict::GoesOn);
    seat.enter("> ");
    seat.press("z");
    seat.wait_for("z");
    seat.rests();
    seat.press("\x03");
    seat.wait_for("$ ");
    seat.typed.quiet();
    seat.line("c", &agreed("c"));
    assert_eq!(seat.ran(), ["say|one\n\ntwo|", "a|b|", "c|"]);
}

#[test]
fn a_prompt_is_found_again_behind_what_was_typed_ahead() {
    let mut seat = Seat::take("");
    seat.line("first", &agreed("first"));
    let busy = "echo busy; read x < gate; cd /";
    seat.reads(busy, &agreed(busy));
    seat.submit();
    // From here on the terminal itself shows what is typed, and later the shell again.
    seat.wait_for("busy\r\n");
    seat.press("for\x7f\x7f\x7fahead root");
    seat.wait_for("ahead root");
    seat.open_gate();
    seat.wait_for("/$ ");
    seat.reads("", &agreed("ahead root"));
    seat.enter("/$ ");
    seat.line("later", &agreed("later"));
    assert_eq!(seat.ran(), ["first|", "ahead|root|", "later|"]);
}

#[test]
fn the_screen_cleared_or_the_terminal_resized_the_line_is_still_there() {
    let mut seat = Seat::take("");
    seat.line("first", &agreed("first"));
    seat.reads("before", &agreed("before"));
    seat.line("\x0cafter", &seen("beforeafter"));
    seat.line("\x1b[A\x0c", &seen("beforeafter"));
    assert_eq!(seat.ran(), ["first|", "beforeafter|", "beforeafter|"]);
}

#[test]
fn what_is_typed_at_a_question_without_echo_is_no_line() {
    let mut seat = Seat::take("");
    seat.line("first", &agreed("first"));
    seat.reads("read -s -p 'Password: ' x", &agreed("read -s -p 'Password: ' x"));
    seat.enter("Password: ");
    seat.press("s3cret");
    assert_eq!(seat.typed.judge(Patience::Settled), Verdict::NoEcho);
    seat.answer("$ ");
    seat.line("last", &agreed("last"));
    assert_eq!(seat.ran(), ["first|", "last|"]);
}

#[test]
fn a_shell_whose_terminal_does_not_echo_is_a_shell() {
    let mut seat = Seat::take("hide() { /bin/stty -echo </dev/tty; }\n");
    seat.line("first", &agreed("first"));
    seat.line("hide", &agreed("hide"));
    seat.press("hidden");
    assert_eq!(seat.typed.judge(Patience::Settled), agreed("hidden"));
    assert_eq!(seat.ran(), ["first|"]);
}

#[test]
fn keys_by_which_unseen_lines_would_run_do_not_pass() {
    let mut seat = Seat::take("");
    seat.press("ls\x18");
    assert_eq!(seat.typed.keys(b"\x05"), Step::Swallow(1));
    assert_eq!(seat.typed.keys(b"e"), Step::Swallow(1));
    assert_eq!(seat.typed.keys(b"\x18"), Step::Pass(1));
    assert_eq!(seat.typed.keys(b"e"), Step::Pass(1));
}

#[test]
fn what_the_readers_differ_about_has_both_readings() {
    let mut seat = Seat::take("bind '\"q\": \"zed\"'\n");
    seat.line("first", &agreed("first"));
    seat.line("q", &line(Some("q"), Some("zed")));
    assert_eq!(seat.ran(), ["first|", "zed|"]);
}
