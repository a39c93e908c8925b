//! The gateway's own keys for SSH, made at first start: what it shows to clients, and what it signs with.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use sallyport_identity::SshAuthorities;
use sallyport_ssh_transport::keys::PrivateKey;
use sallyport_ssh_transport::{HostKey, Preferences, ServerConfig};

/// The authorities for certificates: one for people at the gateway, another for the gateway at hosts.
pub(crate) fn authorities(keys: &Path) -> anyhow::Result<SshAuthorities> {
    let people = load_or_create(&keys.join("ssh_people_ca"))?;
    let hosts = load_or_create(&keys.join("ssh_hosts_ca"))?;
    match SshAuthorities::new(people, hosts) {
        Some(authorities) => Ok(authorities),
        None => bail!("the two SSH authorities in `{}` have the same key", keys.display()),
    }
}

/// What is shown to clients.
pub(crate) fn server(keys: &Path) -> anyhow::Result<ServerConfig> {
    let host = load_or_create(&keys.join("ssh_host_ed25519"))?;
    Ok(ServerConfig {
        keys: vec![HostKey::new(host)],
        software: sallyport_ssh::SOFTWARE.to_owned(),
        preferences: Preferences::default(),
    })
}

/// Reads a key, or makes one that only the gateway's own account can read.
fn load_or_create(path: &Path) -> anyhow::Result<PrivateKey> {
    match fs::read_to_string(path) {
        Ok(text) => PrivateKey::from_pem(&text, None).with_context(|| format!("`{}` is no SSH key", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = PrivateKey::generate_ed25519()?;
            let text = key.to_openssh_pem("sallyport")?;
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .with_context(|| format!("cannot make `{}`", path.display()))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}
