//! `sallyport doctor`: what is wrong, and what to do about it.

mod policy;

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use sallyport_api::ports::PolicyStatus;
use sallyport_identity::client::{ClientError, GatewayClient};
use sallyport_target::{Catalogue, Lease, SshLease, SshSecret, Target, dial_tcp};
use serde::Serialize;
use serde_json::Value;

use super::caller::Caller;
use super::terminal::{print_json, safe};
use crate::config::Config;

/// Find out what is wrong: with your login and the gateway, or, with --config, on the gateway's machine.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    caller: Caller,
    /// Examine the gateway of this configuration, on its machine.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What one look found.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    what: String,
    verdict: Verdict,
    detail: String,
    /// What to do.
    hint: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Doubtful,
    Bad,
}

impl Finding {
    fn good(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            verdict: Verdict::Good,
            detail: detail.into(),
            hint: None,
        }
    }

    fn doubtful(what: impl Into<String>, detail: impl Into<String>, hint: &'static str) -> Self {
        Self {
            what: what.into(),
            verdict: Verdict::Doubtful,
            detail: detail.into(),
            hint: Some(hint),
        }
    }

    fn bad(what: impl Into<String>, detail: impl Into<String>, hint: &'static str) -> Self {
        Self {
            what: what.into(),
            verdict: Verdict::Bad,
            detail: detail.into(),
            hint: Some(hint),
        }
    }
}

impl DoctorArgs {
    /// Looks at everything and says what it found.
    ///
    /// # Errors
    /// When something is wrong.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let findings = match &self.config {
            Some(path) => machine(path).await,
            None => person(&self.caller).await,
        };
        if self.json {
            print_json(&findings)?;
        } else {
            print(&findings)?;
        }
        match findings
            .iter()
            .filter(|finding| finding.verdict == Verdict::Bad)
            .count()
        {
            0 => Ok(()),
            1 => bail!("one thing is wrong"),
            count => bail!("{count} things are wrong"),
        }
    }
}

fn print(findings: &[Finding]) -> std::io::Result<()> {
    let mut out = stdout().lock();
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Good => "ok  ",
            Verdict::Doubtful => "hmm ",
            Verdict::Bad => "BAD ",
        };
        writeln!(out, "{mark} {:<18} {}", safe(&finding.what), safe(&finding.detail))?;
        if let Some(hint) = finding.hint {
            writeln!(out, "     {:<18} -> {hint}", "")?;
        }
    }
    Ok(())
}

/// What a person can see: the way to the gateway, the login, the policy in force.
async fn person(caller: &Caller) -> Vec<Finding> {
    let address = match caller.address() {
        Ok(address) => address,
        Err(error) => {
            let hint = "run `sallyport login --api URL`";
            return vec![Finding::bad("gateway", format!("{error:#}"), hint)];
        }
    };
    let (login, gateway) = match caller.logged_in() {
        Ok(gateway) => {
            let login = Finding::good("login", "there is one that has not ended");
            (login, Ok(gateway))
        }
        Err(error) => {
            let login = Finding::bad("login", format!("{error:#}"), "run `sallyport login`");
            (login, GatewayClient::new(&address, None, None))
        }
    };
    let gateway = match gateway {
        Ok(gateway) => gateway,
        Err(error) => {
            let address = Finding::bad("gateway", error.to_string(), "correct the address");
            return vec![login, address];
        }
    };
    let mut findings = vec![login, health(&gateway, &address).await];
    if findings.iter().all(|finding| finding.verdict != Verdict::Bad) {
        findings.push(identity(&gateway).await);
        findings.push(policy_in_force(&gateway).await);
    }
    findings
}

async fn health(gateway: &GatewayClient, address: &str) -> Finding {
    match gateway.get::<Value>("healthz").await {
        Ok(_) => Finding::good("gateway", format!("`{address}` answers and is well")),
        Err(ClientError::Answered { status: 503, .. }) => Finding::bad(
            "gateway",
            format!("`{address}` answers, but is not well"),
            "whoever operates it finds the reason in its log and in `sallyport doctor --config`",
        ),
        Err(error) => Finding::bad(
            "gateway",
            error.to_string(),
            "check the address, the network and the certificate",
        ),
    }
}

