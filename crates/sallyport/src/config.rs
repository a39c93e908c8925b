//! `sallyport.toml`: what an operator decides. Parsed once, into what the code means.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use sallyport_api::Access;
use sallyport_identity::IdentityConfig;
use sallyport_identity::agents::{AgentsConfig, JoinRule};
use sallyport_ledger::Durability;
use sallyport_review::{ReviewConfig, Webhook, WebhookFormat};
use sallyport_target::Broker;
use secrecy::SecretString;
use serde::Deserialize;

use crate::policy::PolicyConfig;

/// The gateway's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where keys, the store, the journal and recordings are kept.
    pub(crate) state_dir: PathBuf,
    /// The policy: a directory, or a branch of a git repository.
    pub(crate) policy: PolicyConfig,
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
    /// Who may do what by way of the API.
    #[serde(default)]
    pub(crate) api: ApiAccess,
    /// Who may be an agent.
    #[serde(default)]
    pub(crate) agents: AgentsConfig,
    /// How credentials of targets are fetched.
    #[serde(default)]
    pub(crate) credentials: CredentialsConfig,
}

/// How credentials of targets are fetched.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CredentialsConfig {
    /// Whether the policy's `targets.toml` may name commands to run. Then whoever writes the policy runs programs here.
    pub(crate) commands: bool,
}

/// Where the gateway listens.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Listen {
    /// PostgreSQL clients.
    pub(crate) postgres: SocketAddr,
    /// SSH clients; nowhere when absent.
    pub(crate) ssh: Option<SocketAddr>,
    /// The API.
    pub(crate) api: SocketAddr,
    /// Agents; nowhere when absent.
    pub(crate) agents: Option<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            postgres: ([127, 0, 0, 1], 6432).into(),
            ssh: None,
            api: ([127, 0, 0, 1], 8432).into(),
            agents: None,
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
    /// Lists of the certificates that were revoked.
    pub(crate) client_crl: Option<PathBuf>,
}

/// Room for large values, and a bound to what one client can make the gateway keep.
const DEFAULT_MAX_MESSAGE_MIB: NonZeroU16 = NonZeroU16::MIN.saturating_add(127);
/// Two messages of the longest kind at once, with the copies that are made on their way.
const DEFAULT_LONG_MESSAGES_MIB: NonZeroU16 = NonZeroU16::MIN.saturating_add(1023);
/// The protocol itself has no longer messages.
const MAX_MESSAGE_MIB: u16 = 1024;

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
    /// The longest message of a client, in MiB.
    pub(crate) max_message_mib: NonZeroU16,
    /// Memory for messages of more than a MiB that are kept whole, of all sessions together, in MiB.
    pub(crate) long_messages_mib: NonZeroU16,
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
            max_message_mib: DEFAULT_MAX_MESSAGE_MIB,
            long_messages_mib: DEFAULT_LONG_MESSAGES_MIB,
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

    /// Memory for long messages, in bytes.
    pub(crate) fn long_messages(&self) -> usize {
        usize::from(self.long_messages_mib.get()) << 20
    }

    /// The longest message of a client, in bytes.
    pub(crate) fn max_message(&self) -> u32 {
        u32::from(self.max_message_mib.get().min(MAX_MESSAGE_MIB)) << 20
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
    /// Seconds that a request can be decided, also after its client has given up waiting.
    pub(crate) request_ttl_s: Option<u64>,
    /// Seconds that an unused grant lasts.
    pub(crate) grant_ttl_s: Option<u64>,
    /// Open requests of one principal.
    pub(crate) max_open_per_principal: Option<NonZeroU32>,
    /// Open requests.
    pub(crate) max_open: Option<NonZeroU32>,
    /// Days that requests which are over can be listed.
    pub(crate) retention_days: Option<u16>,
    /// The address that messages to reviewers point to.
    pub(crate) public_url: Option<url::Url>,
    /// Whom to tell.
    pub(crate) webhooks: Vec<WebhookEntry>,
}

/// Who may do what by way of the API. Administrators are those of `identity.admin_groups`; who approves, the rules say.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ApiAccess {
    /// Groups whose members see every request and every session, and replay every recording.
    pub(crate) auditors: Vec<String>,
    /// Whether people may replay their own sessions.
    pub(crate) replay_own: bool,
    /// Whether `/metrics` asks for no login; when absent, it asks for one unless the API listens on loopback.
    pub(crate) open_metrics: Option<bool>,
}

impl Default for ApiAccess {
    fn default() -> Self {
        let access = Access::default();
        Self {
            auditors: access.auditors,
            replay_own: access.replay_own,
            open_metrics: None,
        }
    }
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
            &mut config.tls.client_crl,
        ];
        let optional = tls.into_iter().filter_map(Option::as_mut).chain(people);
        let optional = optional.chain(config.agents.join.iter_mut().map(JoinRule::file_mut));
        for path in optional.chain([&mut config.state_dir]) {
            *path = base.join(&*path);
        }
        config.policy.place(base)?;
        Ok(config)
    }
}

impl Config {
    /// What fetches credentials of targets. Whoever writes the policy says where they are and where they are sent, so
    /// what is the gateway's own is none.
    pub(crate) fn broker(&self) -> Broker {
        let mut own = vec![self.state_dir.clone()];
        own.extend(self.tls.key.clone());
        own.extend(self.identity.people.clone());
        own.extend(self.review.webhooks.iter().filter_map(|hook| hook.secret_file.clone()));
        own.extend(self.policy.secrets());
        Broker::keeping(self.credentials.commands, own)
    }

