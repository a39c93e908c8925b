//! The names of the target's database as this session sees them.
//!
//! Sessions of a target share a snapshot of its catalogue. A session asks the target on its own connection and within
//! its own transaction: for a fresh one when it has changed something itself, or when another session or somebody beside
//! the gateway may have and the fingerprint of the names is another one; and for its search path whenever that may
//! differ.
//!
//! A transaction at `REPEATABLE READ` reads the catalogue as it was when it began, but the target resolves names as they
//! are now: its answers say nothing of changes by others, so names must then come from elsewhere.

use std::sync::Arc;

use bytes::Bytes;
use sallyport_policy::Classification;
use sallyport_session::WireError;
use sallyport_sql::{Catalog, CatalogBuilder, SessionState};

use super::names::PREPARED_QUERY;
use super::shared::SharedNames;
use super::view::View;

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
    /// The fingerprint was another one than that of the shared snapshot.
    differs: bool,
    /// What names mean now cannot be told within this transaction.
    outdated: bool,
    /// How often the target was asked again while somebody else was to say what names mean.
    waits: u32,
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
    settings: Option<ReadingSettings>,
    /// The fingerprint of the names, asked for before and after them, or alone.
    prints: Vec<String>,
}

/// How the target reads text, and which changes of others a transaction sees.
#[derive(Debug)]
pub(super) struct ReadingSettings {
    /// `standard_conforming_strings`
    pub(super) strings: String,
    pub(super) encoding: String,
    isolation: String,
}

/// Rounds with the target that a transaction waits for names that somebody else asks for.
const MAX_WAITS: u32 = 200;

const PRINT: &str = "fingerprint";
const STATE: &str = "state";
const SETTINGS: &str = "settings";
const PREPARED: &str = "prepared statements";
/// How the target reads text, here and now: it reports a change of these only when the batch ends.
pub(crate) const SETTINGS_QUERY: &str = "SELECT pg_catalog.current_setting('standard_conforming_strings'), \
     pg_catalog.current_setting('client_encoding'), pg_catalog.current_setting('transaction_isolation')";

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
            differs: false,
            outdated: false,
            waits: 0,
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
        if self.outdated {
            // Nobody else's, so that all that is known of statements is understood anew.
            let view = View::make(&self.catalog, &self.state, classification, policy);
            return Arc::new(view);
        }
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
        if self.epoch != self.shared.epoch() {
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
            self.set_outdated(false);
        }
        self.stale != Stale::Fresh && !self.outdated
    }

    /// Whether statements cannot be judged until the transaction ends, or somebody else has asked.
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated
    }

    /// The catalogue may have changed through this session.
    pub(super) fn catalog_changed(&mut self, in_transaction: bool) {
        self.stale = Stale::Catalog;
        self.uncommitted |= in_transaction;
        let before = self.shared.changed();
        if self.epoch == before {
            // It is this session's own change.
            self.epoch = before + 1;
        }
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
        self.set_outdated(false);
        self.waits = 0;
        if self.uncommitted {
            self.uncommitted = false;
            self.stale = Stale::Catalog;
            self.shared.changed();
        }
        self.stale = self.stale.max(Stale::State);
    }

    /// The target is idle: nothing is uncommitted any more.
    pub(super) fn batch_ended(&mut self) {
        if self.uncommitted || self.settings_uncommitted || self.waits > 0 {
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
        let asks = needed && self.stale == Stale::Catalog;
        let compares = asks && !self.uncommitted && !self.differs && self.shared.has_print();
        let mut queries = vec![(STATE, SessionState::QUERY), (SETTINGS, SETTINGS_QUERY)];
        if prepared {
            queries.push((PREPARED, PREPARED_QUERY));
        }
        let print = (PRINT, Catalog::fingerprint_query());
        if asks && !self.uncommitted {
            queries.push(print);
        }
        let whole = asks && !compares;
        if whole {
            queries.extend(Catalog::QUERIES.iter().map(|q| (q.name, q.sql)));
        }
        if whole && !self.uncommitted {
            queries.push(print);
        }
        let texts = queries.iter().map(|(_, sql)| *sql).collect();
        self.refresh = Some(Refresh {
            epoch: self.shared.epoch(),
            queries,
            at: 0,
            builder: whole.then(Catalog::builder),
            state: None,
            settings: None,
            prints: Vec::new(),
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
            let [Some(strings), Some(encoding), Some(isolation)] = row else {
                return Err(unasked());
            };
            refresh.settings = Some(ReadingSettings {
                strings: (*strings).to_owned(),
                encoding: (*encoding).to_owned(),
                isolation: (*isolation).to_owned(),
            });
        } else if *name == PRINT {
            let [Some(print)] = row else {
                return Err(unasked());
            };
            refresh.prints.push((*print).to_owned());
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

    /// All queries are answered (or an error cut them short, and the next statement asks again). Returns how the target
    /// reads text.
    pub(super) fn end_refresh(&mut self, in_transaction: bool) -> Option<ReadingSettings> {
        let mut refresh = self.refresh.take()?;
        let mut state = refresh.state.take().filter(|_| refresh.at >= refresh.queries.len())?;
        let settings = refresh.settings.take()?;
        state.uncommitted = self.uncommitted || self.settings_uncommitted;
        if *self.state != state {
            self.meaning = format!("{state:?}").into_bytes().into();
            self.state = Arc::new(state);
            self.version += 1;
        }
        let old = in_transaction && !matches!(&*settings.isolation, "read committed" | "read uncommitted");
        if self.stale != Stale::Catalog {
            self.stale = Stale::Fresh;
        } else if refresh.asked_names() {
            self.take_names(refresh, old);
        }
        Some(settings)
    }

    /// Takes up what the target answered. `old`: it may have told what names meant when the transaction began.
    fn take_names(&mut self, refresh: Refresh, old: bool) {
        let print = match &*refresh.prints {
            [print] => Some(print.as_str()),
            [before, after] if before == after => Some(before.as_str()),
            _ => None,
        };
        if old && self.epoch != self.shared.epoch() {
            // Somebody whose transaction sees all must say what names mean. Meanwhile the target is asked again.
            self.shared.wish();
            self.waits += 1;
            self.set_outdated(self.waits >= MAX_WAITS);
            return;
        }
        let same = print.and_then(|print| self.shared.of_print(print));
        let names = match (refresh.builder, same) {
            (_, Some(same)) if !self.uncommitted => same,
            (Some(builder), _) => Arc::new(builder.build()),
            (None, _) => {
                self.differs = true;
                return;
            }
        };
        self.differs = false;
        self.set_outdated(false);
        self.waits = 0;
        self.stale = Stale::Fresh;
        self.version += u64::from(!Arc::ptr_eq(&self.catalog, &names));
        self.catalog = names;
        self.epoch = refresh.epoch;
        if !self.uncommitted && !old {
            self.shared.publish(refresh.epoch, print, &self.catalog);
        }
    }

    fn set_outdated(&mut self, outdated: bool) {
        self.version += u64::from(self.outdated != outdated);
        self.outdated = outdated;
    }
}

impl Refresh {
    /// Whether names, or their fingerprint, were asked for.
    fn asked_names(&self) -> bool {
        self.builder.is_some() || !self.prints.is_empty()
    }
}

fn unasked() -> WireError {
    WireError::target("a row that nobody asked for")
}
