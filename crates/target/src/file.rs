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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use std::collections::BTreeSet;

    use super::File;

    const BOOK: &str = include_str!("../../../docs/src/operating.md");

    #[test]
    fn every_key_is_in_the_book_and_every_key_of_the_book_exists() {
        let (_, rest) = BOOK.split_once("## Targets").unwrap();
        let (_, rest) = rest.split_once("```toml\n").unwrap();
        let example = rest.split_once("```").unwrap().0;
        toml::from_str::<File>(example).unwrap();
        let book: toml::Table = toml::from_str(example).unwrap();
        let mut shown: BTreeSet<String> = book["target"][0].as_table().unwrap().keys().cloned().collect();
        // It stands in a remark, since a password comes from one place.
        assert!(example.contains("# or password_env = "));
        shown.insert("password_env".to_owned());

        let error = toml::from_str::<File>("[[target]]\nno-such-key = 1").err().unwrap();
        let (_, expected) = error.message().split_once("expected").unwrap();
        let accepted: BTreeSet<String> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(shown, accepted);
        assert!(toml::from_str::<File>("targets = []").is_err());
    }
}
