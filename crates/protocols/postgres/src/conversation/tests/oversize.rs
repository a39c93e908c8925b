//! Messages that are longer than the gateway takes.

use bytes::Bytes;
use sallyport_session::Command;

use super::play::{MAX_MESSAGE, Play, Says, bind, execute, parse, query, run, sync};

const TOO_LONG: &str = "the message has 2097161 bytes, and the gateway takes 2097151";

fn permit(_: &Command) -> Says {
    Says::Permit
}

/// A message of this type with a body that is a little too long.
fn long(tag: u8) -> Bytes {
    let len = MAX_MESSAGE + 9;
    let body = vec![b'x'; usize::try_from(len).unwrap() - 4];
    [&[tag][..], &len.to_be_bytes(), &body].concat().into()
}

#[test]
fn a_message_that_is_too_long_is_refused_and_the_session_goes_on() {
    for chunk in [0, 60_000] {
        let mut play = Play::new(false, permit);
        play.chunk = chunk;
        play.send(&[long(b'Q'), query("SELECT 1")].concat());
        play.send(&[long(b'F'), query("SELECT 2")].concat());
        assert_eq!(play.answers(), format!("E({TOO_LONG})ZTDCZE({TOO_LONG})ZTDCZ"));
        assert_eq!(play.server.ran, ["SELECT 1", "SELECT 2"]);
        assert!(play.broken.is_none());
        play.check();
    }
}

#[test]
fn one_in_a_batch_fails_the_batch_as_an_error_of_the_target_would() {
    let mut play = Play::new(false, permit);
    play.send(
        &[
            run("SELECT 1"),
            long(b'B'),
            long(b'P'),
            execute(""),
            sync(),
            query("SELECT 2"),
        ]
        .concat(),
    );
    play.send(&[long(b'B'), bind("", ""), sync(), query("SELECT 3")].concat());
    assert_eq!(play.answers(), format!("12TDCE({TOO_LONG})ZTDCZE({TOO_LONG})ZTDCZ"));
    assert_eq!(play.server.ran, ["SELECT 1", "SELECT 2", "SELECT 3"]);
    play.check();
}

#[test]
fn nothing_of_it_is_kept_while_it_comes() {
    let mut play = Play::new(false, permit);
    let message = long(b'B');
    play.send(&parse("", "SELECT 1"));
    let said = play.server.ran.len();
    for part in message.chunks(100_000) {
        play.send(part);
        assert!(play.waiting() < 100_000, "{} bytes wait", play.waiting());
    }
    assert_eq!(play.server.ran.len(), said);
}

#[test]
fn one_that_is_no_command_ends_the_session() {
    for tag in [b'd', b'E', b'S', b'X'] {
        let mut play = Play::new(false, permit);
        play.send(&long(tag));
        assert!(play.answers().starts_with("E(the message has "), "{}", play.answers());
        assert!(play.broken.is_some() && play.server.ran.is_empty());
    }
}
