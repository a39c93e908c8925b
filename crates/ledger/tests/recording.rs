//! A recording says what was written, all of it, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod support;

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;
use sallyport_ledger::{
    Damage, Durability, Ending, Event, LedgerError, MAX_EVENT_BYTES, Reader, RecordingKey, RecordingStore, State,
    WHOLE_PIECE_BYTES, chain_head, verify,
};
use support::{Owned, frames, header, joined, key, store};
use uuid::Uuid;

fn any_event() -> impl Strategy<Value = Owned> {
    let bytes = || prop_oneof![8 => prop::collection::vec(any::<u8>(), 0..300), 1 => large()];
    let seq = || prop_oneof![0..9_u64, any::<u64>()];
    prop_oneof![
        (seq(), bytes(), bytes()).prop_map(|(seq, text, detail)| Owned::Command(seq, text, detail)),
        (seq(), bytes()).prop_map(|(seq, detail)| Owned::Decision(seq, detail)),
        (seq(), bytes()).prop_map(|(seq, detail)| Owned::Input(seq, detail)),
        (seq(), bytes()).prop_map(|(seq, detail)| Owned::Response(seq, detail)),
        (seq(), bytes()).prop_map(|(seq, detail)| Owned::Hold(seq, detail)),
        (seq(), bytes()).prop_map(|(seq, detail)| Owned::Review(seq, detail)),
        bytes().prop_map(Owned::Notice),
        (seq(), bytes()).prop_map(|(seq, detail)| Owned::Ended(seq, detail)),
        bytes().prop_map(Owned::Closed),
    ]
}

/// Data around and above the size of a frame.
fn large() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), 200_000..600_000_usize).prop_map(|(byte, len)| vec![byte; len])
}

/// Records `events`, flushing after those that say so; gives the file's path, and where each flush ended.
fn record(store: &RecordingStore, events: &[(Owned, bool)], seal: bool) -> (Uuid, Vec<(u64, usize)>) {
    let header = header();
    let path = store.path(header.id).unwrap();
    let mut recorder = store.create(&header).unwrap();
    let mut flushed = Vec::new();
    for (count, (event, flush)) in events.iter().enumerate() {
        recorder.append(event.event()).unwrap();
        if *flush {
            assert!(recorder.flush().unwrap().is_ready());
            // The file itself may be longer: its end is reserved ahead.
            flushed.push((frames(&fs::read(&path).unwrap()).last().unwrap().end as u64, count + 1));
        }
    }
    if seal {
        recorder.seal().unwrap().1.wait().unwrap();
    }
    (header.id, flushed)
}

