//! What a broken or hostile target says, what a target says that does not follow links, and streams that are cut and
//! garbled: the machine alone, without a server.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use sallyport_sftp::{Ask, AskId, Cause, Ended, Limits, Out, Outcome, Sftp, SftpError, Side, Transfer, Verdict};
use support::{Field, Said, body, permit_all, permitted, sftp, text};

/// A packet as it is on the wire.
fn packet(kind: u8, id: u32, rest: &[u8]) -> Vec<u8> {
    let mut packet = ((rest.len() + 5) as u32).to_be_bytes().to_vec();
    packet.push(kind);
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(rest);
    packet
}

/// Type, id, and what follows.
type Said3 = (u8, u32, Vec<u8>);

fn packets(bytes: &mut BytesMut) -> Vec<Said3> {
    let mut found = Vec::new();
    while bytes.len() >= 4 {
        let len = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        let packet = bytes.split_to(4 + len);
        found.push((
            packet[4],
            u32::from_be_bytes(packet[5..9].try_into().unwrap()),
            packet[9..].to_vec(),
        ));
    }
    found
}

/// The machine, and a target that is this test.
struct Bench {
    sftp: Sftp,
    out: Out,
}

impl Bench {
    /// After the handshake; `extensions` are announced, and no link is found by the first questions.
    fn new(extensions: &[&str]) -> Self {
        let mut bench = Self {
            sftp: Sftp::new(Limits::default()),
            out: Out::default(),
        };
        bench.client(1, 3, &[]).unwrap();
        assert_eq!(bench.for_target(), [(1, 3, vec![])]);
        let list: Vec<Field<'_>> = extensions.iter().flat_map(|name| [text(name), text("1")]).collect();
        bench.target(2, 3, &body(&list)).unwrap();
        for (nth, (kind, id, _)) in bench.for_target().into_iter().enumerate() {
            match (nth, kind) {
                (0, 16) => bench.name(id, "/start"),
                _ => bench.target(101, id, &status(2)).unwrap(),
            }
        }
        bench.out.to_client.clear();
        bench
    }

    fn client(&mut self, kind: u8, id: u32, rest: &[u8]) -> Result<(), SftpError> {
        let mut bytes = BytesMut::from(packet(kind, id, rest).as_slice());
        self.sftp.from_client(&mut bytes, &mut self.out)
    }

    fn target(&mut self, kind: u8, id: u32, rest: &[u8]) -> Result<(), SftpError> {
        let mut bytes = BytesMut::from(packet(kind, id, rest).as_slice());
        self.sftp.from_target(&mut bytes, &mut self.out)
    }

    fn for_target(&mut self) -> Vec<Said3> {
        self.out.spans.clear();
        packets(&mut self.out.to_target)
    }

    fn for_client(&mut self) -> Vec<Said3> {
        packets(&mut self.out.to_client)
    }

    fn name(&mut self, id: u32, path: &str) {
        self.target(104, id, &body(&[Field::U32(1), text(path), text(path), Field::U32(0)]))
            .unwrap();
    }

    /// Answers every question of where a path leads from a list of names: links, directories, files.
    fn answer_all(&mut self, links: &[&str], there: &[&str]) {
        loop {
            let asked = self.for_target();
            if asked.is_empty() {
                return;
            }
            for (kind, id, rest) in asked {
                let path = String::from_utf8(rest[4..].to_vec()).unwrap();
                match kind {
                    16 => self.name(id, &path),
                    7 if links.contains(&path.as_str()) => self.attributes(id, 0o120_777),
                    7 if there.contains(&path.as_str()) => self.attributes(id, 0o40_755),
                    7 => self.target(101, id, &status(2)).unwrap(),
                    other => panic!("{other} before a verdict"),
                }
            }
        }
    }

    fn attributes(&mut self, id: u32, mode: u32) {
        self.target(105, id, &body(&[Field::U32(4), Field::U32(mode)])).unwrap();
    }

    fn ask(&mut self) -> Ask {
        self.out.asks.pop_front().expect("a question")
    }
}

fn status(code: u32) -> Vec<u8> {
    body(&[Field::U32(code), text("why"), text("en")])
}

