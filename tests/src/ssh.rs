//! An SSH server, a gateway before it, and the two ways to the server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sallyport_testbed::{
    Account, Agent, AgentOptions, Gateway, GatewayOptions, KeyKind, Person, SshConfig, SshKey, Sshd, SshdOptions, What,
};
use tempfile::TempDir;

use crate::behind::{AGENT, agents_mask, split};
use crate::{program, root, through_agents};

/// The target's name, and the name by which clients' configurations know either way to it.
pub const HOST: &str = "web-1";
/// The account at the host.
pub const ACCOUNT: &str = "deploy";

/// What the gateway asks each host: where home is, and where a command line begins.
const PLACES: &str = "printf '%s\\n' \"${BASH_VERSION:+bash}${ZSH_VERSION:+zsh}${KSH_VERSION:+ksh}\" \"$HOME\"; \
                      pwd -P; cd && pwd -P";

/// Ordinary work is permitted, what is not understood too; forwards, the agent and subsystems other than SFTP are not.
const PERMITS: &str = r#"
@id("connect") permit (principal, action == Action::"connect", resource);
@id("reveal") permit (principal, action == Action::"reveal", resource);
@id("unparsed") permit (principal, action == Action::"unparsed", resource);
@id("commands") permit (principal, action in Ssh::Action::"command", resource);
@id("files") permit (principal, action in Ssh::Action::"files", resource);
@id("shells") permit (principal, action == Ssh::Action::"shell", resource);
@id("sftp") permit (principal, action == Ssh::Action::"subsystem", resource) when { context.name == "sftp" };
"#;

/// What the bed should be like.
#[derive(Debug, Clone)]
pub struct SshPlan {
    /// Rules beside those that permit ordinary work.
    pub rules: String,
    /// `classify.toml`.
    pub classify: String,
    /// Further lines of the target's entry.
    pub target: String,
    /// How the gateway logs in, in place of a private key in a file.
    pub login: Option<String>,
    /// Further tables of the file of targets.
    pub stores: String,
    /// Further lines of `sallyport.toml`.
    pub settings: String,
    /// Lines of the host's `sshd_config`.
    pub sshd: Vec<String>,
    /// Whether an agent logs in to the host, and not the gateway.
    pub agent: bool,
}

impl Default for SshPlan {
    /// The host's own shell, recorded, and no rules beyond ordinary work.
    fn default() -> SshPlan {
        let masks = if agents_mask() { "\nmask_at = \"agent\"" } else { "" };
        SshPlan {
            rules: String::new(),
            classify: String::new(),
            target: format!("shell = \"recorded\"{masks}"),
            login: None,
            stores: String::new(),
            settings: String::new(),
            sshd: Vec::new(),
            agent: through_agents(),
        }
    }
}

impl SshPlan {
    /// Behind an agent that masks what commands and recorded shells say.
    #[must_use]
    pub fn masked_at_an_agent(self) -> SshPlan {
        SshPlan {
            agent: true,
            target: "shell = \"recorded\"\nmask_at = \"agent\"".to_owned(),
            ..self
        }
    }

    /// Ordinary work, and these rules.
    pub fn with_rules(rules: &str) -> SshPlan {
        SshPlan {
            rules: rules.to_owned(),
            ..SshPlan::default()
        }
    }
}

/// A running server with a running gateway.
pub struct SshBed {
    /// The agent, if there is one; it ends first.
    pub agent: Option<Agent>,
    /// The gateway.
    pub gateway: Gateway,
    /// The host.
    pub sshd: Sshd,
    dir: TempDir,
    owner: SshKey,
    /// Each person's registered key.
    people: Vec<(String, SshKey)>,
    /// What the gateway shows to its clients.
    shown: String,
}

