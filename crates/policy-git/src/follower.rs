//! Follows the branch: looks at intervals and when it is told to, and puts what is good into force.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sallyport_policy::{Bundle, Keep, Kept, Loader, Problem, Watcher};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::copy::{Commit, Copy};
use crate::followed::Followed;
use crate::settings::Settings;
use crate::status::{Event, Status};
use crate::trouble::{Kind, Trouble};

/// The folder under the state directory.
const FOLDER: &str = "policy-git";
/// How the names of folders of runs begin.
const RUN: &str = "run-";
/// The least time between two looks, however often somebody asks.
const PAUSE: Duration = Duration::from_millis(300);

/// What else is asked of a bundle before it comes into force.
pub type Check = Arc<dyn Fn(&Bundle) -> Result<(), Vec<Problem>> + Send + Sync>;

/// Writes down that a bundle comes into force; if that cannot be done, it does not. The error is said in words.
pub type Record = Arc<dyn Fn(&Bundle) -> Result<(), String> + Send + Sync>;

/// What a follower needs of the gateway.
#[derive(Clone)]
pub struct Surroundings {
    /// Where the gateway keeps its state.
    pub state_dir: PathBuf,
    /// How bundles are loaded.
    pub loader: Loader,
    /// What else is asked of them.
    pub check: Check,
    /// Where they are kept.
    pub kept: Arc<Kept>,
    /// What writes down that one comes into force, as the last thing before it does.
    pub record: Record,
}

type Observer = Box<dyn Fn(&Event) + Send + Sync>;

/// Follows a branch. Nothing happens unless [`Follower::run`] runs or somebody calls [`Follower::pull`].
pub struct Follower {
    branch: Arc<Branch>,
    watcher: Arc<Watcher>,
    /// One look at a time.
    looking: tokio::sync::Mutex<()>,
    /// What the keeper is to remember with the next bundle; then what is in force.
    followed: Arc<Mutex<Followed>>,
    wake: Notify,
    status: Mutex<Status>,
    observers: Mutex<Vec<Observer>>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Follower({})", self.branch.settings.source())
    }
}

/// Whether a commit is looked at that was refused before: what it was refused for may lie at the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    Yes,
    No,
}

/// A bundle, and what is to be remembered of it.
struct Found {
    bundle: Bundle,
    followed: Followed,
}

/// The branch, the copy of it, and what makes bundles of its commits.
struct Branch {
    settings: Arc<Settings>,
    around: Surroundings,
    copy: Copy,
    /// The newest commit, if it was refused, and why: it is not fetched again for each look.
    refused: Mutex<Option<(Commit, Trouble)>>,
    /// Removed with all that git wrote when the gateway ends.
    _run: TempDir,
}

impl Follower {
    /// Looks at the branch and begins with its newest commit; with the last good bundle when that cannot be had or is refused.
    ///
    /// # Errors
    /// When there is neither.
    pub async fn start(settings: Settings, around: Surroundings) -> Result<Arc<Self>, Trouble> {
        let folder = around.state_dir.join(FOLDER);
        let branch = Arc::new(Branch::open(&folder, Arc::new(settings), around)?);
        let before = Followed::read(&folder, &branch.settings).map_err(|why| Trouble::new(Kind::Keep, why))?;
        let last = before.as_ref().and_then(|before| branch.last_good(before));
        let looked = branch.look(before.as_ref(), last.is_some(), Again::Yes).await;
        let now = OffsetDateTime::now_utc();
        let (found, trouble) = match (looked, before.zip(last)) {
            (Ok(Some(found)), _) => (found, None),
            (Ok(None), Some((followed, bundle))) => (Found { bundle, followed }, None),
            (Err(trouble), Some((followed, bundle))) => {
                tracing::warn!(%trouble, commit = followed.commit, digest = followed.digest,
                    "the policy's newest commit cannot be had; the gateway begins with the last good one");
                (Found { bundle, followed }, Some(trouble))
            }
            (Err(trouble), None) => return Err(trouble),
            (Ok(None), None) => {
                return Err(Trouble::new(
                    Kind::Fetch,
                    "the branch has nothing new, and nothing is kept",
                ));
            }
        };
        let reached = trouble.as_ref().is_none_or(|trouble| trouble.kind.is_refusal());
        let status = Status {
            source: branch.settings.source(),
            branch: branch.settings.branch.clone(),
            path: branch.settings.path.clone(),
            fetched: reached.then_some(now),
            committed: found.followed.committed,
            trouble: trouble.map(|trouble| (now, trouble)),
        };
        let followed = Arc::new(Mutex::new(found.followed));
        let keep = branch.keeper(folder, Arc::clone(&followed));
        let watcher = Watcher::fed(found.bundle, keep)
            .map_err(|error| Trouble::new(Kind::Keep, "the bundle cannot be kept").with_problems(error.problems))?;
        Ok(Arc::new(Self {
            branch,
            watcher: Arc::new(watcher),
            looking: tokio::sync::Mutex::default(),
            followed,
            wake: Notify::new(),
            status: Mutex::new(status),
            observers: Mutex::default(),
        }))
    }

