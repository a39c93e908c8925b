//! The journal keeps every administrative act, over restarts and crashes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod support;

use std::fs::{self, OpenOptions};
use std::path::Path;

use sallyport_ledger::{Damage, Durability, Entries, Entry, Journal, LedgerError, RecordingStore, Recovery};
use serde_json::json;
use support::key;

fn open(dir: &Path) -> (Journal, Recovery) {
    Journal::open(dir, &key(), Durability::WriteAhead).unwrap()
}

fn act(number: u32) -> Entry {
    Entry::now("policy.load", "gateway", json!({ "number": number }))
}

fn kinds(dir: &Path) -> Vec<String> {
    Entries::of(dir, &key())
        .unwrap()
        .map(|entry| entry.unwrap().kind)
        .collect()
}

#[test]
fn entries_of_several_runs_read_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = Vec::new();
    for run in 0..4 {
        let (journal, recovery) = open(dir.path());
        assert_eq!(
            recovery,
            Recovery {
                entries: 3 * u64::from(run),
                torn_bytes: 0
            }
        );
        for number in 0..3 {
            let entry = act(10 * run + number);
            journal.record(&entry).unwrap().wait().unwrap();
            written.push(entry);
        }
        let read: Vec<Entry> = journal.entries().unwrap().map(Result::unwrap).collect();
        assert_eq!(read, written);
    }
}

#[test]
fn the_root_of_a_sealed_recording_is_found_in_every_later_run() {
    let dir = tempfile::tempdir().unwrap();
    let recordings = RecordingStore::open(dir.path(), key(), Durability::WriteAhead).unwrap();
    let mut roots = Vec::new();
    for _ in 0..3 {
        let (journal, _) = open(dir.path());
        let (root, _) = recordings.create(&support::header()).unwrap().seal().unwrap();
        assert_eq!(journal.root_of(root.id).unwrap(), None);
        journal.record(&act(1)).unwrap().wait().unwrap();
        journal.record(&Entry::sealed(&root)).unwrap().wait().unwrap();
        roots.push(root);
    }
    let (journal, _) = open(dir.path());
    for root in roots {
        assert_eq!(journal.root_of(root.id).unwrap(), Some(root));
    }
}

#[test]
fn a_root_is_found_without_reading_all_that_was_written_before() {
    let dir = tempfile::tempdir().unwrap();
    let recordings = RecordingStore::open(dir.path(), key(), Durability::WriteAhead).unwrap();
    let mut roots = Vec::new();
    for _ in 0..2 {
        let (journal, _) = open(dir.path());
        for number in 0..150 {
            journal.record(&act(number)).unwrap().wait().unwrap();
            if number % 10 == 0 {
                let (root, _) = recordings.create(&support::header()).unwrap().seal().unwrap();
                journal.record(&Entry::sealed(&root)).unwrap().wait().unwrap();
                roots.push(root);
            }
        }
    }
    let (journal, _) = open(dir.path());
    for root in &roots {
        assert_eq!(journal.root_of(root.id).unwrap(), Some(*root));
    }
    // Who reads on to the last root from the beginning meets this.
    let path = dir.path().join("journal.rec");
    let mut bytes = fs::read(&path).unwrap();
    bytes[300] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(journal.entries().unwrap().any(|entry| entry.is_err()));
    let last = roots.last().unwrap();
    assert_eq!(journal.root_of(last.id).unwrap(), Some(*last));
    assert!(matches!(journal.root_of(roots[0].id), Err(LedgerError::Damaged(_))));
}

#[test]
fn a_second_process_is_kept_out_while_readers_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    journal.record(&act(1)).unwrap().wait().unwrap();
    let second = Journal::open(dir.path(), &key(), Durability::WriteAhead);
    assert!(matches!(second, Err(LedgerError::JournalInUse(_))));
    assert_eq!(kinds(dir.path()), ["policy.load"]);
}

#[test]
fn an_entry_cut_by_a_crash_is_put_aside_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.rec");
    let (journal, _) = open(dir.path());
    journal.record(&act(1)).unwrap().wait().unwrap();
    let end = fs::metadata(&path).unwrap().len();
    journal.record(&act(2)).unwrap().wait().unwrap();
    drop(journal);
    let whole = fs::read(&path).unwrap();
    for cut in usize::try_from(end).unwrap() + 1..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (journal, recovery) = open(dir.path());
        assert_eq!(
            recovery,
            Recovery {
                entries: 1,
                torn_bytes: cut as u64 - end
            }
        );
        drop(journal);
        assert_eq!(kinds(dir.path()), ["policy.load", "journal.recover"]);
        let aside = dir.path().join(format!("journal.rec.torn-{end}"));
        assert_eq!(fs::read(aside).unwrap(), &whole[usize::try_from(end).unwrap()..cut]);
        assert_eq!(
            open(dir.path()).1,
            Recovery {
                entries: 2,
                torn_bytes: 0
            }
        );
    }
}

#[test]
fn an_altered_journal_is_not_continued() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.rec");
    let (journal, _) = open(dir.path());
    for number in 0..3 {
        journal.record(&act(number)).unwrap().wait().unwrap();
    }
    drop(journal);
    let whole = fs::read(&path).unwrap();
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let refused = Journal::open(dir.path(), &key(), Durability::WriteAhead);
        assert!(
            matches!(refused, Err(LedgerError::DamagedFile { .. })),
            "byte {position}: {refused:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), bytes, "evidence is left as it is");
    }
}

#[test]
fn an_entry_that_is_too_large_is_refused_and_the_journal_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let too_large = Entry::now("x", "y", json!("z".repeat(1 << 20)));
    assert!(matches!(journal.record(&too_large), Err(LedgerError::TooLarge { .. })));
    journal.record(&act(1)).unwrap().wait().unwrap();
    assert_eq!(kinds(dir.path()).len(), 1);
}

#[test]
fn a_durable_journal_survives_and_its_key_file_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/recording.key");
    let made = sallyport_ledger::RecordingKey::load_or_create(&path).unwrap();
    let (journal, _) = Journal::open(dir.path(), &made, Durability::Durable).unwrap();
    journal.record(&act(1)).unwrap().wait().unwrap();
    drop(journal);
    let loaded = sallyport_ledger::RecordingKey::load_or_create(&path).unwrap();
    assert_eq!(Entries::of(dir.path(), &loaded).unwrap().count(), 1);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    let refused = sallyport_ledger::RecordingKey::load_or_create(&path);
    assert!(
        matches!(refused, Err(LedgerError::KeyFile(_))),
        "an empty key file is never replaced: {refused:?}"
    );
    let other = sallyport_ledger::RecordingKey::new([1; 32]);
    let wrong = Entries::of(dir.path(), &other);
    assert!(matches!(wrong, Err(LedgerError::Damaged(Damage::Key))), "{wrong:?}");
}
