#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sallyport_mask::{MaskKey, Scanner};
use sallyport_policy::{Act, Classification, Value};
use sallyport_session::testing;
use sallyport_session::{Effects, Spent};
use sallyport_sftp::scp::ScpCommand;
use serde_json::{Value as Json, json};

use super::{FileAsk, Files};
use crate::account::Account;
use crate::conversation::running::CONTENT;
use crate::facts::ScpRun;

/// A channel whose gate is played by hand.
struct Channel {
    files: Files,
    out: Effects,
    seq: u64,
}

fn scanner() -> Arc<Scanner> {
    Arc::new(Scanner::new(&[], &MaskKey::new(&vec![7; 32].into())))
}

fn spent() -> (Effects, Spent) {
    let mut out = testing::effects(Arc::new(Classification::default()), 0, false);
    let spent = out.forward(testing::permit(1), b"");
    (out, spent)
}

impl Channel {
    fn new(make: impl FnOnce(Spent, &Arc<Scanner>) -> Files) -> Self {
        let (out, spent) = spent();
        let files = make(spent, &scanner());
        Self { files, out, seq: 1 }
    }

    fn client(&mut self, bytes: &[u8]) {
        self.files.client.extend_from_slice(bytes);
        self.files.client_said(false).unwrap();
        self.settle();
    }

    fn target(&mut self, bytes: &[u8]) {
        self.files.target.extend_from_slice(bytes);
        self.files.target_said().unwrap();
        self.settle();
    }

    fn settle(&mut self) {
        self.files.note_contents(&mut self.out);
        self.files.note_ended(&mut self.out);
        self.files.deeds.remarks.clear();
    }

    fn asked(&mut self) -> Vec<FileAsk> {
        self.files.deeds.asks.drain(..).map(|(ask, _)| ask).collect()
    }

    fn permit(&mut self, ask: FileAsk) -> u64 {
        self.seq += 1;
        let permit = testing::permit(self.seq);
        self.files.decided(ask, Ok((permit, None)), &mut self.out).unwrap();
        self.settle();
        self.seq
    }

    fn refuse(&mut self, ask: FileAsk) {
        let word = Err("no".to_owned());
        self.files.decided(ask, word, &mut self.out).unwrap();
        self.settle();
    }

    fn for_target(&mut self) -> BytesMut {
        self.files.deeds.spans.clear();
        self.files.deeds.to_target.split()
    }

    fn for_client(&mut self) -> BytesMut {
        self.files.deeds.to_client.split()
    }

    fn ended(&mut self) -> Vec<(u64, Json)> {
        let ended = testing::take(&mut self.out).ended.into_iter();
        ended
            .map(|(seq, detail)| (seq, serde_json::from_slice(&detail).unwrap()))
            .collect()
    }
}

fn packet(kind: u8, id: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 5).unwrap();
    [&len.to_be_bytes()[..], &[kind], &id.to_be_bytes(), body].concat()
}

fn string(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
}

fn status(code: u32) -> Vec<u8> {
    [&code.to_be_bytes()[..], &string(b""), &string(b"")].concat()
}

/// The packets in `bytes`: type and id.
fn packets(bytes: &[u8]) -> Vec<(u8, u32)> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let len = usize::try_from(u32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
        found.push((rest[4], u32::from_be_bytes(rest[5..9].try_into().unwrap())));
        rest = &rest[4 + len..];
    }
    found
}

/// SFTP after the greeting, with a target on which no path leads elsewhere.
fn sftp(contents: bool) -> Channel {
    let mut channel = Channel::new(|spent, scanner| Files::sftp(spent, scanner, contents));
    channel.client(&packet(1, 3, b""));
    channel.for_target();
    channel.target(&packet(2, 3, b""));
    resolve(&mut channel, b"/srv");
    channel.for_client();
    channel
}

