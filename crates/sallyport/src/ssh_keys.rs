//! The gateway's own keys for SSH, made at first start: what it shows to clients, and what it signs with.

use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sallyport_identity::SshAuthorities;
use sallyport_ssh_transport::keys::PrivateKey;
use sallyport_ssh_transport::{HostKey, Preferences, ServerConfig};
use zeroize::Zeroizing;

/// The host key that every gateway has.
const HOST_KEY: &str = "ssh_host_ed25519";
/// How the names of host keys begin.
const HOST_KEYS: &str = "ssh_host_";
/// The most host keys.
const MAX_HOST_KEYS: usize = 8;

/// The authorities for certificates: one for people at the gateway, another for the gateway at hosts.
pub(crate) fn authorities(keys: &Path) -> anyhow::Result<SshAuthorities> {
    let people = load_or_create(&keys.join("ssh_people_ca"))?;
    let hosts = load_or_create(&keys.join("ssh_hosts_ca"))?;
    match SshAuthorities::new(people, hosts) {
        Some(authorities) => Ok(authorities),
        None => bail!("the two SSH authorities in `{}` have the same key", keys.display()),
    }
}

/// What is shown to clients: the Ed25519 key, then the other files called `ssh_host_…`, which an operator puts there
/// for clients that do not know Ed25519.
pub(crate) fn server(keys: &Path) -> anyhow::Result<ServerConfig> {
    let mut host = vec![HostKey::new(load_or_create(&keys.join(HOST_KEY))?)];
    for path in further_host_keys(keys)? {
        host.push(HostKey::new(load_or_create(&path)?));
    }
    Ok(ServerConfig {
        keys: host,
        software: sallyport_ssh::SOFTWARE.to_owned(),
        preferences: Preferences::default(),
    })
}

fn further_host_keys(keys: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(keys).with_context(|| format!("cannot look into `{}`", keys.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(HOST_KEYS) && name != HOST_KEY && !name.ends_with(".pub") {
            found.push(path);
        }
    }
    found.sort();
    if found.len() >= MAX_HOST_KEYS {
        bail!("`{}` holds {} further SSH host keys", keys.display(), found.len());
    }
    Ok(found)
}

/// Reads a key, or makes one that only the gateway's own account can read.
pub(crate) fn load_or_create(path: &Path) -> anyhow::Result<PrivateKey> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return create(path),
        read => Zeroizing::new(read.with_context(|| format!("cannot read `{}`", path.display()))?),
    };
    PrivateKey::from_pem(&text, None).with_context(|| format!("`{}` is no SSH key", path.display()))
}

/// Written beside and renamed: a crash leaves no half of a key. Never over one that was made meanwhile.
fn create(path: &Path) -> anyhow::Result<PrivateKey> {
    let fail = || format!("cannot make `{}`", path.display());
    let key = PrivateKey::generate_ed25519().with_context(fail)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let private = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    private.with_context(fail)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(fail)?;
    let text = key.to_openssh_pem("sallyport").with_context(fail)?;
    file.write_all(text.as_bytes()).with_context(fail)?;
    file.as_file().sync_all().with_context(fail)?;
    file.persist_noclobber(path).with_context(fail)?;
    let folder = fs::File::open(folder).and_then(|folder| folder.sync_all());
    folder.with_context(fail)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    fn shown(keys: &Path) -> Vec<String> {
        let server = server(keys).unwrap();
        server.keys.iter().map(|key| key.public_key().to_string()).collect()
    }

    #[test]
    fn keys_are_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        let first = authorities(&keys).unwrap();
        let host = shown(&keys);
        for name in ["ssh_host_ed25519", "ssh_people_ca", "ssh_hosts_ca"] {
            let mode = fs::metadata(keys.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let second = authorities(&keys).unwrap();
        assert_eq!(
            [first.people(), first.hosts().public_key()],
            [second.people(), second.hosts().public_key()]
        );
        assert_eq!((shown(&keys), host.len()), (host.clone(), 1));
        let mut print = Command::new("ssh-keygen");
        let print = print
            .args(["-y", "-f"])
            .arg(keys.join("ssh_host_ed25519"))
            .output()
            .unwrap();
        assert!(
            String::from_utf8(print.stdout).unwrap().starts_with(&host[0]),
            "OpenSSH reads it"
        );

        fs::copy(keys.join("ssh_people_ca"), keys.join("ssh_hosts_ca")).unwrap();
        assert!(
            authorities(&keys)
                .unwrap_err()
                .to_string()
                .contains("have the same key")
        );
        fs::write(keys.join("ssh_people_ca"), "half a key").unwrap();
        assert!(authorities(&keys).unwrap_err().to_string().contains("is no SSH key"));
    }

    #[test]
    fn what_an_operator_adds_is_shown_after_our_own() {
        let dir = tempfile::tempdir().unwrap();
        let ours = shown(dir.path());
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"]);
        assert!(keygen.arg(dir.path().join("ssh_host_rsa")).status().unwrap().success());
        let both = shown(dir.path());
        assert!(
            both.len() == 2 && both[0] == ours[0] && both[1].starts_with("ssh-rsa "),
            "{both:?}"
        );
    }
}
