//! The gateway itself, as an operator runs it, on throw-away state.

mod api;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::TestbedError;
use crate::cache::copy_tree;
use crate::net::{Host, place, within};
use crate::supervisor::Supervised;
use crate::tls::write_private;

pub use api::{Api, Reply};

/// The password of everybody in the people file of a throw-away gateway, and its argon2id hash.
pub const PASSWORD: &str = "correct horse battery staple";
const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$H2J/KaG8P9bkZajBhWxYqw$wyoh+9Xc5ol1DeF+3nTzL9kKAjzQo5rYi1meQ+hl0Kk";

/// How often a gateway is started on other ports.
const ATTEMPTS: usize = 4;

/// Somebody whom the gateway knows.
#[derive(Debug, Clone)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
    /// Further lines of the entry in the people file, and tables behind it.
    pub more: String,
}

impl Person {
    /// A person in groups.
    pub fn new(name: &str, groups: &[&str]) -> Person {
        Person {
            name: name.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            more: String::new(),
        }
    }
}

/// What the gateway should be like.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// The program.
    pub program: PathBuf,
    /// The policy bundle; a copy of it is used. Or the value of `policy` in `sallyport.toml` for a branch that is followed: a table
    /// in braces.
    pub policy: PathBuf,
    /// `targets.toml` of that copy; the bundle's own when absent.
    pub targets: Option<String>,
    /// The people file.
    pub people: Vec<Person>,
    /// Further lines of `sallyport.toml`: tables such as `[limits]`.
    pub settings: String,
}

/// A running gateway. Dropping it kills it and removes its state.
pub struct Gateway {
    process: Supervised,
    program: PathBuf,
    postgres: SocketAddr,
    ssh: Option<SocketAddr>,
    agents: SocketAddr,
    api: Api,
    host: Option<Host>,
}

impl Gateway {
    /// Starts a gateway and waits until its API answers.
    ///
    /// # Errors
    /// When it does not start; the error has the end of its log.
    pub fn start(options: &GatewayOptions) -> Result<Gateway, TestbedError> {
        Gateway::start_on(options, false, None)
    }

    /// The same with a listener for SSH.
    ///
    /// # Errors
    /// When it does not start; the error has the end of its log.
    pub fn start_with_ssh(options: &GatewayOptions) -> Result<Gateway, TestbedError> {
        Gateway::start_on(options, true, None)
    }

    /// The same in a host. The listeners are bound to that host's address, where clients of databases must use TLS; the
    /// API is on the host's loopback, and asked from within the host.
    ///
    /// # Errors
    /// When it does not start; the error has the end of its log.
    pub fn start_in_host(options: &GatewayOptions, host: &Host) -> Result<Gateway, TestbedError> {
        Gateway::start_on(options, true, Some(host))
    }

    fn start_on(options: &GatewayOptions, ssh: bool, host: Option<&Host>) -> Result<Gateway, TestbedError> {
        // A port that was free a moment ago may be somebody else's by now.
        for _ in 1..ATTEMPTS {
            match Gateway::start_once(options, ssh, host) {
                Err(TestbedError::Failed { output, .. }) if output.contains("in use") => {}
                started => return started,
            }
        }
        Gateway::start_once(options, ssh, host)
    }

    fn start_once(options: &GatewayOptions, ssh: bool, host: Option<&Host>) -> Result<Gateway, TestbedError> {
        let ssh = ssh.then(|| place(host, None)).transpose()?.map(SocketAddr::from);
        let dir = tempfile::Builder::new()
            .prefix("sallyport-gw-")
            .tempdir()
            .map_err(TestbedError::file(std::env::temp_dir()))?
            .keep();
        let started = Gateway::start_in(&dir, options, ssh, host);
        if started.is_err() {
            let _ = std::fs::remove_dir_all(&dir);
        }
        started
    }

    fn start_in(
        dir: &Path,
        options: &GatewayOptions,
        ssh: Option<SocketAddr>,
        host: Option<&Host>,
    ) -> Result<Gateway, TestbedError> {
        let followed = options.policy.to_str().filter(|policy| policy.starts_with('{'));
        if followed.is_none() {
            lay_policy(dir, options)?;
        }
        let policy = followed.unwrap_or("\"policy\"");
        write_private(&dir.join("people.toml"), &people(&options.people))?;
        let postgres = SocketAddr::from(place(host, None)?);
        let agents = SocketAddr::from(place(host, None)?);
        // On loopback of the host, if it is in one: elsewhere it would speak TLS.
        let (_, api) = place(host, None)?;
        let api = SocketAddr::from((Ipv4Addr::LOCALHOST, api));
        let listen_ssh = ssh.map(|address| format!("ssh = \"{address}\"\n")).unwrap_or_default();
        let config = format!(
            "state_dir = \"state\"\npolicy = {policy}\n\n[listen]\npostgres = \"{postgres}\"\napi = \"{api}\"\nagents = \"{agents}\"\n\
             {listen_ssh}\n\
             [identity]\npeople = \"people.toml\"\n\n{}",
            options.settings
        );
        let path = dir.join("sallyport.toml");
        std::fs::write(&path, config).map_err(TestbedError::file(path))?;
        let process = launch(&options.program, dir, host)?;
        let gateway = Gateway {
            process,
            program: options.program.clone(),
            postgres,
            ssh,
            agents,
            api: match host {
                Some(host) => Api::within(host.clone(), api),
                None => Api::at(api),
            },
            host: host.cloned(),
        };
        gateway.wait_until_ready()?;
        Ok(gateway)
    }

