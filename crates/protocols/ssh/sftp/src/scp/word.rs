//! What the sink says, word by word, and where lines end.

use bytes::{Bytes, BytesMut};

use crate::out::Outcome;

/// The longest line in bytes. Sinks read 2,047 at once and take what follows for something else.
const LONGEST: usize = 2000;

/// What one end says to the other's line: a zero, or one or two and a message.
pub(super) struct Word {
    pub(super) bytes: Bytes,
}

impl Word {
    pub(super) fn is_fine(&self) -> bool {
        self.bytes.first() == Some(&0)
    }

    pub(super) fn outcome(&self) -> Outcome {
        if self.is_fine() {
            Outcome::Completed
        } else {
            Outcome::Failed
        }
    }
}

pub(super) fn next_word(bytes: &mut BytesMut) -> Result<Option<Word>, &'static str> {
    match bytes.first() {
        Some(0) => Ok(Some(Word {
            bytes: bytes.split_to(1).freeze(),
        })),
        Some(1 | 2) => Ok(next_line(bytes)?.map(|bytes| Word { bytes })),
        Some(_) => Err("an answer that is none"),
        None => Ok(None),
    }
}

/// A line with its end, if it has come whole.
pub(super) fn next_line(bytes: &mut BytesMut) -> Result<Option<Bytes>, &'static str> {
    let start = bytes.get(..bytes.len().min(LONGEST)).unwrap_or_default();
    match start.iter().position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some(bytes.split_to(end + 1).freeze())),
        None if bytes.len() >= LONGEST => Err("a line is longer than is allowed"),
        None => Ok(None),
    }
}
