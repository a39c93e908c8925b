//! Requests that no well-behaved client would send, against OpenSSH's server.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
#![expect(clippy::wildcard_enum_match_arm, reason = "judges that care for one act")]

mod support;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use sallyport_sftp::{Ask, FileAct, Limits, Side, Verdict};
use support::{Channel, Field, Judge, Raw, permit_all, permitted, refused, text};

const READ: u32 = 1;
const WRITE: u32 = 2;
const APPEND: u32 = 4;
const CREATE: u32 = 8;
const TRUNCATE: u32 = 16;
const EXCLUSIVE: u32 = 32;
const DENIED: u32 = 3;
const FAILURE: u32 = 4;

struct Host {
    _root: tempfile::TempDir,
    home: PathBuf,
}

impl Host {
    /// `secret/key`, `plain`, and a directory `dir` with `dir/key`.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(root.path()).unwrap();
        for dir in ["secret", "dir"] {
            fs::create_dir(home.join(dir)).unwrap();
        }
        fs::write(home.join("secret/key"), "hidden").unwrap();
        fs::write(home.join("dir/key"), "harmless").unwrap();
        fs::write(home.join("plain"), "plain").unwrap();
        Self { _root: root, home }
    }

    fn connect(&self, judge: Judge) -> (Raw, Channel) {
        Raw::connect(&self.home, Limits::default(), judge)
    }

    fn path(&self, name: &str) -> String {
        self.home.join(name).to_str().unwrap().to_owned()
    }

    /// Only reading and writing the secret is refused: links to it may be made.
    fn guard(&self) -> Judge {
        let secret = self.home.join("secret");
        Box::new(move |ask| {
            let opened = match &ask.act {
                FileAct::Read { at } | FileAct::Write { at, .. } => at.path.starts_with(secret.as_os_str().as_bytes()),
                _ => false,
            };
            Some(if opened { refused() } else { permitted() })
        })
    }

    /// Holds what `held` names, permits the rest.
    fn hold(held: impl Fn(&Ask) -> bool + Send + 'static) -> Judge {
        Box::new(move |ask| (!held(ask)).then(permitted))
    }
}

fn read(raw: &mut Raw, handle: &[u8], offset: u64, len: u32) -> support::Packet {
    raw.ask(5, &[text(handle), Field::U64(offset), Field::U32(len)])
}

fn content(raw: &mut Raw, handle: &[u8]) -> Vec<u8> {
    read(raw, handle, 0, 1000).string().to_vec()
}

#[test]
fn a_link_made_in_the_same_breath_is_seen() {
    let host = Host::new();
    let (mut raw, channel) = host.connect(host.guard());
    let made = raw.send(20, &[text("secret/key"), text("link")]);
    let opened = raw.send(3, &[text("link"), Field::U32(READ), Field::U32(0)]);
    assert_eq!(raw.wait(made).code(), 0);
    let answer = raw.wait(opened);
    assert_eq!(answer.code(), DENIED);
    assert_eq!(answer.message(), "no-secrets: secrets stay where they are");
    raw.close();
    let log = channel.end();
    assert!(
        log.texts()
            .contains(&format!("get {} (written link)", host.path("secret/key")).as_str())
    );
}

#[test]
fn directories_that_change_places_in_the_same_breath_are_seen() {
    let host = Host::new();
    symlink("secret", host.home.join("link")).unwrap();
    for rename in [true, false] {
        let (mut raw, channel) = host.connect(host.guard());
        let mut swap = |from: &str, to: &str| {
            if rename {
                raw.send(18, &[text(from), text(to)])
            } else {
                raw.send(200, &[text("posix-rename@openssh.com"), text(from), text(to)])
            }
        };
        let (away, into) = (swap("dir", "old"), swap("link", "dir"));
        let opened = raw.send(3, &[text("dir/key"), Field::U32(READ), Field::U32(0)]);
        assert_eq!((raw.wait(away).code(), raw.wait(into).code()), (0, 0));
        assert_eq!(raw.wait(opened).code(), DENIED);
        for (from, to) in [("dir", "link"), ("old", "dir")] {
            assert_eq!(raw.ask(18, &[text(from), text(to)]).code(), 0);
        }
        raw.close();
        channel.end();
    }
}

