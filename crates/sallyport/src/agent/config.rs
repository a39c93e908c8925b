//! What an agent is told: where its gateways are, what it proves itself with, and which targets it has.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use sallyport_identity::agents::{JOIN_PREFIX, JoinToken, Pin};
use sallyport_tunnel::websocket::{GatewayUrl, Proxy};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// Run an agent beside targets: it dials the gateway, holds the credentials, and logs in.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// A configuration file, in place of the options below; needed for several gateways.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gateway", "join_token", "join_token_file"])]
    config: Option<PathBuf>,
    /// The gateway's port for agents.
    #[arg(long, value_name = "URL", value_parser = GatewayUrl::parse)]
    gateway: Option<GatewayUrl>,
    /// What to join with, once (`sallyport agents token NAME` makes it). Others on this machine can see it: better is
    /// --join-token-file.
    #[arg(long, value_name = "TOKEN", env = "SALLYPORT_JOIN_TOKEN", hide_env_values = true, value_parser = secret)]
    join_token: Option<SecretString>,
    /// A file whose first line is what to join with, once.
    #[arg(long, value_name = "FILE", conflicts_with = "join_token")]
    join_token_file: Option<PathBuf>,
    /// Where the agent keeps its key and its certificate.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/sallyport-agent")]
    state_dir: PathBuf,
    /// The targets that it has.
    #[arg(long, value_name = "FILE", default_value = "targets.toml")]
    targets: PathBuf,
    /// How to reach the gateway.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// An HTTP proxy on the way, for WebSockets; HTTPS_PROXY and NO_PROXY count when it is absent.
    #[arg(long, value_name = "URL", value_parser = Proxy::parse)]
    proxy: Option<Proxy>,
    /// Whom to trust for the TLS around WebSockets, PEM; the operating system's authorities when absent.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}

/// How a gateway is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Transport {
    /// Directly, and by WebSocket where that fails.
    #[default]
    Auto,
    /// Only directly.
    Direct,
    /// Only by WebSocket.
    Websocket,
}

/// An agent's configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    state_dir: PathBuf,
    targets: PathBuf,
    gateway: Vec<GatewayEntry>,
}

/// One gateway in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayEntry {
    #[serde(deserialize_with = "gateway_url")]
    url: GatewayUrl,
    join_token_file: Option<PathBuf>,
    #[serde(default)]
    transport: Transport,
    #[serde(default, deserialize_with = "proxy")]
    proxy: Option<Proxy>,
    ca_file: Option<PathBuf>,
    connections: Option<NonZeroUsize>,
}

fn gateway_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GatewayUrl, D::Error> {
    GatewayUrl::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn proxy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Proxy>, D::Error> {
    Proxy::parse(&String::deserialize(deserializer)?)
        .map(Some)
        .map_err(serde::de::Error::custom)
}

/// What an agent is told.
#[derive(Debug)]
pub(crate) struct AgentConfig {
    /// Where it keeps its own.
    pub(crate) state_dir: PathBuf,
    /// The targets that it has.
    pub(crate) targets: PathBuf,
    /// Whom it dials.
    pub(crate) gateways: Vec<GatewayConfig>,
}

/// A gateway, and how it is reached.
#[derive(Clone, Debug)]
pub(crate) struct GatewayConfig {
    /// Where it is.
    pub(crate) url: GatewayUrl,
    /// What to join with.
    pub(crate) token: TokenSource,
    /// How it is reached.
    pub(crate) transport: Transport,
    /// A proxy on the way.
    pub(crate) proxy: Option<Proxy>,
    /// Whom to trust for the outer TLS of WebSockets.
    pub(crate) ca_file: Option<PathBuf>,
    /// Connections that are kept.
    pub(crate) connections: usize,
}

/// Where a join token is.
#[derive(Clone, Debug)]
pub(crate) enum TokenSource {
    /// Nowhere: the agent has joined before.
    None,
    /// It was given.
    Given(SecretString),
    /// In the first line of a file.
    File(PathBuf),
}

/// Two, so that a lost packet holds up half of the flows.
const CONNECTIONS: usize = 2;
/// More would be of no use.
const MAX_CONNECTIONS: usize = 16;

impl AgentArgs {
    /// What these options say.
    ///
    /// # Errors
    /// When they say too little, or a file makes no sense.
    pub(crate) fn config(self) -> anyhow::Result<AgentConfig> {
        if let Some(path) = &self.config {
            return AgentConfig::load(path);
        }
        let Some(url) = self.gateway else {
            bail!("give --gateway URL, or --config FILE");
        };
        let token = match (self.join_token, self.join_token_file) {
            (Some(token), _) => TokenSource::Given(token),
            (None, Some(file)) => TokenSource::File(file),
            (None, None) => TokenSource::None,
        };
        let gateway = GatewayConfig {
            url,
            token,
            transport: self.transport,
            proxy: self.proxy,
            ca_file: self.ca_file,
            connections: CONNECTIONS,
        };
        Ok(AgentConfig {
            state_dir: self.state_dir,
            targets: self.targets,
            gateways: vec![gateway],
        })
    }
}

impl AgentConfig {
    /// Reads a file; paths in it are relative to it.
    fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let file: File = toml::from_str(&text).with_context(|| format!("`{}` makes no sense", path.display()))?;
        let base = path.parent().unwrap_or(Path::new("."));
        ensure!(!file.gateway.is_empty(), "`{}` names no gateway", path.display());
        let gateway = |entry: GatewayEntry| GatewayConfig {
            url: entry.url,
            token: entry
                .join_token_file
                .map_or(TokenSource::None, |file| TokenSource::File(base.join(file))),
            transport: entry.transport,
            proxy: entry.proxy,
            ca_file: entry.ca_file.map(|file| base.join(file)),
            connections: entry.connections.map_or(CONNECTIONS, |n| n.get().min(MAX_CONNECTIONS)),
        };
        Ok(Self {
            state_dir: base.join(file.state_dir),
            targets: base.join(file.targets),
            gateways: file.gateway.into_iter().map(gateway).collect(),
        })
    }
}

impl TokenSource {
    /// Reads the token, if there is one.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub(crate) fn read(&self) -> anyhow::Result<Option<(SecretString, Pin)>> {
        let text = match self {
            Self::None => return Ok(None),
            Self::Given(text) => text.clone(),
            Self::File(path) => {
                let read = std::fs::read_to_string(path);
                let read = read.with_context(|| format!("cannot read the join token in `{}`", path.display()))?;
                read.lines().next().unwrap_or_default().trim().into()
            }
        };
        match JoinToken::parse(&text) {
            Some(token) => Ok(Some((text, token.pin()))),
            None => bail!("the join token is none: one begins with `{JOIN_PREFIX}` (`sallyport agents token NAME`)"),
        }
    }
}
