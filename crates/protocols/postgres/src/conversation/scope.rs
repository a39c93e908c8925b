//! The names of the target's database as this session sees them.
//!
//! Sessions of a target share a snapshot of its catalogue. A session asks the target for a fresh one, on its own
//! connection and within its own transaction, when it has changed something itself, when another session or somebody
//! beside the gateway has, and for its search path whenever that may differ.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sallyport_policy::Classification;
use sallyport_session::WireError;
use sallyport_sql::{Catalog, CatalogBuilder, SessionState};

use super::names::PREPARED_QUERY;
use super::view::View;

/// The snapshot that the sessions of one database share.
#[derive(Debug)]
pub(crate) struct SharedNames {
    /// Counts the changes of the catalogue that are known of.
    epoch: AtomicU64,
    snapshot: Mutex<Option<(u64, Arc<Catalog>)>>,
    /// What a session knows that has not asked.
    nothing: Arc<Catalog>,
    state: Arc<SessionState>,
    /// The views that were made last, newest first.
    views: Mutex<Vec<Arc<View>>>,
}

/// Views that are kept for the next session. Different ones are for other search paths and users, or already past.
const KEPT_VIEWS: usize = 8;

impl Default for SharedNames {
    fn default() -> Self {
        Self {
            epoch: AtomicU64::default(),
            snapshot: Mutex::default(),
            nothing: Arc::new(Catalog::builder().build()),
            state: Arc::default(),
            views: Mutex::default(),
        }
    }
}

impl SharedNames {
    /// Something in the database changed: every session asks again.
    pub(crate) fn changed(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn current(&self) -> Option<(u64, Arc<Catalog>)> {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        snapshot.filter(|(epoch, _)| *epoch == self.epoch())
    }

    /// The view of `names` in `state` under `policy`.
    fn view(
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

    pub(super) fn publish(&self, epoch: u64, catalog: &Arc<Catalog>) {
        let mut slot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_none_or(|(have, _)| *have <= epoch) {
            *slot = Some((epoch, Arc::clone(catalog)));
        }
    }
}

/// What must be asked of the target before the next statement is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stale {
    Fresh,
    /// The search path or the current user.
    State,
    /// The catalogue, and the state with it.
    Catalog,
}

/// One session's view.
#[derive(Debug)]
pub(crate) struct Scope {
    shared: Arc<SharedNames>,
    catalog: Arc<Catalog>,
    state: Arc<SessionState>,
    epoch: u64,
    stale: Stale,
    /// The catalogue was changed in a transaction that may still be rolled back.
    uncommitted: bool,
    /// Settings were changed in a transaction that may still be rolled back.
    settings_uncommitted: bool,
    /// Counts the changes of what names mean here: facts made under another number are stale.
    version: u64,
    /// The state in one canonical form, for digests.
    meaning: Bytes,
    own_name: Box<[u8]>,
    refresh: Option<Refresh>,
}

#[derive(Debug)]
struct Refresh {
    epoch: u64,
    queries: Vec<(&'static str, &'static str)>,
    at: usize,
    builder: Option<CatalogBuilder>,
    state: Option<SessionState>,
    settings: Option<(String, String)>,
}

const STATE: &str = "state";
const SETTINGS: &str = "settings";
const PREPARED: &str = "prepared statements";
/// How the target reads text, here and now: it reports a change of these only when the batch ends.
pub(crate) const SETTINGS_QUERY: &str = "SELECT pg_catalog.current_setting('standard_conforming_strings'), \
     pg_catalog.current_setting('client_encoding')";

impl Scope {
    /// A scope that knows nothing yet. `own_name` is a name that no client will use: it holds random characters.
    pub(crate) fn new(shared: Arc<SharedNames>, own_name: &str) -> Self {
        Self {
            catalog: Arc::clone(&shared.nothing),
            state: Arc::clone(&shared.state),
            shared,
            epoch: 0,
            stale: Stale::Catalog,
            uncommitted: false,
            settings_uncommitted: false,
            version: 1,
            meaning: Bytes::new(),
            own_name: own_name.as_bytes().into(),
            refresh: None,
        }
    }

    /// The name of the gateway's own statements and portals on this connection.
    pub(crate) fn own_name(&self) -> &[u8] {
        &self.own_name
    }

    /// What statements are understood with now, under `policy`.
    pub(super) fn view(&self, classification: &Classification, policy: u64) -> Arc<View> {
        self.shared.view(&self.catalog, &self.state, classification, policy)
    }