#[test]
fn while_a_file_is_undecided_nothing_before_it_can_be_exchanged() {
    let host = Host::new();
    let (mut raw, channel) = host.connect(Host::hold(|ask| ask.text.contains("dir/key")));
    let plain = raw.open("plain", READ).string();
    let opened = raw.send(3, &[text("dir/key"), Field::U32(READ), Field::U32(0)]);
    let away = raw.send(18, &[text("dir"), text("old")]);
    let link = raw.send(20, &[text("secret"), text("dir")]);
    let stat = raw.send(17, &[text("plain")]);
    let ask = channel.asked(&format!("get {} (written dir/key)", host.path("dir/key")));
    for _ in 0..3 {
        // Whatever the target was asked before this has been answered when this is.
        assert_eq!(content(&mut raw, &plain), b"plain");
    }
    assert_eq!(channel.count(), 2, "the rename has not even been asked for");
    assert!(host.home.join("dir/key").is_file() && !host.home.join("old").exists());
    channel.answer(ask, permitted());
    let handle = raw.wait(opened).string();
    assert_eq!((raw.wait(away).code(), raw.wait(link).code()), (0, 0));
    assert_eq!(raw.wait(stat).kind, 105);
    assert_eq!(content(&mut raw, &handle), b"harmless");
    raw.close();
    channel.end();
}

#[test]
fn a_held_question_stops_neither_open_files_nor_other_questions() {
    let host = Host::new();
    let judge = Host::hold(|ask| matches!(ask.act, FileAct::Write { .. } | FileAct::Rename { .. }));
    let (mut raw, channel) = host.connect(judge);
    let handle = raw.open("plain", READ).string();
    let held = raw.send(3, &[text("new"), Field::U32(WRITE | CREATE), Field::U32(0)]);
    let write = channel.asked(&format!("put {} (written new) (create)", host.path("new")));
    assert_eq!(content(&mut raw, &handle), b"plain");
    assert_eq!(raw.ask(17, &[text("plain")]).kind, 105, "a path that is only looked at");
    let second = raw.open("dir/key", READ).string();
    let rename = raw.send(18, &[text("plain"), text("other")]);
    let behind = raw.send(17, &[text("other")]);
    assert_eq!(content(&mut raw, &second), b"harmless");
    assert!(!raw.has(held) && !raw.has(rename) && !raw.has(behind));
    channel.answer(
        write,
        Verdict::Refused {
            message: "no".to_owned(),
        },
    );
    assert_eq!(raw.wait(held).code(), DENIED);
    let ask = channel.asked(&format!(
        "rename {0} (written plain) {1} (written other)",
        host.path("plain"),
        host.path("other")
    ));
    assert_eq!(content(&mut raw, &handle), b"plain");
    assert!(!raw.has(rename) && !raw.has(behind));
    channel.answer(ask, permitted());
    assert_eq!(raw.wait(rename).code(), 0);
    assert_eq!(raw.wait(behind).kind, 105, "it sees what was before it");
    raw.close();
    let log = channel.end();
    assert!(!host.home.join("new").exists() && log.error.is_none());
}

#[test]
fn handles_do_what_was_permitted_and_no_more() {
    let host = Host::new();
    let (mut raw, channel) = host.connect(permit_all());
    for unknown in [b"\0\0\0\0".as_slice(), b"\0\0\0\x01", b"", b"x", &[7; 300]] {
        for kind in [4, 8, 12] {
            assert_eq!(raw.ask(kind, &[text(unknown)]).code(), FAILURE);
        }
        assert_eq!(read(&mut raw, unknown, 0, 10).code(), FAILURE);
        let write = raw.ask(6, &[text(unknown), Field::U64(0), text("x")]);
        assert_eq!(write.code(), FAILURE);
    }
    let reading = raw.open("plain", READ).string();
    assert_eq!(raw.ask(6, &[text(&reading), Field::U64(0), text("x")]).code(), DENIED);
    let writing = raw.open("written", WRITE | CREATE).string();
    assert_eq!(read(&mut raw, &writing, 0, 10).code(), DENIED);
    let directory = raw.ask(11, &[text("dir")]).string();
    assert_eq!(read(&mut raw, &directory, 0, 10).code(), DENIED);
    assert_eq!(raw.ask(4, &[text(&reading)]).code(), 0);
    assert_eq!(read(&mut raw, &reading, 0, 10).code(), FAILURE, "it is closed");
    raw.close();
    let log = channel.end();
    assert!(
        log.refused
            .iter()
            .any(|refused| refused.text == "read on handle \"\\u{0}\\u{0}\\u{0}\\u{0}\"")
    );
}

