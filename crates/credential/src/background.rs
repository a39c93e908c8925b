//! Work that outlives what asked for it: keeping leases, and ending them.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
};

/// How many leases are ended at once.
const AT_ONCE: usize = 16;

/// Keeps dynamic leases and ends them. Clones are the same; a process has one, and waits for it when it stops.
#[derive(Clone, Debug)]
pub struct Background {
    /// Who is at work holds a receiver.
    tasks: watch::Sender<()>,
    pub(crate) ending: Arc<Semaphore>,
}

impl Default for Background {
    fn default() -> Self {
        Self {
            tasks: watch::Sender::new(()),
            ending: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Background {
    /// How many leases are held or are being ended.
    pub fn tasks(&self) -> usize {
        self.tasks.receiver_count()
    }

    /// Waits until no lease is held and none is being ended: how many are left after `within`. Those end when their
    /// store says so.
    pub async fn drained(&self, within: Duration) -> usize {
        let _ = tokio::time::timeout(within, self.tasks.closed()).await;
        self.tasks()
    }

    pub(crate) fn spawn(&self, runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) {
        let at_work = self.tasks.subscribe();
        runtime.spawn(async move {
            work.await;
            drop(at_work);
        });
    }
}
