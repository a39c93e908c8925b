//! A PostgreSQL server and an SSH host that only an agent logs in to.

use anyhow::{Context, Result};
use sallyport_testbed::{
    Account, Agent, AgentOptions, Gateway, GatewayOptions, KeyKind, Options, Person, Postgres, Role, SshKey, Sshd,
    SshdOptions,
};
use tempfile::TempDir;

use crate::{ACCOUNT, DATABASE, Endpoint, HOST, ROLE, ROLE_PASSWORD, TARGET, program, root};

/// The name under which the agent joins.
pub const AGENT: &str = "eu-west";

/// What is behind the agent, and how.
#[derive(Debug, Clone)]
pub struct BehindPlan {
    /// The policy bundle.
    pub policy: std::path::PathBuf,
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
    /// Whether there is an SSH host, too.
    pub ssh: bool,
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
            ssh: false,
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
    _dir: TempDir,
}

impl Behind {
    /// Starts all of it.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(plan: &BehindPlan) -> Result<Behind> {
        let dir = tempfile::tempdir()?;
        let server = Postgres::start(&Options {
            roles: std::iter::once(Role::new(ROLE, ROLE_PASSWORD))
                .chain(plan.roles.iter().cloned())
                .collect(),
            databases: vec![DATABASE.to_owned()],
            ..Options::default()
        })?;
        let login = format!("user = \"{ROLE}\"\npassword_file = \"password\"");
        let mut options = AgentOptions {
            name: AGENT.to_owned(),
            targets: format!(
                "[[target]]\nname = \"{TARGET}\"\nprotocol = \"postgres\"\naddress = \"localhost:{}\"\n\
                 {}\ntls = \"disable\"\n{}",
                server.port(),
                plan.login.as_ref().unwrap_or(&login),
                plan.stores,
            ),
            files: vec![("password".to_owned(), ROLE_PASSWORD.to_owned())],
            ..AgentOptions::default()
        };
        let mut targets = format!(
            "[[target]]\nname = \"{TARGET}\"\nprotocol = \"postgres\"\nagent = \"{AGENT}\"\n\
             environment = \"production\"\ndatabase = \"{DATABASE}\"\n{}\n",
            plan.target
        );
        let sshd = plan.ssh.then(|| host(&dir, &mut options, &mut targets)).transpose()?;
        let gateway = Gateway::start_with_ssh(&GatewayOptions {
            program: program()?,
            policy: plan.policy.clone(),
            targets: Some(targets),
            people: vec![
                Person::new("alice", &["developers"]),
                Person::new("dana", &["dba"]),
                Person::new("audrey", &["auditors"]),
                Person::new("adam", &["admins"]),
            ],
            settings: plan.settings.clone(),
        })?;
        let admin = gateway.login("adam")?;
        let agent = Agent::start(&program()?, &gateway, &admin, &options)?;
        Ok(Behind {
            agent,
            gateway,
            server,
            sshd,
            admin,
            options,
            _dir: dir,
        })
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
            tls: false,
        })
    }
}

fn host(dir: &TempDir, options: &mut AgentOptions, targets: &mut String) -> Result<Sshd> {
    let login = SshKey::generate(&dir.path().join("login"), KeyKind::Ed25519)?;
    let sshd = Sshd::start(&SshdOptions {
        accounts: vec![Account::new(ACCOUNT).with_key(login.public())],
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
         user = \"{ACCOUNT}\"\nshell = \"recorded\"\n"
    );
    Ok(sshd)
}
