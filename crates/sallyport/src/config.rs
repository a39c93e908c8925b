//! `sallyport.toml`: what an operator decides. Parsed once, into what the code means.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use sallyport_identity::IdentityConfig;
use sallyport_ledger::Durability;
use sallyport_review::{ReviewConfig, Webhook, WebhookFormat};
use secrecy::SecretString;
use serde::Deserialize;

/// The gateway's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where keys, the store, the journal and recordings are kept.
    pub(crate) state_dir: PathBuf,
    /// The policy bundle: a directory in version control.
    pub(crate) policy: PathBuf,
    /// Where to listen.
    #[serde(default)]
    pub(crate) listen: Listen,
    /// What is shown to clients; made at first start when not given.
    #[serde(default)]
    pub(crate) tls: Tls,
    /// How many of what.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// When a record counts as written.
    #[serde(default)]
    pub(crate) recording: Recording,
    /// Who is who.
    #[serde(default)]
    pub(crate) identity: IdentityConfig,
    /// How reviews go.
    #[serde(default)]
    pub(crate) review: Review,
}

/// Where the gateway listens.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Listen {
    /// PostgreSQL clients.
    pub(crate) postgres: SocketAddr,
    /// The API.
    pub(crate) api: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            postgres: ([127, 0, 0, 1], 6432).into(),
            api: ([127, 0, 0, 1], 8432).into(),
        }
    }
}

/// The gateway's TLS towards clients.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    /// The certificate chain, PEM.
    pub(crate) certificate: Option<PathBuf>,
    /// Its key, PEM.
    pub(crate) key: Option<PathBuf>,
    /// Authorities whose client certificates are accepted.
    pub(crate) client_authorities: Option<PathBuf>,
}

/// How many of what.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// Open sessions.
    pub(crate) sessions: usize,
    /// Clients that have not logged in yet.
    pub(crate) handshakes: usize,
    /// Seconds that a login may take, waiting for reviewers apart.
    pub(crate) handshake_timeout_s: u64,
    /// Connections from one address.
    pub(crate) per_source: usize,
    /// Seconds that open sessions have when the gateway is asked to stop.
    pub(crate) shutdown_grace_s: u64,
    /// Threads that relay; one a core but one when 0.
    pub(crate) workers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 10_000,
            handshakes: 1_000,
            handshake_timeout_s: 15,
            per_source: 10_000,
            shutdown_grace_s: 30,
            workers: 0,
        }
    }
}

impl Limits {
    /// As the listener wants them.
    pub(crate) fn listener(&self) -> sallyport_listen::Limits {
        sallyport_listen::Limits {
            sessions: self.sessions,
            handshakes: self.handshakes,
            handshake_timeout: Duration::from_secs(self.handshake_timeout_s),
            per_source: self.per_source,
        }
    }
}

/// When a record counts as written (I2).
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Recording {
    /// Handed to the operating system: killing the gateway loses nothing.
    #[default]
    WriteAhead,
    /// On the disk: losing power loses nothing.
    Durable,
}

impl From<Recording> for Durability {
    fn from(recording: Recording) -> Self {
        match recording {
            Recording::WriteAhead => Self::WriteAhead,
            Recording::Durable => Self::Durable,
        }
    }
}

/// How reviews go.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Review {
    /// Seconds that a client waits.
    pub(crate) hold_timeout_s: Option<u64>,
    /// Seconds that an unused grant lasts.
    pub(crate) grant_ttl_s: Option<u64>,
    /// Whom to tell.
    pub(crate) webhooks: Vec<WebhookEntry>,
}

/// An address that is told of requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookEntry {
    /// Where to post.
    pub(crate) url: url::Url,
    /// A file with the key of the signature.
    pub(crate) secret_file: Option<PathBuf>,
    /// What to post.
    #[serde(default)]
    pub(crate) format: WebhookFormat,
    /// Whether the statement's text is sent.
    #[serde(default)]
    pub(crate) include_statement: bool,
}

impl Config {
    /// Reads a configuration file. Relative paths in it are relative to it.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense; the message names the line.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut config: Self = toml::from_str(&text).with_context(|| format!("`{}` makes no sense", path.display()))?;
        let base = path.parent().unwrap_or(Path::new("."));
        let people = config.identity.people.as_mut();
        let tls = [
            &mut config.tls.certificate,
            &mut config.tls.key,
            &mut config.tls.client_authorities,
        ];
        let optional = tls.into_iter().filter_map(Option::as_mut).chain(people);
        for path in optional.chain([&mut config.state_dir, &mut config.policy]) {
            *path = base.join(&*path);
        }
        Ok(config)
    }
}

impl Review {
    /// As the reviews want it.
    ///
    /// # Errors
    /// When a webhook's secret cannot be read.
    pub(crate) fn settings(&self) -> anyhow::Result<ReviewConfig> {
        let mut settings = ReviewConfig::default();
        if let Some(seconds) = self.hold_timeout_s {
            settings.hold_timeout = Duration::from_secs(seconds);
        }
        if let Some(seconds) = self.grant_ttl_s {
            settings.grant_ttl = Duration::from_secs(seconds);
        }
        for entry in &self.webhooks {
            let secret = entry.secret_file.as_ref().map(|path| {
                let text =
                    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
                anyhow::Ok(SecretString::from(text.trim_end().to_owned()))
            });
            settings.webhooks.push(Webhook {
                url: entry.url.clone(),
                secret: secret.transpose()?,
                format: entry.format,
                include_statement: entry.include_statement,
            });
        }
        Ok(settings)
    }
}
