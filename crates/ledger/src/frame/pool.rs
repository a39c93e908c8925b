//! Large buffers, shared by all sessions, so that an idle session keeps only a small one.

use std::sync::{Arc, Mutex, PoisonError};

use crate::frame::{MAX_PLAIN_BYTES, PREFIX_BYTES, TAG_BYTES};

/// A buffer that holds a whole frame: the chain value before it, its header, body and tag.
const LARGE_BYTES: usize = PREFIX_BYTES + MAX_PLAIN_BYTES + TAG_BYTES;
/// What every session keeps.
pub(crate) const SMALL_BYTES: usize = 2048;
/// Most large buffers kept while nobody uses them.
const MAX_IDLE: usize = 32;

/// A stack of large buffers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    /// An empty large buffer.
    pub(crate) fn take(&self) -> Vec<u8> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Vec::with_capacity(LARGE_BYTES))
    }

    /// Gives a buffer back.
    pub(crate) fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE && buffer.capacity() >= LARGE_BYTES {
            idle.push(buffer);
        }
    }
}
