//! Where in the journal the seal of each recording is: near enough to find it, in little memory.

use std::collections::HashMap;

use uuid::Uuid;

use super::Salt;
use crate::frame::writer::Place;

/// So many entries are read at most to find one.
const BLOCK: usize = 64;

/// Where stretches of the journal begin, and in which one the seal of each recording is: some 30 bytes for a recording.
#[derive(Default)]
pub(super) struct Seals {
    /// Where each stretch begins, and the salt of the segment that is being read there.
    blocks: Vec<(Place, Salt)>,
    /// Entries in the last of them.
    entries: usize,
    /// By the part of the identifier that is drawn at random. If two are the same, the journal seems not to know the
    /// second one, which people are told.
    block_of: HashMap<u64, u32>,
}

impl Seals {
    /// An entry follows at a place; perhaps it is the seal of this session's recording. The first one counts.
    pub(super) fn note(&mut self, sealed: Option<Uuid>, before: (Place, Salt)) {
        if self.entries == BLOCK || self.blocks.is_empty() {
            self.blocks.push(before);
            self.entries = 0;
        }
        self.entries += 1;
        if let (Some(session), Some(block)) = (sealed, self.blocks.len().checked_sub(1)) {
            let block = u32::try_from(block).unwrap_or(u32::MAX);
            self.block_of.entry(session.as_u64_pair().1).or_insert(block);
        }
    }

    /// A place from which on the seal of a session's recording is found soon.
    pub(super) fn near(&self, session: Uuid) -> Option<(Place, Salt)> {
        let block = *self.block_of.get(&session.as_u64_pair().1)?;
        self.blocks.get(usize::try_from(block).ok()?).copied()
    }
}
