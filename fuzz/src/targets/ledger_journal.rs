//! A journal that was altered is named damaged or is cut short at its end: it never gives an entry that was not written,
//! and opening it again never loses one that was.
//!
//! The input is a list of edits to a real journal: random bytes alone would never get past its encryption.

use std::sync::OnceLock;

use crate::edits::edited;
use sallyport_ledger::{Durability, Entries, Entry, Journal, LedgerError, RecordingKey};

const FILE: &str = "journal.rec";

fn key() -> RecordingKey {
    RecordingKey::new([9; 32])
}

fn original() -> &'static (Vec<u8>, Vec<Entry>) {
    static ORIGINAL: OnceLock<(Vec<u8>, Vec<Entry>)> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        // Two runs of a gateway: a journal has a segment for each.
        for run in 0..2 {
            let (journal, _) = Journal::open(dir.path(), &key(), Durability::WriteAhead).unwrap();
            for number in 0..4 {
                let details = serde_json::json!({ "run": run, "number": number });
                journal
                    .record(&Entry::now("login", "alice", details))
                    .unwrap()
                    .wait()
                    .unwrap();
            }
        }
        let entries = Entries::of(dir.path(), &key()).unwrap().map(Result::unwrap).collect();
        (std::fs::read(dir.path().join(FILE)).unwrap(), entries)
    })
}

/// One input.
pub fn run(edits: &[u8]) {
    let (bytes, written) = original();
    let bytes = edited(bytes, edits);
    let memory = std::path::Path::new("/dev/shm");
    let dir = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .unwrap();
    std::fs::write(dir.path().join(FILE), &bytes).unwrap();
    let damaged = |error: &LedgerError| matches!(error, LedgerError::Damaged(_) | LedgerError::DamagedFile { .. });
    let read: Vec<Entry> = match Entries::of(dir.path(), &key()) {
        Ok(entries) => entries
            .map_while(|entry| entry.map_err(|error| assert!(damaged(&error), "{error}")).ok())
            .collect(),
        Err(error) => return assert!(damaged(&error), "{error}"),
    };
    assert_eq!(read, written[..read.len()]);
    match Journal::open(dir.path(), &key(), Durability::WriteAhead) {
        Ok((journal, recovery)) => {
            assert_eq!(recovery.entries, u64::try_from(read.len()).unwrap());
            let again: Vec<Entry> = journal.entries().unwrap().map(Result::unwrap).collect();
            assert_eq!(again[..read.len()], read);
            assert_eq!(again.len(), read.len() + usize::from(recovery.torn_bytes > 0));
        }
        Err(error) => assert!(damaged(&error), "{error}"),
    }
}