#[test]
fn where_realpath_does_not_follow_links_a_link_on_the_way_is_a_refusal() {
    let there = ["/start", "/start/file", "/srv", "/srv/data"];
    let links = ["/start/link", "/srv/data/etc", "/start/last"];
    for (kind, path, resolved) in [
        (17, "/start/file", true),
        (17, "/start/new", true),
        (17, "/start/link", false),
        (17, "/start/link/shadow", false),
        (17, "/srv/data/etc/shadow", false),
        (17, "/no/where/file", false),
        (7, "/start/last", true),
        (7, "/start/link/shadow", false),
        (13, "/start/last", true),
        (13, "/srv/data/etc/shadow", false),
    ] {
        let mut bench = Bench::new(&[]);
        bench.client(kind, 9, &body(&[text(path)])).unwrap();
        bench.answer_all(&links, &there);
        let ask = bench.ask();
        assert_eq!(ask.act.places().0.unwrap().resolved, resolved, "{kind} {path}");
        bench.sftp.answer(ask.id, &permitted(), &mut bench.out).unwrap();
        assert_eq!(!bench.for_target().is_empty(), resolved, "{kind} {path}");
        assert_eq!(bench.for_client().is_empty(), resolved);
    }
}

#[test]
fn a_path_whose_directories_cannot_be_told_from_links_is_refused() {
    let mut bench = Bench::new(&[]);
    bench.client(17, 9, &body(&[text("/start/file")])).unwrap();
    let [(16, id, _)] = bench.for_target()[..] else {
        panic!()
    };
    bench.name(id, "/start/file");
    for (_, id, _) in bench.for_target() {
        bench.target(105, id, &body(&[Field::U32(1), Field::U64(5)])).unwrap();
    }
    let ask = bench.ask();
    bench.sftp.answer(ask.id, &permitted(), &mut bench.out).unwrap();
    assert!(bench.for_target().is_empty());
    assert_eq!(bench.for_client()[0].2[..4], [0, 0, 0, 3]);
}

#[test]
fn a_name_that_must_not_exist_and_is_a_link_never_reaches_the_target() {
    for (there, forwarded) in [("/start/link", false), ("/start/file", true), ("/start/none", true)] {
        let mut bench = Bench::new(&[]);
        bench
            .client(3, 9, &body(&[text(there), Field::U32(0x2a), Field::U32(0)]))
            .unwrap();
        bench.answer_all(&["/start/link"], &["/start", "/start/file"]);
        let ask = bench.ask();
        bench.sftp.answer(ask.id, &permitted(), &mut bench.out).unwrap();
        assert_eq!(!bench.for_target().is_empty(), forwarded, "{there}");
    }
}

#[test]
fn an_answer_that_is_no_absolute_path_resolves_nothing() {
    for answer in ["", "file", "/start/../etc", "/start//file", "/start/./file", "/a\0b"] {
        let mut bench = Bench::new(&[]);
        bench.client(17, 9, &body(&[text("file")])).unwrap();
        let [(16, id, _)] = bench.for_target()[..] else {
            panic!()
        };
        bench.name(id, answer);
        let ask = bench.ask();
        assert!(!ask.act.places().0.unwrap().resolved, "{answer}");
        bench.sftp.answer(ask.id, &permitted(), &mut bench.out).unwrap();
        assert!(bench.for_target().is_empty(), "{answer}");
    }
}

#[test]
fn on_drives_names_cannot_lead_elsewhere_by_backslashes() {
    for (name, resolved) in [("x\\..\\..\\Windows", false), ("x:stream", false), ("x", true)] {
        let mut bench = Bench::new(&[]);
        bench.client(13, 9, &body(&[text(&format!("dir/{name}"))])).unwrap();
        let [(16, id, _)] = bench.for_target()[..] else {
            panic!()
        };
        bench.name(id, "/C:/Users/dir");
        for (_, id, _) in bench.for_target() {
            bench.attributes(id, 0o40_755);
        }
        assert_eq!(bench.ask().act.places().0.unwrap().resolved, resolved, "{name}");
    }
}