fn read(path: &Path) -> (Vec<Owned>, Option<Ending>) {
    let mut events = Reader::open(path, &key()).unwrap().events();
    let read = events.by_ref().map(|event| Owned::of(&event.unwrap())).collect();
    (read, events.ending().cloned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn what_was_appended_is_read_back(events in prop::collection::vec((any_event(), any::<bool>()), 0..40), seal: bool) {
        let (_dir, store) = store(Durability::WriteAhead);
        let (id, _) = record(&store, &events, seal);
        let (read, ending) = read(&store.path(id).unwrap());
        prop_assert!(joined(read) == joined(events.into_iter().map(|(event, _)| event)), "events differ");
        prop_assert_eq!(matches!(ending, Some(Ending::Sealed { .. })), seal);
    }

    #[test]
    fn a_file_cut_anywhere_holds_every_event_flushed_before_the_cut(
        events in prop::collection::vec((any_event(), any::<bool>()), 1..30),
        cut in 0.0..1.0_f64,
    ) {
        let (_dir, store) = store(Durability::WriteAhead);
        let (id, flushed) = record(&store, &events, false);
        let path = store.path(id).unwrap();
        let bytes = fs::read(&path).unwrap();
        let cut = (bytes.len() as f64 * cut) as usize;
        fs::write(&path, &bytes[..cut]).unwrap();

        let report = verify(&path, &key()).unwrap();
        let safe = flushed.iter().take_while(|(end, _)| *end <= cut as u64).last().map_or(0, |(_, count)| *count);
        match report.damage {
            Some(damage) => {
                prop_assert_eq!(damage, Damage::NotARecording);
                prop_assert_eq!(safe, 0);
            }
            None => {
                let (read, ending) = read(&path);
                let all = joined(events.iter().map(|(event, _)| event.clone()));
                let (read, before) = (joined(read), joined(events[..safe].iter().map(|(event, _)| event.clone())));
                prop_assert!(is_prefix(&before, &read) && is_prefix(&read, &all), "not a prefix");
                let unsealed = matches!(ending, Some(Ending::Unsealed { .. }));
                prop_assert!(unsealed);
            }
        }
    }
}

/// Whether `short` begins `long`; the last event of `short` may be the beginning of data that goes on.
fn is_prefix(short: &[Owned], long: &[Owned]) -> bool {
    let Some((last, whole)) = short.split_last() else {
        return true;
    };
    let begins = match (last, long.get(whole.len())) {
        (Owned::Input(seq, part), Some(Owned::Input(other, all))) => seq == other && all.starts_with(part),
        (Owned::Response(seq, part), Some(Owned::Response(other, all))) => seq == other && all.starts_with(part),
        (last, other) => Some(last) == other,
    };
    long.starts_with(whole) && begins
}

#[test]
fn pieces_of_streams_are_read_back_as_they_were_given() {
    let (_dir, store) = store(Durability::WriteAhead);
    let piece = |nth: u8, len| Owned::Response(1, vec![nth; len]);
    let lengths = [WHOLE_PIECE_BYTES, 30_000, 5000, 1].into_iter().cycle();
    let events: Vec<_> = (0..100)
        .zip(lengths)
        .map(|(nth, len)| (piece(nth, len), false))
        .collect();
    let (id, _) = record(&store, &events, true);
    let (read, _) = read(&store.path(id).unwrap());
    let given: Vec<_> = events.into_iter().map(|(event, _)| event).collect();
    assert!(read == given, "{} pieces instead of {}", read.len(), given.len());
}

/// A small recording with several frames.
fn small(store: &RecordingStore, seal: bool) -> Uuid {
    let events = [
        (Owned::Command(1, b"SELECT 1".to_vec(), b"{}".to_vec()), true),
        (Owned::Response(1, b"one".to_vec()), false),
        (Owned::Ended(1, b"{}".to_vec()), true),
        (Owned::Command(2, b"SELECT 2".to_vec(), b"{}".to_vec()), true),
    ];
    record(store, &events, seal).0
}

#[test]
fn a_flip_of_any_byte_is_found() {
    let (_dir, store) = store(Durability::WriteAhead);
    for seal in [false, true] {
        let path = store.path(small(&store, seal)).unwrap();
        let whole = fs::read(&path).unwrap();
        let intact = verify(&path, &key()).unwrap();
        assert_eq!((intact.sealed, intact.damage, intact.events), (seal, None, 4));
        for position in 0..whole.len() {
            for bit in [0, 7] {
                let mut bytes = whole.clone();
                bytes[position] ^= 1 << bit;
                fs::write(&path, &bytes).unwrap();
                let report = verify(&path, &key()).unwrap();
                assert!(
                    report.damage.is_some() && !report.sealed,
                    "byte {position} bit {bit}: {report:?}"
                );
                let chain = chain_head(&path);
                assert!(
                    chain.is_err() || chain.unwrap().0 != intact.root.unwrap(),
                    "byte {position}: same root"
                );
            }
        }
    }
}

#[test]
fn a_sealed_file_cut_anywhere_is_not_taken_for_complete() {
    let (_dir, store) = store(Durability::WriteAhead);
    let path = store.path(small(&store, true)).unwrap();
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(!verify(&path, &key()).unwrap().sealed, "cut at {cut}");
    }
}

#[test]
fn frames_that_are_moved_removed_repeated_or_foreign_are_found() {
    let (_dir, store) = store(Durability::WriteAhead);
    let path = store.path(small(&store, true)).unwrap();
    let whole = fs::read(&path).unwrap();
    let frames = frames(&whole);
    assert_eq!(frames.len(), 5, "a header, three flushes, a seal");
    let found = |parts: &[&[u8]]| {
        fs::write(&path, parts.concat()).unwrap();
        let report = verify(&path, &key()).unwrap();
        assert!(!report.sealed);
        report.damage
    };
    let frame = |number: usize| &whole[frames[number].clone()];
    let (start, rest) = (&whole[..frames[1].start], &whole[frames[3].start..]);
    let sequence = |expected, found| {
        Some(Damage::Sequence {
            offset: frames[1].start as u64,
            expected,
            found,
        })
    };
    assert_eq!(found(&[start, frame(2), frame(1), rest]), sequence(1, 2), "moved");
    assert_eq!(found(&[start, frame(2), rest]), sequence(1, 2), "removed");
    let repeated = found(&[start, frame(1), frame(1), frame(2), rest]);
    assert!(
        matches!(
            repeated,
            Some(Damage::Sequence {
                expected: 2,
                found: 1,
                ..
            })
        ),
        "repeated: {repeated:?}"
    );
    assert_eq!(found(&[&whole, b"more"]), Some(Damage::Appended { bytes: 4 }));
    assert!(matches!(
        found(&[&whole[..whole.len() - 1]]),
        Some(Damage::Trailer { .. })
    ));

    // A frame of the same number from another recording under the same master key.
    let other = fs::read(store.path(small(&store, true)).unwrap()).unwrap();
    let foreign = other[support::frames(&other)[1].clone()].to_vec();
    let foreign = found(&[start, &foreign, frame(2), rest]);
    assert!(
        matches!(foreign, Some(Damage::Altered { frame: 1, .. })),
        "foreign: {foreign:?}"
    );
}

