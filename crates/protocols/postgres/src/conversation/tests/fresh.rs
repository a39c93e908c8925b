//! Names are those that the target resolves with now, whoever changed them and however old a transaction is.

use std::sync::Arc;

use sallyport_session::Command;
use sallyport_sql::Catalog;

use super::play::{Play, Says, bind, execute, house_rule, parse, query, sync};
use super::values::clinic;

fn no_shipped_policy_permits_unparsed(command: &Command) -> Says {
    if command.shape.unparsed.is_some() {
        Says::Refuse
    } else {
        house_rule(command)
    }
}

/// How often the target was asked for all names, and for their fingerprint.
fn asked(play: &Play) -> (usize, usize) {
    let count = |text: &str| play.server.asked.iter().filter(|asked| *asked == text).count();
    (count(Catalog::QUERIES[0].sql), count(Catalog::fingerprint_query()))
}

/// A session with names that have a fingerprint.
fn play(print: &str) -> Play {
    let play = Play::new(true, no_shipped_policy_permits_unparsed);
    play.names.publish(0, Some(print), &clinic());
    play
}

#[test]
fn names_of_the_same_fingerprint_are_taken_up_without_asking_for_them() {
    let mut play = play("first");
    play.names.changed();
    play.send(&query("SELECT 1"));
    assert_eq!(asked(&play), (0, 1));
    let (epoch, names) = play.names.current().expect("they are known to be fresh");
    assert_eq!((epoch, names.relations().count()), (1, clinic().relations().count()));
    play.check();
}

#[test]
fn names_of_another_fingerprint_are_asked_for() {
    let mut play = play("other");
    play.names.changed();
    play.send(&query("SELECT 1"));
    assert_eq!(asked(&play), (1, 3), "alone, before the names, and after them");
    assert!(play.names.of_print("first").is_some(), "and kept for the next session");
    play.check();
}

#[test]
fn a_transaction_that_sees_the_past_is_judged_by_what_somebody_else_was_told() {
    let mut play = play("first");
    play.send(&query("BEGIN"));
    play.server.isolation = "repeatable read";
    play.names.changed();
    // The target answers with the names as they were when the transaction began.
    play.server_sleeps = true;
    play.send(&query("SELECT 1"));
    play.names
        .publish(1, Some("second"), &Arc::new(Catalog::builder().build()));
    play.wake();
    assert_eq!(play.server.ran, ["BEGIN", "SELECT 1"]);
    assert!(play.names.of_print("second").is_some(), "what it was told is not kept");
    assert_eq!(asked(&play).0, 0);
}

#[test]
fn a_transaction_that_sees_the_past_runs_nothing_when_nobody_knows_the_present() {
    let mut play = play("first");
    play.send(&[parse("s", "SELECT 2"), sync()].concat());
    play.send(&query("BEGIN"));
    play.server.isolation = "serializable";
    play.names.changed();
    play.server.ran.clear();
    play.send(&query("SELECT 1"));
    play.send(&[bind("", "s"), execute(""), sync()].concat());
    assert!(play.server.ran.is_empty(), "{:?}", play.server.ran);
    assert!(play.names.current().is_none(), "its own answer is nobody's");
    let why = |command: &Command| command.shape.unparsed.as_ref().map(|u| u.message.clone());
    let why = play.asked.last().and_then(why).unwrap_or_default();
    assert!(why.contains("names were changed since this transaction began"), "{why}");

    play.send(&query("ROLLBACK"));
    play.server.isolation = "read committed";
    play.send(&query("SELECT 3"));
    assert_eq!(play.server.ran, ["ROLLBACK", "SELECT 3"], "{}", play.answers());
}

#[test]
fn a_transaction_that_sees_the_past_sees_its_own_changes() {
    let mut play = play("first");
    play.send(&query("BEGIN"));
    play.server.isolation = "repeatable read";
    play.server.ran.clear();
    play.send(&query("CREATE TABLE t (a int)"));
    play.send(&query("SELECT 1"));
    assert_eq!(
        play.server.ran,
        ["CREATE TABLE t (a int)", "SELECT 1"],
        "{}",
        play.answers()
    );
    assert!(
        play.names
            .of_print("first")
            .is_some_and(|names| names.relations().count() > 0)
    );
}
