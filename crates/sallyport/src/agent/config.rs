//! What an agent is told: where its gateways are, what it proves itself with, and which targets it has.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use sallyport_identity::agents::{JOIN_PREFIX, JoinMethod, JoinToken, Pin};
use sallyport_tunnel::websocket::{GatewayUrl, Proxy};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// Run an agent beside targets: it dials the gateway, holds the credentials, and logs in.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// A configuration file, in place of the options below; needed for several gateways.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gateway", "join_token", "join_token_file", "join"])]
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
    /// What to join with in place of a token: what the platform says of this machine.
    #[arg(long, value_enum, conflicts_with_all = ["join_token", "join_token_file"], requires = "ca_pin")]
    join: Option<Platform>,
    /// The digest of the gateway's authority for agents (`sallyport agents pin`), where no token has it.
    #[arg(long, value_name = "sha256:HEX")]
    ca_pin: Option<Pin>,
    /// The audience that the gateway's rule asks for, for --join gcp.
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,
    /// The token of --join kubernetes or spiffe-jwt, or the certificates of --join spiffe-x509.
    #[arg(long, value_name = "FILE")]
    proof_file: Option<PathBuf>,
    /// The key of --join spiffe-x509.
    #[arg(long, value_name = "FILE")]
    proof_key: Option<PathBuf>,
    /// The agent's name, where what the platform says would do for several.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
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

/// What a platform says of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Platform {
    /// A service account's token that Kubernetes projects into the pod.
    Kubernetes,
    /// The identity document of an instance of Amazon EC2.
    Aws,
    /// The identity token of an instance of Google Compute Engine.
    Gcp,
    /// The attested document of a virtual machine of Microsoft Azure.
    Azure,
    /// An X.509-SVID.
    SpiffeX509,
    /// A JWT-SVID.
    SpiffeJwt,
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
    join: Option<Platform>,
    ca_pin: Option<Pin>,
    audience: Option<String>,
    proof_file: Option<PathBuf>,
    proof_key: Option<PathBuf>,
    name: Option<String>,
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
    pub(crate) joining: Joining,
    /// The name to join under, where the proof would do for several.
    pub(crate) name: Option<String>,
    /// How it is reached.
    pub(crate) transport: Transport,
    /// A proxy on the way.
    pub(crate) proxy: Option<Proxy>,
    /// Whom to trust for the outer TLS of WebSockets.
    pub(crate) ca_file: Option<PathBuf>,
    /// Connections that are kept.
    pub(crate) connections: usize,
}

/// What to join with.
#[derive(Clone, Debug)]
pub(crate) enum Joining {
    /// Nothing: the agent has joined before.
    None,
    /// A join token that was given.
    Token(SecretString),
    /// A join token in the first line of a file.
    TokenFile(PathBuf),
    /// What a platform says, at the gateway with this authority.
    Platform(JoinMethod, Pin),
}

/// Where Kubernetes projects the token of a service account, if the pod says so.
const KUBERNETES_TOKEN: &str = "/var/run/secrets/sallyport/token";