#[test]
fn links_of_a_server_whose_order_of_arguments_is_unknown_are_refused() {
    let mut bench = Bench::new(&["hardlink@openssh.com"]);
    bench.client(20, 9, &body(&[text("a"), text("b")])).unwrap();
    assert_eq!(bench.for_client()[0].2[..4], [0, 0, 0, 8]);
    assert!(bench.for_target().is_empty() && bench.out.asks.is_empty() && bench.out.refused.len() == 1);
}

#[test]
fn the_client_hears_only_of_extensions_that_are_understood() {
    let mut bench = Bench {
        sftp: Sftp::new(Limits::default()),
        out: Out::default(),
    };
    bench
        .client(1, 6, &body(&[text("client@example.com"), text("x")]))
        .unwrap();
    assert_eq!(
        bench.for_target(),
        [(1, 3, vec![])],
        "the client's extensions go no further"
    );
    let told = body(&[
        text("vendor-id"),
        text("x"),
        text("fsync@openssh.com"),
        text("1"),
        text("statvfs@openssh.com"),
        text("9"),
        text("fsync@openssh.com"),
        text("1"),
    ]);
    bench.target(2, 3, &told).unwrap();
    assert_eq!(
        bench.for_client(),
        [(2, 3, body(&[text("fsync@openssh.com"), text("1")]))]
    );
    bench
        .client(200, 1, &body(&[text("statvfs@openssh.com"), text("/")]))
        .unwrap();
    assert_eq!(bench.for_client()[0].2[..4], [0, 0, 0, 8]);
}

#[test]
fn the_limits_are_those_of_both() {
    let mut bench = Bench::new(&["limits@openssh.com"]);
    bench.client(200, 9, &body(&[text("limits@openssh.com")])).unwrap();
    assert_eq!(bench.out.spans[0].cause, Cause::Greeting);
    let [(200, id, _)] = bench.for_target()[..] else {
        panic!()
    };
    let told = [Field::U64(1 << 30), Field::U64(1000), Field::U64(0), Field::U64(0)];
    bench.target(201, id, &body(&told)).unwrap();
    let expected = [
        Field::U64(262_144),
        Field::U64(1000),
        Field::U64(261_120),
        Field::U64(1024),
    ];
    assert_eq!(bench.for_client(), [(201, 9, body(&expected))]);
}

#[test]
fn clients_that_break_the_protocol_end_the_channel() {
    let ends = |kind: u8, rest: &[u8]| {
        let mut bench = Bench::new(&["copy-data"]);
        let error = bench.client(kind, 9, rest).unwrap_err();
        assert_eq!(error.side, Side::Client);
        assert!(bench.for_target().is_empty() && bench.out.asks.is_empty());
        assert!(!bench.sftp.wants_client(), "nothing more is taken");
    };
    ends(1, &[]);
    for unknown in [0, 2, 21, 22, 100, 101, 105, 199, 201, 255] {
        ends(unknown, &body(&[text("a")]));
    }
    for kind in (3..=20).chain([200]) {
        ends(kind, b"\0\0\0\x0atoo short");
        ends(kind, &[]);
    }
    ends(17, &body(&[text("a"), text("more")]));
    ends(6, &body(&[text("h"), Field::U64(0), text("x"), Field::U32(0)]));
    ends(
        3,
        &body(&[text("a"), Field::U32(1), Field::U32(0x8000_0000), Field::U32(0)]),
    );
    ends(17, &body(&[text(&vec![b'a'; 40_000])]));
    let mut sftp = Sftp::new(Limits::default());
    let mut early = BytesMut::from(packet(17, 1, &body(&[text("a")])).as_slice());
    assert_eq!(
        sftp.from_client(&mut early, &mut Out::default()).unwrap_err().side,
        Side::Client
    );
    let mut old = BytesMut::from(packet(1, 2, &[]).as_slice());
    assert!(
        Sftp::new(Limits::default())
            .from_client(&mut old, &mut Out::default())
            .is_err()
    );
}