/// Answers the machine's own questions about paths.
fn resolve(channel: &mut Channel, path: &[u8]) {
    let name = [&1u32.to_be_bytes()[..], &string(path), &string(b""), &[0; 4]].concat();
    loop {
        let asked = packets(&channel.for_target());
        if asked.is_empty() {
            return;
        }
        for (kind, id) in asked {
            let answer = match kind {
                16 => packet(104, id, &name),
                7 => packet(105, id, &[4u32.to_be_bytes(), 0o100_644u32.to_be_bytes()].concat()),
                other => panic!("{other} is no question"),
            };
            channel.target(&answer);
        }
    }
}

#[test]
fn a_thousand_lookups_leave_nothing_behind() {
    let mut channel = sftp(false);
    for id in 0..1000 {
        channel.client(&packet(17, id, &string(b"/f")));
        resolve(&mut channel, b"/f");
        let ask = channel.asked()[0];
        let seq = channel.permit(ask);
        let [(17, sent)] = packets(&channel.for_target())[..] else {
            panic!()
        };
        assert_eq!(channel.files.permits.len(), 1);
        channel.target(&packet(105, sent, &[0; 4]));
        assert_eq!(channel.ended(), [(seq, json!({ "outcome": "completed" }))]);
        assert!(channel.files.permits.is_empty() && channel.files.asked.is_empty() && channel.files.held.is_empty());
    }
    assert_eq!(channel.files.keeps(), 0);
    channel.files.over(super::Outcome::Completed, &mut channel.out);
    assert_eq!(channel.ended(), [], "nothing ends twice");
}

#[test]
fn contents_are_recorded_when_they_are_asked_for() {
    for contents in [true, false] {
        let mut channel = sftp(contents);
        let flags = 3u32.to_be_bytes();
        channel.client(&packet(3, 1, &[&string(b"/f")[..], &flags, &[0; 4]].concat()));
        resolve(&mut channel, b"/f");
        let ask = channel.asked()[0];
        let seq = channel.permit(ask);
        let [(3, sent)] = packets(&channel.for_target())[..] else {
            panic!()
        };
        channel.target(&packet(102, sent, &string(b"h")));
        let offset = 7u64.to_be_bytes();
        channel.client(&packet(6, 2, &[&string(b"h")[..], &offset, &string(b"up")].concat()));
        let read = [&string(b"h")[..], &[0; 8], &9u32.to_be_bytes()].concat();
        channel.client(&packet(5, 3, &read));
        let [(6, write), (5, read)] = packets(&channel.for_target())[..] else {
            panic!()
        };
        channel.target(&packet(101, write, &status(0)));
        channel.target(&packet(103, read, &string(b"down")));
        let noted = testing::take(&mut channel.out).noted;
        let up = [&[CONTENT], &offset[..], &[0, 0, 0, 2], b"up"].concat();
        let down = [&[CONTENT], &[0; 8][..], &[0, 0, 0, 4], b"down"].concat();
        let wanted = if contents {
            vec![(seq, false, up), (seq, true, down)]
        } else {
            Vec::new()
        };
        assert_eq!(noted, wanted);
        channel.client(&packet(4, 4, &string(b"h")));
        let [(4, close)] = packets(&channel.for_target())[..] else {
            panic!()
        };
        channel.target(&packet(101, close, &status(0)));
        let ended = channel.ended();
        let detail = &ended[0].1;
        assert_eq!(
            (ended.len(), ended[0].0, &detail["path"], &detail["bytes"]),
            (1, seq, &json!("/f"), &json!(2))
        );
        assert_eq!(
            (&detail["outcome"], &detail["read"]["bytes"]),
            (&json!("completed"), &json!(4))
        );
    }
}

fn scp(line: &str) -> Channel {
    let args: Vec<Bytes> = line
        .split(' ')
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect();
    let run = ScpRun {
        command: ScpCommand::parse(&args).unwrap(),
        home: Some("/srv/deploy".to_owned()),
    };
    Channel::new(|spent, scanner| Files::scp(&Arc::new(run), spent, scanner, false))
}

