//! Where the policy comes from, looked at on the gateway's machine.

use sallyport_policy::{Bundle, Kept};
use sallyport_policy_git::{Kind, Settings, WebhookSecret, examine};

use super::Finding;
use crate::config::Config;
use crate::gateway::loader;
use crate::policy::PolicyConfig;

const CHECK: &str = "`sallyport policy check` shows the places";

/// The bundle that a gateway would have: the directory's, or the last good one of the branch.
///
/// # Errors
/// What is wrong, when there is none.
pub(super) async fn bundle(config: &Config, findings: &mut Vec<Finding>) -> Result<Bundle, Finding> {
    let bad = |error: String| Finding::bad("policy", error, "correct `policy` in the configuration");
    match (&config.policy, config.policy.git()) {
        (PolicyConfig::Directory(dir), _) => loader()
            .load(dir)
            .map_err(|error| Finding::bad("policy", error.to_string(), CHECK)),
        (PolicyConfig::Git { .. }, Ok(Some(settings))) => followed(config, &settings, findings).await,
        (PolicyConfig::Git { .. }, Ok(None)) => Err(bad("it names no branch".to_owned())),
        (PolicyConfig::Git { .. }, Err(error)) => Err(bad(format!("{error:#}"))),
    }
}

async fn followed(config: &Config, settings: &Settings, findings: &mut Vec<Finding>) -> Result<Bundle, Finding> {
    let examined = examine(settings, &config.state_dir).await;
    let examined =
        examined.map_err(|error| Finding::bad("policy source", error.to_string(), "make room for temporary files"))?;
    findings.push(match examined.git {
        Ok(version) => Finding::good("git", format!("version {version}")),
        Err(trouble) => Finding::bad(
            "git",
            trouble.to_string(),
            "install git 2.35 or newer, and ssh-keygen or gpg for signatures",
        ),
    });
    let source = settings.source();
    let last = match examined.last {
        Ok(last) => last,
        Err(error) => {
            findings.push(Finding::bad("policy source", error, "see the book, Policy from git"));
            None
        }
    };
    findings.push(match (examined.tip, &last) {
        (Ok(tip), Some((commit, _))) if tip == *commit => {
            Finding::good("policy source", format!("`{source}` is at {tip}, which is in force"))
        }
        (Ok(tip), Some((commit, _))) => Finding::doubtful(
            "policy source",
            format!("`{source}` is at {tip}; the last good one is {commit}"),
            "if that lasts longer than the poll, `sallyport policy status` says why",
        ),
        (Ok(tip), None) => Finding::good("policy source", format!("`{source}` is at {tip}")),
        (Err(trouble), _) if trouble.kind == Kind::Branch => Finding::bad(
            "policy source",
            trouble.to_string(),
            "correct the branch in the configuration",
        ),
        (Err(trouble), _) => Finding::bad(
            "policy source",
            trouble.to_string(),
            "check the address, the network, and what is shown to the host",
        ),
    });
    if let Some(Err(error)) = settings.webhook_secret_file.as_deref().map(WebhookSecret::read) {
        findings.push(Finding::bad("policy webhook", error, "correct `webhook_secret_file`"));
    }
    let none = "start the gateway once; then its bundle is looked at, too";
    let Some((commit, digest)) = last else {
        return Err(Finding::doubtful("policy", "no bundle is kept yet", none));
    };
    let files = Kept::at(&config.state_dir.join("bundles")).files(&digest);
    let files = files.map_err(|error| Finding::bad("policy", error.to_string(), none))?;
    let loaded = loader().load_files(&settings.files, files, Some(commit));
    loaded.map_err(|problems| {
        let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Finding::bad("policy", words.join("; "), CHECK)
    })
}