#[test]
fn a_recording_in_the_place_of_another_is_found() {
    let (_dir, store) = store(Durability::WriteAhead);
    let (first, second) = (small(&store, true), small(&store, true));
    fs::copy(store.path(first).unwrap(), store.path(second).unwrap()).unwrap();
    let error = store.read(second).unwrap_err();
    assert!(
        matches!(error, LedgerError::DamagedFile { damage: Damage::OtherSession { found }, .. } if found == first),
        "{error}"
    );
}

#[test]
fn the_root_of_the_seal_is_the_root_that_anybody_computes() {
    let (_dir, store) = store(Durability::WriteAhead);
    let header = header();
    let mut recorder = store.create(&header).unwrap();
    recorder.append(Event::Closed { detail: b"{}" }).unwrap();
    let (root, _) = recorder.seal().unwrap();
    let path = store.path(header.id).unwrap();
    assert_eq!(chain_head(&path).unwrap(), (root, true));
    assert_eq!(verify(&path, &key()).unwrap().root, Some(root));
}

#[test]
fn another_master_key_opens_nothing_and_the_file_shows_no_plaintext() {
    let (_dir, store) = store(Durability::WriteAhead);
    let (id, _) = record(
        &store,
        &[(Owned::Notice(b"a sentence to look for".to_vec()), true)],
        true,
    );
    let path = store.path(id).unwrap();
    let report = verify(&path, &RecordingKey::new([43; 32])).unwrap();
    assert_eq!(report.damage, Some(Damage::Key));
    let bytes = fs::read(&path).unwrap();
    for needle in [&b"a sentence"[..], b"alice", b"orders"] {
        assert!(!bytes.windows(needle.len()).any(|window| window == needle));
    }
}

#[test]
fn what_a_client_calls_itself_is_bounded_in_the_header() {
    let (_dir, store) = store(Durability::WriteAhead);
    let mut header = header();
    header.client_tool = Some("\r\n\0{\"forged\":1}".repeat(1_000_000));
    drop(store.create(&header).unwrap());
    let kept = store.read(header.id).unwrap().header().client_tool.clone().unwrap();
    assert!(kept.len() < 1300 && kept.contains("blake3"), "{} bytes", kept.len());
}

#[test]
fn files_are_private_and_a_session_is_recorded_once() {
    let (dir, store) = store(Durability::WriteAhead);
    let header = header();
    let recorder = store.create(&header).unwrap();
    let path = store.path(header.id).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let folders = path.ancestors().skip(1).take_while(|folder| *folder != dir.path());
    for folder in folders {
        assert_eq!(
            fs::metadata(folder).unwrap().permissions().mode() & 0o777,
            0o700,
            "{}",
            folder.display()
        );
    }
    assert!(matches!(store.create(&header), Err(LedgerError::Exists(id)) if id == header.id));
    drop(recorder);
    let old = Uuid::from_u128(7);
    assert!(matches!(store.path(old), Err(LedgerError::SessionId(id)) if id == old));
    assert!(matches!(store.read(Uuid::now_v7()), Err(LedgerError::NotFound(_))));
}

#[test]
fn a_summary_tells_open_sealed_and_interrupted_apart() {
    let (_dir, store) = store(Durability::WriteAhead);
    let (first, second, third) = (header(), header(), header());
    let open = store.create(&first).unwrap();
    drop(store.create(&second).unwrap());
    let mut sealed = store.create(&third).unwrap();
    sealed
        .append(Event::Command {
            seq: 1,
            text: b"SELECT 1",
            detail: b"{}",
        })
        .unwrap();
    sealed.seal().unwrap().1.wait().unwrap();

    let state = |id| store.summary(id).unwrap().state;
    assert_eq!(
        (state(first.id), state(second.id), state(third.id)),
        (State::Open, State::Interrupted, State::Sealed)
    );
    let summary = store.summary(third.id).unwrap();
    assert_eq!((summary.commands, summary.header), (Some(1), third.clone()));
    drop(open);
    assert_eq!(state(first.id), State::Interrupted);

    assert_eq!(store.list(None, 10).unwrap(), [third.id, second.id, first.id]);
    assert_eq!(store.list(None, 1).unwrap(), [third.id]);
    assert_eq!(store.list(Some(third.id), 1).unwrap(), [second.id]);
}