#[test]
fn no_flags_and_odd_flags_are_called_what_they_do() {
    let host = Host::new();
    let (mut raw, channel) = host.connect(permit_all());
    let handle = raw.open("plain", 0).string();
    assert_eq!(content(&mut raw, &handle), b"plain");
    assert_eq!(raw.open("plain", TRUNCATE).kind, 102);
    assert_eq!(raw.open("plain", 0x40).code(), 8);
    raw.close();
    let log = channel.end();
    let path = host.path("plain");
    let expected = [
        format!("get {path} (written plain)"),
        format!("put {path} (written plain) (read, truncate)"),
    ];
    assert_eq!(log.texts(), expected);
}

#[test]
fn attributes_of_a_file_that_is_only_read_are_a_question_of_their_own() {
    let host = Host::new();
    let judge: Judge = Box::new(|ask| match ask.act {
        FileAct::Attributes { .. } => Some(refused()),
        _ => Some(permitted()),
    });
    let (mut raw, channel) = host.connect(judge);
    let handle = raw.open("plain", READ).string();
    let size = [text(&handle), Field::U32(1), Field::U64(0)];
    assert_eq!(raw.ask(10, &size).code(), DENIED);
    let mode = [text(&handle), Field::U32(4), Field::U32(0o100_777)];
    assert_eq!(raw.ask(10, &mode).code(), DENIED);
    let times = [text(&handle), Field::U32(8), Field::U32(1), Field::U32(1)];
    assert_eq!(raw.ask(10, &times).code(), DENIED);
    let handle = raw.open("written", WRITE | CREATE).string();
    let mode = |mode: u32| [text(&handle), Field::U32(4), Field::U32(mode)];
    assert_eq!(raw.ask(10, &mode(0o755)).code(), 0);
    assert_eq!(raw.ask(10, &mode(0o4755)).code(), DENIED);
    let owner = [text(&handle), Field::U32(2), Field::U32(0), Field::U32(0)];
    assert_eq!(raw.ask(10, &owner).code(), DENIED);
    raw.close();
    let log = channel.end();
    assert_eq!(fs::read(host.home.join("plain")).unwrap(), b"plain");
    assert_eq!(
        fs::metadata(host.home.join("written")).unwrap().permissions().mode() & 0o7777,
        0o755
    );
    let asked = log.texts().iter().filter(|asked| asked.starts_with("fsetstat")).count();
    assert_eq!(asked, 5);
}

#[test]
fn what_follows_a_held_question_about_a_handle_keeps_its_order() {
    let host = Host::new();
    let (mut raw, channel) = host.connect(Host::hold(|ask| matches!(ask.act, FileAct::Attributes { .. })));
    let handle = raw.open("plain", READ).string();
    let other = raw.open("dir/key", READ).string();
    let set = raw.send(10, &[text(&handle), Field::U32(4), Field::U32(0o600)]);
    let after = raw.send(5, &[text(&handle), Field::U64(0), Field::U32(10)]);
    let again = raw.send(10, &[text(&handle), Field::U32(4), Field::U32(0o640)]);
    let closed = raw.send(4, &[text(&handle)]);
    let too_late = raw.send(5, &[text(&handle), Field::U64(0), Field::U32(10)]);
    let path = host.path("plain");
    let ask = channel.asked(&format!("fsetstat {path} (written plain) (mode 0600)"));
    assert_eq!(content(&mut raw, &other), b"harmless");
    assert!(!raw.has(after) && !raw.has(closed));
    channel.answer(ask, permitted());
    assert_eq!(raw.wait(set).code(), 0);
    assert_eq!(raw.wait(after).string(), "plain");
    let ask = channel.asked(&format!("fsetstat {path} (written plain) (mode 0640)"));
    assert!(!raw.has(closed));
    channel.answer(ask, permitted());
    assert_eq!(
        (
            raw.wait(again).code(),
            raw.wait(closed).code(),
            raw.wait(too_late).code()
        ),
        (0, 0, FAILURE)
    );
    raw.close();
    channel.end();
    assert_eq!(
        fs::metadata(host.home.join("plain")).unwrap().permissions().mode() & 0o7777,
        0o640
    );
}

