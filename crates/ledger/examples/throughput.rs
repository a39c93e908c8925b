//! What recording costs: `cargo run --release -p sallyport-ledger --example throughput [directory]`.
//!
//! Prints nanoseconds per flush of one small command, and gigabytes per second for large responses, beside a
//! plain `write` of the same bytes in the same run; and microseconds to open and seal a recording.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sallyport_ledger::{Caller, Durability, Event, LedgerError, RecordingKey, RecordingStore, SessionHeader};
use time::OffsetDateTime;
use uuid::Uuid;

const FLUSHES: u32 = 200_000;
const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS: usize = 16_384;
const SESSIONS: u32 = 2_000;
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("ledger-throughput-{}", std::process::id()));
    let store = RecordingStore::open(&dir, RecordingKey::new([7; 32]), Durability::WriteAhead)?;
    println!("flush ns | write ns | responses GB/s | write GB/s | open and seal µs");
    for _ in 0..ROUNDS {
        let (flush, plain) = (small(&store)?, small_plain(&dir)?);
        let (bulk, plain_bulk) = (large(&store)?, large_plain(&dir)?);
        let session = sessions(&store)?;
        println!("{flush:8.0} | {plain:8.0} | {bulk:14.2} | {plain_bulk:10.2} | {session:16.1}");
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// Microseconds to open a recording and to seal it.
fn sessions(store: &RecordingStore) -> Result<f64, LedgerError> {
    let start = Instant::now();
    for _ in 0..SESSIONS {
        store.create(&header())?.seal()?.1.wait()?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(SESSIONS))
}

/// Nanoseconds for a command of 250 bytes, its decision, the end of the one before, and a flush.
fn small(store: &RecordingStore) -> Result<f64, LedgerError> {
    let header = header();
    let mut recorder = store.create(&header)?;
    let (text, detail) = ([b'x'; 200], [b'y'; 50]);
    let start = Instant::now();
    for seq in 0..u64::from(FLUSHES) {
        recorder.append(Event::Command {
            seq,
            text: black_box(&text),
            detail: &detail,
        })?;
        recorder.append(Event::Decision { seq, detail: &detail })?;
        let receipt = recorder.flush()?;
        assert!(receipt.is_ready(), "write-ahead receipts are ready");
    }
    let nanos = start.elapsed().as_secs_f64() * 1e9 / f64::from(FLUSHES);
    recorder.seal()?.1.wait()?;
    remove(store, header.id)?;
    Ok(nanos)
}

fn small_plain(dir: &Path) -> std::io::Result<f64> {
    let path = dir.join("plain");
    let mut file = File::create(&path)?;
    let start = Instant::now();
    for _ in 0..FLUSHES {
        file.write_all(black_box(&[b'x'; 350]))?;
    }
    let nanos = start.elapsed().as_secs_f64() * 1e9 / f64::from(FLUSHES);
    std::fs::remove_file(path)?;
    Ok(nanos)
}

/// Gigabytes per second for responses in chunks of 64 KiB.
fn large(store: &RecordingStore) -> Result<f64, LedgerError> {
    let header = header();
    let chunk = vec![b'z'; CHUNK_BYTES];
    let mut recorder = store.create(&header)?;
    let start = Instant::now();
    for _ in 0..CHUNKS {
        recorder.append(Event::Response {
            seq: 1,
            bytes: black_box(&chunk),
        })?;
    }
    recorder.flush()?.wait()?;
    let rate = gigabytes() / start.elapsed().as_secs_f64();
    recorder.seal()?.1.wait()?;
    remove(store, header.id)?;
    Ok(rate)
}

fn large_plain(dir: &Path) -> std::io::Result<f64> {
    let path = dir.join("plain");
    let mut file = File::create(&path)?;
    let chunk = vec![b'z'; CHUNK_BYTES];
    let start = Instant::now();
    for _ in 0..CHUNKS {
        file.write_all(black_box(&chunk))?;
    }
    let rate = gigabytes() / start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

fn gigabytes() -> f64 {
    (CHUNK_BYTES * CHUNKS) as f64 / 1e9
}

fn remove(store: &RecordingStore, id: Uuid) -> Result<(), LedgerError> {
    let path = store.path(id)?;
    std::fs::remove_file(&path).map_err(|source| LedgerError::Io {
        action: "remove",
        path,
        source,
    })
}

fn header() -> SessionHeader {
    SessionHeader {
        id: Uuid::now_v7(),
        started: OffsetDateTime::now_utc(),
        principal: Caller {
            id: "alice".to_owned(),
            kind: "user".to_owned(),
            groups: vec!["developers".to_owned()],
            person: "alice".to_owned(),
        },
        target: "orders".to_owned(),
        database: Some("orders".to_owned()),
        protocol: "postgres".to_owned(),
        client_address: None,
        task: None,
        client_tool: None,
        agent: None,
        policy_digest: "0".repeat(64),
        policy_commit: None,
        gateway_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