    /// The bundle in force.
    #[must_use]
    pub fn watcher(&self) -> &Arc<Watcher> {
        &self.watcher
    }

    /// What is known of the branch.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls `f` with each later change, on a thread that may block.
    pub fn subscribe(&self, f: impl Fn(&Event) + Send + Sync + 'static) {
        let mut observers = self.observers.lock().unwrap_or_else(PoisonError::into_inner);
        observers.push(Box::new(f));
    }

    /// Looks at intervals and when woken, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            self.publish();
            // Whether it was woken or the time is over, it looks.
            let _ = tokio::time::timeout(self.branch.settings.poll, self.wake.notified()).await;
            // What is wrong is in the status, and was said.
            let _ = self.advanced(Again::No).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Makes [`Follower::run`] look now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Looks now, also at a commit that was refused, and waits for what comes of it.
    ///
    /// # Errors
    /// Why the branch's newest commit is not in force.
    ///
    /// # Cancel safety
    /// The look goes on if this is dropped.
    pub async fn pull(self: &Arc<Self>) -> Result<(), Trouble> {
        self.advanced(Again::Yes).await
    }

    async fn advanced(self: &Arc<Self>, again: Again) -> Result<(), Trouble> {
        let follower = Arc::clone(self);
        let looking = tokio::spawn(async move { follower.advance(again).await });
        looking
            .await
            .unwrap_or_else(|error| Err(Trouble::new(Kind::Program, format!("the look failed: {error}"))))
    }

    async fn advance(self: Arc<Self>, again: Again) -> Result<(), Trouble> {
        let _one = self.looking.lock().await;
        let before = self.in_force();
        let looked = self.branch.look(Some(&before), true, again).await;
        let follower = Arc::clone(&self);
        // Loading writes to the disk, and those who are told may.
        let concluding = tokio::task::spawn_blocking(move || {
            let outcome = looked.and_then(|found| found.map_or(Ok(()), |found| follower.adopt(found, &before)));
            follower.conclude(outcome)
        });
        concluding
            .await
            .unwrap_or_else(|error| Err(Trouble::new(Kind::Program, format!("the look failed: {error}"))))
    }

    fn in_force(&self) -> Followed {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts what was found into force.
    fn adopt(&self, found: Found, before: &Followed) -> Result<(), Trouble> {
        let set = |followed: &Followed| {
            let mut slot = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
            slot.clone_from(followed);
        };
        set(&found.followed);
        self.watcher.offer(found.bundle).map(drop).map_err(|error| {
            set(before);
            self.branch.copy.discard();
            let trouble = Trouble::new(Kind::Keep, "the bundle cannot be kept").with_problems(error.problems);
            trouble.about(&found.followed.commit)
        })
    }

    /// Notes how a look went, and tells those who asked if that is new.
    fn conclude(&self, outcome: Result<(), Trouble>) -> Result<(), Trouble> {
        let now = OffsetDateTime::now_utc();
        let in_force = self.in_force();
        let event = {
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            status.committed = in_force.committed;
            match &outcome {
                Ok(()) => {
                    status.fetched = Some(now);
                    let commit = in_force.commit;
                    status.trouble.take().map(|_| Event::Recovered { commit })
                }
                Err(trouble) => {
                    if trouble.kind.is_refusal() {
                        status.fetched = Some(now);
                    }
                    let known = status.trouble.as_ref();
                    let is_new = known.is_none_or(|(_, known)| !known.is_same(trouble));
                    if is_new {
                        status.trouble = Some((now, trouble.clone()));
                    }
                    is_new.then(|| match trouble.kind.is_refusal() {
                        true => Event::Refused(trouble.clone()),
                        false => Event::Failed(trouble.clone()),
                    })
                }
            }
        };
        if let Err(trouble) = &outcome {
            metrics::counter!("sallyport_policy_fetch_failures_total", "kind" => trouble.kind.as_str()).increment(1);
        }
        self.publish();
        if let Some(event) = event {
            for observer in self.observers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                observer(&event);
            }
        }
        outcome
    }