/// The actions and paths of what is asked.
fn acts(channel: &mut Channel) -> Vec<(String, String)> {
    let classification = Classification::default();
    let mut account = Account::for_tests("deploy");
    account.home = Some("/srv/deploy".to_owned());
    let asks = channel.files.deeds.asks.iter();
    let commands = asks.map(|(_, wanted)| wanted.command(&account, &classification));
    let acts: Vec<Act> = commands.flat_map(|command| command.shape.acts.clone()).collect();
    let path = |act: &Act| match act.context.iter().find(|(name, _)| name == "path") {
        Some((_, Value::String(path))) => path.to_string(),
        other => panic!("{other:?}"),
    };
    acts.iter()
        .map(|act| (act.action.name.to_string(), path(act)))
        .collect()
}

fn pairs(acts: &[(&str, &str)]) -> Vec<(String, String)> {
    acts.iter()
        .map(|(action, path)| ((*action).to_owned(), (*path).to_owned()))
        .collect()
}

#[test]
fn an_upload_is_judged_by_every_path_that_it_may_get() {
    let mut channel = scp("-t ../shared/./in");
    channel.target(b"\0");
    channel.client(b"D0755 0 d\n");
    let wanted = [
        ("file_make_directory", "/srv/shared/in/d"),
        ("file_make_directory", "/srv/shared/in"),
    ];
    assert_eq!(acts(&mut channel), pairs(&wanted));
    let directory = channel.asked()[0];
    let directory = (directory, channel.permit(directory));
    channel.target(b"\0");
    channel.client(b"C0644 3 f\nabc\0");
    let wanted = [("file_write", "/srv/shared/in/d/f"), ("file_write", "/srv/shared/in/f")];
    assert_eq!(acts(&mut channel), pairs(&wanted));
    assert_eq!(channel.for_target(), b"D0755 0 d\n".as_slice(), "the file waits");
    let ask = channel.asked()[0];
    let file = channel.permit(ask);
    channel.target(b"\0");
    channel.client(b"");
    channel.target(b"\0");
    channel.client(b"E\n");
    channel.target(b"\0");
    let ended = channel.ended();
    let numbers: Vec<u64> = ended.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, [file, directory.1], "a directory ends when it is left");
    let detail = &ended[0].1;
    assert_eq!(detail["path"], "/srv/shared/in/d/f or /srv/shared/in/f");
    assert_eq!((&detail["bytes"], &detail["complete"]), (&json!(3), &json!(true)));
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(detail["sha256"], sha256);
    assert_eq!(ended[1].1, json!({ "outcome": "completed" }));
    let mut exact = scp("-d -t in");
    exact.target(b"\0");
    exact.client(b"C0644 3 f\n");
    assert_eq!(acts(&mut exact), pairs(&[("file_write", "/srv/deploy/in/f")]));
}

#[test]
fn a_download_is_judged_by_where_it_comes_from() {
    let mut named = scp("-r -f a/x b/x b/y");
    named.client(b"\0");
    named.target(b"D0755 0 x\n");
    let wanted = [("file_list", "/srv/deploy/a/x"), ("file_list", "/srv/deploy/b/x")];
    assert_eq!(acts(&mut named), pairs(&wanted));
    let ask = named.asked()[0];
    named.permit(ask);
    named.client(b"\0");
    named.target(b"C0644 1 f\n");
    let wanted = [("file_read", "/srv/deploy/a/x/f"), ("file_read", "/srv/deploy/b/x/f")];
    assert_eq!(acts(&mut named), pairs(&wanted));
    // What a pattern stands for is known when it comes.
    let mut pattern = scp("-f /srv/*.txt");
    pattern.client(b"\0");
    pattern.target(b"C0644 1 a.txt\n");
    assert_eq!(acts(&mut pattern), pairs(&[("file_read", "/srv/a.txt")]));
}

#[test]
fn a_refused_file_does_not_go_and_the_next_one_may() {
    let mut channel = scp("-d -t /in");
    channel.target(b"\0");
    channel.client(b"C0644 3 no\n");
    let ask = channel.asked()[0];
    channel.for_client();
    channel.refuse(ask);
    assert!(channel.for_target().is_empty());
    assert_eq!(channel.for_client(), b"\x01scp: no\n".as_slice());
    channel.client(b"C0644 0 yes\n");
    let ask = channel.asked()[0];
    channel.permit(ask);
    assert_eq!(channel.for_target(), b"C0644 0 yes\n".as_slice());
    channel.files.over(super::Outcome::Failed, &mut channel.out);
    assert_eq!(
        channel.ended(),
        [(2, json!({ "outcome": "unknown" }))],
        "what was refused does not end"
    );
}

