//! `sallyport agent`, as it runs beside targets, on throw-away state.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::TestbedError;
use crate::cache::run;
use crate::gateway::Gateway;
use crate::net::{Host, within};
use crate::supervisor::Supervised;
use crate::tls::write_private;

/// What an agent should be like.
#[derive(Debug, Clone, Default)]
pub struct AgentOptions {
    /// The name that it joins under.
    pub name: String,
    /// Its `targets.toml`. Relative paths in it are in its directory.
    pub targets: String,
    /// Files in its directory, such as those with passwords; a folder that one is in is made.
    pub files: Vec<(String, String)>,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// The host that it runs in.
    pub host: Option<Host>,
}

/// A running agent. Dropping it kills it and removes its state.
#[derive(Debug)]
pub struct Agent {
    process: Supervised,
    command: Vec<String>,
    options: AgentOptions,
}

impl Agent {
    /// Lets an agent join `gateway`, with a token that `admin` (somebody's login at the API) asks for, and waits until
    /// it is connected.
    ///
    /// # Errors
    /// When it does not connect; the error has the end of its log.
    pub fn start(
        program: &Path,
        gateway: &Gateway,
        admin: &str,
        options: &AgentOptions,
    ) -> Result<Agent, TestbedError> {
        let before = connected(gateway, admin)?;
        let token = join_token(gateway, admin, &options.name)?;
        let agent = Agent::launch(program, &format!("https://{}", gateway.agents()), &token, options)?;
        agent.wait_until(|| Ok(connected(gateway, admin)? > before))?;
        Ok(agent)
    }

    /// Starts an agent that is to join at `url` with this token, and waits for nothing.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(program: &Path, url: &str, token: &str, options: &AgentOptions) -> Result<Agent, TestbedError> {
        Agent::launch_for(program, &[(url.to_owned(), token.to_owned())], options)
    }

    /// The same for several gateways, each with its URL and a token of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch_for(
        program: &Path,
        gateways: &[(String, String)],
        options: &AgentOptions,
    ) -> Result<Agent, TestbedError> {
        let dir = tempfile::Builder::new()
            .prefix("sallyport-agent-")
            .tempdir()
            .map_err(TestbedError::file(std::env::temp_dir()))?
            .keep();
        write_private(&dir.join("targets.toml"), &options.targets)?;
        for (name, text) in &options.files {
            let path = dir.join(name);
            if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
                let made = std::fs::DirBuilder::new().mode(0o700).create(folder);
                made.map_err(TestbedError::file(folder))?;
            }
            write_private(&path, text)?;
        }
        let mut command = vec![program.display().to_string(), "agent".to_owned()];
        command.extend(configured(gateways, &dir)?);
        command.extend(options.arguments.iter().cloned());
        let process = start(&command, options, &dir)?;
        Ok(Agent {
            process,
            command,
            options: options.clone(),
        })
    }

    /// Waits until something holds, or the agent has ended.
    ///
    /// # Errors
    /// When it does not hold in time; the error has the end of its log.
    pub fn wait_until(&self, holds: impl FnMut() -> Result<bool, TestbedError>) -> Result<(), TestbedError> {
        self.process.wait_until("sallyport agent", holds)
    }

    /// Sends it a signal (a name such as `STOP`).
    ///
    /// # Errors
    /// When `kill` cannot be run.
    pub fn signal(&self, name: &str) -> Result<(), TestbedError> {
        run(Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()])).map(drop)
    }

    /// Kills it (SIGKILL), and starts it again on the same state once `meanwhile` is done.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn kill_and_start(&mut self, meanwhile: impl FnOnce()) -> Result<(), TestbedError> {
        self.process.kill()?;
        meanwhile();
        let dir = tempfile::Builder::new()
            .prefix("sallyport-agent-")
            .tempdir()
            .map_err(TestbedError::file(std::env::temp_dir()))?
            .keep();
        let old = self.dir().to_owned();
        for entry in std::fs::read_dir(&old).map_err(TestbedError::file(&old))?.flatten() {
            let to = dir.join(entry.file_name());
            std::fs::rename(entry.path(), to).map_err(TestbedError::file(entry.path()))?;
        }
        let (from, to) = (old.display().to_string(), dir.display().to_string());
        for word in &mut self.command {
            *word = word.replace(&from, &to);
        }
        self.process = start(&self.command, &self.options, &dir)?;
        Ok(())
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Its directory: `targets.toml`, `token`, `state`, `log`.
    pub fn dir(&self) -> &Path {
        self.process.dir()
    }

    /// All of its log.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.dir().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The arguments that say which gateways there are: options for one, a file for several.
fn configured(gateways: &[(String, String)], dir: &Path) -> Result<Vec<String>, TestbedError> {
    let file = |name: &str| dir.join(name).display().to_string();
    if let [(url, token)] = gateways {
        write_private(&dir.join("token"), token)?;
        let options = [
            ("--gateway", url.clone()),
            ("--join-token-file", file("token")),
            ("--targets", file("targets.toml")),
            ("--state-dir", file("state")),
        ];
        return Ok(options
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect());
    }
    let mut config = "state_dir = \"state\"\ntargets = \"targets.toml\"\n".to_owned();
    for (nth, (url, token)) in gateways.iter().enumerate() {
        write_private(&dir.join(format!("token-{nth}")), token)?;
        config += &format!("[[gateway]]\nurl = \"{url}\"\njoin_token_file = \"token-{nth}\"\n");
    }
    write_private(&dir.join("agent.toml"), &config)?;
    Ok(vec!["--config".to_owned(), file("agent.toml")])
}

fn start(command: &[String], options: &AgentOptions, dir: &Path) -> Result<Supervised, TestbedError> {
    let (program, arguments) = command.split_first().ok_or(TestbedError::Failed {
        program: "sallyport agent".to_owned(),
        output: "no command".to_owned(),
    })?;
    let mut process = Command::new(PathBuf::from(program));
    process.args(arguments);
    Supervised::start(&within(options.host.as_ref(), process), "KILL", dir)
}

/// A token with which an agent can join, once.
///
/// # Errors
/// When the API refuses.
pub fn join_token(gateway: &Gateway, admin: &str, name: &str) -> Result<String, TestbedError> {
    let reply = gateway
        .api()
        .post("/v1/agents/tokens", Some(admin), &json!({ "agent": name }))?;
    crate::gateway::secret(&reply)
}

/// How many connections agents have.
///
/// # Errors
/// When the API refuses.
pub fn connected(gateway: &Gateway, admin: &str) -> Result<u64, TestbedError> {
    let reply = gateway.api().get("/v1/agents", Some(admin))?;
    let connections = |agent: &Value| agent.pointer("/connected/connections").and_then(Value::as_u64);
    match reply.body.as_array() {
        Some(agents) => Ok(agents.iter().filter_map(connections).sum()),
        None => Err(TestbedError::Failed {
            program: "sallyport's API".to_owned(),
            output: format!("status {}: {}", reply.status, reply.body),
        }),
    }
}
