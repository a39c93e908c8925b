//! What names mean, made ready for judging statements. Sessions that see the same names under the same policy share
//! one view, and with it what was understood in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sallyport_policy::Classification;
use sallyport_sql::{Catalog, SessionState};

use crate::cells::TypeMap;
use crate::understanding::{self, Library, Under};

/// Names, state and policy that statements are understood with.
#[derive(Debug)]
pub(crate) struct View {
    /// No other view of this process has it.
    pub(super) under: Under,
    /// The names, with the views that policy declassifies.
    pub(super) catalog: Catalog,
    pub(super) types: Arc<TypeMap>,
    pub(super) state: Arc<SessionState>,
    pub(super) library: Library,
    /// What it was made from.
    names: Arc<Catalog>,
    policy: u64,
}

impl View {
    pub(super) fn make(
        names: &Arc<Catalog>,
        state: &Arc<SessionState>,
        classification: &Classification,
        policy: u64,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            under: Under(NEXT.fetch_add(1, Ordering::Relaxed)),
            catalog: understanding::declassified(names, classification),
            types: Arc::new(crate::types::of(names)),
            state: Arc::clone(state),
            library: Library::default(),
            names: Arc::clone(names),
            policy,
        }
    }

    /// Whether it is what these would make.
    pub(super) fn is_of(&self, names: &Arc<Catalog>, state: &SessionState, policy: u64) -> bool {
        self.policy == policy && Arc::ptr_eq(&self.names, names) && *self.state == *state
    }
}
