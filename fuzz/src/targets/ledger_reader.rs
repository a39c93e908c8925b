//! A recording that was altered in any way is named damaged, is cut short, or is the very same: the reader never
//! panics, never gives an event that was not written, and never takes an altered file for a complete one.
//!
//! The input is a list of edits to a real recording: random bytes alone would never get past its encryption.

use std::io::Cursor;
use std::sync::OnceLock;

use crate::edits::edited;
use sallyport_ledger::{
    Caller, Durability, Ending, Event, LedgerError, Reader, RecordedEvent, RecordingKey, RecordingStore, SessionHeader,
};

struct Original {
    bytes: Vec<u8>,
    events: Vec<RecordedEvent>,
}

fn key() -> RecordingKey {
    RecordingKey::new([9; 32])
}

fn original() -> &'static Original {
    static ORIGINAL: OnceLock<Original> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let store = RecordingStore::open(dir.path(), key(), Durability::WriteAhead).unwrap();
        let header = header();
        let mut recorder = store.create(&header).unwrap();
        for seq in 1..=6_u64 {
            recorder
                .append(Event::Command {
                    seq,
                    text: b"SELECT 1",
                    detail: b"{}",
                })
                .unwrap();
            recorder.append(Event::Decision { seq, detail: b"{}" }).unwrap();
            assert!(recorder.flush().unwrap().is_ready());
            recorder
                .append(Event::Response {
                    seq,
                    bytes: &[seq as u8; 90],
                })
                .unwrap();
        }
        recorder.seal().unwrap().1.wait().unwrap();
        let bytes = std::fs::read(store.path(header.id).unwrap()).unwrap();
        let events = Reader::from_source(Cursor::new(&bytes), &key())
            .unwrap()
            .events()
            .map(Result::unwrap)
            .collect();
        Original { bytes, events }
    })
}

fn header() -> SessionHeader {
    SessionHeader {
        id: uuid::Uuid::now_v7(),
        started: time::OffsetDateTime::now_utc(),
        principal: Caller {
            id: "a".into(),
            kind: "user".into(),
            groups: Vec::new(),
            person: "a".into(),
        },
        target: "t".into(),
        database: None,
        protocol: "p".into(),
        client_address: None,
        task: None,
        client_tool: None,
        agent: None,
        policy_digest: String::new(),
        policy_commit: None,
        gateway_version: String::new(),
    }
}

/// One input.
pub fn run(edits: &[u8]) {
    let original = original();
    let bytes = edited(&original.bytes, edits);
    let same = bytes == original.bytes;
    let reader = match Reader::from_source(Cursor::new(bytes), &key()) {
        Ok(reader) => reader,
        Err(error) => return assert!(matches!(error, LedgerError::Damaged(_)), "{error}"),
    };
    let mut events = reader.events();
    let mut expected = original.events.iter();
    let mut damaged = false;
    for event in events.by_ref() {
        match event {
            Ok(event) => assert_eq!(Some(&event), expected.next()),
            Err(error) => {
                assert!(matches!(error, LedgerError::Damaged(_)), "{error}");
                damaged = true;
            }
        }
    }
    assert_eq!(events.ending().is_none(), damaged);
    assert_eq!(matches!(events.ending(), Some(Ending::Sealed { .. })), same);
}
