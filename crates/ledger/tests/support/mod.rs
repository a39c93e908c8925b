//! What the ledger's tests share: a store on throwaway state, and events to put into it.
#![allow(dead_code, reason = "each test program uses a part")]

use sallyport_ledger::{Caller, Durability, Event, RecordedEvent, RecordingKey, RecordingStore, SessionHeader};
use tempfile::TempDir;
use time::OffsetDateTime;
use uuid::Uuid;

pub fn key() -> RecordingKey {
    RecordingKey::new([42; 32])
}

pub fn store(durability: Durability) -> (TempDir, RecordingStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = RecordingStore::open(dir.path(), key(), durability).unwrap();
    (dir, store)
}

pub fn header() -> SessionHeader {
    SessionHeader {
        id: Uuid::now_v7(),
        started: OffsetDateTime::now_utc(),
        principal: Caller {
            id: "alice".into(),
            kind: "user".into(),
            groups: vec!["developers".into(), "payments".into()],
            person: "alice".into(),
        },
        target: "orders".into(),
        database: Some("orders".into()),
        protocol: "postgres".into(),
        client_address: Some("127.0.0.1:5555".into()),
        task: Some("OPS-42".into()),
        client_tool: Some("psql".into()),
        agent: None,
        policy_digest: "d".repeat(64),
        policy_commit: None,
        gateway_version: "0.1.0".into(),
    }
}

/// An event that owns its bytes, for comparing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owned {
    Command(u64, Vec<u8>, Vec<u8>),
    Decision(u64, Vec<u8>),
    Input(u64, Vec<u8>),
    Response(u64, Vec<u8>),
    Hold(u64, Vec<u8>),
    Review(u64, Vec<u8>),
    Notice(Vec<u8>),
    Ended(u64, Vec<u8>),
    Closed(Vec<u8>),
}

impl Owned {
    pub fn event(&self) -> Event<'_> {
        match self {
            Self::Command(seq, text, detail) => Event::Command {
                seq: *seq,
                text,
                detail,
            },
            Self::Decision(seq, detail) => Event::Decision { seq: *seq, detail },
            Self::Input(seq, bytes) => Event::Input { seq: *seq, bytes },
            Self::Response(seq, bytes) => Event::Response { seq: *seq, bytes },
            Self::Hold(seq, detail) => Event::Hold { seq: *seq, detail },
            Self::Review(seq, detail) => Event::Review { seq: *seq, detail },
            Self::Notice(detail) => Event::Notice { detail },
            Self::Ended(seq, detail) => Event::Ended { seq: *seq, detail },
            Self::Closed(detail) => Event::Closed { detail },
        }
    }

    pub fn of(recorded: &RecordedEvent) -> Self {
        match recorded.event() {
            Event::Command { seq, text, detail } => Self::Command(seq, text.into(), detail.into()),
            Event::Decision { seq, detail } => Self::Decision(seq, detail.into()),
            Event::Input { seq, bytes } => Self::Input(seq, bytes.into()),
            Event::Response { seq, bytes } => Self::Response(seq, bytes.into()),
            Event::Hold { seq, detail } => Self::Hold(seq, detail.into()),
            Event::Review { seq, detail } => Self::Review(seq, detail.into()),
            Event::Notice { detail } => Self::Notice(detail.into()),
            Event::Ended { seq, detail } => Self::Ended(seq, detail.into()),
            Event::Closed { detail } => Self::Closed(detail.into()),
        }
    }
}

/// Joins data that belongs together: the recorder may split it, and only its bytes count.
pub fn joined(events: impl IntoIterator<Item = Owned>) -> Vec<Owned> {
    let mut joined: Vec<Owned> = Vec::new();
    for event in events {
        match (joined.last_mut(), &event) {
            (Some(Owned::Input(last, into)), Owned::Input(seq, bytes))
            | (Some(Owned::Response(last, into)), Owned::Response(seq, bytes))
                if last == seq =>
            {
                into.extend_from_slice(bytes);
            }
            _ => joined.push(event),
        }
    }
    joined
}

/// Byte ranges of the frames in `file`, found by their headers.
pub fn frames(file: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = 92;
    while let Some(word) = file.get(at..at + 4) {
        let len = u32::from_le_bytes(word.try_into().unwrap());
        // Zero is the reserved end.
        if !(1..=4).contains(&(len >> 24)) {
            break;
        }
        let end = at + 16 + (len & 0x00ff_ffff) as usize;
        ranges.push(at..end);
        at = end;
    }
    ranges
}
