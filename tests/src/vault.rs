//! Vaults: one that is played, with a database engine that makes real users at a real server, and one by others.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sallyport_testbed::{Postgres, Supervised, cache_dir, skipped};
use serde_json::{Value, json};

use crate::run;

/// What it takes for a login.
const TOKEN: &str = "hvs.CANARY-token-of-the-played-vault";

/// A Vault with a database engine, played after its API documentation. Each user that it makes is a role of a real server,
/// with the rights of `reader`.
pub struct PlayedVault {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The arguments of psql as the server's superuser.
    psql: Option<Vec<String>>,
    /// The leases that are good, with their users.
    leases: BTreeMap<String, String>,
    made: usize,
    renewed: BTreeMap<String, usize>,
    life: u64,
    /// The private key that signs for logins at hosts, and the public key that it signs in place of the one that was
    /// asked for.
    authority: Option<PathBuf>,
    other_key: Option<String>,
}

impl PlayedVault {
    /// Starts one.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> Result<PlayedVault> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(State {
            life: 3600,
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // Whoever hangs up is done.
                std::thread::spawn(move || drop(serve(&stream, &state)));
            }
        });
        Ok(PlayedVault { address, state })
    }

    /// The server where users are made.
    pub fn administers(&self, server: &Postgres, database: &str) {
        let command = server.psql(database);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words = words.map(|word| word.to_string_lossy().into_owned()).collect();
        self.with(|state| state.psql = Some(words));
    }

    /// The table of a file of targets that names it `prod`.
    pub fn store(&self) -> String {
        format!(
            "[[vault]]\nname = \"prod\"\naddress = \"{}\"\nlogin = {{ method = \"token\", token_file = \"/dev/null\" }}\n",
            self.address
        )
    }

    /// The same with its token in a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn store_with_token(&self, dir: &Path) -> Result<String> {
        let file = dir.join("vault-token");
        std::fs::write(&file, TOKEN)?;
        Ok(self.store().replace("/dev/null", &file.display().to_string()))
    }

    /// Signs for logins at hosts with the private key in a file.
    pub fn signs_with(&self, authority: &Path) {
        self.with(|state| state.authority = Some(authority.to_owned()));
    }

    /// Signs this public key from now on, whatever is asked for.
    pub fn signs_only(&self, key: &str) {
        self.with(|state| state.other_key = Some(key.to_owned()));
    }

    /// How long leases are good, in seconds, unless they are renewed.
    pub fn set_life(&self, seconds: u64) {
        self.with(|state| state.life = seconds);
    }

    /// Users that are there.
    pub fn users(&self) -> Vec<String> {
        self.with(|state| state.leases.values().cloned().collect())
    }

    /// How many users were made.
    pub fn made(&self) -> usize {
        self.with(|state| state.made)
    }

    /// How often the lease of a user was renewed.
    pub fn renewed(&self, user: &str) -> usize {
        self.with(|state| {
            let lease = state.leases.iter().find(|(_, other)| *other == user);
            lease
                .and_then(|(id, _)| state.renewed.get(id))
                .copied()
                .unwrap_or_default()
        })
    }

    /// Ends all leases, as an operator of the Vault would.
    ///
    /// # Errors
    /// When the server does not drop a user.
    pub fn end_all(&self) -> Result<()> {
        self.with(|state| {
            for id in state.leases.keys().cloned().collect::<Vec<_>>() {
                state.revoke(&id)?;
            }
            Ok(())
        })
    }

    /// Waits until so many users are there.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn wait_for_users(&self, count: usize) -> Result<()> {
        let start = Instant::now();
        while self.users().len() != count {
            ensure!(
                start.elapsed() < Duration::from_secs(30),
                "there are {:?}, not {count}",
                self.users()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (method, path) = (method.to_owned(), path.to_owned());
        let (mut length, mut token) = (0_usize, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.split_once(':') else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "x-vault-token" => value.trim().clone_into(&mut token),
                _ => {}
            }
        }
        let mut body = vec![0; length.min(1 << 20)];
        reader.read_exact(&mut body)?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (status, said) = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if token == TOKEN {
                state.say(&method, &path, &body)?
            } else {
                (403, json!({ "errors": ["permission denied"] }))
            }
        };
        let said = if status == 204 { String::new() } else { said.to_string() };
        write!(
            &*stream,
            "HTTP/1.1 {status} played\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{said}",
            said.len()
        )?;
    }
}

impl State {
    fn sql(&self, text: &str) -> Result<()> {
        let (program, arguments) = self
            .psql
            .as_ref()
            .and_then(|words| words.split_first())
            .context("no server")?;
        run(Command::new(program).args(arguments).args(["-X", "-q", "-c", text])).map(drop)
    }

