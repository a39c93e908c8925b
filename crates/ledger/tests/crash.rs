//! A gateway that is killed, or whose disk is full, loses nothing that it had flushed (invariant I2).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sallyport_ledger::{Durability, Event, LedgerError, RecordingStore, State, verify};
use support::{header, key};

const STATE_DIR: &str = "LEDGER_CRASH_STATE_DIR";

/// The process that dies; it says on its output which commands were flushed. Run only by the tests below.
#[test]
#[ignore = "the other tests start it as a process of its own"]
fn child() {
    let Some(dir) = std::env::var_os(STATE_DIR) else {
        return;
    };
    let store = RecordingStore::open(Path::new(&dir), key(), Durability::WriteAhead).unwrap();
    let header = header();
    let mut recorder = store.create(&header).unwrap();
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nsession {}", header.id).unwrap();
    let rows = vec![b'r'; 100_000];
    for seq in 1.. {
        let rows = if seq % 5 == 0 { &rows[..] } else { &[] };
        let text = format!("SELECT {seq}");
        let flushed = recorder
            .append(Event::Command {
                seq,
                text: text.as_bytes(),
                detail: b"{}",
            })
            .and_then(|()| recorder.append(Event::Response { seq, bytes: rows }))
            .and_then(|()| recorder.flush());
        match flushed {
            Ok(receipt) => receipt.wait().unwrap(),
            Err(error) => return give_up(recorder, &error, &mut out),
        }
        writeln!(out, "flushed {seq}").unwrap();
        out.flush().unwrap();
    }
}

/// After a failure nothing more is taken, whatever is tried.
fn give_up(mut recorder: sallyport_ledger::Recorder, error: &LedgerError, out: &mut impl Write) {
    assert!(matches!(error, LedgerError::Failed(_)), "{error}");
    assert!(matches!(
        recorder.append(Event::Closed { detail: b"{}" }),
        Err(LedgerError::Failed(_))
    ));
    assert!(matches!(recorder.flush(), Err(LedgerError::Failed(_))));
    assert!(matches!(recorder.seal(), Err(LedgerError::Failed(_))));
    writeln!(out, "failed {error}").unwrap();
}

fn start(dir: &Path, wrapper: &str) -> Child {
    let program = std::env::current_exe().unwrap();
    let script = format!("{wrapper} exec \"$0\" --exact child --ignored --nocapture");
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(script)
        .arg(program)
        .env(STATE_DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What the child said: its session, the last command that it flushed, and whether it saw a failure.
struct Said {
    session: uuid::Uuid,
    flushed: u64,
    failed: bool,
}

/// Reads what the child says, and kills it after `kill_after` flushes. What it had said before it died and
/// is still in the pipe counts too.
fn listen(mut child: Child, kill_after: Option<u64>) -> Said {
    let mut said = Said {
        session: uuid::Uuid::nil(),
        flushed: 0,
        failed: false,
    };
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(session) = line.strip_prefix("session ") {
            said.session = session.parse().unwrap();
        } else if let Some(seq) = line.strip_prefix("flushed ").and_then(|seq| seq.parse().ok()) {
            said.flushed = seq;
            if Some(seq) == kill_after {
                child.kill().unwrap();
            }
        }
        said.failed |= line.starts_with("failed ");
    }
    let status = child.wait().unwrap();
    assert_eq!(status.success(), kill_after.is_none(), "{status}");
    said
}

#[test]
fn killed_at_any_moment_it_loses_no_flushed_command() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..25 {
        let said = listen(start(dir.path(), ""), Some(1 + round * round * 3));
        let store = RecordingStore::open(dir.path(), key(), Durability::WriteAhead).unwrap();
        let report = verify(&store.path(said.session).unwrap(), &key()).unwrap();
        assert_eq!(report.damage, None, "round {round}");
        assert!(
            report.commands >= said.flushed,
            "round {round}: {} of {}",
            report.commands,
            said.flushed
        );
        assert_eq!(store.summary(said.session).unwrap().state, State::Interrupted);
        let events = store.read(said.session).unwrap().events().map(Result::unwrap);
        let commands = events.filter_map(|event| {
            let Event::Command { seq, text, .. } = event.event() else {
                return None;
            };
            Some((seq, String::from_utf8(text.to_vec()).unwrap()))
        });
        for (expected, (seq, text)) in (1..).zip(commands) {
            assert_eq!((seq, text), (expected, format!("SELECT {expected}")));
        }
    }
}

#[test]
fn a_disk_that_is_full_fails_for_good_and_what_was_flushed_stays() {
    let dir = tempfile::tempdir().unwrap();
    // The shell's limit on the size of a file stands for the disk: a write beyond it is cut, then refused.
    let said = listen(start(dir.path(), "trap '' XFSZ; ulimit -f 300;"), None);
    assert!(said.failed && said.flushed > 0);
    let store = RecordingStore::open(dir.path(), key(), Durability::WriteAhead).unwrap();
    let report = verify(&store.path(said.session).unwrap(), &key()).unwrap();
    assert_eq!(report.damage, None);
    assert!(!report.sealed && report.torn_bytes > 0, "{report:?}");
    assert!(report.commands >= said.flushed, "{report:?}");
}
