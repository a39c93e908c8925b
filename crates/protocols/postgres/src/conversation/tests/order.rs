//! What reaches the client, and in which order: the same as without a gateway, however the bytes arrive.

use bytes::Bytes;

use super::play::{
    Play, Says, answers, bind, close, copy_data, copy_done, describe, execute, flush, house_rule, parse, query, run,
    sync,
};
use super::server::Server;

fn permit(_: &sallyport_session::Command) -> Says {
    Says::Permit
}

fn directly(bytes: &[u8]) -> String {
    let mut server = Server::new();
    server.input.extend_from_slice(bytes);
    server.run();
    answers(&server.output)
}

fn conversations() -> Vec<(&'static str, Vec<Bytes>)> {
    vec![
        ("simple", vec![query("SELECT 1"), query("SELECT 2")]),
        ("one batch", vec![run("SELECT 1"), run("SELECT 2"), sync()]),
        (
            "batches",
            vec![
                run("SELECT 1"),
                sync(),
                run("SELECT 2"),
                sync(),
                run("SELECT 3"),
                sync(),
            ],
        ),
        (
            "named",
            vec![
                parse("s", "SELECT 1"),
                sync(),
                bind("p", "s"),
                describe("p"),
                execute("p"),
                sync(),
                close("s"),
                sync(),
            ],
        ),
        (
            "an error and what is skipped",
            vec![
                run("SELECT 1/0"),
                run("SELECT 2"),
                query("SELECT 3"),
                sync(),
                run("SELECT 4"),
                sync(),
            ],
        ),
        (
            "a bad statement",
            vec![run("SELECT unknown_function()"), sync(), query("SELECT 1")],
        ),
        (
            "a transaction",
            vec![
                run("BEGIN"),
                run("SELECT 1"),
                sync(),
                run("SELECT 2"),
                run("COMMIT"),
                run("SELECT 3"),
                sync(),
            ],
        ),
        (
            "a failed transaction",
            vec![
                query("BEGIN"),
                query("SELECT 1/0"),
                run("SELECT 2"),
                sync(),
                run("ROLLBACK"),
                sync(),
                query("SELECT 3"),
            ],
        ),
        (
            "a rollback in a batch",
            vec![
                query("BEGIN"),
                query("SELECT 1/0"),
                run("ROLLBACK"),
                run("SELECT 1"),
                sync(),
            ],
        ),
        (
            "prepared by SQL",
            vec![
                run("PREPARE s AS SELECT 1"),
                bind("", "s"),
                execute(""),
                sync(),
                query("EXECUTE s"),
                query("DEALLOCATE s"),
            ],
        ),
        (
            "flushed",
            vec![
                parse("", "SELECT 1"),
                flush(),
                bind("", ""),
                flush(),
                execute(""),
                flush(),
                sync(),
            ],
        ),
        (
            "query without sync",
            vec![
                parse("", "SELECT 1"),
                bind("", ""),
                execute(""),
                query("SELECT 2"),
                sync(),
            ],
        ),
        (
            "simple copy",
            vec![
                query("COPY t FROM STDIN"),
                copy_data(),
                copy_data(),
                copy_done(),
                query("SELECT 1"),
            ],
        ),
        (
            "extended copy",
            vec![
                run("COPY t FROM STDIN"),
                sync(),
                copy_data(),
                copy_done(),
                sync(),
                query("SELECT 1"),
            ],
        ),
        (
            "copy data for nobody",
            vec![copy_data(), copy_done(), query("SELECT 1")],
        ),
        (
            "settings",
            vec![
                query("SET standard_conforming_strings = off"),
                query("SELECT 1"),
                run("SET standard_conforming_strings = on"),
                run("SELECT 2"),
                sync(),
            ],
        ),
        ("syncs", vec![sync(), sync(), sync()]),
    ]
}