    /// As the API wants it.
    pub(crate) fn access(&self) -> Access {
        Access {
            auditors: self.api.auditors.clone(),
            admins: self.identity.admin_groups.clone(),
            replay_own: self.api.replay_own,
            open_metrics: self.api.open_metrics.unwrap_or(self.listen.api.ip().is_loopback()),
        }
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
        if let Some(seconds) = self.request_ttl_s {
            settings.request_ttl = Duration::from_secs(seconds);
        }
        if let Some(seconds) = self.grant_ttl_s {
            settings.grant_ttl = Duration::from_secs(seconds);
        }
        if let Some(count) = self.max_open_per_principal {
            settings.max_open_per_principal = count.get();
        }
        if let Some(count) = self.max_open {
            settings.max_open = count.get();
        }
        if let Some(days) = self.retention_days {
            settings.retention = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        }
        settings.public_url.clone_from(&self.public_url);
        for entry in &self.webhooks {
            let secret = entry.secret_file.as_ref().map(|path| {
                let text =
                    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
                anyhow::Ok(SecretString::from(text.trim_end().to_owned()))
            });
            let url = sallyport_outgoing::address(entry.url.as_str());
            settings.webhooks.push(Webhook {
                url: url.map_err(|why| anyhow!("`url` of a webhook: {why}"))?,
                secret: secret.transpose()?,
                format: entry.format,
                include_statement: entry.include_statement,
            });
        }
        Ok(settings)
    }
}

#[cfg(test)]
#[path = "config_book_tests.rs"]
mod book_tests;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(text: &str) -> Result<Config, toml::de::Error> {
        toml::from_str(&format!("state_dir = \"s\"\npolicy = \"p\"\n{text}"))
    }

    #[test]
    fn what_is_not_given_is_safe() {
        let config = read("").unwrap();
        let access = config.access();
        assert_eq!(
            (access.auditors, access.admins),
            (vec!["auditors".to_owned()], vec!["admins".to_owned()])
        );
        assert!(access.replay_own && access.open_metrics);
        assert_eq!(config.limits.max_message(), 128 << 20);
        let open = read("[listen]\napi = \"192.0.2.1:8432\"").unwrap();
        assert!(!open.access().open_metrics, "not for everybody who reaches the address");
    }

    #[test]
    fn what_is_the_gateways_own_is_no_targets_credential() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sallyport.toml");
        let text = "state_dir = 'state'\n[policy]\ngit = 'git+https://host/repo'\nbranch = 'main'\ntoken_file = 'token'\n\
                    webhook_secret_file = 'hook'\n[tls]\ncertificate = 'gw.crt'\nkey = 'gw.key'\n\
                    [identity]\npeople = 'people.toml'\n";
        std::fs::write(&file, text).unwrap();
        let broker = Config::load(&file).unwrap().broker();
        let read = |password: &str| {
            let target = format!(
                "[[target]]\nname = 'x'\nprotocol = 'postgres'\naddress = 'evil.example:5432'\nuser = 'x'\n\
                 auth = ['password']\npassword_file = '{password}'\n"
            );
            sallyport_target::Catalogue::parse(&target, "targets.toml", dir.path(), &broker)
        };
        for own in ["state/keys/recording.key", "gw.key", "people.toml", "token", "hook"] {
            let error = read(own).unwrap_err().to_string();
            assert!(error.contains("the gateway's own"), "{own}: {error}");
        }
        read("secrets/x").unwrap();
    }

    #[test]
    fn access_and_the_bounds_of_reviews_are_the_operators() {
        let config = read(
            "[limits]\nmax_message_mib = 7\n[identity]\nadmin_groups = [\"sre\"]\n\
             [api]\nauditors = [\"audit\", \"legal\"]\nreplay_own = false\nopen_metrics = false\n\
             [review]\nrequest_ttl_s = 60\nmax_open_per_principal = 2\nmax_open = 9\nretention_days = 1\n\
             public_url = \"https://gw.example/\"\n",
        )
        .unwrap();
        let access = config.access();
        assert_eq!(
            (access.auditors, access.admins),
            (vec!["audit".to_owned(), "legal".to_owned()], vec!["sre".to_owned()])
        );
        assert!(!access.replay_own && !access.open_metrics);
        assert_eq!(config.limits.max_message(), 7 << 20);
        let review = config.review.settings().unwrap();
        assert_eq!(
            (
                review.request_ttl.as_secs(),
                review.max_open_per_principal,
                review.max_open,
                review.retention.as_secs()
            ),
            (60, 2, 9, 86_400)
        );
        assert_eq!(review.public_url.unwrap().as_str(), "https://gw.example/");
    }

    #[test]
    fn bounds_of_nothing_and_settings_that_are_none_are_refused() {
        for text in [
            "[limits]\nmax_message_mib = 0",
            "[limits]\nmax_message_mib = -1",
            "[review]\nmax_open = 0",
            "[api]\nadmins = [\"x\"]",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(
            read("[limits]\nmax_message_mib = 60000").unwrap().limits.max_message(),
            1 << 30
        );
    }
}