#[test]
fn a_copy_within_the_target_needs_both_files_and_its_own_verdict() {
    let host = Host::new();
    let secret = host.path("secret/key");
    let judge: Judge = Box::new(move |ask| match &ask.act {
        FileAct::Copy { from, .. } if from.path == secret.as_bytes() => Some(refused()),
        _ => Some(permitted()),
    });
    let (mut raw, channel) = host.connect(judge);
    let plain = raw.open("plain", READ).string();
    let secret = raw.open("secret/key", READ).string();
    let copied = raw.open("copied", WRITE | CREATE).string();
    let mut copy = |from: &[u8], to: &[u8]| {
        let name = text("copy-data");
        raw.ask(
            200,
            &[name, text(from), Field::U64(0), Field::U64(0), text(to), Field::U64(0)],
        )
        .code()
    };
    assert_eq!(copy(&plain, &secret), DENIED, "the second is not written");
    assert_eq!(copy(&copied, &plain), DENIED, "the first is not read");
    assert_eq!(copy(&plain, &plain), FAILURE);
    assert_eq!(copy(&secret, &copied), DENIED);
    assert_eq!(fs::read(host.home.join("copied")).unwrap(), b"");
    assert_eq!(copy(&plain, &copied), 0);
    assert_eq!(fs::read(host.home.join("copied")).unwrap(), b"plain");
    raw.close();
    channel.end();
}

#[test]
fn no_more_bytes_than_are_permitted() {
    let host = Host::new();
    fs::write(host.home.join("long"), vec![b'x'; 1000]).unwrap();
    let judge: Judge = Box::new(|_| {
        Some(Verdict::Permitted {
            max_size: Some(100),
            again: false,
        })
    });
    let (mut raw, channel) = host.connect(judge);
    let long = raw.open("long", READ).string();
    assert_eq!(read(&mut raw, &long, 0, 60).string().len(), 60);
    assert_eq!(read(&mut raw, &long, 60, 60).code(), DENIED);
    assert_eq!(read(&mut raw, &long, 60, 1).code(), DENIED, "it is over");
    let plain = raw.open("plain", READ).string();
    assert_eq!(
        read(&mut raw, &plain, 0, 1000).string(),
        "plain",
        "what is asked for does not count, what comes does"
    );
    let up = raw.open("up", WRITE | CREATE).string();
    let mut write = |offset: u64, len: usize| {
        raw.ask(6, &[text(&up), Field::U64(offset), text(&vec![b'y'; len])])
            .code()
    };
    assert_eq!(
        (write(0, 60), write(60, 40), write(0, 1), write(100, 1)),
        (0, 0, 0, DENIED)
    );
    // What is appended to one file counts together, through whichever handle, and with what others wrote to it.
    let together = ["together", "dir/../together"].map(|name| raw.open(name, WRITE | APPEND | CREATE).string());
    let mut append = |handle: &[u8], len: usize| {
        raw.ask(6, &[text(handle), Field::U64(0), text(&vec![b'z'; len])])
            .code()
    };
    let [one, two] = &together;
    assert_eq!(
        (append(one, 60), append(two, 41), append(two, 40), append(one, 1)),
        (0, DENIED, 0, DENIED)
    );
    raw.ask(4, &[text(one)]);
    assert_eq!(raw.ask(6, &[text(two), Field::U64(0), text("z")]).code(), DENIED);
    let beside = raw.open("beside", WRITE | APPEND | CREATE).string();
    let over = raw.open("beside", WRITE).string();
    assert_eq!(raw.ask(6, &[text(&over), Field::U64(90), text("z")]).code(), 0);
    assert_eq!(
        raw.ask(6, &[text(&beside), Field::U64(0), text("0123456789")]).code(),
        DENIED
    );
    assert_eq!(raw.ask(6, &[text(&beside), Field::U64(0), text("012345678")]).code(), 0);
    let sparse = raw.open("sparse", WRITE | CREATE).string();
    assert_eq!(
        raw.ask(6, &[text(&sparse), Field::U64(1 << 40), text("y")]).code(),
        DENIED
    );
    assert_eq!(
        raw.ask(10, &[text(&sparse), Field::U32(1), Field::U64(101)]).code(),
        DENIED
    );
    assert_eq!(raw.ask(10, &[text(&sparse), Field::U32(1), Field::U64(100)]).code(), 0);
    let whole = raw.open("whole", WRITE | CREATE).string();
    let name = text("copy-data");
    let copied = raw.ask(
        200,
        &[
            name,
            text(&plain),
            Field::U64(0),
            Field::U64(0),
            text(&whole),
            Field::U64(0),
        ],
    );
    assert_eq!(copied.code(), DENIED, "nobody knows how much that is");
    raw.close();
    let log = channel.end();
    assert_eq!(fs::metadata(host.home.join("up")).unwrap().len(), 100);
    let long = log.done.iter().find(|done| done.at.written == "long").unwrap();
    assert_eq!((long.bytes, long.complete), (60, false));
}