#[test]
fn a_permitted_conversation_is_the_same_as_without_a_gateway_however_its_bytes_arrive() {
    for (name, messages) in conversations() {
        let bytes = messages.concat();
        let expected = directly(&bytes);
        for needs_names in [false, true] {
            for chunk in [0, 1, 2, 3, 5, 7, 11, 13, 64, 1000] {
                let mut play = Play::new(needs_names, permit);
                play.chunk = chunk;
                play.send(&bytes);
                assert_eq!(play.broken, None, "{name}, {needs_names}, {chunk}");
                assert_eq!(play.answers(), expected, "{name}, names {needs_names}, by {chunk}");
                play.check();
            }
        }
    }
}

#[test]
fn a_conversation_may_be_cut_anywhere_while_the_target_is_slow() {
    for (name, messages) in conversations() {
        let bytes = messages.concat();
        let expected = directly(&bytes);
        for needs_names in [false, true] {
            for at in 0..bytes.len() {
                let mut play = Play::new(needs_names, permit);
                play.server_sleeps = true;
                play.send(&bytes[..at]);
                play.wake();
                play.server_sleeps = true;
                play.send(&bytes[at..]);
                play.wake();
                assert_eq!(play.broken, None, "{name}, {needs_names}, {at}");
                assert_eq!(play.answers(), expected, "{name}, names {needs_names}, cut at {at}");
                play.check();
            }
        }
    }
}

#[test]
fn a_refusal_takes_the_rest_of_its_batch_with_it() {
    let mut play = Play::new(false, house_rule);
    play.send(
        &[
            run("SELECT 1"),
            run("DROP TABLE t"),
            run("SELECT 2"),
            sync(),
            query("SELECT 3"),
        ]
        .concat(),
    );
    assert_eq!(play.answers(), "12TDCE(no rule permits this)ZTDCZ");
    assert_eq!(play.server.ran, ["SELECT 1", "SELECT 3"]);
}

#[test]
fn a_refusal_alone_never_reaches_the_target() {
    let mut play = Play::new(false, house_rule);
    play.send(&[run("DROP TABLE t"), sync(), query("DROP TABLE t")].concat());
    assert_eq!(play.answers(), "E(no rule permits this)ZE(no rule permits this)Z");
    assert!(play.server.ran.is_empty());
}

#[test]
fn a_refusal_fails_the_transaction_around_it() {
    for refused in [query("DROP TABLE t"), [run("DROP TABLE t"), sync()].concat().into()] {
        let mut play = Play::new(false, house_rule);
        play.send(&query("BEGIN")).send(&refused).send(&query("SELECT 1"));
        assert_eq!(
            play.answers(),
            "CZE(no rule permits this)ZE(current transaction is aborted)Z"
        );
    }
}

#[test]
fn a_refusal_after_a_copy_undoes_the_copy() {
    let mut play = Play::new(false, house_rule);
    play.send(&[run("COPY t FROM STDIN"), sync()].concat());
    play.send(&[copy_data(), copy_done(), run("DROP TABLE t"), sync()].concat());
    assert!(
        play.answers().ends_with("CE(no rule permits this)Z"),
        "{}",
        play.answers()
    );
    // The target saw a message that fails the batch, not a batch that ends well.
    let mut play = Play::new(false, house_rule);
    play.send(&[run("COPY t FROM STDIN"), sync(), copy_data(), copy_done()].concat());
    play.server_sleeps = true;
    play.send(&parse("", "DROP TABLE t"));
    assert!(!play.server.input.is_empty(), "nothing was sent that undoes the COPY");
}

#[test]
fn messages_that_a_copy_would_swallow_end_the_session() {
    let mut play = Play::new(false, permit);
    play.send(&[query("COPY t FROM STDIN"), query("SELECT 1"), query("SELECT 2")].concat());
    assert!(play.broken.is_some(), "{}", play.answers());
}

#[test]
fn what_the_target_says_without_being_asked_ends_the_session() {
    for message in [
        &b"D\0\0\0\x06\0\0"[..],
        b"1\0\0\0\x04",
        b"Z\0\0\0\x05I",
        b"G\0\0\0\x07\0\0\0",
        b"R\0\0\0\x08\0\0\0\0",
    ] {
        let mut play = Play::new(false, permit);
        play.target_says(message);
        assert!(play.broken.is_some(), "{message:?}");
        assert!(play.answers().starts_with("E("), "{}", play.answers());
    }
}
