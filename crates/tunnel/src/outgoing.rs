//! What was written and has not been sent yet.
//!
//! A connection sends its flows' blocks in turn. When all flows together had as much in line as each of them may have
//! under way, a block would have left the processor's caches before its turn, and a word of a terminal would wait behind
//! megabytes of others. So what is in line is bounded for all of them together; words pass by.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// The largest block: what one write takes, and one frame.
pub(crate) const MAX_BLOCK: usize = 64 * 1024;
/// Bytes of all flows that may be in line. With more than this, those who write large blocks wait.
const MAX_QUEUED: usize = 512 * 1024;
/// A write that is no larger is a word, not part of a large transfer.
const WORD: usize = 4 * 1024;
/// Blocks of one flow that may be in line, however small.
const MAX_BLOCKS: usize = 256;
/// Blocks that are kept to be filled again.
const MAX_SPARE: usize = MAX_QUEUED / MAX_BLOCK;

/// The line of blocks of one connection.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    state: Mutex<State>,
    /// The last block of a flow that is leaving was sent.
    pub(crate) left: Notify,
}

#[derive(Debug, Default)]
struct State {
    queued: usize,
    spare: Vec<Vec<u8>>,
    /// Whoever waits for room; nobody twice.
    waiting: VecDeque<Arc<Unsent>>,
}

/// What of a flow is in line.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    blocks: AtomicUsize,
    leaving: AtomicBool,
    writer: AtomicWaker,
    /// Whether it is among those who wait. Changed under the line's lock.
    waits: AtomicBool,
}

impl Unsent {
    /// Whether everything was sent.
    pub(crate) fn is_over(&self) -> bool {
        self.blocks.load(Ordering::SeqCst) == 0
    }

    /// From now on it is told when everything was sent.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
    }
}

impl Outgoing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the flow with `unsent` may add a block of so many bytes.
    pub(crate) fn poll_room(&self, cx: &Context<'_>, unsent: &Arc<Unsent>, length: usize) -> Poll<()> {
        let mut state = self.state();
        let blocks = unsent.blocks.load(Ordering::SeqCst);
        let turn = state.queued < MAX_QUEUED && blocks < MAX_BLOCKS;
        if turn || (length <= WORD && blocks == 0) {
            return Poll::Ready(());
        }
        unsent.writer.register(cx.waker());
        if !unsent.waits.swap(true, Ordering::SeqCst) {
            state.waiting.push_back(Arc::clone(unsent));
        }
        Poll::Pending
    }

    /// A block with these bytes, which is in line until it is dropped.
    pub(crate) fn block(self: &Arc<Self>, unsent: &Arc<Unsent>, bytes: &[u8]) -> Bytes {
        let mut block = {
            let mut state = self.state();
            state.queued += bytes.len();
            let spare = if bytes.len() > WORD { state.spare.pop() } else { None };
            spare.unwrap_or_default()
        };
        block.extend_from_slice(bytes);
        unsent.blocks.fetch_add(1, Ordering::SeqCst);
        Bytes::from_owner(Block {
            bytes: block,
            unsent: Arc::clone(unsent),
            line: Arc::clone(self),
        })
    }

    fn sent(&self, mut block: Vec<u8>) {
        let length = block.len();
        let mut state = self.state();
        state.queued -= length;
        if length > WORD && state.spare.len() < MAX_SPARE {
            block.clear();
            state.spare.push(block);
        }
        // One comes for each that goes. It may have nothing to write any more, so in the end all are told.
        let all = state.queued == 0;
        let told = state.next(all);
        drop(state);
        told.iter().for_each(|flow| flow.writer.wake());
    }
}

impl State {
    /// Who is told that there is room: the next who waits, or all.
    fn next(&mut self, all: bool) -> Vec<Arc<Unsent>> {
        let mut told = Vec::new();
        while let Some(flow) = self.waiting.pop_front() {
            flow.waits.store(false, Ordering::SeqCst);
            if !flow.leaving.load(Ordering::SeqCst) {
                told.push(flow);
                if !all {
                    break;
                }
            }
        }
        told
    }
}

/// Bytes in line.
struct Block {
    bytes: Vec<u8>,
    unsent: Arc<Unsent>,
    line: Arc<Outgoing>,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Block {
    /// The connection drops it when it is sent, under its own lock: nothing here may ask the connection for anything.
    fn drop(&mut self) {
        self.line.sent(std::mem::take(&mut self.bytes));
        if self.unsent.blocks.fetch_sub(1, Ordering::SeqCst) == 1 && self.unsent.leaving.load(Ordering::SeqCst) {
            self.line.left.notify_one();
        }
    }
}