#[test]
fn lengths_out_of_bounds_are_refused_at_the_header() {
    for length in [0u32, 4, 262_145, u32::MAX] {
        let mut bench = Bench::new(&[]);
        let mut header = BytesMut::from(length.to_be_bytes().as_slice());
        assert!(
            bench.sftp.from_client(&mut header.clone(), &mut bench.out).is_err(),
            "{length}"
        );
        let mut bench = Bench::new(&[]);
        assert!(bench.sftp.from_target(&mut header, &mut bench.out).is_err(), "{length}");
    }
}

/// A file that is open under the handle `h`.
fn reading() -> (Bench, Ask) {
    let mut bench = Bench::new(&[]);
    bench
        .client(3, 1, &body(&[text("/f"), Field::U32(1), Field::U32(0)]))
        .unwrap();
    bench.answer_all(&[], &["/f"]);
    let ask = bench.ask();
    bench.sftp.answer(ask.id, &permitted(), &mut bench.out).unwrap();
    assert_eq!(bench.out.spans[0].cause, Cause::Asked(ask.id));
    let [(3, id, _)] = bench.for_target()[..] else { panic!() };
    bench.target(102, id, &body(&[text("h")])).unwrap();
    assert_eq!(bench.for_client(), [(102, 1, body(&[text("h")]))]);
    (bench, ask)
}

#[test]
fn targets_that_break_the_protocol_end_the_channel() {
    let read = |kind: u8, rest: &[u8]| {
        let (mut bench, _) = reading();
        bench
            .client(5, 2, &body(&[text("h"), Field::U64(0), Field::U32(4)]))
            .unwrap();
        let [(5, id, _)] = bench.for_target()[..] else { panic!() };
        let result = bench.target(kind, id, rest);
        (result, bench, id)
    };
    let (fine, mut bench, id) = read(103, &body(&[text("1234")]));
    fine.unwrap();
    assert_eq!(bench.for_client(), [(103, 2, body(&[text("1234")]))]);
    let twice = bench.target(103, id, &body(&[text("1234")])).unwrap_err();
    assert_eq!(twice.side, Side::Target);
    let bad: [(u8, Vec<u8>); 8] = [
        (103, body(&[text("12345")])),
        (103, body(&[text("1"), text("2")])),
        (102, body(&[text("handle")])),
        (104, body(&[Field::U32(0)])),
        (101, status(0)),
        (101, vec![0, 0]),
        (105, body(&[Field::U32(0)])),
        (201, vec![]),
    ];
    for (kind, rest) in bad {
        let (result, mut bench, _) = read(kind, &rest);
        assert_eq!(result.unwrap_err().side, Side::Target, "{kind} {rest:?}");
        assert!(bench.for_client().is_empty());
    }
    let mut bench = Bench::new(&[]);
    assert!(bench.target(101, 77, &status(0)).is_err(), "nobody asked");
    let mut bench = Bench::new(&[]);
    assert!(bench.target(2, 3, &[]).is_err(), "it was greeted already");
    let mut early = Bench {
        sftp: Sftp::new(Limits::default()),
        out: Out::default(),
    };
    assert!(early.target(2, 3, &[]).is_err(), "it was not greeted");
    early = Bench {
        sftp: Sftp::new(Limits::default()),
        out: Out::default(),
    };
    early.client(1, 3, &[]).unwrap();
    assert!(early.target(2, 6, &[]).is_err(), "another version");
}

#[test]
fn a_handle_that_is_given_twice_ends_the_channel() {
    let (mut bench, _) = reading();
    bench.client(11, 2, &body(&[text("/f")])).unwrap();
    bench.answer_all(&[], &["/f"]);
    let ask = bench.ask();
    bench.sftp.answer(ask.id, &permitted(), &mut bench.out).unwrap();
    let [(11, id, _)] = bench.for_target()[..] else {
        panic!()
    };
    assert_eq!(
        bench.target(102, id, &body(&[text("h")])).unwrap_err().side,
        Side::Target
    );
}

#[test]
fn verdicts_on_nothing_are_the_callers_fault() {
    let (mut bench, ask) = reading();
    let again = bench.sftp.answer(ask.id, &permitted(), &mut bench.out).unwrap_err();
    assert_eq!(again.side, Side::Gateway);
    let mut bench = Bench::new(&[]);
    bench.client(17, 9, &body(&[text("/start")])).unwrap();
    bench.answer_all(&[], &["/start"]);
    let late = bench.ask();
    bench.client(99, 9, &[]).unwrap_err();
    bench.sftp.answer(late.id, &permitted(), &mut bench.out).unwrap();
    assert!(bench.for_target().is_empty(), "a broken channel does nothing more");
}

