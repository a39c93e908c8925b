//! Waiting until what was written survives a power loss.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

use crate::error::LedgerError;

/// Threads that sync files. Several, because a file system merges the syncs that are under way at once.
const COMMITTERS: usize = 4;

/// What *written* means (invariant I2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Handed to the operating system: survives the death of the process.
    WriteAhead,
    /// Synced to the disk, in group commits across sessions: survives a power loss.
    Durable,
}

/// Proof, once ready, that everything appended before a flush is written as [`Durability`] asks.
///
/// # Cancel safety
/// Dropping it loses nothing but the knowledge.
#[derive(Debug)]
#[must_use = "a command may be forwarded only once the receipt is ready"]
pub struct Receipt(Option<(Arc<Syncing>, u64)>);

impl Receipt {
    /// One that is ready.
    pub(crate) fn ready() -> Self {
        Self(None)
    }

    /// Whether it is ready without waiting; always so with [`Durability::WriteAhead`].
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.as_ref().is_none_or(|(file, upto)| file.lock().synced >= *upto)
    }

    /// Blocks the thread until it is ready.
    ///
    /// # Errors
    /// [`LedgerError::Failed`] if the disk did not take it.
    pub fn wait(self) -> Result<(), LedgerError> {
        let Some((file, upto)) = self.0 else {
            return Ok(());
        };
        let mut progress = file.lock();
        loop {
            if let Some(result) = progress.result(upto) {
                return result;
            }
            progress = file.advanced.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Receipt {
    type Output = Result<(), LedgerError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((file, upto)) = &self.0 else {
            return Poll::Ready(Ok(()));
        };
        let mut progress = file.lock();
        match progress.result(*upto) {
            Some(result) => Poll::Ready(result),
            None => {
                if !progress.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    progress.wakers.push(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

/// How far one file has been synced.
#[derive(Debug)]
struct Syncing {
    file: Arc<File>,
    progress: Mutex<Progress>,
    advanced: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// Bytes that somebody waits for.
    asked: u64,
    /// Bytes that are on the disk.
    synced: u64,
    /// Whether a committer will look at the file.
    queued: bool,
    failed: Option<String>,
    wakers: Vec<Waker>,
}

impl Progress {
    fn result(&self, upto: u64) -> Option<Result<(), LedgerError>> {
        if self.synced >= upto {
            return Some(Ok(()));
        }
        self.failed.clone().map(|reason| Err(LedgerError::Failed(reason)))
    }
}

impl Syncing {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs the file once, and tells those who wait for what was written before.
    fn commit(&self) {
        let upto = {
            let mut progress = self.lock();
            progress.queued = false;
            progress.asked
        };
        let result = self.file.sync_data();
        let wakers = {
            let mut progress = self.lock();
            match result {
                Ok(()) => progress.synced = progress.synced.max(upto),
                // After a failed sync the pages may be marked clean: a later success would prove nothing.
                Err(error) => {
                    progress.failed = Some(format!("the disk did not take the recording: {error}"));
                }
            }
            std::mem::take(&mut progress.wakers)
        };
        self.advanced.notify_all();
        for waker in wakers {
            waker.wake();
        }
    }
}

/// One file that is synced on request.
#[derive(Debug)]
pub(crate) struct SyncedFile {
    state: Arc<Syncing>,
    queue: Arc<Queue>,
}

impl SyncedFile {
    /// Asks that the first `upto` bytes be synced.
    pub(crate) fn sync(&self, upto: u64) -> Receipt {
        let mut progress = self.state.lock();
        if progress.synced < upto && progress.failed.is_none() {
            progress.asked = progress.asked.max(upto);
            if !progress.queued {
                progress.queued = true;
                self.queue.push(Arc::clone(&self.state));
            }
        }
        drop(progress);
        Receipt(Some((Arc::clone(&self.state), upto)))
    }
}

/// The threads that sync files, and the files that wait for them.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    files: VecDeque<Arc<Syncing>>,
    stop: bool,
}

impl Committer {
    /// Starts the threads.
    pub(crate) fn start() -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let mut committer = Self {
            queue,
            threads: Vec::new(),
        };
        for _ in 0..COMMITTERS {
            let queue = Arc::clone(&committer.queue);
            let thread = thread::Builder::new()
                .name("ledger-commit".to_owned())
                .spawn(move || queue.run())?;
            committer.threads.push(thread);
        }
        Ok(committer)
    }

    /// Takes `file` into care.
    pub(crate) fn attach(&self, file: Arc<File>) -> SyncedFile {
        let state = Arc::new(Syncing {
            file,
            progress: Mutex::default(),
            advanced: Condvar::new(),
        });
        SyncedFile {
            state,
            queue: Arc::clone(&self.queue),
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue.lock().stop = true;
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that syncs recordings had panicked");
            }
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, file: Arc<Syncing>) {
        self.lock().files.push_back(file);
        self.changed.notify_one();
    }

    /// Syncs files until told to stop and none waits.
    fn run(&self) {
        let mut waiting = self.lock();
        loop {
            if let Some(file) = waiting.files.pop_front() {
                drop(waiting);
                file.commit();
                waiting = self.lock();
            } else if waiting.stop {
                return;
            } else {
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}