    fn wait_until_ready(&self) -> Result<(), TestbedError> {
        let healthy = || self.api.get("/healthz", None).is_ok_and(|reply| reply.status == 200);
        self.process.wait_until("sallyport", || Ok(healthy()))
    }

    /// Kills the gateway (SIGKILL) and leaves its state for [`Killed::start`].
    ///
    /// # Errors
    /// When the state cannot be put aside.
    pub fn kill(self) -> Result<Killed, TestbedError> {
        let aside = tempfile::Builder::new()
            .prefix("sallyport-gw-")
            .tempdir()
            .map_err(TestbedError::file(std::env::temp_dir()))?
            .keep();
        let dir = self.dir().to_owned();
        self.process.kill()?;
        for name in ["state", "policy", "people.toml", "sallyport.toml"] {
            let (from, to) = (dir.join(name), aside.join(name));
            // A policy that is followed has no directory.
            if name == "policy" && !from.exists() {
                continue;
            }
            std::fs::rename(&from, &to).map_err(TestbedError::file(from))?;
        }
        Ok(Killed {
            dir: aside,
            program: self.program.clone(),
            postgres: self.postgres,
            ssh: self.ssh,
            agents: self.agents,
            api: self.api,
            host: self.host,
        })
    }

    /// Where PostgreSQL clients connect.
    pub fn postgres(&self) -> SocketAddr {
        self.postgres
    }

    /// Where SSH clients connect, if it listens for them.
    pub fn ssh(&self) -> Option<SocketAddr> {
        self.ssh
    }

    /// Where agents connect.
    pub fn agents(&self) -> SocketAddr {
        self.agents
    }

    /// The HTTP API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Its directory: `sallyport.toml`, `people.toml`, `policy`, `state`, `log`.
    pub fn dir(&self) -> &Path {
        self.process.dir()
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Logs a person in and returns the token for the API.
    ///
    /// # Errors
    /// When the API refuses.
    pub fn login(&self, person: &str) -> Result<String, TestbedError> {
        let body = json!({ "user": person, "password": PASSWORD });
        secret(&self.api.post("/v1/auth/password", None, &body)?)
    }

    /// Logs a person in and returns a token for targets: the password of database clients.
    ///
    /// # Errors
    /// When the API refuses.
    pub fn token(&self, person: &str) -> Result<String, TestbedError> {
        let login = self.login(person)?;
        secret(&self.api.post("/v1/tokens", Some(&login), &json!({}))?)
    }

    /// `sallyport` with the directory's configuration, for the operator's commands.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(self.dir());
        within(self.host.as_ref(), command)
    }
}

/// A gateway that was killed, with its state.
pub struct Killed {
    dir: PathBuf,
    program: PathBuf,
    postgres: SocketAddr,
    ssh: Option<SocketAddr>,
    agents: SocketAddr,
    api: Api,
    host: Option<Host>,
}

impl Killed {
    /// Starts it again on the same state and ports.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(self) -> Result<Gateway, TestbedError> {
        let process = launch(&self.program, &self.dir, self.host.as_ref())?;
        let gateway = Gateway {
            process,
            program: self.program.clone(),
            postgres: self.postgres,
            ssh: self.ssh,
            agents: self.agents,
            api: self.api,
            host: self.host,
        };
        gateway.wait_until_ready()?;
        Ok(gateway)
    }
}

fn lay_policy(dir: &Path, options: &GatewayOptions) -> Result<(), TestbedError> {
    let policy = dir.join("policy");
    copy_tree(&options.policy, &policy)?;
    if let Some(targets) = &options.targets {
        let path = policy.join("targets.toml");
        std::fs::write(&path, targets).map_err(TestbedError::file(path))?;
    }
    Ok(())
}

fn launch(program: &Path, dir: &Path, host: Option<&Host>) -> Result<Supervised, TestbedError> {
    let mut command = Command::new(program);
    command.arg("gateway").arg("--config").arg(dir.join("sallyport.toml"));
    Supervised::start(&within(host, command), "KILL", dir)
}

fn people(people: &[Person]) -> String {
    let mut text = String::new();
    for person in people {
        text.push_str(&format!(
            "[[person]]\nid = {:?}\ngroups = {:?}\npassword = {PASSWORD_HASH:?}\n{}\n\n",
            person.name, person.groups, person.more
        ));
    }
    text
}

pub(crate) fn secret(reply: &Reply) -> Result<String, TestbedError> {
    let token = reply.body.get("token").and_then(Value::as_str);
    token.map(str::to_owned).ok_or_else(|| TestbedError::Failed {
        program: "sallyport's API".to_owned(),
        output: format!("status {}: {}", reply.status, reply.body),
    })
}
