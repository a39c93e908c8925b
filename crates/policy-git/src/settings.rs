//! What an operator says about the repository: `[policy]` of `sallyport.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::address::{self, Repository, Transport};

const POLL: Duration = Duration::from_secs(30);
const SHORTEST_POLL: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const TIMEOUT: Duration = Duration::from_secs(60);
const MAX_MIB: u32 = 256;

/// The table as it is written. Relative paths are relative to the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitTable {
    /// The repository: `git+https://host/org/repo`, or `git+ssh`, `git+file`.
    pub git: String,
    /// The branch that is followed.
    pub branch: Option<String>,
    /// The folder of the bundle within the repository.
    pub path: Option<String>,
    /// What relative paths in `targets.toml` are relative to.
    pub files: Option<PathBuf>,
    /// How often the host is asked: `30s`, `5m`.
    pub poll: Option<String>,
    /// How long a fetch may take.
    pub timeout: Option<String>,
    /// The most that one fetch may bring, in MiB.
    pub max_fetch_mib: Option<u32>,
    /// A file of allowed signers, as `ssh-keygen -Y verify` takes it.
    pub signers: Option<PathBuf>,
    /// A file of OpenPGP public keys.
    pub keyring: Option<PathBuf>,
    /// Which new commits must be signed.
    #[serde(default)]
    pub signed: Signed,
    /// Whether the branch may go back to an older commit, or to another line.
    #[serde(default)]
    pub allow_rewind: bool,
    /// The private key for SSH.
    pub identity_file: Option<PathBuf>,
    /// The host's keys.
    pub known_hosts_file: Option<PathBuf>,
    /// The user for HTTPS.
    pub username: Option<String>,
    /// A file with the password or token for HTTPS.
    pub token_file: Option<PathBuf>,
    /// The authorities of the host's certificate.
    pub ca_file: Option<PathBuf>,
    /// A file with the secret of the host's webhook.
    pub webhook_secret_file: Option<PathBuf>,
}

impl GitTable {
    /// What `git+https://host/repo#branch:path` says.
    ///
    /// # Errors
    /// When it names no branch.
    pub fn from_address(text: &str) -> Result<Self, String> {
        let (git, branch, path) = address::split(text)?;
        Ok(Self {
            git: git.to_owned(),
            branch: Some(branch.to_owned()),
            path: path.map(ToOwned::to_owned),
            ..Self::default()
        })
    }
}

/// Which new commits must be signed, when signers are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signed {
    /// Those of the branch itself: what a merge brings in is vouched for by the merge's own signature.
    #[default]
    FirstParent,
    /// Every one.
    All,
}

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signers {
    /// Those of SSH keys in a file of allowed signers.
    Ssh(PathBuf),
    /// Those of OpenPGP keys in a file.
    OpenPgp(PathBuf),
}

/// What to show the host, and how to know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The private key for SSH.
    pub identity_file: Option<PathBuf>,
    /// The host's keys.
    pub known_hosts_file: Option<PathBuf>,
    /// The user for HTTPS.
    pub username: Option<String>,
    /// A file with the password or token for HTTPS.
    pub token_file: Option<PathBuf>,
    /// The authorities of the host's certificate.
    pub ca_file: Option<PathBuf>,
}

/// What is followed, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The repository.
    pub repository: Repository,
    /// The branch.
    pub branch: String,
    /// The folder within it.
    pub path: Option<String>,
    /// What relative paths in `targets.toml` are relative to.
    pub files: PathBuf,
    /// How often the host is asked.
    pub poll: Duration,
    /// How long a fetch may take.
    pub timeout: Duration,
    /// The most bytes that one fetch may bring.
    pub max_fetch_bytes: u64,
    /// Whose signatures count; none are asked for when absent.
    pub signers: Option<Signers>,
    /// Which new commits must be signed.
    pub signed: Signed,
    /// Whether the branch may go back.
    pub allow_rewind: bool,
    /// What to show the host.
    pub access: Access,
    /// A file with the secret of the host's webhook.
    pub webhook_secret_file: Option<PathBuf>,
}

impl Settings {
    /// Whether a text is the address of a repository and not a path.
    #[must_use]
    pub fn is_address(text: &str) -> bool {
        text.starts_with("git+") || text.contains("://") || text.starts_with("ext::")
    }

