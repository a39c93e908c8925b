//! What went through a handle in one direction: how much, which stretches, and the digest while it is one stretch.

use std::collections::BTreeMap;
use std::ops::Range;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

/// How many stretches of a file are told apart.
const RANGES: usize = 16;

/// How many packets may wait for the ones before them.
const WAITING: usize = 1024;

/// One direction of one handle.
pub(crate) struct Stream {
    /// Where the stretch begins: the offset that was asked for first.
    start: Option<u64>,
    /// The next byte that the digest takes.
    next: u64,
    digest: Context,
    /// What came before its time, by offset. Its bytes are counted in the room of all handles.
    early: BTreeMap<u64, Bytes>,
    pub(crate) sequential: bool,
    pub(crate) bytes: u64,
    ranges: Vec<Range<u64>>,
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self {
            start: None,
            next: 0,
            digest: Context::new(&SHA256),
            early: BTreeMap::new(),
            sequential: true,
            bytes: 0,
            ranges: Vec::new(),
        }
    }

    /// Something is asked for at `offset`; the first of these says where the stretch begins.
    pub(crate) fn begins(&mut self, offset: u64) {
        if self.start.is_none() {
            self.start = Some(offset);
            self.next = offset;
        }
    }

    /// Where the next byte of the stretch would be.
    pub(crate) const fn end(&self) -> u64 {
        self.next
    }

    /// `data` went through at `offset`. What comes too early is kept while `room` (bytes, of all handles) lasts.
    pub(crate) fn take(&mut self, offset: u64, data: &[u8], room: &mut usize) {
        self.begins(offset);
        let Some(end) = offset.checked_add(data.len() as u64) else {
            self.give_up(room);
            return;
        };
        if data.is_empty() {
            return;
        }
        self.bytes += data.len() as u64;
        self.note(offset..end);
        if !self.sequential {
            return;
        }
        if offset == self.next {
            self.digest.update(data);
            self.next = end;
            self.catch_up(room);
        } else if offset < self.next || data.len() > *room || self.early.len() >= WAITING {
            self.give_up(room);
        } else if let Some(before) = self.early.insert(offset, Bytes::copy_from_slice(data)) {
            *room += before.len();
            self.give_up(room);
        } else {
            *room -= data.len();
        }
    }

    /// Takes what came early and is next now.
    fn catch_up(&mut self, room: &mut usize) {
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() > self.next {
                return;
            }
            let (offset, data) = entry.remove_entry();
            *room += data.len();
            if offset < self.next {
                self.give_up(room);
                return;
            }
            self.digest.update(&data);
            self.next = offset.saturating_add(data.len() as u64);
        }
    }

    /// It is not one stretch: there will be no digest.
    pub(crate) fn give_up(&mut self, room: &mut usize) {
        self.sequential = false;
        *room += self.early.values().map(Bytes::len).sum::<usize>();
        self.early.clear();
    }

    fn note(&mut self, range: Range<u64>) {
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => {
                last.end = range.end;
                return;
            }
            Some(_) | None => {}
        }
        let at = self.ranges.partition_point(|known| known.start < range.start);
        self.ranges.insert(at, range);
        self.ranges.dedup_by(|later, earlier| {
            let touches = later.start <= earlier.end;
            if touches {
                earlier.end = earlier.end.max(later.end);
            }
            touches
        });
        if self.ranges.len() > RANGES {
            self.join_nearest();
        }
    }

    fn join_nearest(&mut self) {
        let gaps = self.ranges.iter().zip(self.ranges.iter().skip(1)).enumerate();
        let nearest = gaps
            .min_by_key(|(_, (one, next))| next.start.saturating_sub(one.end))
            .map(|(at, _)| at);
        if let Some(at) = nearest {
            let gone = self.ranges.remove(at + 1);
            if let Some(kept) = self.ranges.get_mut(at) {
                kept.end = gone.end;
            }
        }
    }

    /// Whether it is one stretch from the beginning of the file to `end`.
    pub(crate) fn is_all_until(&self, end: u64) -> bool {
        self.sequential && self.early.is_empty() && self.start.unwrap_or(0) == 0 && self.next == end
    }

    /// The end: the stretches, the digest, and whether it was sequential.
    pub(crate) fn finish(mut self, room: &mut usize) -> (Vec<Range<u64>>, Option<[u8; 32]>, bool) {
        if !self.early.is_empty() {
            self.give_up(room);
        }
        let digest = self
            .sequential
            .then(|| self.digest.finish())
            .and_then(|digest| digest.as_ref().try_into().ok());
        (self.ranges, digest, self.sequential)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use aws_lc_rs::digest::{SHA256, digest};
    use proptest::prelude::*;

    use super::Stream;

    #[test]
    fn a_gap_that_is_never_filled_has_no_digest_and_gives_its_room_back() {
        let (mut stream, mut room) = (Stream::new(), 100);
        stream.take(0, b"ab", &mut room);
        stream.take(4, b"ef", &mut room);
        assert_eq!(room, 98);
        let (ranges, digest, sequential) = stream.finish(&mut room);
        assert_eq!((ranges, digest, sequential, room), (vec![0..2, 4..6], None, false, 100));
    }

    #[test]
    fn what_does_not_fit_ends_the_digest_and_not_the_counting() {
        let (mut stream, mut room) = (Stream::new(), 3);
        stream.take(0, b"ab", &mut room);
        stream.take(4, b"efgh", &mut room);
        stream.take(2, b"cd", &mut room);
        assert_eq!((stream.bytes, room), (8, 3));
        let (ranges, digest, sequential) = stream.finish(&mut room);
        assert_eq!(
            (ranges.first(), ranges.len(), digest, sequential),
            (Some(&(0..8)), 1, None, false)
        );
    }

    #[test]
    fn bytes_that_go_through_twice_have_no_digest() {
        for second in [0, 1, 3] {
            let (mut stream, mut room) = (Stream::new(), 100);
            stream.take(0, b"abcd", &mut room);
            stream.take(second, b"xy", &mut room);
            assert!(!stream.finish(&mut room).2, "{second}");
        }
    }

    #[test]
    fn many_stretches_are_told_as_sixteen() {
        let (mut stream, mut room) = (Stream::new(), 0);
        for at in 0..1000u64 {
            stream.take(at * 10, b"x", &mut room);
        }
        let (ranges, _, _) = stream.finish(&mut room);
        assert_eq!((ranges.len(), ranges[0].start, ranges[15].end), (16, 0, 9991));
    }

    proptest! {
        #[test]
        fn in_any_order_the_digest_is_that_of_the_file(
            content in prop::collection::vec(any::<u8>(), 1..400),
            start in 0u64..1000,
            order in any::<prop::sample::Index>().prop_flat_map(|seed| Just(seed.index(1 << 20))),
            cut in 1usize..40,
        ) {
            let (mut stream, mut room) = (Stream::new(), 400);
            stream.begins(start);
            let mut pieces: Vec<(u64, &[u8])> = Vec::new();
            for (nth, piece) in content.chunks(cut).enumerate() {
                pieces.push((start + (nth * cut) as u64, piece));
            }
            let mut seed = order;
            while !pieces.is_empty() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let (offset, piece) = pieces.remove((seed >> 33) % pieces.len());
                stream.take(offset, piece, &mut room);
            }
            let (ranges, found, sequential) = stream.finish(&mut room);
            prop_assert!(sequential);
            prop_assert_eq!(room, 400);
            prop_assert!(ranges.len() == 1 && ranges[0] == (start..start + content.len() as u64));
            prop_assert!(found.unwrap().as_slice() == digest(&SHA256, &content).as_ref());
        }
    }
}
