//! What the sessions of one database share: a snapshot of its names, and the views made of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use sallyport_policy::Classification;
use sallyport_sql::{Catalog, SessionState};

use super::view::View;

/// Views that are kept for the next session. Different ones are for other search paths and users, or already past.
const KEPT_VIEWS: usize = 8;

/// The snapshot that the sessions of one database share.
#[derive(Debug)]
pub(crate) struct SharedNames {
    /// Counts the changes of the catalogue that are known of.
    epoch: AtomicU64,
    snapshot: Mutex<Option<Snapshot>>,
    /// What a session knows that has not asked.
    pub(super) nothing: Arc<Catalog>,
    pub(super) state: Arc<SessionState>,
    /// The views that were made last, newest first.
    views: Mutex<Vec<Arc<View>>>,
    /// Somebody cannot ask and needs a snapshot.
    wish: Mutex<Wish>,
}

/// Held by the sessions of a database: while it lives, its names are watched.
#[derive(Debug)]
pub(crate) struct Watch(pub(crate) Arc<SharedNames>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.call_keeper();
    }
}

#[derive(Debug, Clone)]
struct Snapshot {
    epoch: u64,
    /// The fingerprint of the names, if they did not change while they were asked for. Other names have another one.
    print: Option<Box<str>>,
    names: Arc<Catalog>,
}

#[derive(Debug, Default)]
struct Wish {
    made: bool,
    keeper: Option<Waker>,
}

impl Default for SharedNames {
    fn default() -> Self {
        Self {
            epoch: AtomicU64::default(),
            snapshot: Mutex::default(),
            nothing: Arc::new(Catalog::builder().build()),
            state: Arc::default(),
            views: Mutex::default(),
            wish: Mutex::default(),
        }
    }
}

impl SharedNames {
    /// Something in the database may have changed: every session asks again. Says how many changes were known of.
    pub(crate) fn changed(&self) -> u64 {
        self.epoch.fetch_add(1, Ordering::AcqRel)
    }

    /// The fingerprint is `print` now; `None` if nobody knows.
    pub(crate) fn seen(&self, print: Option<&str>) {
        let other = |snapshot: Snapshot| print.is_none() || snapshot.print.as_deref() != print;
        if self.newest().is_some_and(other) {
            self.changed();
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn newest(&self) -> Option<Snapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The snapshot, if nothing is known to have changed since.
    pub(super) fn current(&self) -> Option<(u64, Arc<Catalog>)> {
        let current = self.newest().filter(|snapshot| snapshot.epoch == self.epoch())?;
        Some((current.epoch, current.names))
    }

    /// Whether there is a snapshot that can be told to be fresh.
    pub(super) fn has_print(&self) -> bool {
        self.newest().is_some_and(|snapshot| snapshot.print.is_some())
    }

    /// The snapshot, if this is its fingerprint.
    pub(super) fn of_print(&self, print: &str) -> Option<Arc<Catalog>> {
        let newest = self.newest()?;
        (newest.print.as_deref() == Some(print)).then_some(newest.names)
    }

    /// Keeps `names`, which the target told after `epoch` had begun, for everybody.
    pub(crate) fn publish(&self, epoch: u64, print: Option<&str>, names: &Arc<Catalog>) {
        let mut slot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_none_or(|have| have.epoch <= epoch) {
            *slot = Some(Snapshot {
                epoch,
                print: print.map(Into::into),
                names: Arc::clone(names),
            });
        }
    }

    /// Asks that somebody publishes a snapshot who sees what is there now.
    pub(super) fn wish(&self) {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner).made = true;
        self.call_keeper();
    }

    fn call_keeper(&self) {
        let keeper = self.wish.lock().unwrap_or_else(PoisonError::into_inner).keeper.take();
        if let Some(keeper) = keeper {
            keeper.wake();
        }
    }

    /// Ready when somebody needs a snapshot. One task may wait; it is woken, too, when the last session is over.
    pub(crate) fn poll_wished(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut wish = self.wish.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut wish.made) {
            return Poll::Ready(());
        }
        wish.keeper = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The view of `names` in `state` under `policy`.
    pub(super) fn view(
        &self,
        names: &Arc<Catalog>,
        state: &Arc<SessionState>,
        classification: &Classification,
        policy: u64,
    ) -> Arc<View> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = views.iter().find(|view| view.is_of(names, state, policy)) {
            return Arc::clone(known);
        }
        let view = Arc::new(View::make(names, state, classification, policy));
        views.truncate(KEPT_VIEWS - 1);
        views.insert(0, Arc::clone(&view));
        view
    }
}
