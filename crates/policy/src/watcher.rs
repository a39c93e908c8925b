//! Keeps the newest valid bundle, of a directory or of who feeds it, and takes a changed one over atomically.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use notify::{RecursiveMode, Watcher as _};

use crate::bundle::{Bundle, Loader};
use crate::problem::{LoadError, Problem};

/// How long the directory must be quiet before it is read.
const QUIET: Duration = Duration::from_millis(50);
/// How long a directory that is never quiet is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What became of a change of the directory.
#[derive(Debug, Clone)]
pub enum Reloaded {
    /// The new bundle is in force.
    Loaded {
        /// It.
        bundle: Arc<Bundle>,
        /// The generation that began with it.
        generation: u64,
    },
    /// The directory is not a valid bundle; the one before stays in force.
    Rejected(Arc<LoadError>),
}

/// Keeps a bundle before it decides anything; one that cannot be kept does not come into force. The error is said in words.
pub type Keep = Box<dyn Fn(&Bundle) -> Result<(), String> + Send + Sync>;

type Observer = Box<dyn Fn(&Reloaded) + Send + Sync>;

struct Shared {
    /// What is watched; nothing when somebody feeds bundles.
    directory: Option<(PathBuf, Loader)>,
    keep: Keep,
    current: ArcSwap<Bundle>,
    generation: AtomicU64,
    observers: Mutex<Vec<Observer>>,
    /// One reload at a time.
    reloading: Mutex<()>,
}

/// Watches a policy directory, or is fed with bundles. Dropping it ends the watching.
pub struct Watcher {
    shared: Arc<Shared>,
    /// Dropping it closes the channel, which ends the thread.
    _notify: Option<notify::RecommendedWatcher>,
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.shared.directory {
            Some((dir, _)) => write!(f, "Watcher({})", dir.display()),
            None => f.write_str("Watcher(fed)"),
        }
    }
}

impl Watcher {
    /// Loads the directory and begins to watch it.
    ///
    /// # Errors
    /// When the directory is not a valid bundle now, or cannot be watched.
    pub fn start(dir: &Path, loader: Loader) -> Result<Self, LoadError> {
        Self::start_keeping(dir, loader, Box::new(|_| Ok(())))
    }

    /// The same, where each bundle is kept before it decides anything.
    ///
    /// # Errors
    /// When the directory is not a valid bundle now, cannot be watched, or the bundle cannot be kept.
    pub fn start_keeping(dir: &Path, loader: Loader, keep: Keep) -> Result<Self, LoadError> {
        let (send, changes) = mpsc::channel();
        let unwatchable = |error: String| {
            LoadError::new(
                dir,
                vec![Problem::in_file(
                    ".",
                    format!("the directory cannot be watched: {error}"),
                )],
            )
        };
        let mut notify = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the files is an event too; only changes count. A send fails only when nobody listens.
            if event.map_or(true, |event| !event.kind.is_access()) {
                let _ = send.send(());
            }
        })
        .map_err(|error| unwatchable(error.to_string()))?;
        // Watch first, read then: a change in between is seen twice instead of never.
        notify
            .watch(dir, RecursiveMode::Recursive)
            .map_err(|error| unwatchable(error.to_string()))?;
        let bundle = loader.load(dir)?;
        let shared = Shared::begin(Some((dir.to_owned(), loader)), bundle, keep)?;
        let follower = Arc::clone(&shared);
        thread::Builder::new()
            .name("policy-watch".to_owned())
            .spawn(move || follow(&follower, &changes))
            .map_err(|error| unwatchable(error.to_string()))?;
        Ok(Self {
            shared,
            _notify: Some(notify),
        })
    }

    /// Begins with a bundle; others come by [`Self::offer`].
    ///
    /// # Errors
    /// When the bundle cannot be kept.
    pub fn fed(first: Bundle, keep: Keep) -> Result<Self, LoadError> {
        let shared = Shared::begin(None, first, keep)?;
        Ok(Self { shared, _notify: None })
    }

    /// Takes a bundle over. `None` when it decides the same and is of the same commit as the one in force.
    ///
    /// # Errors
    /// When it cannot be kept: then the one before stays in force, and nobody is told but the caller.
    pub fn offer(&self, bundle: Bundle) -> Result<Option<Reloaded>, LoadError> {
        let _one = self.shared.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = self.shared.take(bundle)?;
        if let Some(result) = &taken {
            self.shared.tell(result);
        }
        Ok(taken)
    }

    /// The bundle in force.
    #[must_use]
    pub fn current(&self) -> Arc<Bundle> {
        self.shared.current.load_full()
    }

    /// A number that grows with each bundle that comes into force. Whoever reads it before [`Self::current`]
    /// and finds it unchanged later holds the bundle that is still in force.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Calls `f` with the result of each later reload, on the thread that reloads: it must not wait.
    pub fn subscribe(&self, f: impl Fn(&Reloaded) + Send + Sync + 'static) {
        self.shared
            .observers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(f));
    }

    /// Reads the directory now. `None` when nothing that decides has changed, or no directory is watched.
    pub fn reload(&self) -> Option<Reloaded> {
        reload(&self.shared)
    }
}

