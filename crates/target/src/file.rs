//! The form of `targets.toml`. Every option is declared here, once.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) target: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// The name that clients connect to.
    pub(crate) name: Spanned<String>,
    /// The protocol it speaks, like `postgres`.
    pub(crate) protocol: Spanned<String>,
    /// `host:port`.
    pub(crate) address: Spanned<String>,
    /// The environment that rules speak of, like `production`.
    pub(crate) environment: Option<String>,
    /// Tags that rules speak of.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// The database at the target; the target's own name when absent.
    pub(crate) database: Option<String>,

    /// `disable`, `require`, `verify-ca` or `verify-full` (the default).
    pub(crate) tls: Option<Spanned<String>>,
    /// Authorities to trust, PEM; the operating system's when absent.
    pub(crate) ca_file: Option<PathBuf>,
    /// The name that the certificate must be for; the address's host when absent.
    pub(crate) server_name: Option<Spanned<String>>,
    /// A certificate (PEM) to show to the target, with `client_key`.
    pub(crate) client_certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub(crate) client_key: Option<PathBuf>,

    /// Whom to log in as.
    pub(crate) user: Spanned<String>,
    /// A file whose first line is the password.
    pub(crate) password_file: Option<PathBuf>,
    /// An environment variable that holds the password.
    pub(crate) password_env: Option<String>,
    /// Ways to log in that are good enough: `scram-sha-256` (the default), `md5`, `password`, `trust`.
    pub(crate) auth: Option<Spanned<Vec<Spanned<String>>>>,
    /// `prefer` (the default), `require` or `disable`.
    pub(crate) channel_binding: Option<Spanned<String>>,
    /// Settings that clients may give at connect besides those that are always allowed.
    #[serde(default)]
    pub(crate) startup_settings: Vec<Spanned<String>>,

    /// How long reaching the target may take, in seconds; 10 when absent.
    pub(crate) connect_timeout_s: Option<Spanned<u64>>,
    /// How long TLS and login may take after that, in seconds; 30 when absent.
    pub(crate) login_timeout_s: Option<Spanned<u64>>,
}