#[test]
fn a_path_that_changed_while_people_decided_is_refused() {
    let host = Host::new();
    let held = |ask: &Ask| matches!(ask.act, FileAct::Read { .. } | FileAct::Remove { .. });
    let (mut raw, channel) = host.connect(Host::hold(held));
    let late = || Verdict::Permitted {
        max_size: None,
        again: true,
    };
    let opened = raw.send(3, &[text("dir/key"), Field::U32(READ), Field::U32(0)]);
    let ask = channel.asked(&format!("get {} (written dir/key)", host.path("dir/key")));
    fs::rename(host.home.join("dir"), host.home.join("old")).unwrap();
    symlink("secret", host.home.join("dir")).unwrap();
    channel.answer(ask, late());
    let answer = raw.wait(opened);
    assert_eq!(answer.code(), DENIED);
    assert!(answer.message().contains("leads elsewhere"), "{}", answer.message());
    let opened = raw.send(3, &[text("plain"), Field::U32(READ), Field::U32(0)]);
    let ask = channel.asked(&format!("get {} (written plain)", host.path("plain")));
    channel.answer(ask, late());
    let handle = raw.wait(opened).string();
    assert_eq!(content(&mut raw, &handle), b"plain");
    raw.close();
    channel.end();
}

#[test]
fn a_file_that_was_exchanged_before_it_was_opened_is_not_given_away() {
    let host = Host::new();
    let home = host.home.clone();
    let judge: Judge = Box::new(move |ask| {
        // Somebody else is fast: between the target's answer and the opening.
        if ask.text.contains("dir") {
            fs::rename(home.join("dir"), home.join("old")).unwrap();
            symlink("secret", home.join("dir")).unwrap();
        }
        Some(permitted())
    });
    let (mut raw, channel) = host.connect(judge);
    assert_eq!(raw.open("dir/key", READ).code(), DENIED);
    assert_eq!(read(&mut raw, b"\0\0\0\0", 0, 10).code(), FAILURE);
    assert_eq!(
        raw.open("plain", READ).string(),
        b"\0\0\0\0".as_slice(),
        "the target has closed the other"
    );
    raw.close();
    let log = channel.end();
    assert!(log.done.iter().all(|done| done.at.written == "plain"));
    assert_eq!(log.refused[0].why, "the path led elsewhere while it was opened");
}

#[test]
fn paths_are_bytes() {
    let host = Host::new();
    let (mut raw, channel) = host.connect(permit_all());
    let odd = b"\xff\xfe \x1b[31m\n";
    assert_eq!(
        raw.ask(3, &[text(odd), Field::U32(WRITE | CREATE), Field::U32(0)]).kind,
        102
    );
    assert!(host.home.join(std::ffi::OsStr::from_bytes(odd)).is_file());
    raw.close();
    let log = channel.end();
    let root = host.home.display();
    let written = "\\xff\\xfe \\u{1b}[31m\\n";
    assert_eq!(
        log.texts(),
        [format!("put \"{root}/{written}\" (written \"{written}\") (create)")]
    );
    assert!(log.asks[0].act.places().0.unwrap().path.ends_with(odd));
}

