//! A recording whose end is reserved ahead reads like one that was written, whenever its process dies.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sallyport_ledger::{Damage, Durability, Ending, Event, LedgerError, Reader, Recorder, RecordingStore, verify};
use support::{Owned, frames, header, joined, key, store};

/// Records one command of each length, flushing after each. The recorder is still open.
fn record(store: &RecordingStore, lengths: &[usize]) -> (Recorder, PathBuf, Vec<Owned>) {
    let header = header();
    let mut recorder = store.create(&header).unwrap();
    let mut written = Vec::new();
    for (seq, len) in (1..).zip(lengths) {
        let text = vec![b'x'; *len];
        let command = Event::Command {
            seq,
            text: &text,
            detail: b"",
        };
        recorder.append(command).unwrap();
        assert!(recorder.flush().unwrap().is_ready());
        written.push(Owned::Command(seq, text, Vec::new()));
    }
    (recorder, store.path(header.id).unwrap(), written)
}

fn read(path: &Path) -> Result<(Vec<Owned>, Option<Ending>), LedgerError> {
    let mut events = Reader::open(path, &key())?.events();
    let read = events
        .by_ref()
        .map(|event| event.map(|event| Owned::of(&event)))
        .collect::<Result<_, _>>()?;
    Ok((read, events.ending().cloned()))
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    let length = prop_oneof![30 => 0..300_usize, 3 => 3_000..6_000_usize, 1 => 200_000..600_000_usize];
    prop::collection::vec(length, 17..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn it_reads_the_same_while_it_is_written_after_a_death_and_sealed(lengths in lengths(), seal: bool) {
        let (_dir, store) = store(Durability::WriteAhead);
        let (recorder, path, written) = record(&store, &lengths);
        let (open, ending) = read(&path).unwrap();
        prop_assert!(joined(open) == joined(written.clone()));
        let clean = matches!(ending, Some(Ending::Unsealed { torn_bytes: 0, .. }));
        prop_assert!(clean);

        let end = frames(&fs::read(&path).unwrap()).last().unwrap().end;
        if seal {
            recorder.seal().unwrap().1.wait().unwrap();
        } else {
            drop(recorder);
            prop_assert!(fs::metadata(&path).unwrap().len() == end as u64, "what was not used is cut off");
        }
        let (closed, ending) = read(&path).unwrap();
        prop_assert!(joined(closed) == joined(written));
        let sealed = matches!(ending, Some(Ending::Sealed { .. }));
        prop_assert!(sealed == seal);
        prop_assert!(verify(&path, &key()).is_ok());
    }
}

#[test]
fn a_death_at_any_byte_of_a_frame_leaves_all_before_it() {
    let (_dir, store) = store(Durability::WriteAhead);
    let (recorder, path, written) = record(&store, &[100; 40]);
    let whole = fs::read(&path).unwrap();
    drop(recorder);
    let std::ops::Range { start: last, end } = frames(&whole).last().unwrap().clone();
    assert!(whole.len() > end, "the file's end is reserved");
    // The first word comes last, after bytes that may have got there in any number.
    for put in 4..=end - last {
        let mut file = whole.clone();
        file[last..last + 4].fill(0);
        file[last + put..end].fill(0);
        fs::write(&path, &file).unwrap();
        let (read, ending) = read(&path).unwrap();
        assert_eq!(read, written[..39]);
        let Some(Ending::Unsealed { torn_bytes, .. }) = ending else {
            panic!("{ending:?}");
        };
        assert!(torn_bytes <= (end - last) as u64);
        assert_eq!(torn_bytes > 0, file[last..end].iter().any(|byte| *byte != 0));
    }
}

#[test]
fn a_death_within_a_large_frame_in_the_reserve_leaves_all_before_it() {
    let (_dir, store) = store(Durability::WriteAhead);
    let mut lengths = vec![100; 40];
    lengths.push(100_000);
    let (recorder, path, written) = record(&store, &lengths);
    let whole = fs::read(&path).unwrap();
    drop(recorder);
    let std::ops::Range { start: last, end } = frames(&whole).last().unwrap().clone();
    assert!(
        whole.len() > end && end - last > 100_000,
        "the large frame lies in the reserve"
    );
    for put in [4, 5, 8, 16, 17, 5_000, 99_999] {
        let mut file = whole.clone();
        file[last..last + 4].fill(0);
        file[last + put..end].fill(0);
        fs::write(&path, &file).unwrap();
        let (read, ending) = read(&path).unwrap();
        assert_eq!(read, written[..40]);
        assert!(matches!(ending, Some(Ending::Unsealed { .. })), "{ending:?}");
    }
}

#[test]
fn what_is_no_frame_put_in_part_is_damage() {
    let (_dir, store) = store(Durability::WriteAhead);
    let (recorder, path, _) = record(&store, &[100; 200]);
    let whole = fs::read(&path).unwrap();
    drop(recorder);
    let frames = frames(&whole);
    let (cut, end) = (frames[100].start, frames.last().unwrap().end);
    let damaged = |file: &[u8]| {
        fs::write(&path, file).unwrap();
        matches!(
            read(&path),
            Err(LedgerError::Damaged(
                Damage::FrameHeader { .. } | Damage::Altered { .. }
            ))
        )
    };
    let mut file = whole.clone();
    file[cut..cut + 4].fill(0);
    assert!(damaged(&file), "frames after a hole");
    file = whole.clone();
    *file.last_mut().unwrap() = 1;
    assert!(damaged(&file), "something after the reserve");
    file = whole;
    file[end - 1] ^= 1;
    assert!(damaged(&file), "a frame that was changed");
}

#[test]
fn a_durable_recording_reserves_nothing() {
    let (_dir, store) = store(Durability::Durable);
    let header = header();
    let mut recorder = store.create(&header).unwrap();
    for seq in 1..=40 {
        let detail = b"{}";
        recorder.append(Event::Decision { seq, detail }).unwrap();
        recorder.flush().unwrap().wait().unwrap();
    }
    let file = fs::read(store.path(header.id).unwrap()).unwrap();
    assert_eq!(frames(&file).last().unwrap().end, file.len());
}