async fn identity(gateway: &GatewayClient) -> Finding {
    let me = match gateway.get::<Value>("v1/me").await {
        Ok(me) => me,
        Err(error) => return Finding::bad("identity", error.to_string(), "run `sallyport login`"),
    };
    let groups: Vec<&str> = me
        .get("groups")
        .and_then(Value::as_array)
        .map(|groups| groups.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let user = me.get("user").and_then(Value::as_str).unwrap_or("nobody");
    let groups = if groups.is_empty() {
        "no groups".to_owned()
    } else {
        groups.join(", ")
    };
    Finding::good("identity", format!("you are {user}, in {groups}"))
}

async fn policy_in_force(gateway: &GatewayClient) -> Finding {
    match gateway.get::<PolicyStatus>("v1/policy").await {
        Ok(PolicyStatus {
            digest, error: None, ..
        }) => Finding::good("policy", format!("{digest} is in force")),
        Ok(PolicyStatus { error: Some(error), .. }) => Finding::doubtful(
            "policy",
            error,
            "`sallyport policy status` says more; until it is corrected, the version before stays in force",
        ),
        Err(error) => Finding::bad(
            "policy",
            error.to_string(),
            "whoever operates the gateway finds the reason in its log",
        ),
    }
}

/// What only the gateway's machine shows: files, policy, targets.
async fn machine(path: &Path) -> Vec<Finding> {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => {
            return vec![Finding::bad("configuration", format!("{error:#}"), "correct the file")];
        }
    };
    let mut findings = vec![Finding::good(
        "configuration",
        format!("`{}` makes sense", path.display()),
    )];
    findings.push(state(&config.state_dir));
    let bundle = match policy::bundle(&config, &mut findings).await {
        Ok(bundle) => bundle,
        Err(bad) => {
            findings.push(bad);
            return findings;
        }
    };
    findings.push(match bundle.warnings().len() {
        0 => Finding::good("policy", format!("{} is valid", bundle.digest())),
        count => {
            let detail = format!("{} is valid, with {count} warnings", bundle.digest());
            Finding::doubtful("policy", detail, "`sallyport policy check` shows them")
        }
    });
    let text = bundle.file("targets.toml").unwrap_or_default();
    let broker = config.broker();
    match Catalogue::parse(text, "targets.toml", bundle.dir(), &broker) {
        Ok(catalogue) if catalogue.targets().is_empty() => {
            findings.push(Finding::doubtful(
                "targets",
                "there are none",
                "name some in targets.toml",
            ));
        }
        Ok(catalogue) => {
            for target in catalogue.targets() {
                findings.push(reach(target).await);
            }
        }
        Err(error) => findings.push(Finding::bad("targets", error.to_string(), "correct targets.toml")),
    }
    // What was made for the look is ended again.
    broker.drained(PATIENCE).await;
    findings
}

/// Whether the state is there and private: it has keys.
fn state(dir: &Path) -> Finding {
    if !dir.exists() {
        let detail = format!("`{}` is not there yet; the gateway makes it", dir.display());
        return Finding::doubtful("state", detail, "start the gateway once");
    }
    let exposed = crate::state::exposed(dir);
    if exposed.is_empty() {
        return Finding::good("state", format!("`{}` is private", dir.display()));
    }
    let exposed: Vec<String> = exposed.iter().map(|path| path.display().to_string()).collect();
    Finding::bad(
        "state",
        format!("others can get at {}", exposed.join(", ")),
        "chmod directories to 0700 and files to 0600, and think about changing the keys",
    )
}

/// How long a target may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether a target's credential can be had and its port be reached. Nobody logs in.
async fn reach(target: &Target) -> Finding {
    let what = format!("target {}", target.name);
    let Some(address) = target.address() else {
        let agent = target.agent().map(ToString::to_string).unwrap_or_default();
        return Finding::good(
            what,
            format!("the agents `{agent}` log in; `sallyport agents` shows who is connected"),
        );
    };
    let lease = target.lease(target.place()).await.map_err(|error| error.to_string());
    if let Err(error) = lease.and_then(|lease| usable(&lease)) {
        return Finding::bad(what, error, "check the target's credential in targets.toml");
    }
    match dial_tcp(address, PATIENCE).await {
        Ok(_) => Finding::good(what, "its credential is there and its port can be reached"),
        Err(error) => Finding::bad(what, error.to_string(), "check the target's address, and that it runs"),
    }
}

/// Whether what a lease has can be used: a private key may have another passphrase.
fn usable(lease: &Lease) -> Result<(), String> {
    match lease {
        Lease::Ssh(SshLease {
            secret: SshSecret::PrivateKey(key),
            ..
        }) => key.open().map(drop).map_err(|error| error.to_string()),
        Lease::Ssh(_) | Lease::Postgres(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use sallyport_target::Broker;

    use super::*;

    #[test]
    fn a_state_that_others_can_look_into_is_bad() {
        let dir = tempfile::tempdir().unwrap();
        let set = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        set(0o700);
        assert_eq!(state(dir.path()).verdict, Verdict::Good);
        set(0o755);
        let finding = state(dir.path());
        assert_eq!(finding.verdict, Verdict::Bad);
        assert!(
            finding.detail.contains(&dir.path().display().to_string()),
            "{finding:?}"
        );
        assert_eq!(state(&dir.path().join("none")).verdict, Verdict::Doubtful);
    }

    #[tokio::test]
    async fn a_key_whose_passphrase_is_another_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let mut keygen = std::process::Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "right", "-f"]);
        assert!(keygen.arg(dir.path().join("key")).status().unwrap().success());
        let text = "[[target]]\nname = 'web'\nprotocol = 'ssh'\naddress = '127.0.0.1:1'\nuser = 'deploy'\n\
                    private_key_file = 'key'\nprivate_key_passphrase_file = 'pw'\n\
                    host_keys = ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJYQp1mS0Z3cS5s8OQbSYjTCyUwCsR3b4Nm0EIuNXVfP']\n";
        for (passphrase, word) in [("wrong", "passphrase"), ("right", "cannot be reached")] {
            fs::write(dir.path().join("pw"), passphrase).unwrap();
            let catalogue = Catalogue::parse(text, "targets.toml", dir.path(), &Broker::default()).unwrap();
            let finding = reach(&catalogue.targets()[0]).await;
            assert_eq!(finding.verdict, Verdict::Bad);
            assert!(finding.detail.contains(word), "{}", finding.detail);
        }
    }

    #[tokio::test]
    async fn a_configuration_that_makes_no_sense_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sallyport.toml");
        fs::write(&path, "state_dir = 7").unwrap();
        let findings = machine(&path).await;
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].verdict, Verdict::Bad);
        assert!(findings[0].detail.contains("sallyport.toml"), "{}", findings[0].detail);
    }
}
