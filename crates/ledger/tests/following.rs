//! A recording is read while it is written: all that was written, in order, and nothing else.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::prelude::*;
use sallyport_ledger::{Durability, Ending, Event, Events};
use support::{Owned, header, store};

/// Reads what is there now.
fn read(events: &mut Events, written: Option<u64>, into: &mut Vec<Owned>) {
    events.read_on(written).unwrap();
    into.extend(events.by_ref().map(|event| Owned::of(&event.unwrap())));
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    let length = prop_oneof![30 => 0..300_usize, 3 => 3_000..6_000_usize, 1 => 200_000..600_000_usize];
    prop::collection::vec(length, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn a_follower_beside_the_writer_reads_every_event_once(lengths in lengths()) {
        let (_dir, store) = store(Durability::WriteAhead);
        let header = header();
        let mut recorder = store.create(&header).unwrap();
        let written = Arc::new(AtomicU64::new(recorder.written_bytes()));
        let over = Arc::new(AtomicBool::new(false));
        let follower = std::thread::spawn({
            let (written, over) = (Arc::clone(&written), Arc::clone(&over));
            let mut events = store.read(header.id).unwrap().events();
            move || {
                let mut seen = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    // The file goes on behind what is said to be written, in zeros and in frames that are being put.
                    read(&mut events, Some(written.load(Ordering::SeqCst)), &mut seen);
                    assert!(matches!(events.ending(), Some(Ending::Unsealed { torn_bytes: 0, .. })));
                }
                read(&mut events, None, &mut seen);
                assert!(matches!(events.ending(), Some(Ending::Sealed { .. })));
                seen
            }
        });
        let mut expected = Vec::new();
        for (seq, len) in (1..).zip(&lengths) {
            let text = vec![b'x'; *len];
            recorder.append(Event::Command { seq, text: &text, detail: b"" }).unwrap();
            written.store(recorder.written_bytes(), Ordering::SeqCst);
            if seq % 3 == 0 {
                assert!(recorder.flush().unwrap().is_ready());
                written.store(recorder.written_bytes(), Ordering::SeqCst);
            }
            expected.push(Owned::Command(seq, text, Vec::new()));
        }
        drop(recorder.seal().unwrap());
        over.store(true, Ordering::SeqCst);
        prop_assert_eq!(follower.join().unwrap(), expected);
    }
}

#[test]
fn nothing_behind_what_is_written_is_shown() {
    let (_dir, store) = store(Durability::WriteAhead);
    let header = header();
    let mut recorder = store.create(&header).unwrap();
    let mut note = |detail: &[u8]| {
        recorder.append(Event::Notice { detail }).unwrap();
        assert!(recorder.flush().unwrap().is_ready());
        recorder.written_bytes()
    };
    let first = note(b"first");
    let second = note(b"second");
    let mut events = store.read(header.id).unwrap().events();
    let mut seen = Vec::new();
    read(&mut events, Some(first), &mut seen);
    assert_eq!(seen, [Owned::Notice(b"first".to_vec())]);
    read(&mut events, Some(first), &mut seen);
    assert_eq!(seen.len(), 1);
    read(&mut events, Some(second), &mut seen);
    assert_eq!(seen.get(1..), Some(&[Owned::Notice(b"second".to_vec())][..]));
}
