//! Watches a database for changes that are made beside the gateway.
//!
//! While a database has sessions, one connection asks for a fingerprint of its names. Sessions judge statements by a
//! snapshot of the names, and take a fresh one when the fingerprint differs. For a session whose transaction cannot see
//! what others changed the same connection takes the snapshot.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sallyport_sql::Catalog;
use sallyport_target::Lease;
use tokio::time::{Instant, timeout};

use crate::conversation::SharedNames;
use crate::dial::Dialer;
use crate::side::{Row, SideError, SideLine};

/// How often the target is asked.
const INTERVAL: Duration = Duration::from_secs(2);
/// The longest pause between two attempts to reach a target.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Keeps the names of one database fresh, as long as sessions are `watched`.
pub(crate) async fn keep(names: Arc<SharedNames>, watched: Weak<()>, lease: Arc<Mutex<Lease>>, dialer: Arc<Dialer>) {
    let mut keeper = Keeper {
        lease,
        dialer,
        line: None,
        pause: INTERVAL,
        not_before: Instant::now(),
    };
    while watched.strong_count() > 0 {
        // Without an answer nothing is known, so each session finds out for itself.
        names.seen(keeper.fingerprint().await.as_deref());
        if timeout(INTERVAL, poll_fn(|cx| names.poll_wished(cx))).await.is_ok() {
            keeper.snapshot(&names).await;
        }
    }
}

struct Keeper {
    lease: Arc<Mutex<Lease>>,
    dialer: Arc<Dialer>,
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
            for row in self.ask(query.sql).await? {
                let row: Vec<_> = row.iter().map(Option::as_deref).collect();
                builder.feed(query.name, &row).map_err(|_| SideError::Shape)?;
            }
        }
        let after = self.ask_fingerprint().await?;
        Ok((before.filter(|before| after.as_ref() == Some(before)), builder.build()))
    }

    async fn ask_fingerprint(&mut self) -> Result<Option<String>, SideError> {
        let rows = self.ask(Catalog::fingerprint_query()).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    async fn ask(&mut self, text: &str) -> Result<Vec<Row>, SideError> {
        let line = match &mut self.line {
            Some(line) => line,
            None => {
                // Today's: the credential may have been changed since the first session.
                let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone();
                self.line.insert(SideLine::open(&self.dialer, &lease).await?)
            }
        };
        line.ask(text).await
    }
}
