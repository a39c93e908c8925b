//! Where bundles come from, and where those are kept that came into force.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use sallyport_ledger::Journal;
use sallyport_policy::{Bundle, Kept, Problem, Watcher};
use sallyport_policy_git::{Follower, Settings, Surroundings, WebhookSecret};
use sallyport_target::{Broker, Catalogue};
use time::OffsetDateTime;

use super::PolicyConfig;
use super::witness::write_down;
use crate::config::Config;
use crate::gateway::loader;

/// The bundle in force and what brings the next one.
pub(crate) struct PolicySource {
    /// The bundle in force.
    pub(crate) watcher: Arc<Watcher>,
    /// What follows a branch, if one is followed.
    pub(crate) follower: Option<Arc<Follower>>,
    /// The bundles that were in force.
    pub(crate) kept: Arc<Kept>,
    /// What proves that a message comes from the git host.
    pub(crate) webhook: Option<WebhookSecret>,
    /// Where bundles come from, in one line.
    pub(crate) name: String,
}

impl PolicySource {
    /// Loads the policy and begins to watch or to follow it. Each bundle is kept, and written down in `journal`, before it
    /// comes into force.
    ///
    /// # Errors
    /// When there is no good bundle, or it cannot be kept or written down.
    pub(crate) async fn open(config: &Config, journal: &Arc<Journal>) -> anyhow::Result<Self> {
        let kept = Arc::new(Kept::open(&config.state_dir.join("bundles"))?);
        match (&config.policy, config.policy.git()?) {
            (_, Some(settings)) => Self::follow(settings, config, kept, journal).await,
            (PolicyConfig::Directory(dir), None) => Self::watch(dir, kept, Arc::clone(journal)),
            (PolicyConfig::Git { .. }, None) => Err(anyhow!("`policy` names no branch")),
        }
    }

    fn watch(dir: &Path, kept: Arc<Kept>, journal: Arc<Journal>) -> anyhow::Result<Self> {
        let name = dir.display().to_string();
        let (keeper, source) = (Arc::clone(&kept), name.clone());
        let keep = move |bundle: &Bundle| {
            let kept = keeper.keep(bundle, &source, OffsetDateTime::now_utc());
            kept.map_err(|error| error.to_string())?;
            write_down(&journal, bundle, &source, Some(bundle.dir()))
        };
        Ok(Self {
            watcher: Arc::new(Watcher::start_keeping(dir, loader(), Box::new(keep))?),
            follower: None,
            kept,
            webhook: None,
            name,
        })
    }

    async fn follow(
        settings: Settings,
        config: &Config,
        kept: Arc<Kept>,
        journal: &Arc<Journal>,
    ) -> anyhow::Result<Self> {
        let name = settings.source();
        let secret = settings.webhook_secret_file.as_deref().map(WebhookSecret::read);
        let webhook = secret.transpose().map_err(|why| anyhow!("`policy`: {why}"))?;
        let broker = config.broker();
        let (journal, source) = (Arc::clone(journal), name.clone());
        let around = Surroundings {
            state_dir: config.state_dir.clone(),
            loader: loader(),
            check: Arc::new(move |bundle| targets_make_sense(bundle, &broker).map(drop)),
            kept: Arc::clone(&kept),
            record: Arc::new(move |bundle| write_down(&journal, bundle, &source, None)),
        };
        let follower = Box::pin(Follower::start(settings, around)).await;
        let follower = follower
            .with_context(|| format!("no policy can be had from `{name}`, and no good one is kept from before"))?;
        Ok(Self {
            watcher: Arc::clone(follower.watcher()),
            follower: Some(follower),
            kept,
            webhook,
            name,
        })
    }
}

/// Follows the branch, if one is followed, for ever.
pub(crate) async fn follow(source: Arc<PolicySource>) {
    if let Some(follower) = &source.follower {
        Arc::clone(follower).run().await;
    }
}

/// The targets of a bundle.
///
/// # Errors
/// When its `targets.toml` makes no sense here: then it would have none.
fn targets_make_sense(bundle: &Bundle, broker: &Broker) -> Result<Catalogue, Vec<Problem>> {
    let text = bundle.file("targets.toml").unwrap_or_default();
    Catalogue::parse(text, "targets.toml", bundle.dir(), broker)
        .map_err(|error| vec![Problem::at("targets.toml", text, error.span, error.message)])
}
