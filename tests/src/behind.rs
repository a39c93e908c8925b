//! A PostgreSQL server and an SSH host that only an agent logs in to.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sallyport_testbed::{
    Account, Agent, AgentOptions, Gateway, GatewayOptions, Host, KeyKind, Options, Person, Postgres, Role, SshConfig,
    SshKey, Sshd, SshdOptions,
};
use tempfile::TempDir;

use crate::{ACCOUNT, DATABASE, Endpoint, HOST, ROLE, ROLE_PASSWORD, TARGET, program, root};

/// The name under which the agent joins.
pub const AGENT: &str = "eu-west";

/// Whether tests that do not say so have agents log in: all that works without must work with them.
pub fn through_agents() -> bool {
    std::env::var_os("SALLYPORT_TEST_AGENT").is_some()
}

/// Whether these agents mask, where they can: `SALLYPORT_TEST_AGENT=masks`.
pub(crate) fn agents_mask() -> bool {
    std::env::var("SALLYPORT_TEST_AGENT").is_ok_and(|value| value == "masks")
}

/// Where everything is, if not on this machine's loopback.
#[derive(Debug, Clone)]
pub struct Places {
    /// The gateway's host.
    pub gateway: Host,
    /// The agent's.
    pub agent: Host,
    /// The servers'.
    pub target: Host,
}

/// What is behind the agent, and how.
#[derive(Debug, Clone)]
pub struct BehindPlan {
    /// The policy bundle.
    pub policy: PathBuf,
    /// Further lines of the PostgreSQL target's entry in the gateway's file.
    pub target: String,
    /// How the agent logs in to the server, in place of a file with the role's password.
    pub login: Option<String>,
    /// Further tables of the agent's file of targets.
    pub stores: String,
    /// Further roles of the server.
    pub roles: Vec<Role>,
    /// Further lines of `sallyport.toml`.
    pub settings: String,
    /// The server's settings.
    pub server: Options,
    /// Whether there is an SSH host, too, and what its shell is.
    pub ssh: Option<&'static str>,
    /// Where everything is.
    pub places: Option<Places>,
    /// Further arguments of the agent.
    pub arguments: Vec<String>,
}

impl Default for BehindPlan {
    fn default() -> BehindPlan {
        BehindPlan {
            policy: root().join("tests/policies/permit-all"),
            target: String::new(),
            login: None,
            stores: String::new(),
            roles: Vec::new(),
            settings: String::new(),
            server: Options::default(),
            ssh: None,
            places: None,
            arguments: Vec::new(),
        }
    }
}

impl BehindPlan {
    /// With an SSH host that has recorded shells.
    #[must_use]
    pub fn with_ssh(self) -> BehindPlan {
        BehindPlan {
            ssh: Some("recorded"),
            ..self
        }
    }
}

/// Servers, an agent beside them, and a gateway that knows neither where they are nor how to log in.
pub struct Behind {
    /// The agent; it ends first.
    pub agent: Agent,
    /// The gateway.
    pub gateway: Gateway,
    /// The server.
    pub server: Postgres,
    /// The host.
    pub sshd: Option<Sshd>,
    /// An administrator's login at the API.
    pub admin: String,
    /// How the agent was started.
    pub options: AgentOptions,
    key: SshKey,
    placed: bool,
    dir: TempDir,
}