#[test]
fn a_write_that_failed_has_no_digest() {
    let mut bench = Bench::new(&[]);
    bench
        .client(3, 1, &body(&[text("/f"), Field::U32(10), Field::U32(0)]))
        .unwrap();
    bench.answer_all(&[], &["/f"]);
    let ask = bench.ask();
    bench.sftp.answer(ask.id, &permitted(), &mut bench.out).unwrap();
    let [(3, id, _)] = bench.for_target()[..] else { panic!() };
    bench.target(102, id, &body(&[text("h")])).unwrap();
    for (nth, code) in [(2, 0), (3, 4)] {
        bench
            .client(6, nth, &body(&[text("h"), Field::U64(u64::from(nth - 2)), text("x")]))
            .unwrap();
        let [(6, id, _)] = bench.for_target()[..] else { panic!() };
        bench.target(101, id, &status(code)).unwrap();
    }
    bench.client(4, 4, &body(&[text("h")])).unwrap();
    let [(4, id, _)] = bench.for_target()[..] else { panic!() };
    bench.target(101, id, &status(0)).unwrap();
    let [
        Transfer {
            ask: of,
            bytes: 1,
            sha256: None,
            complete: false,
            ..
        },
    ] = bench.out.done[..]
    else {
        panic!("{:?}", bench.out.done)
    };
    assert_eq!(of, ask.id);
    assert!(bench.sftp.is_idle());
}

/// What OpenSSH's client and server said to each other in a session with a bit of everything.
fn session() -> &'static [(Said, Bytes)] {
    static SESSION: OnceLock<Vec<(Said, Bytes)>> = OnceLock::new();
    SESSION.get_or_init(|| {
        let root = tempfile::tempdir().unwrap();
        let (local, remote) = (root.path().join("local"), root.path().join("remote"));
        for dir in [&local, &remote] {
            fs::create_dir(dir).unwrap();
        }
        fs::write(local.join("a"), vec![b'a'; 70_000]).unwrap();
        symlink("a", remote.join("link")).unwrap();
        let batch = "put -p a\nget link back\nln a hard\nln -s a soft\nmkdir d\nrename a d/b\ncopy d/b c\nls -l\n\
                     chmod 600 c\ndf\nrm c\n";
        let (output, log) = sftp(&local, &remote, batch, permit_all());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        log.said
    })
}

#[derive(Debug, Default, PartialEq)]
struct Effects {
    to_client: BytesMut,
    to_target: BytesMut,
    causes: Vec<(Cause, usize)>,
    asks: Vec<Ask>,
    done: Vec<Transfer>,
    ended: Vec<Ended>,
}

/// Plays a session to a machine, each piece cut where `cut` says, with every question permitted at once.
fn play(
    said: &[(Said, Bytes)],
    limits: Limits,
    mut cut: impl FnMut(usize) -> usize,
    verdict: &Verdict,
) -> Result<Effects, SftpError> {
    let (mut sftp, mut out, mut effects) = (Sftp::new(limits), Out::default(), Effects::default());
    let (mut client, mut target) = (BytesMut::new(), BytesMut::new());
    for (side, bytes) in said {
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cut(rest.len()).clamp(1, rest.len()));
            rest = later;
            match side {
                Said::Client => client.extend_from_slice(now),
                Said::Target => {
                    target.extend_from_slice(now);
                    sftp.from_target(&mut target, &mut out)?;
                }
            }
            loop {
                let before = client.len();
                sftp.from_client(&mut client, &mut out)?;
                if out.asks.is_empty() && client.len() == before {
                    break;
                }
                while let Some(ask) = out.asks.pop_front() {
                    sftp.answer(ask.id, verdict, &mut out)?;
                    effects.asks.push(ask);
                }
            }
            effects.take(&mut out);
        }
    }
    sftp.over(&mut out);
    effects.take(&mut out);
    Ok(effects)
}