impl Shared {
    fn begin(directory: Option<(PathBuf, Loader)>, bundle: Bundle, keep: Keep) -> Result<Arc<Self>, LoadError> {
        warn(&bundle);
        kept(&keep, &bundle)?;
        Ok(Arc::new(Self {
            directory,
            keep,
            current: ArcSwap::from_pointee(bundle),
            generation: AtomicU64::new(1),
            observers: Mutex::default(),
            reloading: Mutex::default(),
        }))
    }

    /// Puts a bundle into force, once it is kept.
    fn take(&self, bundle: Bundle) -> Result<Option<Reloaded>, LoadError> {
        let before = self.current.load();
        if before.digest() == bundle.digest() && before.commit() == bundle.commit() {
            return Ok(None);
        }
        warn(&bundle);
        kept(&self.keep, &bundle)?;
        let bundle = Arc::new(bundle);
        self.current.store(Arc::clone(&bundle));
        let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        tracing::info!(
            digest = bundle.digest(),
            commit = bundle.commit(),
            generation,
            "policy loaded"
        );
        Ok(Some(Reloaded::Loaded { bundle, generation }))
    }

    fn tell(&self, result: &Reloaded) {
        for observer in self.observers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            observer(result);
        }
    }
}

/// No decision may name a digest that nobody can show.
fn kept(keep: &Keep, bundle: &Bundle) -> Result<(), LoadError> {
    keep(bundle).map_err(|error| {
        let message = format!("the bundle cannot be kept, so it does not come into force: {error}");
        LoadError::new(bundle.dir(), vec![Problem::in_file(".", message)])
    })
}

fn warn(bundle: &Bundle) {
    for warning in bundle.warnings() {
        tracing::warn!(%warning, "odd in the policy");
    }
}

fn follow(shared: &Shared, changes: &Receiver<()>) {
    while changes.recv().is_ok() {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match changes.recv_timeout(QUIET) {
                Ok(()) if Instant::now() < deadline => {}
                Ok(()) | Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        reload(shared);
    }
}

fn reload(shared: &Shared) -> Option<Reloaded> {
    let (dir, loader) = shared.directory.as_ref()?;
    let _one = shared.reloading.lock().unwrap_or_else(PoisonError::into_inner);
    let result = match loader.load(dir).and_then(|bundle| shared.take(bundle)) {
        Ok(taken) => taken?,
        Err(error) => {
            tracing::warn!(%error, "policy rejected; the one before stays in force");
            Reloaded::Rejected(Arc::new(error))
        }
    };
    shared.tell(&result);
    Some(result)
}