    fn say(&mut self, method: &str, path: &str, body: &Value) -> Result<(u16, Value)> {
        let id = body.get("lease_id").and_then(Value::as_str).unwrap_or_default();
        Ok(match (method, path) {
            ("GET", "/v1/database/creds/orders-ro") => {
                self.made += 1;
                let (user, password) = (format!("v-token-orders-{}", self.made), format!("CANARY-{}", self.made));
                self.sql(&format!(
                    "CREATE ROLE \"{user}\" LOGIN PASSWORD '{password}' IN ROLE reader"
                ))?;
                let id = format!("database/creds/orders-ro/{}", self.made);
                self.leases.insert(id.clone(), user.clone());
                (
                    200,
                    json!({ "lease_id": id, "renewable": true, "lease_duration": self.life,
                        "data": { "username": user, "password": password } }),
                )
            }
            ("PUT", "/v1/sys/leases/renew") if self.leases.contains_key(id) => {
                *self.renewed.entry(id.to_owned()).or_default() += 1;
                (
                    200,
                    json!({ "lease_id": id, "renewable": true, "lease_duration": self.life }),
                )
            }
            ("PUT", "/v1/sys/leases/revoke") if self.leases.contains_key(id) => {
                self.revoke(id)?;
                (204, Value::Null)
            }
            ("POST", "/v1/ssh/sign/deploy") => (200, json!({ "data": { "signed_key": self.sign(body)? } })),
            _ => (404, json!({ "errors": [] })),
        })
    }

    /// The certificate is a real one, of ssh-keygen's.
    fn sign(&self, body: &Value) -> Result<String> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let dir = tempfile::tempdir()?;
        let public = dir.path().join("key.pub");
        std::fs::write(&public, self.other_key.as_deref().unwrap_or(text("public_key")))?;
        let authority = self.authority.as_ref().context("no authority")?;
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-I", "played", "-V", "+2m", "-s"]).arg(authority);
        run(keygen.args(["-n", text("valid_principals")]).arg(&public))?;
        Ok(std::fs::read_to_string(dir.path().join("key-cert.pub"))?)
    }

    fn revoke(&mut self, id: &str) -> Result<()> {
        let user = self.leases.remove(id).context("no such lease")?;
        self.sql(&format!("DROP ROLE \"{user}\""))
    }
}

/// A Vault by others, unsealed, with a KV engine of version 1 at `kv`, and the table of a file of targets that names it
/// `prod`. `None` when it is not installed.
///
/// # Errors
/// When it does not start.
pub fn rvault(dir: &Path) -> Result<Option<Rvault>> {
    let program = cache_dir().join("tools/bin/rvault");
    if !program.exists() {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        skipped(&format!("skipped: {test}: no rvault, see `cargo xtask setup`\n"))?;
        return Ok(None);
    }
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let state = tempfile::tempdir()?.keep();
    let config = format!(
        "storage \"file\" {{\n  path = \"{0}/data\"\n}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  \
         tls_disable = \"true\"\n}}\napi_addr = \"http://127.0.0.1:{port}\"\nlog_level = \"info\"\npid_file = \"{0}/pid\"\n",
        state.display()
    );
    std::fs::write(state.join("config.hcl"), config)?;
    let mut command = Command::new(&program);
    command.args(["server", "--config"]).arg(state.join("config.hcl"));
    let process = Supervised::start(&command, "KILL", &state)?;
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if start.elapsed() > Duration::from_secs(30) {
            bail!("rvault does not start: {}", process.log_tail());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut vault = Rvault {
        url: format!("http://127.0.0.1:{port}"),
        token: String::new(),
        store: String::new(),
        _process: process,
    };
    let init = vault.ask("PUT", "sys/init", &json!({ "secret_shares": 1, "secret_threshold": 1 }))?;
    let text = |pointer: &str| init.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    vault.token = text("/root_token").context("no token")?;
    vault.ask("PUT", "sys/unseal", &json!({ "key": text("/keys/0") }))?;
    vault.write("sys/mounts/kv", &json!({ "type": "kv" }))?;
    let file = dir.join("rvault-token");
    std::fs::write(&file, &vault.token)?;
    vault.store = format!(
        "[[vault]]\nname = \"prod\"\naddress = \"{}\"\nlogin = {{ method = \"token\", token_file = {file:?} }}\n",
        vault.url
    );
    Ok(Some(vault))
}

/// A Vault by others.
pub struct Rvault {
    url: String,
    token: String,
    /// The table of a file of targets.
    pub store: String,
    _process: Supervised,
}

impl Rvault {
    /// Writes something.
    ///
    /// # Errors
    /// When it is refused.
    pub fn write(&self, path: &str, body: &Value) -> Result<()> {
        self.ask("POST", path, body).map(drop)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/v1/{path}", self.url);
        let token = format!("X-Vault-Token: {}", self.token);
        let said = run(Command::new("curl").args([
            "-sS",
            "--fail",
            "-X",
            method,
            "-H",
            &token,
            "-d",
            &body.to_string(),
            &url,
        ]))?;
        Ok(serde_json::from_str(&said).unwrap_or(Value::Null))
    }
}
