//! Jobs are spread, stay on their thread, and end with their workers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{collections::HashMap, future::pending, num::NonZeroUsize, sync::mpsc::channel, thread};

use sallyport_listen::Workers;
use tokio::sync::oneshot;

fn workers(count: usize) -> Workers {
    Workers::start(NonZeroUsize::new(count)).unwrap()
}

#[tokio::test]
async fn jobs_are_spread_evenly_and_stay_on_their_thread() {
    let workers = workers(3);
    let (sender, receiver) = channel();
    for _ in 0..9 {
        let sender = sender.clone();
        workers.spawn(async move {
            let home = thread::current().id();
            tokio::task::yield_now().await;
            assert_eq!(thread::current().id(), home);
            sender.send(home).unwrap();
            pending::<()>().await;
        });
    }
    let mut counts = HashMap::new();
    for _ in 0..9 {
        *counts.entry(receiver.recv().unwrap()).or_insert(0) += 1;
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [3, 3, 3]);
    assert_eq!(workers.jobs(), 9);
}

#[tokio::test]
async fn draining_waits_for_the_jobs() {
    let workers = workers(2);
    let (go, gone) = oneshot::channel::<()>();
    let (sender, receiver) = channel();
    workers.spawn(async move {
        gone.await.unwrap();
        sender.send("done").unwrap();
    });
    let release = async { go.send(()).unwrap() };
    tokio::join!(workers.drain(), release);
    assert_eq!(receiver.recv(), Ok("done"));
}

#[tokio::test]
async fn dropping_aborts_and_a_panic_takes_nobody_along() {
    struct Alive(std::sync::mpsc::Sender<&'static str>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.send("dropped").unwrap();
        }
    }
    let workers = workers(1);
    let (sender, receiver) = channel();
    let (alive, panicking) = (Alive(sender.clone()), Alive(sender));
    workers.spawn(async move {
        let _panicking = panicking;
        panic!("a job panics on purpose");
    });
    assert_eq!(receiver.recv(), Ok("dropped"));
    workers.spawn(async move {
        let _alive = alive;
        pending::<()>().await;
    });
    drop(workers);
    assert_eq!(receiver.recv(), Ok("dropped"));
}
