//! The part of `ssh`'s configuration for one gateway. What the gateway says is checked before it gets there: a line of
//! it could have `ssh` run a program.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, bail};
use sallyport_identity::check_id;
use sallyport_identity::messages::{SshInfo, SshTarget};
use sallyport_ssh_transport::keys::PublicKey;
use url::Url;

use super::SshIdentity;
use crate::commands::terminal::safe;

/// What `ssh` calls the gateway where it looks for its host keys.
const ALIAS: &str = "sallyport";

/// A name of a host as `ssh` is given it, and the user name that leads there.
#[derive(Debug)]
struct Entry {
    host: String,
    user: String,
}

/// The configuration.
#[derive(Debug)]
pub(super) struct Block {
    api: String,
    host: String,
    port: u16,
    suffix: String,
    entries: Vec<String>,
    names: Vec<String>,
    host_keys: Vec<PublicKey>,
    key: String,
    certificate: String,
    known_hosts: String,
    renew: String,
}

impl Block {
    /// For the gateway with this API, at `host`. `program` renews certificates.
    ///
    /// # Errors
    /// When something cannot be written into a configuration of `ssh` without meaning more than it says.
    pub(super) fn new(
        api: &Url,
        host: &str,
        suffix: &str,
        info: &SshInfo,
        identity: &SshIdentity,
        program: &Path,
    ) -> anyhow::Result<Self> {
        let user = info.user.as_str();
        check_id(user)?;
        if !is_plain(suffix) {
            bail!("`{}` cannot end the name of a host", safe(suffix));
        }
        if !is_plain(host) && host.parse::<std::net::Ipv6Addr>().is_err() {
            bail!("`{}` is no name of a host", safe(host));
        }
        let entries: Vec<Entry> = info.targets.iter().flat_map(|t| entries(user, t, suffix)).collect();
        let host_keys: Result<Vec<PublicKey>, _> = info.host_keys.iter().map(|line| line.parse()).collect();
        let host_keys = host_keys.context("a host key of the gateway cannot be used")?;
        if host_keys.is_empty() {
            bail!("the gateway has no host key");
        }
        Ok(Self {
            renew: renewal(program, api)?,
            api: api.as_str().trim_end_matches('/').to_owned(),
            host: host.to_owned(),
            port: info.listen.port(),
            suffix: suffix.to_owned(),
            names: entries.iter().map(|entry| entry.host.clone()).collect(),
            entries: entries
                .iter()
                .map(|entry| format!("Host {}\n    User {}\n", entry.host, entry.user))
                .collect(),
            host_keys,
            key: quoted(identity.key_file())?,
            certificate: quoted(identity.certificate_file())?,
            known_hosts: quoted(identity.known_hosts_file())?,
        })
    }

    /// The names that `ssh` can be given.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The gateway's keys, as in `known_hosts`.
    pub(super) fn known_hosts(&self) -> String {
        let mut text = String::new();
        for key in &self.host_keys {
            // Writing to a text does not fail.
            let _ = writeln!(text, "{ALIAS} {key}");
        }
        text
    }

    /// The configuration.
    ///
    /// # Errors
    /// Never in practice.
    pub(super) fn config(&self) -> anyhow::Result<String> {
        let mut text = format!("# Sallyport at {}: written by `sallyport ssh-config`.\n", self.api);
        let suffix = &self.suffix;
        // Before the certificate is read, it is renewed if need be.
        writeln!(text, "Match originalhost *.{suffix} exec \"{}\"", self.renew)?;
        writeln!(text, "    CertificateFile {}", self.certificate)?;
        for entry in &self.entries {
            text.push_str(entry);
        }
        writeln!(text, "Host *.{suffix}")?;
        for (option, value) in [
            ("HostName", self.host.as_str()),
            ("Port", &self.port.to_string()),
            ("HostKeyAlias", ALIAS),
            ("UserKnownHostsFile", &self.known_hosts),
            ("StrictHostKeyChecking", "yes"),
            ("IdentityFile", &self.key),
            ("IdentitiesOnly", "yes"),
            ("SendEnv", "SALLYPORT_TASK"),
        ] {
            writeln!(text, "    {option} {value}")?;
        }
        Ok(text)
    }
}

/// The names for a host's accounts: `web-1.sallyport`, and `root.web-1.sallyport` for another one than its own.
fn entries(user: &str, target: &SshTarget, suffix: &str) -> Vec<Entry> {
    let name = &target.name;
    if !is_plain(name) {
        return Vec::new();
    }
    // Whoever's name could be read as one with an account must name an account.
    let ambiguous = user.rsplit_once('@').is_some_and(|(_, domain)| !domain.contains('.'));
    let mut entries = Vec::new();
    for (index, login) in target.logins.iter().enumerate() {
        let nameable = is_plain(login) && !login.contains('.');
        let (own, whole) = (index == 0, format!("{user}@{login}@{name}"));
        let user = match (own, ambiguous) {
            (true, false) => format!("{user}@{name}"),
            (_, _) if nameable => whole,
            (_, _) => continue,
        };
        let host = if own {
            format!("{name}.{suffix}")
        } else {
            format!("{login}.{name}.{suffix}")
        };
        entries.push(Entry { host, user });
    }
    entries
}