impl Effects {
    fn take(&mut self, out: &mut Out) {
        self.to_client.unsplit(out.to_client.split());
        self.to_target.unsplit(out.to_target.split());
        for span in out.spans.drain(..) {
            match self.causes.last_mut() {
                Some((cause, len)) if *cause == span.cause => *len += span.len,
                _ => self.causes.push((span.cause, span.len)),
            }
        }
        self.done.append(&mut out.done);
        self.ended.append(&mut out.ended);
    }
}

#[test]
fn the_recorded_session_plays_to_its_end() {
    let effects = play(session(), Limits::default(), |all| all, &permitted()).unwrap();
    assert!(effects.asks.len() > 20 && effects.done.len() == 4, "{:?}", effects.done);
    assert_eq!(effects.done.iter().filter(|done| done.complete).count(), 3);
    let caused: usize = effects.causes.iter().map(|(_, len)| len).sum();
    assert_eq!(caused, effects.to_target.len());
    let mut asked: Vec<AskId> = effects.asks.iter().map(|ask| ask.id).collect();
    let mut ended: Vec<AskId> = effects.ended.iter().map(|ended| ended.ask).collect();
    asked.sort();
    ended.sort();
    assert_eq!(asked, ended, "each ends once");
}

#[test]
fn each_request_ends_when_the_target_says_so() {
    let mut bench = Bench::new(&[]);
    for nth in 0..1000 {
        bench.client(17, nth, &body(&[text("/f")])).unwrap();
        bench.answer_all(&[], &["/f"]);
        let ask = bench.ask();
        bench.sftp.answer(ask.id, &permitted(), &mut bench.out).unwrap();
        assert!(bench.out.ended.is_empty(), "the target has not said anything");
        let [(17, id, _)] = bench.for_target()[..] else {
            panic!()
        };
        bench.target(101, id, &status(2)).unwrap();
        let outcome = Outcome::Failed;
        assert_eq!(
            bench.out.ended.drain(..).collect::<Vec<_>>(),
            [Ended { ask: ask.id, outcome }]
        );
    }
    assert!(bench.sftp.is_idle());
}

#[test]
fn what_a_file_was_opened_for_ends_when_it_is_closed() {
    let (mut bench, ask) = reading();
    bench.out.ended.clear();
    bench.client(8, 2, &body(&[text("h")])).unwrap();
    let [(8, id, _)] = bench.for_target()[..] else { panic!() };
    bench.target(105, id, &[0; 4]).unwrap();
    assert!(bench.out.ended.is_empty(), "it is open");
    bench.client(4, 3, &body(&[text("h")])).unwrap();
    let [(4, id, _)] = bench.for_target()[..] else { panic!() };
    bench.target(101, id, &status(0)).unwrap();
    let outcome = Outcome::Completed;
    assert_eq!(bench.out.ended, [Ended { ask: ask.id, outcome }]);
}

#[test]
fn nobody_knows_how_that_came_out_which_was_not_answered() {
    let mut bench = Bench::new(&[]);
    for nth in 1..=3 {
        bench.client(17, nth, &body(&[text("/f")])).unwrap();
    }
    bench.answer_all(&[], &["/f"; 3]);
    let asks = [bench.ask(), bench.ask(), bench.ask()];
    bench.sftp.answer(asks[0].id, &permitted(), &mut bench.out).unwrap();
    let message = "no".to_owned();
    let refused = Verdict::Refused { message };
    bench.sftp.answer(asks[1].id, &refused, &mut bench.out).unwrap();
    bench.sftp.over(&mut bench.out);
    let outcome = Outcome::Unknown;
    let ask = asks[0].id;
    assert_eq!(bench.out.ended, [Ended { ask, outcome }], "of three, one was permitted");
    bench.sftp.over(&mut bench.out);
    assert_eq!(bench.out.ended.len(), 1, "it ends once");
}