    fn publish(&self) {
        #[expect(clippy::cast_precision_loss, reason = "seconds of our time are exact in a double")]
        let seconds = |time: OffsetDateTime| time.unix_timestamp() as f64;
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        metrics::gauge!("sallyport_policy_commit_timestamp_seconds").set(seconds(status.committed));
        if let Some(fetched) = status.fetched {
            metrics::gauge!("sallyport_policy_fetch_timestamp_seconds").set(seconds(fetched));
        }
    }
}

impl Branch {
    fn open(folder: &Path, settings: Arc<Settings>, around: Surroundings) -> Result<Self, Trouble> {
        let fault = |error: std::io::Error| {
            Trouble::new(Kind::Keep, format!("`{}` cannot be written: {error}", folder.display()))
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(fault)?;
        // What runs left behind that were killed.
        for entry in std::fs::read_dir(folder).map_err(fault)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(RUN) {
                // A git that outlived its gateway may still write there; the next start removes it then.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let run = tempfile::Builder::new().prefix(RUN).tempdir_in(folder).map_err(fault)?;
        Ok(Self {
            copy: Copy::at(run.path(), &settings)?,
            settings,
            around,
            refused: Mutex::default(),
            _run: run,
        })
    }

    /// The bundle that was in force, if it is kept, undamaged, and of the same folder.
    fn last_good(&self, before: &Followed) -> Option<Bundle> {
        if before.path != self.settings.path {
            return None;
        }
        let files = self.around.kept.files(&before.digest);
        let files = files.inspect_err(|error| tracing::error!(%error, "the last good policy cannot be read"));
        let commit = Some(before.commit.clone());
        let loaded = self.around.loader.load_files(&self.settings.files, files.ok()?, commit);
        let checked = loaded.and_then(|bundle| (self.around.check)(&bundle).map(|()| bundle));
        let said = checked.inspect_err(|problems| {
            let first = problems.first().map(ToString::to_string);
            tracing::error!(first, "the last good policy is not valid any more");
        });
        said.ok()
    }

    /// The branch's newest commit, as a bundle. `None` when it is the one before, and that is at hand.
    async fn look(&self, before: Option<&Followed>, at_hand: bool, again: Again) -> Result<Option<Found>, Trouble> {
        self.copy.prepare().await?;
        let old = before.and_then(|before| Commit::parse(&before.commit));
        let is_known = |tip: &Commit| at_hand && old.as_ref() == Some(tip);
        let asked = self.copy.ask().await?;
        if is_known(&asked) {
            return Ok(None);
        }
        if again == Again::No
            && let Some(trouble) = self.refusal_of(&asked)
        {
            return Err(trouble);
        }
        let tip = self.copy.fetch().await?;
        if is_known(&tip) {
            return Ok(None);
        }
        let judged = self.judge(old, &tip).await;
        let refusal = judged.as_ref().err().filter(|trouble| trouble.kind.is_refusal());
        let refusal = refusal.map(|trouble| (tip, trouble.clone()));
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
        if judged.is_err() {
            self.copy.discard();
        }
        judged.map(Some)
    }

    /// Why a commit was refused, if it was.
    fn refusal_of(&self, commit: &Commit) -> Option<Trouble> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, trouble) = refused.as_ref().filter(|(refused, _)| refused == commit)?;
        Some(trouble.clone())
    }

