#![expect(clippy::unwrap_used, reason = "tests")]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::line::{Line, parse, refusal};
use super::{Scp, ScpCommand, ScpOut, ScpVerdict};
use crate::error::Side;
use crate::out::{Cause, Direction};

fn bytes(text: &[u8]) -> BytesMut {
    BytesMut::from(text)
}

/// An upload up to the source's first line.
fn upload() -> (Scp, ScpOut) {
    let (mut scp, mut out) = (Scp::new(Direction::Upload), ScpOut::default());
    scp.from_target(&mut bytes(b"\0"), &mut out).unwrap();
    assert_eq!(out.to_client.split(), b"\0".as_slice());
    (scp, out)
}

#[test]
fn lines_that_a_sink_could_take_for_something_else_are_none() {
    let read = |line: &[u8]| parse(&Bytes::copy_from_slice(line));
    let item = Line::Item {
        directory: false,
        mode: 0o644,
        size: 5,
        name: Bytes::from("a b"),
    };
    assert_eq!(read(b"C0644 5 a b\n"), Ok(item));
    for wrong in [
        b"C0644 5 a\0b\n".as_slice(),
        b"C0644 5 a/b\n",
        b"C0644 5 ..\n",
        b"D0755 0 .\n",
        b"C0644 5 \n",
        b"C0644 5\n",
        b"C644 5 a\n",
        b"C0844 5 a\n",
        b"C0644  5 a\n",
        b"C0644 -5 a\n",
        b"C0644 0x5 a\n",
        b"C0644 9223372036854775808 a\n",
        b"C0644 99999999999999999999999 a\n",
        b"EE\n",
        b"E \n",
        b"T1 0 1\n",
        b"T1 0 1 0 \n",
        b"T1 0 1 0x\n",
        b"X\n",
        b"\n",
        b"c0644 5 a\n",
    ] {
        assert!(read(wrong).is_err(), "{:?}", String::from_utf8_lossy(wrong));
    }
}

#[test]
fn what_was_permitted_ends_once_whatever_the_source_says_then() {
    for (said, ended) in [
        (b"C0644 3 name\nabc\xd3".as_slice(), 1),
        (b"D0755 0 name\nX", 1),
        (b"D0755 0 name\nC0644 3 name\nabcX", 2),
        (b"X", 0),
    ] {
        let (mut scp, mut out) = upload();
        let (mut client, mut broken) = (bytes(said), false);
        while !broken && (!client.is_empty() || !scp.wants_client()) {
            broken = scp.from_client(&mut client, &mut out).is_err();
            if let Some(ask) = out.asks.pop_front() {
                scp.answer(ask.id, &ScpVerdict::Permitted, &mut out).unwrap();
            } else if !broken {
                scp.from_target(&mut bytes(b"\0"), &mut out).unwrap();
            }
        }
        assert!(broken, "{said:?}");
        assert_eq!(out.ended.len(), ended, "{said:?}");
        scp.over(&mut out);
        assert_eq!(out.ended.len(), ended, "{said:?}");
    }
}

