//! Which repository, branch and folder a policy is followed in, checked so that nothing in it can be an option or a program.

use std::fmt;
use std::path::{Path, PathBuf};

use url::{Host, Url};

/// The longest name of a branch, path or address, in bytes.
const MAX_BYTES: usize = 1024;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// HTTPS.
    Https,
    /// HTTP without TLS, on loopback only.
    Http,
    /// SSH.
    Ssh,
    /// A repository on this machine.
    File,
}

impl Transport {
    /// The one protocol that git may use.
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }
}

/// The address of a repository, as the git program is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    url: String,
    transport: Transport,
}

impl Repository {
    /// Reads an address, with `git+` before it or without.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = text.strip_prefix("git+").unwrap_or(text);
        if plain.len() > MAX_BYTES || plain.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err("the address is too long, or has characters that no address has".to_owned());
        }
        let url = Url::parse(plain)
            .map_err(|error| format!("the address makes no sense ({error}): write `git+https://host/path`"))?;
        let transport = match url.scheme() {
            "https" => Transport::Https,
            "http" => Transport::Http,
            "ssh" => Transport::Ssh,
            "file" => Transport::File,
            other => {
                return Err(format!(
                    "`{other}` is no way to a policy: `git+https`, `git+ssh`, `git+file`, or `git+http` on loopback"
                ));
            }
        };
        authority(&url, transport)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err("the address of a repository has no `?` and no second `#`".to_owned());
        }
        if url.path().trim_matches('/').is_empty() || plain.contains('%') {
            return Err("the address must name a repository, without `%`".to_owned());
        }
        let url = url.to_string();
        Ok(Self { url, transport })
    }

    /// As git is given it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How it is reached.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The folder, if it is on this machine.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let path = self.url.strip_prefix("file://")?;
        Some(Path::new(path).to_owned())
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "git+{}", self.url)
    }
}

/// Nothing secret in an address, which everybody on the machine sees, and nothing that a program could take for an option.
fn authority(url: &Url, transport: Transport) -> Result<(), String> {
    if url.password().is_some() {
        return Err("the address has a password: put it into a file, and name that as `token_file`".to_owned());
    }
    let user = url.username();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if user.starts_with('-') || !user.chars().all(plain) {
        return Err("the user in the address has characters that no user has".to_owned());
    }
    if !user.is_empty() && transport != Transport::Ssh {
        return Err("the address has a user: give it as `username`".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    match transport {
        Transport::File if !host.is_empty() => Err("`git+file` is on this machine: `git+file:///path`".to_owned()),
        Transport::File => Ok(()),
        Transport::Https | Transport::Http | Transport::Ssh if host.is_empty() || host.starts_with('-') => {
            Err("the address has no host".to_owned())
        }
        Transport::Http if !loopback(url) => {
            Err("without TLS anybody on the way could change the policy: `git+http` is for loopback only".to_owned())
        }
        Transport::Ssh if host.contains(char::is_uppercase) => {
            Err("the host has characters that no host has".to_owned())
        }
        Transport::Https | Transport::Http | Transport::Ssh => Ok(()),
    }
}

fn loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A branch's name that git accepts as one.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn branch(name: &str) -> Result<(), String> {
    // As `git check-ref-format` has it.
    let forbidden = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock") && !part.ends_with('.');
    let good = !name.is_empty()
        && name.len() <= MAX_BYTES
        && !name.starts_with('-')
        && name != "@"
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(forbidden)
        && name.split('/').all(part);
    if good {
        Ok(())
    } else {
        Err(format!("`{}` is no name of a branch", name.escape_debug()))
    }
}

/// A folder within a repository: no leading slash, nothing that leads out.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn folder(path: &str) -> Result<(), String> {
    let part = |part: &str| !matches!(part, "" | "." | ".." | ".git") && !part.contains(['\\', ':']);
    if path.len() <= MAX_BYTES && path.split('/').all(part) && !path.contains(char::is_control) {
        Ok(())
    } else {
        Err(format!("`{}` is no folder within a repository", path.escape_debug()))
    }
}

/// Takes `git+https://host/repo#branch:path/within` apart: the address, the branch, and the folder.
///
/// # Errors
/// When it names no branch.
pub(crate) fn split(text: &str) -> Result<(&str, &str, Option<&str>), String> {
    let (address, place) = text
        .split_once('#')
        .ok_or("name the branch that is followed: `git+https://host/repo#main`")?;
    Ok(match place.split_once(':') {
        Some((branch, path)) => (address, branch, Some(path)),
        None => (address, place, None),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn addresses_of_repositories_are_taken_as_they_are() {
        for (text, url) in [
            ("git+https://host/org/repo", "https://host/org/repo"),
            ("https://host:8443/org/repo.git", "https://host:8443/org/repo.git"),
            ("git+ssh://git@host/org/repo", "ssh://git@host/org/repo"),
            ("git+file:///srv/policy.git", "file:///srv/policy.git"),
            ("git+http://127.0.0.1:1/x", "http://127.0.0.1:1/x"),
            ("git+http://[::1]:1/x", "http://[::1]:1/x"),
            ("git+http://localhost/x", "http://localhost/x"),
        ] {
            assert_eq!(Repository::parse(text).unwrap().url(), url);
        }
    }

    #[test]
    fn options_programs_secrets_and_what_is_not_protected_are_refused() {
        for text in [
            "--upload-pack=touch /tmp/x",
            "-x",
            "ext::sh -c touch% /tmp/x",
            "git+ext::sh",
            "git+ext://sh/x",
            "git://host/repo",
            "git@host:org/repo",
            "/srv/policy.git",
            "git+file://host/srv/policy.git",
            "git+file:///srv/%2e%2e/x",
            "git+file:///",
            "git+http://host/repo",
            "git+http://127.0.0.1.example.com/repo",
            "git+https://user:secret@host/repo",
            "git+https://user@host/repo",
            "git+https:///",
            "git+https://host/",
            "git+https://host/repo?x=1",
            "git+https://host/repo#a",
            "git+https://host/re po",
            "git+https://host/re\npo",
            "git+ssh://-oProxyCommand=x/repo",
            "git+ssh://-oProxyCommand@host/repo",
            "git+ssh://a%20b@host/repo",
            "git+fd::17",
        ] {
            assert!(Repository::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_branches_are_those_of_git() {
        for name in [
            "main",
            "feature/x#1",
            "release-1.2",
            "a@b",
            "ünïcode",
            "$(id)",
            "a;b",
            "'q'",
            "x.lock.y",
        ] {
            assert!(branch(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "-x",
            "--upload-pack=x",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "[a",
            "a\\b",
            "@",
            "a@{1}",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.",
            "a\n",
            "a\u{7f}",
        ] {
            assert!(branch(name).is_err(), "{name}");
        }
    }

    #[test]
    fn folders_lead_nowhere_else() {
        for path in ["policy", "a/b.c", ".sallyport/policy", "-x"] {
            assert!(folder(path).is_ok(), "{path}");
        }
        for path in ["", "/a", "a/", "a//b", "..", "a/../b", ".", "a\0", "a:b", ".git/hooks"] {
            assert!(folder(path).is_err(), "{path}");
        }
    }

    #[test]
    fn an_address_is_taken_apart() {
        assert_eq!(split("u#main").unwrap(), ("u", "main", None));
        assert_eq!(split("u#a#b:c/d").unwrap(), ("u", "a#b", Some("c/d")));
        assert!(split("u").is_err());
    }
}