    /// Reads `git+https://host/repo#branch:path`; relative paths are relative to `base`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, base: &Path) -> Result<Self, String> {
        Self::read(&GitTable::from_address(text)?, base)
    }

    /// Reads the table; relative paths are relative to `base`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(table: &GitTable, base: &Path) -> Result<Self, String> {
        let repository = Repository::parse(&table.git)?;
        let branch = table.branch.clone().ok_or("name the `branch` that is followed")?;
        address::branch(&branch)?;
        table.path.as_deref().map_or(Ok(()), address::folder)?;
        let at = |path: &Option<PathBuf>| path.as_ref().map(|path| base.join(path));
        let signers = match (at(&table.signers), at(&table.keyring)) {
            (Some(_), Some(_)) => return Err("give `signers` or `keyring`, not both".to_owned()),
            (Some(file), None) => Some(Signers::Ssh(file)),
            (None, Some(file)) => Some(Signers::OpenPgp(file)),
            (None, None) if table.signed != Signed::default() => {
                return Err("`signed` says nothing without `signers` or `keyring`".to_owned());
            }
            (None, None) => None,
        };
        let access = Access {
            identity_file: at(&table.identity_file),
            known_hosts_file: at(&table.known_hosts_file),
            username: table.username.clone(),
            token_file: at(&table.token_file),
            ca_file: at(&table.ca_file),
        };
        fitting(&access, repository.transport())?;
        let poll = span(table.poll.as_deref(), POLL, "poll")?;
        Ok(Self {
            repository,
            branch,
            path: table.path.clone(),
            files: at(&table.files).unwrap_or_else(|| base.to_owned()),
            poll: poll.max(SHORTEST_POLL),
            timeout: span(table.timeout.as_deref(), TIMEOUT, "timeout")?,
            max_fetch_bytes: u64::from(table.max_fetch_mib.unwrap_or(MAX_MIB).max(1)) << 20,
            signers,
            signed: table.signed,
            allow_rewind: table.allow_rewind,
            access,
            webhook_secret_file: at(&table.webhook_secret_file),
        })
    }

    /// The whole address in one line, as messages and records have it.
    #[must_use]
    pub fn source(&self) -> String {
        let path = self.path.as_ref().map(|path| format!(":{path}")).unwrap_or_default();
        format!("{}#{}{path}", self.repository, self.branch)
    }
}

/// Each credential belongs to one way: one that nobody would use is a mistake.
fn fitting(access: &Access, transport: Transport) -> Result<(), String> {
    let ssh = transport == Transport::Ssh;
    let http = matches!(transport, Transport::Https | Transport::Http);
    if ssh && access.identity_file.is_none() {
        return Err("`git+ssh` needs an `identity_file`: a private key that may read the repository".to_owned());
    }
    if !ssh && (access.identity_file.is_some() || access.known_hosts_file.is_some()) {
        return Err("`identity_file` and `known_hosts_file` are for `git+ssh`".to_owned());
    }
    if !http && (access.token_file.is_some() || access.ca_file.is_some() || access.username.is_some()) {
        return Err("`username`, `token_file` and `ca_file` are for `git+https`".to_owned());
    }
    if access.username.is_some() && access.token_file.is_none() {
        return Err("`username` says nothing without `token_file`".to_owned());
    }
    let odd = |user: &String| user.contains(':') || user.contains(char::is_control);
    if access.username.as_ref().is_some_and(odd) {
        return Err("`username` has characters that no user has".to_owned());
    }
    Ok(())
}

fn span(text: Option<&str>, default: Duration, key: &str) -> Result<Duration, String> {
    let Some(text) = text else { return Ok(default) };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 60 * 60,
        Some(_) | None => 0,
    };
    let seconds = digits.parse::<u64>().unwrap_or(0).saturating_mul(unit);
    match Duration::from_secs(seconds) {
        span if !span.is_zero() && span <= LONGEST => Ok(span),
        _ => Err(format!(
            "`{key}` must be a time such as `30s`, `5m` or `1h`, at most a day"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn table(git: &str) -> GitTable {
        GitTable {
            git: git.to_owned(),
            branch: Some("main".to_owned()),
            ..GitTable::default()
        }
    }

    fn read(table: &GitTable) -> Result<Settings, String> {
        Settings::read(table, Path::new("/etc/sallyport"))
    }

    #[test]
    fn an_address_says_the_same_as_a_table() {
        let short = Settings::parse("git+https://host/repo#main:a/b", Path::new("/etc/sallyport")).unwrap();
        let mut long = table("git+https://host/repo");
        long.path = Some("a/b".to_owned());
        assert_eq!(short, read(&long).unwrap());
        assert_eq!(short.source(), "git+https://host/repo#main:a/b");
        assert_eq!(short.files, Path::new("/etc/sallyport"));
        assert_eq!((short.poll.as_secs(), short.timeout.as_secs()), (30, 60));
    }

    #[test]
    fn times_have_units_and_bounds() {
        for (text, seconds) in [("1s", 1), ("5m", 300), ("24h", 86_400)] {
            assert_eq!(span(Some(text), POLL, "poll").unwrap().as_secs(), seconds);
        }
        for text in [
            "",
            "5",
            "s",
            "0s",
            "25h",
            "-1s",
            "1.5s",
            "5 m",
            "99999999999999999999h",
            "1d",
        ] {
            assert!(span(Some(text), POLL, "poll").is_err(), "{text}");
        }
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        let some = || Some(PathBuf::from("x"));
        let https = || table("git+https://host/repo");
        assert!(
            read(&GitTable {
                identity_file: some(),
                ..https()
            })
            .is_err()
        );
        assert!(
            read(&GitTable {
                username: Some("me".to_owned()),
                ..https()
            })
            .is_err()
        );
        assert!(
            read(&GitTable {
                signed: Signed::All,
                ..https()
            })
            .is_err()
        );
        assert!(
            read(&GitTable {
                signers: some(),
                keyring: some(),
                ..https()
            })
            .is_err()
        );
        assert!(
            read(&GitTable {
                token_file: some(),
                ..table("git+file:///srv/x.git")
            })
            .is_err()
        );
        assert!(read(&table("git+ssh://git@host/repo")).is_err(), "no key");
        assert!(
            read(&GitTable {
                branch: None,
                ..https()
            })
            .is_err()
        );
        let token = read(&GitTable {
            token_file: some(),
            ..https()
        })
        .unwrap();
        assert_eq!(token.access.token_file.unwrap(), Path::new("/etc/sallyport/x"));
    }
}