#[test]
fn paths_that_are_none_go_nowhere() {
    let host = Host::new();
    let (mut raw, channel) = host.connect(permit_all());
    let long = "x/".repeat(3000);
    for (path, code) in [("", 2), ("plain\0", 5), ("a\0b", 5), (long.as_str(), 5)] {
        for kind in [7, 11, 13, 15, 17, 19] {
            assert_eq!(raw.ask(kind, &[text(path)]).code(), code, "{kind}");
        }
        assert_eq!(raw.open(path, READ).code(), code);
    }
    for dots in [".", "..", "/", "dir/.", "dir/..", "dir/../", "//"] {
        for kind in [13, 15] {
            assert_eq!(raw.ask(kind, &[text(dots)]).code(), FAILURE, "{kind} {dots}");
        }
        assert_eq!(raw.ask(18, &[text(dots), text("moved")]).code(), FAILURE);
        assert_eq!(raw.ask(17, &[text(dots)]).kind, 105);
        assert_eq!(raw.ask(7, &[text(dots)]).kind, 105);
    }
    raw.close();
    assert_eq!(channel.end().error, None);
    assert!(host.home.join("dir/key").is_file());
}

#[test]
fn what_cannot_be_resolved_is_asked_for_and_never_forwarded() {
    let host = Host::new();
    symlink("loop", host.home.join("loop")).unwrap();
    let secret = host.home.join("secret");
    let judge: Judge = Box::new(move |ask| {
        let inside = ask
            .act
            .places()
            .0
            .is_some_and(|at| at.path.starts_with(secret.as_os_str().as_bytes()));
        Some(if inside { refused() } else { permitted() })
    });
    let (mut raw, channel) = host.connect(judge);
    assert_eq!(raw.open("no/such/file", READ).code(), 2);
    assert_eq!(raw.open("loop", WRITE | CREATE).code(), 2);
    assert_eq!(raw.open("plain/x", WRITE | CREATE).code(), 2);
    assert_eq!(raw.ask(14, &[text("no/such/dir"), Field::U32(0)]).code(), 2);
    assert_eq!(
        raw.ask(17, &[text("secret/no/such")]).code(),
        DENIED,
        "not even whether it is there"
    );
    assert_eq!(raw.ask(17, &[text("secret/none")]).code(), DENIED);
    raw.close();
    let log = channel.end();
    let root = host.home.display();
    let expected = format!("get {root}/no/such/file (written no/such/file) (not resolved)");
    assert!(log.texts().contains(&expected.as_str()), "{:?}", log.texts());
    assert!(
        log.texts()
            .contains(&format!("stat {root}/secret/none (written secret/none)").as_str())
    );
}

#[test]
fn a_file_that_must_not_exist_is_not_made_through_a_link() {
    let host = Host::new();
    symlink("secret/new", host.home.join("link")).unwrap();
    let (mut raw, channel) = host.connect(permit_all());
    assert_eq!(raw.open("link", WRITE | CREATE | EXCLUSIVE).code(), FAILURE);
    assert_eq!(raw.open("plain", WRITE | CREATE | EXCLUSIVE).code(), FAILURE);
    assert!(!host.home.join("secret/new").exists());
    assert_eq!(raw.open("fresh", WRITE | CREATE | EXCLUSIVE).kind, 102);
    raw.close();
    channel.end();
}

#[test]
fn slashes_at_the_end_mean_directories_and_links_are_followed_there() {
    let host = Host::new();
    symlink("secret", host.home.join("link")).unwrap();
    let (mut raw, channel) = host.connect(permit_all());
    assert_eq!(raw.open("plain/", READ).code(), 2, "it is no directory");
    assert_eq!(raw.ask(7, &[text("link/")]).kind, 105);
    assert_eq!(raw.ask(7, &[text("link")]).kind, 105);
    assert_eq!(raw.ask(14, &[text("made/"), Field::U32(0)]).code(), 0);
    assert_eq!(raw.ask(15, &[text("made/")]).code(), 0);
    assert_eq!(
        raw.ask(15, &[text("link/")]).code(),
        2,
        "a link is no directory to be removed"
    );
    raw.close();
    let log = channel.end();
    let (secret, link) = (host.path("secret"), host.path("link"));
    assert_eq!(log.texts()[1], format!("lstat {secret} (written link/)"));
    assert_eq!(log.texts()[2], format!("lstat {link} (written link)"));
    assert!(host.home.join("secret/key").is_file());
}

