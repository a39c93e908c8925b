//! The configuration and the book say the same.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

use std::collections::BTreeSet;

use super::Config;

const BOOK: &str = include_str!("../../../docs/src/operating.md");

/// The example in the book.
fn example() -> &'static str {
    let (_, rest) = BOOK.split_once("## sallyport.toml").unwrap();
    let (_, rest) = rest.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// The keys of a table, as the complaint about a key that does not exist lists them.
fn keys(table: &str) -> BTreeSet<String> {
    let error = toml::from_str::<Config>(&format!("{table}\nno-such-key = 1\n")).unwrap_err();
    let message = error.message().to_owned();
    let (_, expected) = message.split_once("expected").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_is_in_the_book_and_every_key_of_the_book_exists() {
    toml::from_str::<Config>(example()).unwrap();
    let book: toml::Table = toml::from_str(example()).unwrap();
    let table = |path: &[&str]| {
        let mut table = &book;
        for name in path {
            table = match &table[*name] {
                toml::Value::Array(entries) => entries[0].as_table().unwrap(),
                value => value.as_table().unwrap(),
            };
        }
        table.keys().cloned().collect::<BTreeSet<_>>()
    };
    assert_eq!(table(&[]), keys(""));
    for name in ["listen", "tls", "limits", "identity", "api", "review", "credentials"] {
        assert_eq!(table(&[name]), keys(&format!("[{name}]")), "[{name}]");
    }
    assert_eq!(table(&["identity", "oidc"]), keys("[[identity.oidc]]"));
    assert_eq!(table(&["review", "webhooks"]), keys("[[review.webhooks]]"));
}

#[test]
fn the_defaults_are_those_that_the_book_gives() {
    let written: Config = toml::from_str(example()).unwrap();
    let default: Config = toml::from_str("state_dir = \"s\"\npolicy = \"p\"\n").unwrap();
    let (mut written, default) = (written, default);
    assert!(written.listen.ssh.take().is_some() && default.listen.ssh.is_none());
    assert!(written.listen.agents.take().is_some() && default.listen.agents.is_none());
    assert_eq!(format!("{:?}", written.listen), format!("{:?}", default.listen));
    assert_eq!(format!("{:?}", written.limits), format!("{:?}", default.limits));
    assert_eq!(format!("{:?}", written.recording), format!("{:?}", default.recording));
    let (written, default) = (&written.identity, &default.identity);
    assert_eq!(written.token_ttl_s, default.token_ttl_s);
    assert_eq!(written.token_ttl_max_s, default.token_ttl_max_s);
    assert_eq!(written.session_ttl_s, default.session_ttl_s);
    assert_eq!(written.admin_groups, default.admin_groups);
    let minimal = "state_dir = \"s\"\npolicy = \"p\"\n[[identity.oidc]]\n\
                   issuer = \"https://id.example.com\"\nclient_id = \"sallyport\"\n";
    let provider = toml::from_str::<Config>(minimal).unwrap().identity.oidc.remove(0);
    let mut shown = written.oidc[0].clone();
    (shown.max_age_s, shown.ca_file) = (None, None);
    assert_eq!(format!("{shown:?}"), format!("{provider:?}"));
}
