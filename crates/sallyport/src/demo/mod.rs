//! `sallyport demo`: everything in one process, on throw-away state, with a real PostgreSQL server and a real host.

mod host;
mod orders;
mod story;

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use sallyport_testbed::{Options, Postgres, Role};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use self::host::Host;
use crate::config::Config;
use crate::gateway::Gateway;

/// Name, groups and what the story says of each person.
pub(crate) const PEOPLE: [(&str, &[&str], &str); 3] = [
    ("alice", &["developers"], "a developer"),
    ("dana", &["dba", "operators"], "a DBA"),
    ("audrey", &["auditors"], "an auditor"),
];

/// What `sallyport demo` can be told.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Print one line of JSON when ready, instead of the story.
    #[arg(long)]
    json: bool,
    /// Use this bundle instead of the example policy.
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
}

/// What a running demo is made of, for the story and for programs.
pub(crate) struct Demo {
    pub(crate) state_dir: PathBuf,
    pub(crate) api: SocketAddr,
    pub(crate) postgres: SocketAddr,
    pub(crate) target_log: PathBuf,
    /// The gateway's SSH port and each person's configuration of ssh, or why there is no host.
    pub(crate) ssh: Result<Ssh, String>,
    pub(crate) tokens: Vec<(&'static str, String)>,
}

/// How the host is reached.
pub(crate) struct Ssh {
    pub(crate) address: SocketAddr,
    /// In the order of [`PEOPLE`].
    pub(crate) configs: Vec<PathBuf>,
}

/// Runs the demo until it is told to stop.
///
/// # Errors
/// When a part of it cannot be started.
pub(crate) async fn run(args: DemoArgs, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let state = tempfile::Builder::new()
        .prefix("sallyport-demo-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .context("no place for throw-away state")?;
    let server = tokio::task::spawn_blocking(start_target);
    let dir = state.path().to_owned();
    let host = tokio::task::spawn_blocking(move || Host::start(&dir)).await??;
    let server = server.await??;
    let config = configure(state.path(), &server, host.as_ref().ok(), args.policy.as_deref())?;
    let gateway = Gateway::open(&config).await?;
    let demo = Demo {
        state_dir: state.path().to_owned(),
        api: gateway.api_address,
        postgres: gateway.postgres_address,
        target_log: server.log_path(),
        ssh: match &host {
            Ok(host) => Ok(reach(host, state.path(), &gateway)?),
            Err(why) => Err(why.clone()),
        },
        tokens: tokens(&gateway).await?,
    };
    if args.json {
        crate::output::line(&demo.to_json().to_string())?;
    } else {
        story::print(&demo)?;
    }
    gateway.run(stop).await
}

fn reach(host: &Host, state: &Path, gateway: &Gateway) -> anyhow::Result<Ssh> {
    let address = gateway.ssh_address.context("the gateway does not listen for SSH")?;
    let configs = PEOPLE
        .iter()
        .map(|(name, ..)| Ok(host.config(&state.join("state"), address, name)?.path().to_owned()))
        .collect::<anyhow::Result<_>>()?;
    Ok(Ssh { address, configs })
}

fn start_target() -> anyhow::Result<Postgres> {
    let options = Options {
        tls: true,
        log_statements: true,
        roles: vec![Role::new("orders_app", TARGET_PASSWORD)],
        databases: vec!["orders".to_owned()],
        ..Options::default()
    };
    let server = Postgres::start(&options)?;
    server.script("orders", orders::SCHEMA)?;
    Ok(server)
}

/// How long the demo's tokens are good.
const TOKEN_LIFE: std::time::Duration = std::time::Duration::from_secs(12 * 3600);

/// The credential that only the gateway has.
const TARGET_PASSWORD: &str = "known-to-the-gateway-only";

fn configure(state: &Path, server: &Postgres, host: Option<&Host>, policy: Option<&Path>) -> anyhow::Result<Config> {
    let bundle = state.join("policy");
    match policy {
        Some(given) => copy_tree(given, &bundle)?,
        None => write_example(&bundle)?,
    }
    let password = state.join("orders.password");
    write_private(&password, TARGET_PASSWORD)?;
    let authority = server.ca_path().context("the sample server has no certificate")?;
    let targets = json_as_toml_target(server.port(), &password, &authority);
    std::fs::write(
        bundle.join("targets.toml"),
        targets + &host.map(Host::target).unwrap_or_default(),
    )?;
    let mut people = String::new();
    for (name, groups, _) in PEOPLE {
        let keys = host.map(|host| host.person(name)).transpose()?;
        let keys: Vec<String> = keys.into_iter().collect();
        people += &format!("[[person]]\nid = {name:?}\ngroups = {groups:?}\nssh_keys = {keys:?}\n\n");
    }
    let ssh = host.map_or("", |_| "ssh = \"127.0.0.1:0\"\n");
    write_private(&state.join("people.toml"), &people)?;
    let text = format!(
        "state_dir = {:?}\npolicy = {:?}\n\n[listen]\npostgres = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n{ssh}\n\
         [limits]\nshutdown_grace_s = 1\n\n[identity]\npeople = {:?}\n",
        // Apart from what the sample server wants, which is not the gateway's own.
        state.join("state"),
        bundle,
        state.join("people.toml"),
    );
    let file = state.join("sallyport.toml");
    std::fs::write(&file, text)?;
    Config::load(&file)
}

fn json_as_toml_target(port: u16, password: &Path, authority: &Path) -> String {
    format!(
        "[[target]]\nname = \"orders\"\nprotocol = \"postgres\"\naddress = \"localhost:{port}\"\n\
         environment = \"production\"\ndatabase = \"orders\"\ntls = \"verify-full\"\nca_file = {authority:?}\n\
         user = \"orders_app\"\npassword_file = {password:?}\n"
    )
}

/// The example policy, as the repository has it.
fn write_example(bundle: &Path) -> anyhow::Result<()> {
    const FILES: [(&str, &str); 5] = [
        ("classify.toml", include_str!("../../../../policy/classify.toml")),
        (
            "rules/access.cedar",
            include_str!("../../../../policy/rules/access.cedar"),
        ),
        (
            "rules/changes.cedar",
            include_str!("../../../../policy/rules/changes.cedar"),
        ),
        (
            "rules/hosts.cedar",
            include_str!("../../../../policy/rules/hosts.cedar"),
        ),
        (
            "rules/masks.cedar",
            include_str!("../../../../policy/rules/masks.cedar"),
        ),
    ];
    std::fs::create_dir_all(bundle.join("rules"))?;
    for (name, text) in FILES {
        std::fs::write(bundle.join(name), text)?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read `{}`", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

async fn tokens(gateway: &Gateway) -> anyhow::Result<Vec<(&'static str, String)>> {
    let identities = &gateway.house.identities;
    let mut tokens = Vec::new();
    for (name, ..) in PEOPLE {
        let principal = identities
            .local_principal(name)
            .context("a person of the demo is missing")?;
        let issued = identities.issue_token(&principal, None, TOKEN_LIFE).await?;
        tokens.push((name, issued.token.expose_secret().to_owned()));
    }
    Ok(tokens)
}

impl Demo {
    /// The token of one of the people.
    pub(crate) fn token(&self, name: &str) -> &str {
        self.tokens
            .iter()
            .find(|(who, _)| *who == name)
            .map_or("", |(_, token)| token)
    }

    /// Where one of the people has the configuration of ssh.
    pub(crate) fn ssh_config(&self, name: &str) -> Option<&Path> {
        let at = PEOPLE.iter().position(|(who, ..)| *who == name)?;
        self.ssh.as_ref().ok()?.configs.get(at).map(PathBuf::as_path)
    }

    fn to_json(&self) -> Value {
        let people: serde_json::Map<String, Value> = PEOPLE
            .iter()
            .map(|(name, groups, _)| {
                let person =
                    json!({ "groups": groups, "token": self.token(name), "ssh_config": self.ssh_config(name) });
                ((*name).to_owned(), person)
            })
            .collect();
        let ssh = self.ssh.as_ref().ok().map(
            |ssh| json!({ "host": ssh.address.ip().to_string(), "port": ssh.address.port(), "target": host::NAME }),
        );
        json!({
            "state_dir": self.state_dir,
            "api": format!("http://{}", self.api),
            "postgres": { "host": self.postgres.ip().to_string(), "port": self.postgres.port(), "database": "orders" },
            "target_log": self.target_log,
            "ssh": ssh,
            "people": people,
        })
    }
}
