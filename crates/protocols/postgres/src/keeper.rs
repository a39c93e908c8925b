//! Watches a database for changes that are made beside the gateway.
//!
//! While a database has sessions, one connection asks for a fingerprint of its names. Sessions judge statements by a
//! snapshot of the names, and take a fresh one when the fingerprint differs. For a session whose transaction cannot see
//! what others changed the same connection takes the snapshot.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use sallyport_session::Door;
use sallyport_sql::Catalog;
use tokio::time::{Instant, timeout};

use crate::conversation::{SharedNames, Watch};
use crate::dial::{Dialer, Purpose};
use crate::side::{SideError, SideLine};

/// How often the target is asked.
const INTERVAL: Duration = Duration::from_secs(2);
/// Names that are written for somebody take no more bytes.
const MAX_WRITTEN: usize = 64 << 20;
/// The longest pause between two attempts to reach a target.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Keeps the names of one database fresh, as long as sessions are `watched`.
pub(crate) async fn keep(names: Arc<SharedNames>, watched: Weak<Watch>, door: Arc<Mutex<Door<Dialer>>>) {
    let mut keeper = Keeper {
        door,
        line: None,
        pause: INTERVAL,
        not_before: Instant::now(),
    };
    loop {
        // The target learns of it only once a session lasts.
        let called = poll_fn(|cx| match names.poll_wished(cx) {
            Poll::Pending if watched.strong_count() == 0 => Poll::Ready(()),
            polled @ (Poll::Ready(()) | Poll::Pending) => polled,
        });
        let called = timeout(INTERVAL, called).await.is_ok();
        if watched.strong_count() == 0 {
            return;
        }
        if called {
            keeper.snapshot(&names).await;
        } else {
            // Without an answer nothing is known, so each session finds out for itself.
            names.seen(keeper.fingerprint().await.as_deref());
        }
    }
}

/// All names of a database: a line for each row of [`Catalog::QUERIES`], a JSON array of the query's name and the row's cells.
/// Read within one transaction, in the order of the queries. The values in definitions of views are left out.
pub(crate) async fn written(door: &Door<Dialer>) -> Result<String, SideError> {
    let mut line = SideLine::open(door, Purpose::Names).await?;
    line.ask("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let mut written = String::new();
    for query in Catalog::QUERIES {
        let mut take = |row: &[Option<&str>]| {
            let cells = row.iter().map(|cell| match query.name {
                "views" => cell.map(|cell| Cow::Owned(sallyport_sql::without_values(cell))),
                _ => cell.map(Cow::Borrowed),
            });
            let cells: Vec<Option<Cow<'_, str>>> =
                std::iter::once(Some(Cow::Borrowed(query.name))).chain(cells).collect();
            // Texts: there is nothing in them that JSON cannot say.
            written += &serde_json::to_string(&cells).unwrap_or_default();
            written.push('\n');
            if written.len() > MAX_WRITTEN {
                Err(SideError::TooLong)
            } else {
                Ok(())
            }
        };
        line.ask_each(query.sql, &mut take).await?;
    }
    Ok(written)
}

struct Keeper {
    door: Arc<Mutex<Door<Dialer>>>,
    line: Option<SideLine>,
    pause: Duration,
    not_before: Instant,
}

impl Keeper {
    async fn fingerprint(&mut self) -> Option<String> {
        if self.line.is_none() && Instant::now() < self.not_before {
            return None;
        }
        let print = self.ask_fingerprint().await;
        self.known(print).flatten()
    }

    /// Publishes all names, as somebody sees them who is in no transaction.
    async fn snapshot(&mut self, names: &SharedNames) {
        let epoch = names.epoch();
        if let Some((print, catalog)) = {
            let answer = self.ask_names().await;
            self.known(answer)
        } {
            names.publish(epoch, print.as_deref(), &Arc::new(catalog));
        }
    }

    /// An answer; without one the target is left alone for a while.
    fn known<T>(&mut self, answer: Result<T, SideError>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.pause = INTERVAL;
                Some(answer)
            }
            Err(error) => {
                tracing::warn!(%error, "whether names change beside the gateway cannot be asked; sessions ask for themselves");
                self.line = None;
                self.not_before = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(MAX_PAUSE);
                None
            }
        }
    }

    async fn ask_names(&mut self) -> Result<(Option<String>, Catalog), SideError> {
        let before = self.ask_fingerprint().await?;
        let mut builder = Catalog::builder();
        for query in Catalog::QUERIES {
            let mut feed = |row: &[Option<&str>]| builder.feed(query.name, row).map_err(|_| SideError::Shape);
            self.line().await?.ask_each(query.sql, &mut feed).await?;
        }
        let after = self.ask_fingerprint().await?;
        Ok((before.filter(|before| after.as_ref() == Some(before)), builder.build()))
    }

    async fn ask_fingerprint(&mut self) -> Result<Option<String>, SideError> {
        let rows = self.line().await?.ask(Catalog::fingerprint_query()).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    async fn line(&mut self) -> Result<&mut SideLine, SideError> {
        let line = match self.line.take() {
            Some(line) => line,
            None => {
                // Today's: the credential may have been changed since the first session.
                let door = self.door.lock().unwrap_or_else(PoisonError::into_inner).clone();
                SideLine::open(&door, Purpose::Names).await?
            }
        };
        Ok(self.line.insert(line))
    }
}