    /// A commit that was fetched, as a bundle, if it may be in force after `old`.
    async fn judge(&self, old: Option<Commit>, tip: &Commit) -> Result<Found, Trouble> {
        let since = self.comes_after(old, tip).await?;
        self.copy.verify(since.as_ref(), tip).await?;
        let committed = self.copy.time_of(tip).await?;
        let files = self.copy.files(tip).await?;
        let bundle = self.load(files, tip).await?;
        let followed = Followed {
            repository: self.settings.repository.url().to_owned(),
            branch: self.settings.branch.clone(),
            path: self.settings.path.clone(),
            commit: tip.as_str().to_owned(),
            digest: bundle.digest().to_owned(),
            committed,
        };
        Ok(Found { bundle, followed })
    }

    /// The commit that `tip` comes after. Going back to an older commit would undo what was merged since, signed or not.
    async fn comes_after(&self, old: Option<Commit>, tip: &Commit) -> Result<Option<Commit>, Trouble> {
        let Some(old) = old else { return Ok(None) };
        if self.copy.descends(&old, tip).await? {
            return Ok(Some(old));
        }
        if self.settings.allow_rewind {
            return Ok(None);
        }
        let message = format!(
            "it does not come after {}, which is in force: the branch was rewound or rewritten. To go back, merge a \
             `git revert`; or set `allow_rewind = true` for once",
            old.as_str()
        );
        Err(Trouble::new(Kind::Rewind, message).about(tip.as_str()))
    }

    async fn load(&self, files: std::collections::BTreeMap<String, String>, tip: &Commit) -> Result<Bundle, Trouble> {
        let (loader, check) = (self.around.loader.clone(), Arc::clone(&self.around.check));
        let (dir, commit) = (self.settings.files.clone(), tip.as_str().to_owned());
        let loading = tokio::task::spawn_blocking(move || {
            let bundle = loader.load_files(&dir, files, Some(commit))?;
            check(&bundle).map(|()| bundle)
        });
        let loaded = loading.await.map_err(|error| {
            let message = format!("the bundle could not be loaded: {error}");
            Trouble::new(Kind::Invalid, message).about(tip.as_str())
        })?;
        loaded.map_err(|problems| {
            let trouble = Trouble::new(Kind::Invalid, "the bundle is not valid").with_problems(problems);
            trouble.about(tip.as_str())
        })
    }

    /// Keeps bundles, remembers the commit and writes all that down, before they decide anything.
    fn keeper(&self, folder: PathBuf, followed: Arc<Mutex<Followed>>) -> Keep {
        let (kept, source) = (Arc::clone(&self.around.kept), self.settings.source());
        let record = Arc::clone(&self.around.record);
        Box::new(move |bundle| {
            kept.keep(bundle, &source, OffsetDateTime::now_utc())
                .map_err(|error| error.to_string())?;
            let followed = followed.lock().unwrap_or_else(PoisonError::into_inner);
            followed.write(&folder).map_err(|error| error.to_string())?;
            record(bundle)
        })
    }
}

/// What can be said about the repository without following it.
#[derive(Debug)]
pub struct Examination {
    /// Git's version.
    pub git: Result<String, Trouble>,
    /// The branch's newest commit, as the host says.
    pub tip: Result<String, Trouble>,
    /// The commit and the digest of the last good bundle.
    pub last: Result<Option<(String, String)>, String>,
}

/// Looks at git, the host and what is remembered, for `sallyport doctor`. Changes nothing.
///
/// # Errors
/// When no folder for it can be made.
pub async fn examine(settings: &Settings, state_dir: &Path) -> std::io::Result<Examination> {
    let run = tempfile::tempdir()?;
    let settings = Arc::new(settings.clone());
    let last = Followed::read(&state_dir.join(FOLDER), &settings);
    let last = last.map(|last| last.map(|last| (last.commit, last.digest)));
    let copy = match Copy::at(run.path(), &settings) {
        Ok(copy) => copy,
        Err(trouble) => {
            let (git, tip) = (Err(trouble.clone()), Err(trouble));
            return Ok(Examination { git, tip, last });
        }
    };
    let git = match copy.version().await {
        Ok(version) => copy.prepare().await.map(|()| version),
        Err(trouble) => Err(trouble),
    };
    let tip = copy.ask().await.map(|tip| tip.as_str().to_owned());
    Ok(Examination { git, tip, last })
}