impl SshBed {
    /// Starts both. Alice is a developer, dana a DBA, audrey an auditor, adam an administrator; each has a registered key.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(plan: &SshPlan) -> Result<SshBed> {
        let dir = tempfile::tempdir()?;
        let key = |name: &str| SshKey::generate(&dir.path().join(name), KeyKind::Ed25519);
        let (owner, login) = (key("owner")?, key("login")?);
        let account = Account::new(ACCOUNT).with_key(owner.public()).with_key(login.public());
        let sshd = Sshd::start(&SshdOptions {
            accounts: vec![account],
            settings: plan.sshd.clone(),
            ..SshdOptions::default()
        })?;
        let policy = dir.path().join("policy");
        std::fs::create_dir_all(policy.join("rules"))?;
        std::fs::write(policy.join("rules/permits.cedar"), PERMITS)?;
        std::fs::write(policy.join("rules/more.cedar"), &plan.rules)?;
        std::fs::write(policy.join("classify.toml"), &plan.classify)?;
        let targets = format!(
            "[[target]]\nname = \"{HOST}\"\nprotocol = \"ssh\"\naddress = \"{}\"\nenvironment = \"production\"\n\
             user = \"{ACCOUNT}\"\n{}\nhost_keys = [{:?}]\n{}\n{}",
            sshd.address(),
            plan.login
                .clone()
                .unwrap_or_else(|| format!("private_key_file = {:?}", login.path())),
            sshd.host_keys().first().context("a host without a key")?,
            plan.target,
            plan.stores,
        );
        let (targets, beside) = match plan.agent {
            true => split(&targets, AGENT),
            false => (targets, String::new()),
        };
        let mut people = Vec::new();
        let mut file = Vec::new();
        for (name, group) in [
            ("alice", "developers"),
            ("dana", "dba"),
            ("audrey", "auditors"),
            ("adam", "admins"),
        ] {
            let key = key(name)?;
            file.push(Person {
                more: format!("ssh_keys = [{:?}]", key.public()),
                ..Person::new(name, &[group])
            });
            people.push((name.to_owned(), key));
        }
        let gateway = Gateway::start_with_ssh(&GatewayOptions {
            program: program()?,
            policy,
            targets: Some(targets),
            people: file,
            settings: plan.settings.clone(),
        })?;
        let options = AgentOptions {
            name: AGENT.to_owned(),
            targets: beside,
            ..AgentOptions::default()
        };
        let join = || Ok::<_, anyhow::Error>(Agent::start(&program()?, &gateway, &gateway.login("adam")?, &options)?);
        let agent = plan.agent.then(join).transpose()?;
        let shown = SshKey::public_of(&gateway.dir().join("state/keys/ssh_host_ed25519"))?;
        Ok(SshBed {
            agent,
            gateway,
            sshd,
            dir,
            owner,
            people,
            shown,
        })
    }

    /// Straight to the host.
    ///
    /// # Errors
    /// When the configuration cannot be written.
    pub fn direct(&self) -> Result<SshConfig> {
        let identity = format!("IdentityFile {}", self.owner.path().display());
        let path = self.dir.path().join("direct");
        let keys = self.sshd.host_keys();
        Ok(SshConfig::write(
            &path,
            HOST,
            self.sshd.address(),
            ACCOUNT,
            keys,
            &[identity],
        )?)
    }

    /// Through the gateway, with the person's registered key. A registered key is good for a while after a login.
    ///
    /// # Errors
    /// When the gateway does not know the person.
    pub fn through(&self, person: &str) -> Result<SshConfig> {
        self.gateway.login(person)?;
        let (_, key) = self
            .people
            .iter()
            .find(|(name, _)| name == person)
            .context("nobody of this name")?;
        let identity = format!("IdentityFile {}", key.path().display());
        self.config(person, person, &[identity])
    }

    /// Through the gateway with a token as the password. The configuration says who asks for it: `SSH_ASKPASS` of the
    /// commands that it makes must be set to the returned path.
    ///
    /// # Errors
    /// When the configuration cannot be written.
    pub fn through_with_token(&self, person: &str, token: &str) -> Result<(SshConfig, PathBuf)> {
        let askpass = self.dir.path().join(format!("{person}-askpass"));
        std::fs::write(&askpass, format!("#!/bin/sh\necho '{token}'\n"))?;
        std::fs::set_permissions(&askpass, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        let more = ["PubkeyAuthentication no", "NumberOfPasswordPrompts 1"].map(str::to_owned);
        Ok((self.config(&format!("{person}-token"), person, &more)?, askpass))
    }

    fn config(&self, file: &str, person: &str, more: &[String]) -> Result<SshConfig> {
        let address = self.gateway.ssh().context("a gateway without SSH")?;
        let path = self.dir.path().join(format!("through-{file}"));
        let user = format!("{person}@{HOST}");
        Ok(SshConfig::write(
            &path,
            HOST,
            address,
            &user,
            std::slice::from_ref(&self.shown),
            more,
        )?)
    }

    /// What the host was asked to run, but for the gateway's own question at the start of each session.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn ran(&self) -> Result<Vec<What>> {
        let ran = self.sshd.ran()?.into_iter().map(|ran| ran.what);
        Ok(ran.filter(|what| *what != What::Exec(PLACES.to_owned())).collect())
    }

    /// A directory for the test's own files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What both sides know, for when a test fails.
    pub fn logs(&self) -> String {
        let agent = self.agent.as_ref().map(Agent::log).unwrap_or_default();
        let (gateway, host) = (self.gateway.log_tail(), self.sshd.log_tail());
        format!("agent: {agent}\ngateway: {gateway}\nhost: {host}")
    }

    /// Runs the same with and without the gateway; what the program prints must be the same, and end with `last`.
    ///
    /// # Errors
    /// When it fails, or prints something else.
    pub fn notices_nothing(&self, scenario: impl Fn(&SshConfig) -> Result<String>, last: &str) -> Result<()> {
        let expected = scenario(&self.direct()?).context("without the gateway")?;
        ensure!(
            expected.trim_end().ends_with(last),
            "the program did not come to its end: {expected}"
        );
        let got = scenario(&self.through("alice")?).with_context(|| self.logs())?;
        for (number, (wanted, got)) in expected.lines().zip(got.lines()).enumerate() {
            ensure!(wanted == got, "line {}: {got:?} instead of {wanted:?}", number + 1);
        }
        ensure!(expected == got, "one transcript is longer than the other: {got}");
        Ok(())
    }
}

/// The Python of the virtual environment with SSH clients.
pub fn ssh_python() -> PathBuf {
    sallyport_testbed::cache_dir().join("python-ssh/venv/bin/python")
}

/// The repository's script of a client.
pub fn ssh_script(name: &str) -> PathBuf {
    root().join("tests/drivers").join(name)
}
