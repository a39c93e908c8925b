//! A server, a gateway before it, and the two ways to the server.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sallyport_testbed::{Agent, AgentOptions, Gateway, GatewayOptions, Options, Person, Postgres, Role};
use tempfile::TempDir;

use crate::behind::{AGENT, split};
use crate::{Endpoint, through_agents};

/// The role as which the gateway logs in at the server.
pub const ROLE: &str = "app";
/// That role's password, which no client ever sees.
pub const ROLE_PASSWORD: &str = "the-role-s-own-password-4711";
/// The database.
pub const DATABASE: &str = "shop";
/// The target's name, by which clients ask for it.
pub const TARGET: &str = "orders";

/// What the stage should be like.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The policy bundle.
    pub policy: PathBuf,
    /// Who is there.
    pub people: Vec<Person>,
    /// How the server is set up, beside its role and database.
    pub server: Options,
    /// Further lines of the target's entry; `{ca}` becomes the file with the authority of the server's certificate.
    pub target: String,
    /// How the gateway logs in, in place of a file with the role's password.
    pub login: Option<String>,
    /// Further tables of the file of targets.
    pub stores: String,
    /// Further lines of `sallyport.toml`.
    pub settings: String,
    /// What a shell does before the gateway's program takes its place: limits, variables.
    pub before: String,
    /// Whether an agent logs in to the server, and not the gateway.
    pub agent: bool,
}

impl Plan {
    /// A policy of this repository, by its path from the root; alice is a developer, dana a DBA.
    pub fn with_policy(path: &str) -> Plan {
        Plan {
            policy: root().join(path),
            people: vec![
                Person::new("alice", &["developers"]),
                Person::new("dana", &["dba"]),
                Person::new("audrey", &["auditors"]),
            ],
            server: Options::default(),
            target: "tls = \"disable\"".to_owned(),
            login: None,
            stores: String::new(),
            settings: String::new(),
            before: String::new(),
            agent: through_agents(),
        }
    }

    /// The program to start: a shell that becomes it, if there is something to do before.
    fn program(&self, dir: &Path) -> Result<PathBuf> {
        let program = program()?;
        if self.before.is_empty() {
            return Ok(program);
        }
        let script = dir.join("sallyport");
        std::fs::write(
            &script,
            format!("#!/bin/sh\n{}\nexec {program:?} \"$@\"\n", self.before),
        )?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700))?;
        Ok(script)
    }
}

/// A running server with a running gateway.
pub struct Stage {
    /// The agent, if there is one; it ends first.
    pub agent: Option<Agent>,
    /// The gateway.
    pub gateway: Gateway,
    /// The server.
    pub server: Postgres,
    _secret: TempDir,
}

impl Stage {
    /// Starts both.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(plan: &Plan) -> Result<Stage> {
        let mut options = plan.server.clone();
        options.roles.insert(0, Role::new(ROLE, ROLE_PASSWORD));
        options.databases.insert(0, DATABASE.to_owned());
        let server = Postgres::start(&options)?;
        let secret = tempfile::tempdir()?;
        let password = secret.path().join("password");
        std::fs::write(&password, ROLE_PASSWORD)?;
        let authority = server
            .ca_path()
            .map(|path| path.display().to_string())
            .unwrap_or_default();
        let login = format!("user = \"{ROLE}\"\npassword_file = {password:?}");
        let targets = format!(
            "[[target]]\nname = \"{TARGET}\"\nprotocol = \"postgres\"\naddress = \"localhost:{}\"\n\
             environment = \"production\"\ndatabase = \"{DATABASE}\"\n{}\n{}\n{}",
            server.port(),
            plan.login.as_ref().unwrap_or(&login),
            plan.target.replace("{ca}", &authority),
            plan.stores
        );
        let (targets, beside) = match plan.agent {
            true => split(&targets, AGENT),
            false => (targets, String::new()),
        };
        let mut people = plan.people.clone();
        if plan.agent && people.iter().all(|person| person.name != "adam") {
            people.push(Person::new("adam", &["admins"]));
        }
        let gateway = Gateway::start(&GatewayOptions {
            program: plan.program(secret.path())?,
            policy: plan.policy.clone(),
            targets: Some(targets),
            people,
            settings: plan.settings.clone(),
        })?;
        let options = AgentOptions {
            name: AGENT.to_owned(),
            targets: beside,
            ..AgentOptions::default()
        };
        let join = || {
            Ok::<_, anyhow::Error>(Agent::start(
                &self::program()?,
                &gateway,
                &gateway.login("adam")?,
                &options,
            )?)
        };
        Ok(Stage {
            agent: plan.agent.then(join).transpose()?,
            gateway,
            server,
            _secret: secret,
        })
    }

    /// Waits until the agent is there again, if there is one, after the gateway was started anew.
    ///
    /// # Errors
    /// When it does not come.
    pub fn settled(&self) -> Result<()> {
        let Some(agent) = &self.agent else { return Ok(()) };
        let admin = self.gateway.login("adam")?;
        Ok(agent.wait_until(|| Ok(sallyport_testbed::connected(&self.gateway, &admin)? > 0))?)
    }

    /// Straight to the server.
    pub fn direct(&self) -> Endpoint {
        let at = SocketAddr::from(([127, 0, 0, 1], self.server.port()));
        endpoint(at, ROLE, ROLE_PASSWORD, DATABASE)
    }

    /// Through the gateway, with a fresh token.
    ///
    /// # Errors
    /// When the gateway gives no token.
    pub fn through(&self, person: &str) -> Result<Endpoint> {
        let token = self.gateway.token(person)?;
        Ok(endpoint(self.gateway.postgres(), person, &token, TARGET))
    }
}

fn endpoint(at: SocketAddr, user: &str, password: &str, database: &str) -> Endpoint {
    Endpoint {
        host: at.ip().to_string(),
        port: at.port(),
        user: user.to_owned(),
        password: password.to_owned(),
        database: database.to_owned(),
        tls: false,
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The program, beside the test's own: `cargo xtask test` builds it first.
///
/// # Errors
/// When it has not been built.
pub fn program() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let dir = test
        .parent()
        .and_then(Path::parent)
        .context("a test without a directory")?;
    let program = dir.join("sallyport");
    ensure!(
        program.exists(),
        "`{}` is not there: `cargo build -p sallyport` makes it",
        program.display()
    );
    Ok(program)
}