fn rsync() -> Channel {
    let args: Vec<Bytes> = ["--server", "-s", "-e.iLs"].map(Bytes::from).to_vec();
    Channel::new(|spent, scanner| Files::rsync(&args, spent, scanner, false))
}

const ARGUMENTS: &[u8] = b"rsync\0-logDtpr\0--delete\0--partial-dir\0.part\0.\0in\0\0";

#[test]
fn rsync_hears_nothing_before_its_hidden_arguments_are_permitted() {
    let mut channel = rsync();
    channel.target(b"early");
    channel.client(&ARGUMENTS[..20]);
    assert!(channel.files.deeds.asks.is_empty());
    channel.client(&[&ARGUMENTS[20..], b"data"].concat());
    let wanted = [
        ("file_write", "/srv/deploy/in"),
        ("file_remove", "/srv/deploy/in"),
        ("file_read", "/srv/deploy/in/.part"),
        ("file_write", "/srv/deploy/in/.part"),
    ];
    assert_eq!(acts(&mut channel), pairs(&wanted));
    assert!(channel.for_target().is_empty() && channel.for_client().is_empty());
    assert_eq!(channel.files.keeps(), 9);
    let ask = channel.asked()[0];
    let seq = channel.permit(ask);
    channel.client(b"");
    channel.target(b"");
    assert_eq!(channel.for_target(), [ARGUMENTS, b"data"].concat());
    assert_eq!(channel.for_client(), b"early".as_slice());
    channel.files.over(super::Outcome::Completed, &mut channel.out);
    let ended = channel.ended();
    assert_eq!(
        (ended.len(), ended[0].0, &ended[0].1["outcome"]),
        (1, seq, &json!("completed"))
    );
    assert_eq!(ended[0].1["from_client"], ARGUMENTS.len() + 4);
}

#[test]
fn rsync_that_is_refused_gets_nothing_and_ends() {
    let mut channel = rsync();
    channel.client(&[ARGUMENTS, b"data"].concat());
    let ask = channel.asked()[0];
    channel.refuse(ask);
    channel.client(b"more");
    assert!(channel.for_target().is_empty() && channel.files.machine.is_refused());
    channel.files.client.extend_from_slice(b"x");
    assert!(channel.files.client_said(false).is_ok() && channel.files.keeps() == 0);
}

#[test]
fn hidden_arguments_that_are_not_understood_end_the_channel() {
    for arguments in [&b"rsync\0--log-file=/etc/x\0.\0in\0\0"[..], b"sh\0-c\0\0", b"rsync\0\0"] {
        let mut channel = rsync();
        channel.files.client.extend_from_slice(arguments);
        assert!(channel.files.client_said(false).is_err());
        assert!(channel.for_target().is_empty() && channel.asked().is_empty());
    }
}

#[test]
fn the_gateways_own_words_are_bounded() {
    let mut channel = sftp(false);
    let said: usize = (0..1000)
        .map(|_| channel.files.own_words("sallyport: not you\n").len())
        .sum();
    assert!(said > 1000 && said <= super::WORDS, "{said}");
}

#[test]
fn the_end_of_input_waits_for_what_is_asked() {
    let mut channel = scp("-d -t /in");
    channel.client(b"C0644 3 f\nabc\0");
    assert!(!channel.files.is_through(), "the target was not heard");
    channel.target(b"\0");
    assert!(!channel.files.is_through(), "nobody has looked at the line");
    channel.client(b"");
    assert!(!channel.files.is_through(), "it is asked about");
    let ask = channel.asked()[0];
    channel.permit(ask);
    assert!(!channel.files.is_through(), "the file is not gone");
    channel.target(b"\0");
    assert!(!channel.files.is_through(), "it may go");
    channel.client(b"");
    assert_eq!(channel.for_target(), b"C0644 3 f\nabc\0".as_slice());
    assert!(channel.files.is_through());
}