#[test]
fn extensions_that_nobody_knows_are_refused() {
    let host = Host::new();
    let (mut raw, channel) = host.connect(permit_all());
    for name in [
        "vendor@example.com",
        "",
        "posix-rename@openssh.com\0",
        "POSIX-RENAME@openssh.com",
        "md5-hash",
    ] {
        assert_eq!(
            raw.ask(200, &[text(name), text("plain"), text("moved")]).code(),
            8,
            "{name}"
        );
    }
    raw.close();
    let log = channel.end();
    assert!(log.asks.is_empty() && log.refused.len() == 5 && host.home.join("plain").is_file());
    assert_eq!(log.refused[0].text, "extension vendor@example.com");
}

#[test]
fn any_id_will_do_and_one_in_use_ends_the_channel() {
    let host = Host::new();
    let (mut raw, channel) = host.connect(Host::hold(|ask| matches!(ask.act, FileAct::Remove { .. })));
    for id in [0, 1, u32::MAX, 0x8000_0000, 65_536] {
        raw.write(17, id, &support::body(&[text("plain")]));
        assert_eq!(raw.wait(id).kind, 105);
    }
    raw.write(13, 7, &support::body(&[text("plain")]));
    raw.write(17, 7, &support::body(&[text("plain")]));
    assert_eq!(raw.answer(7), None);
    let error = channel.end().error.unwrap();
    assert_eq!(error.side, Side::Client);
    assert!(host.home.join("plain").is_file());
}

#[test]
fn a_flood_behind_a_held_question_waits_with_the_client() {
    let host = Host::new();
    let limits = Limits {
        paths: 16,
        ..Limits::default()
    };
    let judge = Host::hold(|ask| matches!(ask.act, FileAct::MakeDirectory { .. }));
    let (mut raw, channel) = Raw::connect(&host.home, limits, judge);
    let held = raw.send(14, &[text("made"), Field::U32(0)]);
    let flood: Vec<u32> = (0..500).map(|_| raw.send(17, &[text("made")])).collect();
    let ask = channel.asked(&format!("mkdir {} (written made)", host.path("made")));
    channel.answer(ask, permitted());
    assert_eq!(raw.wait(held).code(), 0);
    for id in flood {
        assert_eq!(raw.wait(id).kind, 105);
    }
    raw.close();
    let log = channel.end();
    assert!(log.left_over > 0 && log.error.is_none());
}

#[test]
fn as_many_files_as_are_allowed() {
    let host = Host::new();
    let (mut raw, channel) = Raw::connect(
        &host.home,
        Limits {
            handles: 4,
            ..Limits::default()
        },
        permit_all(),
    );
    let ids: Vec<u32> = (0..6)
        .map(|_| raw.send(3, &[text("plain"), Field::U32(READ), Field::U32(0)]))
        .collect();
    let kinds: Vec<u8> = ids.iter().map(|id| raw.wait(*id).kind).collect();
    assert_eq!(kinds, [102, 102, 102, 102, 101, 101]);
    raw.close();
    let log = channel.end();
    assert_eq!(log.done.len(), 4, "what nobody closed is told too");
    assert!(log.done.iter().all(|done| !done.complete));
}

#[test]
fn the_same_request_is_the_same_bytes_each_time() {
    let host = Host::new();
    let (mut raw, channel) = host.connect(permit_all());
    for _ in 0..2 {
        raw.ask(17, &[text("dir/../plain")]);
    }
    raw.ask(17, &[text("plain")]);
    raw.ask(17, &[text("dir")]);
    for _ in 0..2 {
        let handle = raw.open("plain", READ).string();
        raw.ask(10, &[text(&handle), Field::U32(4), Field::U32(0o600)]);
    }
    raw.close();
    let log = channel.end();
    let request = |nth: usize| log.asks[nth].request.clone();
    assert_eq!(request(0), request(1));
    assert_eq!(request(0), request(2), "what counts is what the target gets");
    assert_ne!(request(0), request(3));
    assert_eq!(request(5), request(7), "the handles were others");
    let path = host.path("plain");
    assert_eq!(
        request(0),
        [&[17, 0, 0, 0, 0], support::body(&[text(&path)]).as_slice()].concat()
    );
}