impl Behind {
    /// Starts all of it.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(plan: &BehindPlan) -> Result<Behind> {
        Behind::start_with(plan, |_, _| Ok(()))
    }

    /// The same; something happens when all but the agent is there.
    ///
    /// # Errors
    /// When one of them does not start, or what happens fails.
    pub fn start_with(
        plan: &BehindPlan,
        before: impl FnOnce(&Gateway, &mut AgentOptions) -> Result<()>,
    ) -> Result<Behind> {
        let dir = tempfile::tempdir()?;
        let mut server = plan.server.clone();
        server.roles.insert(0, Role::new(ROLE, ROLE_PASSWORD));
        server.roles.extend(plan.roles.iter().cloned());
        server.databases.insert(0, DATABASE.to_owned());
        server.host = plan.places.as_ref().map(|places| places.target.clone());
        let server = Postgres::start(&server)?;
        let login = format!("user = \"{ROLE}\"\npassword_file = \"password\"");
        let mut options = AgentOptions {
            name: AGENT.to_owned(),
            targets: format!(
                "[[target]]\nname = \"{TARGET}\"\nprotocol = \"postgres\"\naddress = \"{}:{}\"\n\
                 {}\ntls = \"disable\"\n{}",
                server.host(),
                server.port(),
                plan.login.as_ref().unwrap_or(&login),
                plan.stores,
            ),
            files: vec![("password".to_owned(), ROLE_PASSWORD.to_owned())],
            arguments: plan.arguments.clone(),
            host: plan.places.as_ref().map(|places| places.agent.clone()),
        };
        let mut targets = format!(
            "[[target]]\nname = \"{TARGET}\"\nprotocol = \"postgres\"\nagent = \"{AGENT}\"\n\
             environment = \"production\"\ndatabase = \"{DATABASE}\"\n{}\n",
            plan.target
        );
        let sshd = plan
            .ssh
            .map(|shell| host(plan, shell, dir.path(), &mut options, &mut targets))
            .transpose()?;
        let key = SshKey::generate(&dir.path().join("alice"), KeyKind::Ed25519)?;
        let gateway = gateway(plan, targets, &key)?;
        let admin = gateway.login("adam")?;
        before(&gateway, &mut options)?;
        let agent = Agent::start(&program()?, &gateway, &admin, &options)?;
        Ok(Behind {
            agent,
            gateway,
            server,
            sshd,
            admin,
            options,
            key,
            placed: plan.places.is_some(),
            dir,
        })
    }

    /// Another agent of the same name, which has the same targets.
    ///
    /// # Errors
    /// When it does not connect.
    pub fn another(&self) -> Result<Agent> {
        Ok(Agent::start(&program()?, &self.gateway, &self.admin, &self.options)?)
    }

    /// Through the gateway, with a fresh token.
    ///
    /// # Errors
    /// When the gateway gives no token.
    pub fn through(&self, person: &str) -> Result<Endpoint> {
        let at = self.gateway.postgres();
        Ok(Endpoint {
            host: at.ip().to_string(),
            port: at.port(),
            user: person.to_owned(),
            password: self.gateway.token(person)?,
            database: TARGET.to_owned(),
            tls: self.placed,
        })
    }

    /// OpenSSH's clients through the gateway, as alice.
    ///
    /// # Errors
    /// When there is no host.
    pub fn ssh(&self) -> Result<SshConfig> {
        self.gateway.login("alice")?;
        let address = self.gateway.ssh().context("a gateway without SSH")?;
        let shown = SshKey::public_of(&self.gateway.dir().join("state/keys/ssh_host_ed25519"))?;
        let identity = format!("IdentityFile {}", self.key.path().display());
        let path = self.dir.path().join("through");
        let user = format!("alice@{HOST}");
        Ok(SshConfig::write(&path, HOST, address, &user, &[shown], &[identity])?)
    }

    /// The host.
    ///
    /// # Errors
    /// When there is none.
    pub fn sshd(&self) -> Result<&Sshd> {
        self.sshd.as_ref().context("no host")
    }

    /// The operator's commands, as somebody who is logged in.
    ///
    /// # Errors
    /// When the gateway does not know them.
    pub fn command(&self, person: &str) -> Result<Command> {
        let mut command = self.gateway.command();
        command.env("SALLYPORT_TOKEN", self.gateway.login(person)?);
        command.env("SALLYPORT_API", format!("http://{}", self.gateway.api().address()));
        Ok(command)
    }

    /// A directory for the test's own files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What both sides know, for when a test fails.
    pub fn logs(&self) -> String {
        format!("agent: {}\ngateway: {}", self.agent.log(), self.gateway.log_tail())
    }
}

fn gateway(plan: &BehindPlan, targets: String, key: &SshKey) -> Result<Gateway> {
    let alice = Person {
        more: format!("ssh_keys = [{:?}]", key.public()),
        ..Person::new("alice", &["developers"])
    };
    let options = GatewayOptions {
        program: program()?,
        policy: plan.policy.clone(),
        targets: Some(targets),
        people: vec![
            alice,
            Person::new("dana", &["dba"]),
            Person::new("audrey", &["auditors"]),
            Person::new("adam", &["admins"]),
        ],
        settings: plan.settings.clone(),
    };
    Ok(match &plan.places {
        Some(places) => Gateway::start_in_host(&options, &places.gateway)?,
        None => Gateway::start_with_ssh(&options)?,
    })
}

fn host(plan: &BehindPlan, shell: &str, dir: &Path, options: &mut AgentOptions, targets: &mut String) -> Result<Sshd> {
    let login = SshKey::generate(&dir.join("login"), KeyKind::Ed25519)?;
    let sshd = Sshd::start(&SshdOptions {
        accounts: vec![Account::new(ACCOUNT).with_key(login.public())],
        host: plan.places.as_ref().map(|places| places.target.clone()),
        ..SshdOptions::default()
    })?;
    options.targets += &format!(
        "\n[[target]]\nname = \"{HOST}\"\nprotocol = \"ssh\"\naddress = \"{}\"\nuser = \"{ACCOUNT}\"\n\
         private_key_file = \"login\"\nhost_keys = [{:?}]\n",
        sshd.address(),
        sshd.host_keys().first().context("a host without a key")?,
    );
    options
        .files
        .push(("login".to_owned(), std::fs::read_to_string(login.path())?));
    *targets += &format!(
        "\n[[target]]\nname = \"{HOST}\"\nprotocol = \"ssh\"\nagent = \"{AGENT}\"\nenvironment = \"production\"\n\
         user = \"{ACCOUNT}\"\nshell = \"{shell}\"\n"
    );
    Ok(sshd)
}

/// The entries of a gateway that logs in itself, as one writes them down that leaves that to agents, and as they do.
pub(crate) fn split(targets: &str, agent: &str) -> (String, String) {
    const BOTH: [&str; 3] = ["name", "protocol", "logins"];
    const JUDGED: [&str; 10] = [
        "enforce",
        "environment",
        "tags",
        "database",
        "startup_settings",
        "accept_env",
        "shell",
        "files",
        "login_shell",
        "mask_at",
    ];
    let ssh = targets.contains("\"ssh\"");
    let (mut judged, mut login) = (String::new(), String::new());
    for line in targets.lines() {
        let option = line.split('=').next().unwrap_or_default().trim();
        let both = line.starts_with('[') || BOTH.contains(&option) || (option == "user" && ssh);
        if both || JUDGED.contains(&option) {
            judged += &format!("{line}\n");
        }
        if both || !JUDGED.contains(&option) {
            login += &format!("{line}\n");
        }
        if option == "name" {
            judged += &format!("agent = \"{agent}\"\n");
        }
    }
    (judged, login)
}