/// The options that say what a platform says.
struct Proof {
    join: Platform,
    ca_pin: Option<Pin>,
    audience: Option<String>,
    file: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Proof {
    fn method(self) -> anyhow::Result<Joining> {
        let pin = self
            .ca_pin
            .context("joining by what the platform says needs the gateway's --ca-pin")?;
        let metadata = None;
        let file = |what: &str| {
            self.file
                .clone()
                .with_context(|| format!("--proof-file must name {what}"))
        };
        let method = match self.join {
            Platform::Kubernetes => JoinMethod::Kubernetes {
                token: self.file.unwrap_or_else(|| KUBERNETES_TOKEN.into()),
            },
            Platform::Aws => JoinMethod::Aws { metadata },
            Platform::Azure => JoinMethod::Azure { metadata },
            Platform::Gcp => JoinMethod::Gcp {
                audience: self
                    .audience
                    .context("--join gcp needs the --audience of the gateway's rule")?,
                metadata,
            },
            Platform::SpiffeX509 => JoinMethod::SpiffeX509 {
                certificates: file("the certificates of the SVID")?,
                key: self.key.context("--proof-key must name the key of the SVID")?,
            },
            Platform::SpiffeJwt => JoinMethod::SpiffeJwt {
                token: file("the token of the SVID")?,
            },
        };
        Ok(Joining::Platform(method, pin))
    }
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
        let joining = match (self.join_token, self.join_token_file, self.join) {
            (Some(token), ..) => Joining::Token(token),
            (None, Some(file), _) => Joining::TokenFile(file),
            (None, None, None) => Joining::None,
            (None, None, Some(join)) => Proof {
                join,
                ca_pin: self.ca_pin,
                audience: self.audience,
                file: self.proof_file,
                key: self.proof_key,
            }
            .method()?,
        };
        let gateway = GatewayConfig {
            url,
            joining,
            name: self.name,
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
        let gateways = file.gateway.into_iter().map(|entry| entry.read(base));
        Ok(Self {
            state_dir: base.join(file.state_dir),
            targets: base.join(file.targets),
            gateways: gateways.collect::<anyhow::Result<_>>()?,
        })
    }
}

impl GatewayEntry {
    fn read(self, base: &Path) -> anyhow::Result<GatewayConfig> {
        let path = |file: PathBuf| base.join(file);
        let joining = match (self.join_token_file, self.join) {
            (Some(_), Some(_)) => bail!("`{}` has both `join_token_file` and `join`", self.url.authority()),
            (Some(file), None) => Joining::TokenFile(path(file)),
            (None, None) => Joining::None,
            (None, Some(join)) => Proof {
                join,
                ca_pin: self.ca_pin,
                audience: self.audience,
                file: self.proof_file.map(path),
                key: self.proof_key.map(path),
            }
            .method()?,
        };
        Ok(GatewayConfig {
            url: self.url,
            joining,
            name: self.name,
            transport: self.transport,
            proxy: self.proxy,
            ca_file: self.ca_file.map(path),
            connections: self.connections.map_or(CONNECTIONS, |n| n.get().min(MAX_CONNECTIONS)),
        })
    }
}

impl Joining {
    /// How to join, and the digest of the authority of whom, if there is a way.
    ///
    /// # Errors
    /// When the token cannot be read or is none.
    pub(crate) fn method(&self) -> anyhow::Result<Option<(JoinMethod, Pin)>> {
        let text = match self {
            Self::None => return Ok(None),
            Self::Platform(method, pin) => return Ok(Some((method.clone(), *pin))),
            Self::Token(text) => text.clone(),
            Self::TokenFile(path) => {
                let read = std::fs::read_to_string(path);
                let read = read.with_context(|| format!("cannot read the join token in `{}`", path.display()))?;
                read.lines().next().unwrap_or_default().trim().into()
            }
        };
        match JoinToken::parse(&text) {
            Some(token) => {
                let pin = token.pin();
                Ok(Some((JoinMethod::Token(token), pin)))
            }
            None => bail!("the join token is none: one begins with `{JOIN_PREFIX}` (`sallyport agents token NAME`)"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    #[test]
    fn the_configuration_that_the_book_shows_is_understood() {
        let book = include_str!("../../../../docs/src/agents.md");
        let mut shown = book.split("```toml").map(|block| block.split("```").next().unwrap());
        let shown = shown.find(|block| block.contains("[[gateway]]")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.toml");
        std::fs::write(&path, shown).unwrap();
        let config = AgentConfig::load(&path).unwrap();
        assert_eq!(config.targets, dir.path().join("targets.toml"));
        let [first, second] = config.gateways.as_slice() else {
            panic!("{config:?}")
        };
        assert_eq!(
            (first.url.authority().as_str(), first.connections),
            ("gw.example.com:443", CONNECTIONS)
        );
        assert_eq!((second.transport, second.connections), (Transport::Websocket, 4));
        assert!(second.proxy.is_some() && matches!(second.joining, Joining::TokenFile(_)));
    }

    #[test]
    fn what_is_no_join_token_is_not_shown() {
        let error = Joining::Token("hunter2".to_owned().into())
            .method()
            .unwrap_err()
            .to_string();
        assert!(error.contains("spj_") && !error.contains("hunter2"), "{error}");
    }
}