/// What `ssh` runs through a shell before it reads the certificate.
fn renewal(program: &Path, api: &Url) -> anyhow::Result<String> {
    let program = program.to_str().context("the path of this program is not text")?;
    for word in [program, api.as_str()] {
        if word.contains(['\'', '"', '\\', '$', '`']) || word.chars().any(char::is_control) {
            bail!("`{}` cannot be written into a configuration of ssh", safe(word));
        }
    }
    let words = format!(
        "'{program}' ssh-certificate --quiet --api '{}'",
        api.as_str().trim_end_matches('/')
    );
    Ok(words.replace('%', "%%"))
}

/// A path as `ssh` reads it.
pub(super) fn quoted(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().context("a path is not text")?;
    if text.contains(['"', '\\', '$']) || text.chars().any(char::is_control) {
        bail!("`{}` cannot be written into a configuration of ssh", safe(text));
    }
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

/// Whether a name is nothing but a name to `ssh`.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.len() <= 255 && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJYQp1mS0Z3cS5s8OQbSYjTCyUwCsR3b4Nm0EIuNXVfP";

    fn info(user: &str, targets: &[(&str, &[&str])]) -> SshInfo {
        let target = |(name, logins): &(&str, &[&str])| SshTarget {
            name: (*name).to_owned(),
            logins: logins.iter().map(|login| (*login).to_owned()).collect(),
        };
        SshInfo {
            user: user.into(),
            listen: "0.0.0.0:2222".parse().unwrap(),
            host_keys: vec![KEY.to_owned()],
            authority: String::new(),
            targets: targets.iter().map(target).collect(),
        }
    }

    fn block(info: &SshInfo) -> anyhow::Result<Block> {
        let api = Url::parse("https://gw.example:8432").unwrap();
        let identity = SshIdentity::within(Path::new("/c/100% mine"));
        Block::new(
            &api,
            "gw.example",
            "sallyport",
            info,
            &identity,
            Path::new("/bin/sallyport"),
        )
    }

    #[test]
    fn each_account_has_a_name() {
        let hosts: &[(&str, &[&str])] = &[("web-1", &["deploy", "root"]), ("db", &["postgres"])];
        let block = block(&info("alice", hosts)).unwrap();
        insta::assert_snapshot!(block.config().unwrap(), @r#"
        # Sallyport at https://gw.example:8432: written by `sallyport ssh-config`.
        Match originalhost *.sallyport exec "'/bin/sallyport' ssh-certificate --quiet --api 'https://gw.example:8432'"
            CertificateFile "/c/100%% mine/id_ed25519-cert.pub"
        Host web-1.sallyport
            User alice@web-1
        Host root.web-1.sallyport
            User alice@root@web-1
        Host db.sallyport
            User alice@db
        Host *.sallyport
            HostName gw.example
            Port 2222
            HostKeyAlias sallyport
            UserKnownHostsFile "/c/100%% mine/known_hosts"
            StrictHostKeyChecking yes
            IdentityFile "/c/100%% mine/id_ed25519"
            IdentitiesOnly yes
            SendEnv SALLYPORT_TASK
        "#);
        assert_eq!(block.known_hosts(), format!("sallyport {KEY}\n"));
    }

    #[test]
    fn who_could_be_read_as_two_names_says_which_account() {
        let hosts: &[(&str, &[&str])] = &[("web", &["deploy", "a.b"])];
        let users = |user: &str| {
            let text = block(&info(user, hosts)).unwrap().config().unwrap();
            let users = text.lines().filter_map(|line| line.trim().strip_prefix("User "));
            users.map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(users("alice@example.com"), ["alice@example.com@web"]);
        assert_eq!(users("alice@corp"), ["alice@corp@deploy@web"]);
    }

    /// A gateway that was taken over must not get its words into the configuration.
    #[test]
    fn nothing_that_a_gateway_says_becomes_an_option() {
        let attack = "x\n    ProxyCommand touch /tmp/owned";
        for name in [attack, "*", "a b", "-oProxyCommand=x", "\"", "", "a%h"] {
            let hosts: &[(&str, &[&str])] = &[(name, &["root"]), ("web", &["deploy", name])];
            let block = block(&info("alice", hosts)).unwrap();
            assert_eq!(block.names(), ["web.sallyport"], "{name:?}");
            assert!(!block.config().unwrap().contains("ProxyCommand"));
        }
        assert!(block(&info(attack, &[])).is_err());
        for line in [
            format!("{KEY}\n* {KEY}"),
            "nonsense".to_owned(),
            format!("web.example {KEY}"),
        ] {
            let mut info = info("alice", &[]);
            info.host_keys = vec![line];
            let known = block(&info).map(|block| block.known_hosts());
            assert!(known.is_err() || known.is_ok_and(|text| text == format!("sallyport {KEY}\n")));
        }
    }
}
