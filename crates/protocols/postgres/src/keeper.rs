//! Watches a database for changes that are made beside the gateway.
//!
//! While a database has sessions, one connection asks for a fingerprint of its names. Sessions judge statements by a
//! snapshot of the names, and take a fresh one when the fingerprint differs.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sallyport_sql::Catalog;
use sallyport_target::Lease;
use tokio::time::{Instant, sleep};

use crate::conversation::SharedNames;
use crate::dial::Dialer;
use crate::side::{SideError, SideLine};

/// How often the target is asked.
const INTERVAL: Duration = Duration::from_secs(2);
/// The longest pause between two attempts to reach a target.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Keeps the names of one database fresh, until no session uses them.
pub(crate) async fn keep(names: Weak<SharedNames>, lease: Arc<Mutex<Lease>>, dialer: Arc<Dialer>) {
    let mut keeper = Keeper {
        lease,
        dialer,
        line: None,
        pause: INTERVAL,
        not_before: Instant::now(),
    };
    let mut known = None;
    loop {
        let print = keeper.fingerprint().await;
        let Some(names) = names.upgrade() else { return };
        // Without an answer nothing is known, so each session finds out for itself. Nor does the first answer say what
        // happened before it.
        if print.is_none() || print != known {
            names.changed();
        }
        known = print.or(known);
        drop(names);
        sleep(INTERVAL).await;
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
        match self.ask().await {
            Ok(print) => {
                self.pause = INTERVAL;
                print
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

    async fn ask(&mut self) -> Result<Option<String>, SideError> {
        let line = match &mut self.line {
            Some(line) => line,
            None => {
                // Today's: the credential may have been changed since the first session.
                let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone();
                self.line.insert(SideLine::open(&self.dialer, &lease).await?)
            }
        };
        let rows = line.ask(Catalog::fingerprint_query()).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }
}