    /// The search path and the users, in one canonical form.
    pub(super) fn meaning(&self) -> &Bytes {
        &self.meaning
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Takes up what other sessions learned, and says whether the target must be asked.
    pub(super) fn is_stale(&mut self) -> bool {
        if self.refresh.is_some() {
            return true;
        }
        if self.epoch != self.shared.epoch() && !self.uncommitted {
            self.stale = Stale::Catalog;
        }
        if self.stale == Stale::Catalog
            && !self.uncommitted
            && let Some((epoch, catalog)) = self.shared.current()
        {
            self.version += u64::from(!Arc::ptr_eq(&self.catalog, &catalog));
            self.catalog = catalog;
            self.epoch = epoch;
            self.stale = Stale::State;
        }
        self.stale != Stale::Fresh
    }

    /// The catalogue may have changed through this session.
    pub(super) fn catalog_changed(&mut self, in_transaction: bool) {
        self.stale = Stale::Catalog;
        self.uncommitted |= in_transaction;
        self.shared.changed();
    }

    /// The search path, the user or another setting that names depend on may have changed.
    pub(super) fn state_changed(&mut self) {
        self.stale = self.stale.max(Stale::State);
    }

    /// Settings were changed, perhaps only for the transaction.
    pub(super) fn settings_changed(&mut self, in_transaction: bool) {
        self.settings_uncommitted |= in_transaction;
        self.state_changed();
    }

    /// The transaction ended, one way or the other.
    pub(super) fn transaction_ended(&mut self) {
        self.settings_uncommitted = false;
        if self.uncommitted {
            self.uncommitted = false;
            self.stale = Stale::Catalog;
            self.shared.changed();
        }
        self.stale = self.stale.max(Stale::State);
    }

    /// The target is idle: nothing is uncommitted any more.
    pub(super) fn batch_ended(&mut self) {
        if self.uncommitted || self.settings_uncommitted {
            self.transaction_ended();
        }
    }

    /// A batch failed: what its statements changed is as before.
    pub(super) fn batch_failed(&mut self) {
        self.state_changed();
        if self.uncommitted {
            self.stale = Stale::Catalog;
        }
    }

    /// Begins to ask the target: about its catalogue only where it is `needed`, about the session's statements where they
    /// are in doubt. Returns the queries to send, in order.
    pub(super) fn begin_refresh(&mut self, needed: bool, prepared: bool) -> Vec<&'static str> {
        let whole = needed && self.stale == Stale::Catalog;
        let mut queries = vec![(STATE, SessionState::QUERY), (SETTINGS, SETTINGS_QUERY)];
        if prepared {
            queries.push((PREPARED, PREPARED_QUERY));
        }
        if whole {
            queries.extend(Catalog::QUERIES.iter().map(|q| (q.name, q.sql)));
        }
        let texts = queries.iter().map(|(_, sql)| *sql).collect();
        let builder = whole.then(Catalog::builder);
        self.refresh = Some(Refresh {
            epoch: self.shared.epoch(),
            queries,
            at: 0,
            builder,
            state: None,
            settings: None,
        });
        texts
    }

    /// Whether the current query is [`PREPARED_QUERY`].
    pub(super) fn asks_prepared(&self) -> bool {
        let current = self.refresh.as_ref().and_then(|r| r.queries.get(r.at));
        current.is_some_and(|(name, _)| *name == PREPARED)
    }

    /// A row of the answer to the current query.
    pub(super) fn refresh_row(&mut self, row: &[Option<&str>]) -> Result<(), WireError> {
        let Some(refresh) = &mut self.refresh else {
            return Err(unasked());
        };
        let Some((name, _)) = refresh.queries.get(refresh.at) else {
            return Err(unasked());
        };
        if *name == STATE {
            refresh.state = SessionState::from_row(row);
        } else if *name == SETTINGS {
            let [Some(strings), Some(encoding)] = row else {
                return Err(unasked());
            };
            refresh.settings = Some(((*strings).to_owned(), (*encoding).to_owned()));
        } else if let Some(builder) = &mut refresh.builder {
            builder.feed(name, row).map_err(|e| WireError::target(e.to_string()))?;
        }
        Ok(())
    }

    /// The current query is answered.
    pub(super) fn refresh_next(&mut self) {
        if let Some(refresh) = &mut self.refresh {
            refresh.at += 1;
        }
    }

    /// All queries are answered (or an error cut them short, and the next statement asks again). Returns
    /// `standard_conforming_strings` and `client_encoding`.
    pub(super) fn end_refresh(&mut self) -> Option<(String, String)> {
        let refresh = self.refresh.take()?;
        let mut state = refresh.state.filter(|_| refresh.at >= refresh.queries.len())?;
        let settings = refresh.settings?;
        state.uncommitted = self.uncommitted || self.settings_uncommitted;
        if refresh.builder.is_some() || self.stale != Stale::Catalog {
            self.stale = Stale::Fresh;
        }
        if *self.state != state {
            self.meaning = format!("{state:?}").into_bytes().into();
            self.state = Arc::new(state);
            self.version += 1;
        }
        if let Some(builder) = refresh.builder {
            self.catalog = Arc::new(builder.build());
            self.epoch = refresh.epoch;
            self.version += 1;
            if !self.uncommitted {
                self.shared.publish(refresh.epoch, &self.catalog);
            }
        }
        Some(settings)
    }
}

fn unasked() -> WireError {
    WireError::target("a row that nobody asked for")
}
