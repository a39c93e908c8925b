//! One runtime a core: a session stays on the core that it began on, and its parts need no locks.

use std::{
    future::Future,
    io,
    num::NonZeroUsize,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use tokio::{
    runtime,
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
};

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Order {
    Run(Job),
    Ended,
    Drain,
    Abort,
}

/// Address space of a worker's stack; only what is used becomes memory. Statements are taken apart on it, and one that
/// nests as deep as its longest text allows must not end the process.
const STACK_BYTES: usize = 256 << 20;

/// Threads that each run a single-threaded runtime.
pub struct Workers {
    workers: Vec<Worker>,
    turn: AtomicUsize,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers")
            .field("count", &self.workers.len())
            .finish_non_exhaustive()
    }
}

struct Worker {
    // INVARIANT: bounded by the number of jobs that are alive, which the listener's limits bound.
    orders: UnboundedSender<Order>,
    alive: Arc<AtomicUsize>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts `count` workers; one for each core but one when `None`, and at least one.
    ///
    /// # Errors
    /// When a thread or runtime cannot be made.
    pub fn start(count: Option<NonZeroUsize>) -> io::Result<Self> {
        let count = match count {
            Some(count) => count,
            None => usual_count(thread::available_parallelism()?),
        };
        let workers = (0..count.get()).map(Worker::start).collect::<io::Result<_>>()?;
        Ok(Self {
            workers,
            turn: AtomicUsize::new(0),
        })
    }

    /// How many workers there are.
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// How many jobs are running.
    pub fn jobs(&self) -> usize {
        self.workers
            .iter()
            .map(|worker| worker.alive.load(Ordering::Relaxed))
            .sum()
    }

    /// Runs a job on the worker with the fewest, in turn among equals. It stays there.
    pub fn spawn(&self, job: impl Future<Output = ()> + Send + 'static) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let split = turn.checked_rem(self.workers.len()).unwrap_or(0);
        let (behind, ahead) = self.workers.split_at(split);
        let fewest = ahead
            .iter()
            .chain(behind)
            .min_by_key(|worker| worker.alive.load(Ordering::Relaxed));
        if let Some(worker) = fewest {
            worker.run(Box::pin(job));
        }
    }

    /// Waits until all jobs have ended, then ends the workers. Jobs must have been told to end.
    ///
    /// # Cancel safety
    /// When dropped half way (a timeout), the jobs that are left are aborted.
    pub async fn drain(mut self) {
        for worker in &self.workers {
            // A worker that is gone has nothing left to drain.
            let _gone = worker.orders.send(Order::Drain);
        }
        for worker in &mut self.workers {
            let _gone = (&mut worker.ended).await;
        }
    }
}

/// One core is left to what is beside the relaying: logins, the API, and above all the kernel's own work for the
/// sockets. A worker more would take turns with it, and each turn costs more than it brings.
fn usual_count(cores: NonZeroUsize) -> NonZeroUsize {
    NonZeroUsize::new(cores.get() - 1).unwrap_or(cores)
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in self.workers.drain(..) {
            // A drained worker is gone already.
            let _gone = worker.orders.send(Order::Abort);
            if worker.thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let (orders, receiver) = unbounded_channel();
        let (ending, ended) = oneshot::channel();
        let alive = Arc::new(AtomicUsize::new(0));
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (own, count) = (orders.downgrade(), alive.clone());
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .stack_size(STACK_BYTES)
            .spawn(move || {
                runtime.block_on(work(receiver, &own, &count));
                // Aborts what is left.
                drop(runtime);
                drop(ending);
            })?;
        Ok(Self {
            orders,
            alive,
            ended,
            thread,
        })
    }

    fn run(&self, job: Job) {
        self.alive.fetch_add(1, Ordering::Relaxed);
        if self.orders.send(Order::Run(job)).is_err() {
            self.alive.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

async fn work(
    mut orders: UnboundedReceiver<Order>,
    own: &tokio::sync::mpsc::WeakUnboundedSender<Order>,
    alive: &Arc<AtomicUsize>,
) {
    let mut draining = false;
    while let Some(order) = orders.recv().await {
        match order {
            Order::Run(job) => {
                let end = End {
                    alive: alive.clone(),
                    orders: own.upgrade(),
                };
                tokio::spawn(async move {
                    let _end = end;
                    job.await;
                });
            }
            Order::Ended => {}
            Order::Drain => draining = true,
            Order::Abort => break,
        }
        if draining && alive.load(Ordering::Relaxed) == 0 {
            break;
        }
    }
}

/// Counts a job's end, also when it panics.
struct End {
    alive: Arc<AtomicUsize>,
    orders: Option<UnboundedSender<Order>>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
        if let Some(orders) = &self.orders {
            // Only a worker that drains listens for this.
            let _gone = orders.send(Order::Ended);
        }
    }
}
