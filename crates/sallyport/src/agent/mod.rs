//! `sallyport agent`: beside targets, with their credentials. It dials gateways, and does what they ask of its targets.

mod beside;
mod config;
mod line;
mod reach;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use futures_util::future::{Either, join_all, select};
use sallyport_identity::HostLogins;
use tokio::sync::watch;

pub(crate) use config::AgentArgs;

use beside::Beside;
use config::AgentConfig;
use line::Line;

/// How often the file of targets is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long sessions have once the agent is asked to stop.
const GRACE: Duration = Duration::from_secs(30);

/// How long users that were made for sessions may take to be ended after that.
const DRAIN: Duration = Duration::from_secs(15);

/// Runs an agent until `stop` resolves; then lets what is open finish, for a while.
///
/// # Errors
/// When it cannot begin: it has no key or targets, or cannot join.
pub(crate) async fn run(config: AgentConfig, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    crate::state::prepare(&config.state_dir)?;
    let authority = ssh_authority(&config.state_dir)?;
    let beside = Arc::new(Beside::open(config.targets.clone(), &config.state_dir, authority)?);
    let mut lines = Vec::new();
    let (announce, announced) = watch::channel(beside.announced());
    for gateway in config.gateways {
        let directory = config.state_dir.join("gateways").join(gateway.url.authority());
        let line = Line::open(gateway, &directory, Arc::clone(&beside), announced.clone()).await?;
        lines.push(Arc::new(line));
    }
    let following = tokio::spawn(follow(config.targets, Arc::clone(&beside), announce));
    let sweeping = tokio::spawn({
        let beside = Arc::clone(&beside);
        async move { beside.sweep().await }
    });
    let (stopping, stopped) = watch::channel(false);
    let kept = lines
        .iter()
        .flat_map(|line| (0..line.connections()).map(|_| tokio::spawn(Arc::clone(line).keep(stopped.clone()))));
    let kept: Vec<_> = kept.collect();
    if let Either::Right(((), ended)) = select(join_all(kept), pin!(stop)).await {
        tracing::info!("the agent takes no more sessions, and waits for those that are open");
        stopping.send_replace(true);
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!("sessions were open still");
        }
    }
    following.abort();
    sweeping.abort();
    beside.broker().drained(DRAIN).await;
    Ok(())
}

/// What signs for logins at SSH hosts. Hosts trust the public half, which lies beside it.
fn ssh_authority(state: &Path) -> anyhow::Result<HostLogins> {
    let path = state.join("ssh_hosts_ca");
    let authority = HostLogins::new(crate::ssh_keys::load_or_create(&path)?);
    let public = path.with_extension("pub");
    let line = format!("{}\n", authority.public_key());
    std::fs::write(&public, line).with_context(|| format!("cannot write `{}`", public.display()))?;
    Ok(authority)
}

/// Reads the file of targets again whenever it has changed.
async fn follow(
    file: std::path::PathBuf,
    beside: Arc<Beside>,
    announce: watch::Sender<Vec<sallyport_tunnel::Announced>>,
) {
    let stamp = || -> Option<(SystemTime, u64)> {
        let metadata = std::fs::metadata(&file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    let mut known = stamp();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = stamp();
        if now == known {
            continue;
        }
        known = now;
        match beside.reload() {
            Ok(changed) => {
                tracing::info!(file = %file.display(), "targets were read again");
                if changed {
                    announce.send_replace(beside.announced());
                }
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the changed targets cannot be used; those before stay");
            }
        }
    }
}