#[test]
fn no_byte_of_a_file_leaves_before_the_verdict_and_none_after_a_refusal() {
    for refuse in [true, false] {
        let (mut scp, mut out) = upload();
        let mut said = bytes(b"T1 0 2 0\nC0644 3 name\nabc\0");
        scp.from_client(&mut said, &mut out).unwrap();
        assert!(out.to_target.is_empty() && !scp.wants_client());
        assert_eq!(
            said,
            b"abc\0".as_slice(),
            "what does not wait for its answer waits here"
        );
        let ask = out.asks.pop_front().unwrap();
        assert_eq!(ask.text, "scp put name (3 bytes, mode 0644)");
        assert_eq!(
            (ask.item.times, ask.request.as_ref()),
            (Some((1, 2)), b"T1 0 2 0\nC0644 3 name\n".as_slice())
        );
        out.to_client.clear();
        if refuse {
            let message = "rule: no\nC0777 0 evil".to_owned();
            scp.answer(ask.id, &ScpVerdict::Refused { message }, &mut out).unwrap();
            assert_eq!(out.to_client, b"\x01scp: rule: no?C0777 0 evil\n".as_slice());
            assert!(out.to_target.is_empty());
            assert!(scp.from_client(&mut said, &mut out).is_err(), "these are no lines");
            assert!(out.to_target.is_empty());
        } else {
            scp.answer(ask.id, &ScpVerdict::Permitted, &mut out).unwrap();
            assert_eq!(out.to_target.split(), b"T1 0 2 0\n".as_slice());
            assert_eq!(out.spans.first().unwrap().cause, Cause::Asked(ask.id));
            scp.from_target(&mut bytes(b"\0"), &mut out).unwrap();
            assert_eq!(out.to_target.split(), b"C0644 3 name\n".as_slice());
            scp.from_target(&mut bytes(b"\0"), &mut out).unwrap();
            scp.from_client(&mut said, &mut out).unwrap();
            assert_eq!(out.to_target.split(), b"abc\0".as_slice());
            scp.from_target(&mut bytes(b"\0"), &mut out).unwrap();
            assert!(out.done.pop().unwrap().complete);
            assert!(
                scp.answer(ask.id, &ScpVerdict::Permitted, &mut out).is_err(),
                "it was answered"
            );
        }
    }
}

#[test]
fn a_line_that_never_ends_is_refused() {
    let (mut scp, mut out) = upload();
    let mut long = bytes(&[b"C0644 1 ".as_slice(), &[b'a'; 2000]].concat());
    assert_eq!(scp.from_client(&mut long, &mut out).unwrap_err().side, Side::Client);
    assert!(out.asks.is_empty());
    let (mut scp, mut out) = upload();
    for depth in 0..200 {
        match scp.from_client(&mut bytes(b"D0755 0 d\n"), &mut out) {
            Ok(()) => {}
            Err(_) => {
                assert_eq!(depth, 128);
                return;
            }
        }
        let ask = out.asks.pop_front().unwrap();
        scp.answer(ask.id, &ScpVerdict::Permitted, &mut out).unwrap();
        scp.from_target(&mut bytes(b"\0"), &mut out).unwrap();
    }
    unreachable!("directories without end");
}

#[test]
fn a_sink_that_speaks_unasked_ends_it() {
    let (mut scp, mut out) = upload();
    assert_eq!(
        scp.from_target(&mut bytes(b"\0"), &mut out).unwrap_err().side,
        Side::Target
    );
    assert!(!out.to_client.starts_with(b"\0"));
    let (mut scp, mut out) = upload();
    assert!(scp.from_target(&mut bytes(b"no protocol\n"), &mut out).is_err());
}

#[test]
fn names_become_the_paths_that_a_sink_may_make_of_them() {
    let (mut scp, mut out) = upload();
    for (line, whole, made) in [
        ("D0755 0 d\n", "/base/d", "/base"),
        ("D0755 0 e\n", "/base/d/e", "/base/e"),
        ("C0644 1 f\n", "/base/d/e/f", "/base/e/f"),
    ] {
        scp.from_client(&mut bytes(line.as_bytes()), &mut out).unwrap();
        let ask = out.asks.pop_front().unwrap();
        assert_eq!(ask.item.candidates(b"/base", false), [whole, made]);
        assert_eq!(ask.item.candidates(b"/base/", true), [whole]);
        scp.answer(ask.id, &ScpVerdict::Permitted, &mut out).unwrap();
        scp.from_target(&mut bytes(b"\0"), &mut out).unwrap();
    }
}

