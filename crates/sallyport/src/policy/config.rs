//! `policy` of `sallyport.toml`: a directory, the address of a branch, or a table that says more of one.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use sallyport_policy_git::{GitTable, Settings};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Where the policy is.
#[derive(Debug)]
pub(crate) enum PolicyConfig {
    /// In a directory, which is watched.
    Directory(PathBuf),
    /// In a branch of a git repository, which is followed.
    Git {
        /// What is said of it.
        table: Box<GitTable>,
        /// What its paths are relative to.
        base: PathBuf,
    },
}

impl PolicyConfig {
    /// Makes its paths relative to `base`, and looks whether it makes sense.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn place(&mut self, at: &Path) -> anyhow::Result<()> {
        match self {
            Self::Directory(path) => {
                *path = at.join(&*path);
                Ok(())
            }
            Self::Git { table, base } => {
                *base = at.to_owned();
                settings(table, base).map(drop)
            }
        }
    }

    /// The files that show a host who the gateway is, and the gateway who the host is.
    pub(crate) fn secrets(&self) -> Vec<PathBuf> {
        match self {
            Self::Directory(_) => Vec::new(),
            Self::Git { table, base } => {
                let files = [&table.token_file, &table.identity_file, &table.webhook_secret_file];
                files.into_iter().flatten().map(|file| base.join(file)).collect()
            }
        }
    }

    /// What is followed, if it is a branch.
    ///
    /// # Errors
    /// When it makes no sense.
    pub(crate) fn git(&self) -> anyhow::Result<Option<Settings>> {
        match self {
            Self::Directory(_) => Ok(None),
            Self::Git { table, base } => settings(table, base).map(Some),
        }
    }
}

fn settings(table: &GitTable, base: &Path) -> anyhow::Result<Settings> {
    Settings::read(table, base).map_err(|why| anyhow!("`policy`: {why}"))
}

impl<'de> Deserialize<'de> for PolicyConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = PolicyConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a directory, an address such as `git+https://host/repo#main`, or a table with `git` and `branch`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PolicyConfig, E> {
        if !Settings::is_address(text) {
            return Ok(PolicyConfig::Directory(text.into()));
        }
        let table = GitTable::from_address(text).map_err(E::custom)?;
        Ok(unplaced(table))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<PolicyConfig, M::Error> {
        GitTable::deserialize(MapAccessDeserializer::new(map)).map(unplaced)
    }
}

fn unplaced(table: GitTable) -> PolicyConfig {
    PolicyConfig::Git {
        table: Box::new(table),
        base: PathBuf::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::collections::BTreeSet;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct File {
        policy: PolicyConfig,
    }

    fn read(text: &str) -> anyhow::Result<PolicyConfig> {
        let mut policy = toml::from_str::<File>(text)?.policy;
        policy.place(Path::new("/etc/sallyport"))?;
        Ok(policy)
    }

    #[test]
    fn the_book_has_every_key() {
        let book = include_str!("../../../../docs/src/policy-git.md");
        let (_, rest) = book.split_once("```toml\n[policy]\n").unwrap();
        let (table, _) = rest.split_once("```").unwrap();
        let written: toml::Table = toml::from_str(table).unwrap();
        let error = toml::from_str::<GitTable>("no-such-key = 1").unwrap_err();
        let (_, expected) = error.message().split_once("expected").unwrap();
        let keys: BTreeSet<&str> = expected.split('`').skip(1).step_by(2).collect();
        assert_eq!(written.keys().map(String::as_str).collect::<BTreeSet<_>>(), keys);
    }

    #[test]
    fn a_path_stays_what_it_was() {
        for (text, path) in [("policy", "/etc/sallyport/policy"), ("/srv/git+x", "/srv/git+x")] {
            let PolicyConfig::Directory(found) = read(&format!("policy = '{text}'")).unwrap() else {
                panic!("{text} is a directory")
            };
            assert_eq!(found, Path::new(path));
        }
    }

    #[test]
    fn a_branch_is_an_address_or_a_table() {
        let short = read("policy = 'git+https://host/repo#main:rules of gw'").unwrap();
        let long = read("[policy]\ngit = 'git+https://host/repo'\nbranch = 'main'\npath = 'rules of gw'").unwrap();
        assert_eq!(short.git().unwrap(), long.git().unwrap());
        let table = read("[policy]\ngit = 'git+https://host/repo'\nbranch = 'main'\nsigners = 'signers'\npoll = '5m'");
        let settings = table.unwrap().git().unwrap().unwrap();
        let signers = sallyport_policy_git::Signers::Ssh("/etc/sallyport/signers".into());
        assert_eq!((settings.signers, settings.poll.as_secs()), (Some(signers), 300));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (text, word) in [
            ("policy = 'git+https://host/repo'", "#main"),
            ("policy = 'https://host/repo#a..b'", "branch"),
            ("policy = 'ext::sh -c x#main'", "address"),
            ("policy = '-x://y#main'", "address"),
            ("policy = 7", "a directory"),
            ("[policy]\nbranch = 'main'", "git"),
            (
                "[policy]\ngit = 'git+https://host/repo'\nbranch = 'main'\nsigner = 'x'",
                "signer",
            ),
            (
                "[policy]\ngit = 'git+https://host/repo'\nbranch = 'main'\npoll = 30",
                "poll",
            ),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