#[test]
fn contents_are_told_of_what_goes_through_and_of_nothing_else() {
    let mut bench = Bench::new(&[]);
    bench.sftp = std::mem::replace(&mut bench.sftp, Sftp::new(Limits::default())).telling_contents();
    let flags = Field::U32(3);
    bench.client(3, 1, &body(&[text("/f"), flags, Field::U32(0)])).unwrap();
    bench.answer_all(&[], &["/f"]);
    let ask = bench.ask();
    let max_size = Some(4);
    let verdict = Verdict::Permitted { max_size, again: false };
    bench.sftp.answer(ask.id, &verdict, &mut bench.out).unwrap();
    let [(3, id, _)] = bench.for_target()[..] else { panic!() };
    bench.target(102, id, &body(&[text("h")])).unwrap();
    for (nth, said) in [(2, "up"), (3, "too long")] {
        bench
            .client(6, nth, &body(&[text("h"), Field::U64(1), text(said)]))
            .unwrap();
    }
    bench
        .client(5, 4, &body(&[text("h"), Field::U64(0), Field::U32(9)]))
        .unwrap();
    let [(6, write, _), (5, read, _)] = bench.for_target()[..] else {
        panic!()
    };
    bench.target(101, write, &status(0)).unwrap();
    bench.target(103, read, &body(&[text("down")])).unwrap();
    bench
        .client(5, 5, &body(&[text("h"), Field::U64(4), Field::U32(9)]))
        .unwrap();
    let [(5, read, _)] = bench.for_target()[..] else {
        panic!()
    };
    bench.target(103, read, &body(&[text("more")])).unwrap();
    let told: Vec<_> = bench
        .out
        .contents
        .iter()
        .map(|piece| (piece.offset, piece.bytes.as_ref()))
        .collect();
    assert_eq!(told, [(1, b"up".as_slice()), (0, b"down")]);
    assert!(bench.out.contents.iter().all(|piece| piece.ask == ask.id));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stream_cut_anywhere_has_the_same_effects(cuts in prop::collection::vec(1usize..5000, 1..50), small in any::<bool>()) {
        let mut cuts = cuts.into_iter().map(|cut| if small { cut % 40 + 1 } else { cut }).cycle();
        let cut = play(session(), Limits::default(), |_| cuts.next().unwrap(), &permitted()).unwrap();
        let whole = play(session(), Limits::default(), |all| all, &permitted()).unwrap();
        prop_assert!(cut == whole);
    }

    #[test]
    fn a_session_with_wrong_bytes_never_panics(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..8),
        refuse in any::<bool>(),
    ) {
        let mut said = session().to_vec();
        for (piece, at, byte) in flips {
            let piece = piece.get_mut(said.as_mut_slice());
            let mut bytes = piece.1.to_vec();
            *at.get_mut(bytes.as_mut_slice()) = byte;
            piece.1 = bytes.into();
        }
        let verdict = if refuse { Verdict::Refused { message: "no".to_owned() } } else { permitted() };
        if let Ok(mut effects) = play(&said, Limits::default(), |all| all, &verdict)
            && refuse
        {
            let own = |cause: &Cause| matches!(cause, Cause::Greeting | Cause::Resolving);
            prop_assert!(effects.causes.iter().all(|(cause, _)| own(cause)), "nothing was permitted");
            let asked: Vec<u8> = packets(&mut effects.to_target).iter().map(|(kind, ..)| *kind).collect();
            prop_assert!(asked.iter().all(|kind| matches!(kind, 1 | 7 | 16 | 200)), "{:?}", asked);
        }
    }

    #[test]
    fn bytes_whatever_never_panic(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)), 0..20),
        framed in any::<bool>(),
    ) {
        let mut said = vec![(Said::Client, Bytes::from(packet(1, 3, &[]))), (Said::Target, Bytes::from(packet(2, 3, &[])))];
        for (client, bytes) in pieces {
            let side = if client { Said::Client } else { Said::Target };
            let bytes = if framed && bytes.len() > 5 {
                let id = u32::from(bytes[1] % 20) | u32::from(bytes[2] % 3) << 16;
                packet(bytes[0] % 22 + 100 * u8::from(!client), id, &bytes[3..])
            } else {
                bytes
            };
            said.push((side, bytes.into()));
        }
        let _ = play(&said, Limits::default(), |all| all, &permitted());
    }
}
