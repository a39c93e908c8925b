//! Replication connections.

use bytes::{BufMut, Bytes, BytesMut};
use sallyport_session::{Command, Conversation, Finish};

use super::play::{Play, Says, answers, copy_done, parse, query, sync};
use crate::replication::Walsender;
use crate::wire::backend::{CommandComplete, ReadyForQuery, TransactionStatus};
use crate::wire::message;

fn permit(_: &Command) -> Says {
    Says::Permit
}

/// As policies that permit what is understood.
fn understood(command: &Command) -> Says {
    if command.shape.unparsed.is_some() {
        Says::Refuse
    } else {
        Says::Permit
    }
}

fn acts(play: &Play) -> Vec<String> {
    let acts = play.asked.iter().flat_map(|command| &command.shape.acts);
    acts.map(|act| act.action.to_string()).collect()
}

fn said(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    write(&mut out);
    out.freeze()
}

fn both() -> Bytes {
    said(|out| {
        message(out, b'W', |out| {
            out.put_u8(0);
            out.put_u16(0);
        });
    })
}

fn data(bytes: &[u8]) -> Bytes {
    said(|out| crate::wire::CopyData { data: bytes }.encode(out))
}

/// A part of the log that begins at `start`.
fn log(start: u64, part: &[u8]) -> Bytes {
    data(&[&b"w"[..], &start.to_be_bytes(), &[0; 16], part].concat())
}

fn ended() -> Bytes {
    said(|out| {
        CommandComplete {
            tag: b"START_STREAMING",
        }
        .encode(out);
        ReadyForQuery {
            status: TransactionStatus::Idle,
        }
        .encode(out);
    })
}

#[test]
fn a_command_is_judged_as_what_it_is_and_anything_else_is_not_understood() {
    let mut play = Play::on(Some(Walsender::Physical), true, understood);
    play.send(&query("IDENTIFY_SYSTEM"));
    play.send(&query("DROP_REPLICATION_SLOT s; SELECT 1"));
    play.send(&query("SELECT 1"));
    play.send(&query("/* */ DROP_REPLICATION_SLOT s"));
    assert_eq!(
        acts(&play),
        [
            "Replication::Action::\"identify_system\"",
            "Action::\"unparsed\"",
            "Action::\"unparsed\"",
            "Action::\"unparsed\""
        ]
    );
    assert_eq!(play.server.ran, ["IDENTIFY_SYSTEM"]);
    assert_eq!(play.finished, [(1, Finish::Completed)]);
}

#[test]
fn only_simple_queries_are_taken() {
    let mut play = Play::on(Some(Walsender::Database), false, permit);
    play.send(&parse("", "SELECT 1")).send(&sync());
    assert!(play.asked.is_empty());
    let words = play.answers();
    assert!(
        words.starts_with("E(only simple queries") && words.ends_with(")Z"),
        "{words}"
    );
}

#[test]
fn a_stream_runs_in_both_directions_until_both_sides_end_it() {
    for chunk in [0, 1, 3] {
        let mut play = Play::on(Some(Walsender::Physical), true, permit);
        play.chunk = chunk;
        play.server_sleeps = true;
        play.send(&query("START_REPLICATION 0/0"));
        play.server.input.clear();
        play.target_says(&[both(), log(16, b"abc"), log(19, b"de")].concat());
        assert_eq!(answers(&play.received), "Wdd");
        let reply = data(&[&b"r"[..], &[0; 33]].concat());
        play.send(&reply);
        assert_eq!(play.server.input, reply);
        // What the client says behind the end waits for the target's end.
        play.send(&[copy_done(), query("IDENTIFY_SYSTEM")].concat());
        assert_eq!(play.asked.len(), 1);
        play.target_says(&log(21, b"f"))
            .target_says(b"c\0\0\0\x04")
            .target_says(&ended());
        assert_eq!(answers(&play.received), "WdddcCZ");
        assert_eq!(play.asked.len(), 2);
        assert_eq!(play.finished, [(1, Finish::Completed)]);
        let told: Vec<serde_json::Value> = play
            .remarks
            .iter()
            .map(|t| serde_json::from_slice(t).unwrap())
            .collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((&told[0]["from"], &told[0]["to"]), (&"0/10".into(), &"0/16".into()));
        assert_eq!((&told[0]["messages"], &told[0]["replies"]), (&3.into(), &1.into()));
    }
}

#[test]
fn a_stream_that_is_cut_off_is_told_of() {
    let mut play = Play::on(Some(Walsender::Physical), true, permit);
    play.server_sleeps = true;
    play.send(&query("START_REPLICATION 0/0"))
        .target_says(&[both(), log(16, b"abc")].concat());
    assert_eq!(play.machine.unfinished(), [1]);
    assert!(play.remarks.is_empty());
    play.over();
    assert_eq!(play.remarks.len(), 1);
}

#[test]
fn a_target_that_streams_unasked_is_not_believed() {
    for (text, says) in [
        ("IDENTIFY_SYSTEM", both()),
        ("IDENTIFY_SYSTEM", log(1, b"abc")),
        ("BASE_BACKUP", both()),
        ("START_REPLICATION 0/0", log(1, b"abc")),
        ("SHOW x", both()),
    ] {
        let mut play = Play::on(Some(Walsender::Physical), false, permit);
        play.server_sleeps = true;
        play.send(&query(text)).target_says(&says);
        assert!(play.broken.is_some(), "{text}");
        assert!(!play.answers().contains('d'), "{text}");
    }
    // Without replication nothing of it is understood at all.
    let mut play = Play::new(false, understood);
    play.send(&query("START_REPLICATION 0/0"));
    assert_eq!(acts(&play), ["Action::\"unparsed\""]);
}
