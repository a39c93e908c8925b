//! The targets that policy names.

use std::sync::{Arc, Mutex, PoisonError};

use sallyport_policy::Watcher;
use sallyport_target::{Broker, Catalogue, Target};

/// The targets of the bundle in force.
#[derive(Debug, Default)]
pub struct Targets {
    known: Mutex<(u64, Catalogue)>,
    broker: Broker,
}

impl Targets {
    /// None yet; `broker` will fetch their credentials.
    pub fn new(broker: Broker) -> Self {
        let known = Mutex::default();
        Self { known, broker }
    }

    /// What fetches their credentials.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The target called `name`, as the bundle in force has it.
    pub fn get(&self, policy: &Watcher, name: &str) -> Option<Arc<Target>> {
        self.all(policy).get(name).cloned()
    }

    /// All targets, as the bundle in force has them.
    pub fn all(&self, policy: &Watcher) -> Catalogue {
        let generation = policy.generation();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != generation {
            let bundle = policy.current();
            match Catalogue::parse(
                bundle.file("targets.toml").unwrap_or_default(),
                "targets.toml",
                bundle.dir(),
                &self.broker,
            ) {
                Ok(catalogue) => *known = (generation, catalogue),
                Err(error) => {
                    // Fail closed: a bundle whose targets make no sense has none.
                    tracing::error!(%error, "the targets of the policy bundle cannot be used");
                    *known = (generation, Catalogue::default());
                }
            }
        }
        known.1.clone()
    }
}