#[test]
fn a_replay_starts_near_any_command_and_reads_the_same_from_there() {
    let (_dir, store) = store(Durability::WriteAhead);
    let header = header();
    let mut recorder = store.create(&header).unwrap();
    let rows = vec![b'r'; 40_000];
    for seq in 1..=200 {
        recorder
            .append(Event::Command {
                seq,
                text: b"SELECT",
                detail: b"{}",
            })
            .unwrap();
        assert!(recorder.flush().unwrap().is_ready());
        recorder.append(Event::Response { seq, bytes: &rows }).unwrap();
    }
    recorder.seal().unwrap().1.wait().unwrap();
    let open = || store.read(header.id).unwrap();
    let all: Vec<_> = open().events().map(Result::unwrap).collect();
    for seq in [1, 2, 57, 120, 200] {
        let some: Vec<_> = open().events_from_command(seq).unwrap().map(Result::unwrap).collect();
        assert!(all.ends_with(&some), "from command {seq}");
        let position = some.iter().position(|event| event.event().seq() == Some(seq)).unwrap();
        assert!(position < 120, "command {seq} only after {position} events");
        let command = Event::Command {
            seq,
            text: b"SELECT",
            detail: b"{}",
        };
        assert!(some.iter().any(|event| event.event() == command));
    }
    let middle = all[all.len() / 2].at_micros;
    let later: Vec<_> = open().events_from_time(middle).unwrap().map(Result::unwrap).collect();
    assert!(later.len() < all.len() && all.ends_with(&later));
    let first = later.first().unwrap().at_micros;
    assert!(first <= middle, "starts at {first}, after {middle}");
}

#[test]
fn an_event_beyond_the_limit_is_refused_and_the_recording_goes_on() {
    let (_dir, store) = store(Durability::WriteAhead);
    let header = header();
    let mut recorder = store.create(&header).unwrap();
    let huge = vec![0; usize::try_from(MAX_EVENT_BYTES).unwrap() + 1];
    let refused = recorder.append(Event::Command {
        seq: 1,
        text: &huge,
        detail: b"",
    });
    assert!(matches!(refused, Err(LedgerError::TooLarge { .. })));
    recorder.append(Event::Closed { detail: b"{}" }).unwrap();
    recorder.seal().unwrap().1.wait().unwrap();
    assert_eq!(verify(&store.path(header.id).unwrap(), &key()).unwrap().events, 1);
}

#[test]
fn no_bytes_whatever_make_the_reader_fail_otherwise_than_by_naming_damage() {
    let (_dir, store) = store(Durability::WriteAhead);
    let whole = fs::read(store.path(small(&store, true)).unwrap()).unwrap();
    proptest!(|(cut in 0..600_usize, tail in prop::collection::vec(any::<u8>(), 0..200))| {
        let mut bytes = whole[..cut.min(whole.len())].to_vec();
        bytes.extend_from_slice(&tail);
        match Reader::from_source(Cursor::new(bytes), &key()) {
            Ok(reader) => {
                for event in reader.events() {
                    let named = matches!(event, Ok(_) | Err(LedgerError::Damaged(_)));
                    prop_assert!(named);
                }
            }
            Err(error) => prop_assert!(matches!(error, LedgerError::Damaged(_)), "{error}"),
        }
    });
}

#[test]
fn durable_receipts_become_ready_for_many_sessions_at_once() {
    let (_dir, store) = store(Durability::Durable);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut recorder = store.create(&header()).unwrap();
                for seq in 0..20 {
                    recorder
                        .append(Event::Command {
                            seq,
                            text: b"SELECT 1",
                            detail: b"{}",
                        })
                        .unwrap();
                    let receipt = recorder.flush().unwrap();
                    if seq % 2 == 0 {
                        receipt.wait().unwrap();
                    } else {
                        block_on(receipt).unwrap();
                    }
                    assert!(
                        recorder.flush().unwrap().is_ready(),
                        "nothing new: what was synced stays so"
                    );
                }
                let (_, receipt) = recorder.seal().unwrap();
                receipt.wait().unwrap();
            });
        }
    });
}

/// Runs a future on this thread, parked until it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
