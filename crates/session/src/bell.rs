//! Futures that seldom have anything to say, polled only when they ask for it.
//!
//! The driver's poll function runs for every packet; what ends a session from outside takes several locks to poll.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Tells whether what was polled with its waker wants to be polled again.
pub(crate) struct Bell {
    rope: Arc<Rope>,
    waker: Waker,
}

struct Rope {
    pulled: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.pulled.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Bell {
    /// One that has rung, for the first poll.
    pub(crate) fn new() -> Self {
        let rope = Arc::new(Rope {
            pulled: AtomicBool::new(true),
            task: AtomicWaker::new(),
        });
        let waker = Waker::from(Arc::clone(&rope));
        Self { rope, waker }
    }

    /// Whether it rang since the last time; the task of `cx` is woken when it rings next.
    pub(crate) fn has_rung(&self, cx: &Context<'_>) -> bool {
        self.rope.task.register(cx.waker());
        self.rope.pulled.swap(false, Ordering::AcqRel)
    }

    /// What to poll with, so that it rings.
    pub(crate) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::Poll;

    #[test]
    fn it_rings_first_and_then_for_what_was_polled_with_it() {
        let bell = Bell::new();
        let task = Context::from_waker(Waker::noop());
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let mut receiver = pin!(receiver);
        assert!(bell.has_rung(&task));
        assert!(receiver.as_mut().poll(&mut bell.context()).is_pending());
        assert!(!bell.has_rung(&task));
        drop(sender);
        assert!(bell.has_rung(&task));
        assert!(matches!(
            receiver.as_mut().poll(&mut bell.context()),
            Poll::Ready(Err(_))
        ));
        assert!(!bell.has_rung(&task));
    }
}
