//! Where in a recording which time and command is, so that a replay can start anywhere.

use serde::{Deserialize, Serialize};

use crate::frame::writer::Place;

/// Most marks that an index keeps.
const MAX_MARKS: usize = 128;
/// Bytes between two marks, at first.
const FIRST_STRIDE_BYTES: u64 = 1 << 20;

/// A place at which an event begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) offset: u64,
    pub(crate) sequence: u64,
    #[serde(with = "hex::serde")]
    pub(crate) chain: [u8; 32],
    /// Time of the first event here, in microseconds since the start.
    pub(crate) at_micros: u64,
    /// The highest command number before this place.
    pub(crate) command: u64,
}

impl Mark {
    pub(crate) fn place(&self) -> Place {
        Place {
            offset: self.offset,
            sequence: self.sequence,
            chain: self.chain,
        }
    }
}

/// Marks at growing distances: when there are too many, every other one goes and the distance doubles.
#[derive(Debug)]
pub(crate) struct Index {
    marks: Vec<Mark>,
    stride: u64,
    next: u64,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self {
            marks: Vec::new(),
            stride: FIRST_STRIDE_BYTES,
            next: FIRST_STRIDE_BYTES,
        }
    }

    /// Whether a place `offset` bytes into the file deserves a mark.
    pub(crate) fn wants(&self, offset: u64) -> bool {
        offset >= self.next
    }

    pub(crate) fn add(&mut self, place: Place, at_micros: u64, command: u64) {
        let Place {
            offset,
            sequence,
            chain,
        } = place;
        self.marks.push(Mark {
            offset,
            sequence,
            chain,
            at_micros,
            command,
        });
        if self.marks.len() > MAX_MARKS {
            self.stride *= 2;
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.next = offset + self.stride;
    }

    pub(crate) fn into_marks(self) -> Vec<Mark> {
        self.marks
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn an_index_stays_bounded_and_ordered_over_a_terabyte() {
        let mut index = Index::new();
        let mut offset = 0;
        while offset < 1 << 40 {
            if index.wants(offset) {
                index.add(
                    Place {
                        offset,
                        sequence: offset,
                        chain: [0; 32],
                    },
                    offset,
                    0,
                );
            }
            offset += index.stride / 4;
        }
        let marks = index.into_marks();
        assert!((MAX_MARKS / 4..=MAX_MARKS).contains(&marks.len()), "{}", marks.len());
        assert!(marks.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    }
}