#[test]
fn files_that_go_through_out_of_order_still_have_their_digest() {
    let host = Host::new();
    let (mut raw, channel) = host.connect(permit_all());
    let up = raw.open("up", WRITE | CREATE).string();
    let mut ids = vec![raw.send(6, &[text(&up), Field::U64(0), text("aaaa")])];
    for offset in [8u64, 4, 16, 12] {
        ids.push(raw.send(6, &[text(&up), Field::U64(offset), text("bbbb")]));
    }
    ids.push(raw.send(4, &[text(&up)]));
    for id in ids {
        assert_eq!(raw.wait(id).code(), 0);
    }
    let down = raw.open("up", READ).string();
    for offset in [0u64, 10, 5, 15, 20] {
        raw.send(5, &[text(&down), Field::U64(offset), Field::U32(5)]);
    }
    raw.ask(4, &[text(&down)]);
    let append = raw.open("up", WRITE | APPEND).string();
    raw.ask(6, &[text(&append), Field::U64(0), text("cc")]);
    raw.ask(4, &[text(&append)]);
    raw.close();
    let log = channel.end();
    let digest = |bytes: &[u8]| {
        Some(
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes)
                .as_ref()
                .to_vec(),
        )
    };
    let told: Vec<_> = log
        .done
        .iter()
        .map(|done| done.sha256.map(|sha256| sha256.to_vec()))
        .collect();
    assert_eq!(
        told,
        [
            digest(b"aaaabbbbbbbbbbbbbbbb"),
            digest(b"aaaabbbbbbbbbbbbbbbb"),
            digest(b"cc")
        ]
    );
    assert!(log.done.iter().all(|done| done.complete && done.sequential));
    assert_eq!(fs::read(host.home.join("up")).unwrap(), b"aaaabbbbbbbbbbbbbbbbcc");
}

#[test]
fn a_file_is_complete_when_its_size_or_its_end_was_told() {
    let host = Host::new();
    let (mut raw, channel) = host.connect(permit_all());
    for (name, sized, end) in [
        ("plain", true, false),
        ("plain", false, true),
        ("plain", false, false),
        ("/proc/self/stat", true, true),
    ] {
        let handle = raw.open(name, READ).string();
        if sized {
            assert_eq!(raw.ask(8, &[text(&handle)]).kind, 105);
        }
        let len = content(&mut raw, &handle).len() as u64;
        if end {
            assert_eq!(read(&mut raw, &handle, len, 1000).code(), 1);
        }
        raw.ask(4, &[text(&handle)]);
    }
    raw.close();
    let complete: Vec<bool> = channel.end().done.iter().map(|done| done.complete).collect();
    assert_eq!(complete, [true, true, false, true]);
}

#[test]
fn questions_about_names_are_answered_once_they_are_permitted() {
    let host = Host::new();
    symlink("secret", host.home.join("link")).unwrap();
    let (mut raw, channel) = host.connect(permit_all());
    let expand = text("expand-path@openssh.com");
    assert_eq!(
        raw.ask(200, &[expand, text("~/dir/../link/key")]).name(),
        host.path("secret/key")
    );
    assert_eq!(raw.ask(16, &[text("")]).name(), host.home.to_str().unwrap());
    assert_eq!(raw.ask(16, &[text("link/new")]).name(), host.path("secret/new"));
    assert_eq!(raw.ask(16, &[text("none/new")]).code(), 2);
    assert_eq!(raw.ask(19, &[text("link")]).name(), "secret");
    assert!(!raw.ask(200, &[text("home-directory"), text("root")]).name().is_empty());
    let root = [0u8; 4];
    assert_eq!(
        raw.ask(200, &[text("users-groups-by-id@openssh.com"), text(&root), text(&root)])
            .kind,
        201
    );
    assert_eq!(
        raw.ask(200, &[text("users-groups-by-id@openssh.com"), text("odd"), text("")])
            .code(),
        5
    );
    raw.close();
    let log = channel.end();
    let expected = format!("realpath {} (written ~/dir/../link/key)", host.path("secret/key"));
    assert_eq!(log.texts()[0], expected);
    assert_eq!(log.texts()[5..], ["home root", "names users [0] groups [0]"]);
    let (mut raw, channel) = host.connect(Box::new(|_| Some(refused())));
    assert_eq!(
        raw.ask(16, &[text("link")]).code(),
        DENIED,
        "where it leads is not told"
    );
    assert_eq!(raw.ask(200, &[text("home-directory"), text("root")]).code(), DENIED);
    raw.close();
    channel.end();
}