#[test]
fn command_lines_are_those_of_clients() {
    let parse = |line: &str| {
        let args: Vec<Bytes> = line
            .split(' ')
            .map(|arg| Bytes::copy_from_slice(arg.as_bytes()))
            .collect();
        ScpCommand::parse(&args)
    };
    let command = parse("-v -r -p -d -t /tmp/x").unwrap();
    assert!(command.recursive && command.preserve && command.directory);
    assert_eq!(
        (command.direction, command.paths),
        (Direction::Upload, vec![Bytes::from("/tmp/x")])
    );
    assert_eq!(parse("-rf a b").unwrap().paths, ["a", "b"]);
    assert_eq!(parse("-t -- -x").unwrap().paths, ["-x"]);
    for wrong in [
        "-t",
        "-t a b",
        "-f",
        "a b",
        "-tf a",
        "-t -S program a",
        "-f -o ProxyCommand=x a",
        "-f a -S b",
        "--help",
    ] {
        assert_eq!(parse(wrong), None, "{wrong}");
    }
}

#[test]
fn refusals_are_one_line() {
    assert_eq!(refusal("a\n\x02b").as_ref(), b"\x01scp: a??b\n");
    assert!(refusal(&"ß".repeat(5000)).len() < 1000);
}

proptest! {
    #[test]
    fn bytes_whatever_never_panic(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..30),
        upload in any::<bool>(),
        permit in any::<bool>(),
    ) {
        let direction = if upload { Direction::Upload } else { Direction::Download };
        let (mut scp, mut out) = (Scp::new(direction), ScpOut::default());
        let (mut client, mut target) = (BytesMut::new(), BytesMut::new());
        for (side, piece, line) in pieces {
            let piece = if line { b"\0C0644 3 a\nabc\0D0755 0 d\nE\nT1 0 1 0\n".to_vec() } else { piece };
            let result = if side {
                client.extend_from_slice(&piece);
                scp.from_client(&mut client, &mut out)
            } else {
                target.extend_from_slice(&piece);
                scp.from_target(&mut target, &mut out)
            };
            if result.is_err() {
                break;
            }
            while let Some(ask) = out.asks.pop_front() {
                let verdict =
                    if permit { ScpVerdict::Permitted } else { ScpVerdict::Refused { message: "no".to_owned() } };
                scp.answer(ask.id, &verdict, &mut out).unwrap();
            }
        }
        scp.over(&mut out);
        prop_assert_eq!(out.spans.iter().map(|span| span.len).sum::<usize>(), out.to_target.len());
    }

    #[test]
    fn an_upload_cut_anywhere_is_the_same(cuts in prop::collection::vec(1usize..20, 1..30)) {
        let content = b"D0755 0 d\nT5 0 6 0\nC0600 10 f\n0123456789\0C0644 0 g\n\0E\n\x01scp: h: not there\nC0644 1 i\nx\0";
        let (mut scp, mut out) = upload();
        let (mut client, mut given, mut nth) = (BytesMut::new(), 0, 0);
        let mut asked = Vec::new();
        for round in 0..2000 {
            if scp.wants_client() && given < content.len() && client.is_empty() | (round % 3 == 0) {
                let end = (given + cuts.get(nth % cuts.len()).unwrap()).min(content.len());
                nth += 1;
                client.extend_from_slice(content.get(given..end).unwrap());
                given = end;
            }
            scp.from_client(&mut client, &mut out).unwrap();
            while let Some(ask) = out.asks.pop_front() {
                scp.answer(ask.id, &ScpVerdict::Permitted, &mut out).unwrap();
                asked.push(ask.text);
            }
            if !scp.wants_client() {
                scp.from_target(&mut bytes(b"\0"), &mut out).unwrap();
            }
        }
        prop_assert_eq!(out.to_target.as_ref(), content.as_slice());
        prop_assert_eq!(asked, [
            "scp put directory d (mode 0755)",
            "scp put d/f (10 bytes, mode 0600)",
            "scp put d/g (0 bytes, mode 0644)",
            "scp put i (1 bytes, mode 0644)",
        ]);
        prop_assert!(out.done.len() == 3 && out.done.iter().all(|done| done.complete));
    }
}
