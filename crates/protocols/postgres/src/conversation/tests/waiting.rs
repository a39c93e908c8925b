//! Commands that wait: for people, for the target, and for each other.

use sallyport_session::{Conversation, Finish};

use super::play::{Play, bind, execute, house_rule, parse, query, run, sync};

#[test]
fn a_held_command_runs_when_it_is_approved_and_what_follows_it_after() {
    let mut play = Play::new(true, house_rule);
    play.send(&[query("DELETE FROM t"), query("SELECT 1")].concat());
    assert!(play.server.ran.is_empty());
    play.approve();
    assert_eq!(play.server.ran, ["DELETE FROM t", "SELECT 1"]);
    assert_eq!(play.answers(), "CZTDCZ");
}

/// pa-175: an approval is of the whole message, and all of it waits.
#[test]
fn several_statements_of_one_message_are_held_and_approved_together() {
    let text = "SELECT 1; DELETE FROM t; SELECT 2";
    let mut play = Play::new(true, house_rule);
    play.send(&query(text));
    let (_, held) = play.held.as_ref().expect("it is held");
    assert_eq!(&*held.text, text.as_bytes());
    assert!(play.server.ran.is_empty());
    play.approve();
    assert_eq!(play.server.ran, [text]);
}

#[test]
fn names_that_changed_elsewhere_are_asked_for_again_before_an_approved_command_goes_on() {
    let mut play = Play::new(true, house_rule);
    play.send(&query("DELETE FROM t"));
    play.names.changed();
    play.server_sleeps = true;
    play.approve();
    assert!(play.server.ran.is_empty() && !play.server.input.is_empty());
    play.wake();
    // They mean the same, so what was approved is what runs.
    assert_eq!(play.server.ran, ["DELETE FROM t"]);
    assert_eq!(play.answers(), "CZ");
}

#[test]
fn an_approved_command_whose_names_mean_something_else_by_now_does_not_run() {
    let mut play = Play::new(true, house_rule);
    play.send(&query("DELETE FROM t"));
    play.names.changed();
    play.server.role = "somebody_else";
    play.approve();
    assert!(play.server.ran.is_empty());
    assert!(play.answers().contains("changed while it waited"), "{}", play.answers());
    assert_eq!(play.finished, [(1, Finish::Skipped)]);
}

/// pa-033, pa-206: should the session end now, nobody knows what became of these.
#[test]
fn what_the_target_has_not_answered_to_the_end_is_unfinished() {
    let mut play = Play::new(false, house_rule);
    play.send(&query("SELECT 1"));
    assert_eq!(play.machine.unfinished(), Vec::<u64>::new());
    play.server_sleeps = true;
    play.send(&query("SELECT 2"));
    play.send(&[run("SELECT 3"), sync()].concat());
    let unfinished = play.machine.unfinished();
    assert_eq!(unfinished.len(), 2, "{unfinished:?}");
    play.wake();
    assert_eq!(play.machine.unfinished(), Vec::<u64>::new());
    for seq in unfinished {
        assert!(play.finished.contains(&(seq, Finish::Completed)), "{:?}", play.finished);
    }
}

#[test]
fn a_held_command_whose_batch_fails_is_given_up() {
    let mut play = Play::new(false, house_rule);
    play.send(&[parse("d", "DELETE FROM t"), sync()].concat());
    play.server_sleeps = true;
    play.send(
        &[
            parse("", "SELECT unknown_function()"),
            bind("", "d"),
            execute(""),
            sync(),
        ]
        .concat(),
    );
    assert!(play.held.is_some());
    play.wake();
    assert!(play.held.is_none() && play.withdrawn.len() == 1);
    play.send(&query("SELECT 1"));
    assert_eq!(play.answers(), "1ZE(syntax error)ZTDCZ");
}

#[test]
fn a_held_command_may_be_cancelled_with_more_behind_it() {
    let mut play = Play::new(false, house_rule);
    play.send(&[parse("d", "DELETE FROM t"), sync()].concat());
    play.send(&[bind("", "d"), execute(""), sync(), query("SELECT 1")].concat());
    assert!(play.held.is_some());
    assert!(play.interrupt());
    assert_eq!(play.answers(), "1ZE(canceling statement due to user request)ZTDCZ");
}

#[test]
fn the_targets_refusal_to_say_what_names_mean_fails_the_command_and_not_the_session() {
    for command in [query("SELECT 1"), [run("SELECT 1"), sync()].concat().into()] {
        let mut play = Play::new(true, house_rule);
        play.server.refuses_questions = true;
        play.send(&command);
        assert_eq!(play.broken, None);
        assert_eq!(play.answers(), "E(canceling statement due to statement timeout)Z");
        play.server.refuses_questions = false;
        play.send(&query("SELECT 2"));
        assert!(play.answers().ends_with("TDCZ"), "{}", play.answers());
    }
}

#[test]
fn a_client_that_sends_a_million_messages_is_made_to_wait_for_the_target() {
    let mut play = Play::new(false, house_rule);
    play.server_sleeps = true;
    let many: Vec<u8> = sync().repeat(1_000_000);
    play.send(&many);
    assert!(!play.machine.wants_client());
    assert!(play.server.input.len() < 64 * 1024, "{}", play.server.input.len());
    play.wake();
    assert_eq!(play.answers().len(), 1_000_000);
}

#[test]
fn texts_and_parameters_that_are_kept_for_answers_have_a_bound() {
    let mut play = Play::new(false, house_rule);
    play.server_sleeps = true;
    let text = format!("SELECT 1 /* {} */", "x".repeat(1 << 20));
    for _ in 0..64 {
        play.send(&parse("", &text));
    }
    assert!(!play.machine.wants_client());
    assert!(play.server.input.len() < 20 << 20, "{}", play.server.input.len());
    play.wake();
    assert_eq!(play.broken, None);
}
