//! The key pair and the certificate with which this person's `ssh` logs in to a gateway.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sallyport_identity::client::{ClientError, GatewayClient};
use sallyport_identity::credentials::{Credentials, write_private};
use sallyport_identity::messages::SshCertificateRequest;
use sallyport_ssh_transport::keys::{Certificate, PrivateKey};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// A certificate that ends sooner than this is renewed: logging in takes a moment, and clocks differ.
const RENEW_BEFORE: Duration = Duration::minutes(2);
/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// Where they are: a folder for each gateway, beside the logins.
#[derive(Debug)]
pub(crate) struct SshIdentity {
    folder: PathBuf,
    key: PathBuf,
    certificate: PathBuf,
    config: PathBuf,
    known_hosts: PathBuf,
}

impl SshIdentity {
    /// For the gateway with this API.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(crate) fn at(api: &str) -> anyhow::Result<Self> {
        Ok(Self::within(&folder()?.join(folder_name(api))))
    }

    pub(super) fn within(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            key: folder.join("id_ed25519"),
            certificate: folder.join("id_ed25519-cert.pub"),
            config: folder.join("config"),
            known_hosts: folder.join("known_hosts"),
        }
    }

    /// The private key.
    pub(crate) fn key_file(&self) -> &Path {
        &self.key
    }

    /// The certificate.
    pub(crate) fn certificate_file(&self) -> &Path {
        &self.certificate
    }

    /// The part of `ssh`'s configuration for this gateway.
    pub(crate) fn config_file(&self) -> &Path {
        &self.config
    }

    /// The gateway's host keys.
    pub(crate) fn known_hosts_file(&self) -> &Path {
        &self.known_hosts
    }

    /// What finds the configurations of all gateways, for `Include`.
    ///
    /// # Errors
    /// When the path cannot be written into a configuration.
    pub(crate) fn all_config_files(&self) -> anyhow::Result<String> {
        super::block::quoted(&folder()?.join("*").join("config"))
    }

    /// When the certificate ends, if it is one for the key and is good for some minutes yet.
    pub(crate) fn current(&self) -> Option<OffsetDateTime> {
        let text = read(&self.certificate).ok()??;
        let certificate: Certificate = text.trim().parse().ok()?;
        let key = PrivateKey::from_pem(&read(&self.key).ok()??, None).ok()?;
        let end = i64::try_from(certificate.valid_before()).ok()?;
        let end = OffsetDateTime::from_unix_timestamp(end).ok()?;
        let good = certificate.key() == key.public_key() && end > OffsetDateTime::now_utc() + RENEW_BEFORE;
        good.then_some(end)
    }

    /// Gets a new certificate and says when it ends; `None` when the gateway has no SSH.
    ///
    /// # Errors
    /// When the gateway says no, or the files cannot be written.
    pub(crate) async fn renew(&self, gateway: &GatewayClient) -> anyhow::Result<Option<OffsetDateTime>> {
        let key = self.load_or_create_key()?;
        let request = SshCertificateRequest {
            public_key: key.public_key().to_string(),
        };
        let reply = match gateway.ssh_certificate(&request).await {
            Ok(reply) => reply,
            Err(ClientError::Answered { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let certificate: Certificate = reply
            .certificate
            .parse()
            .context("the gateway's answer is no certificate")?;
        if certificate.key() != key.public_key() {
            bail!("the gateway's answer is a certificate for another key");
        }
        self.write(&self.certificate, &format!("{certificate}\n"))?;
        Ok(Some(reply.expires))
    }

    /// Keeps the gateway's host keys.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write_known_hosts(&self, lines: &str) -> anyhow::Result<()> {
        self.write(&self.known_hosts, lines)
    }

    /// Forgets the certificate.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub(crate) fn forget(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(&self.certificate) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove `{}`", self.certificate.display()))
            }
            _ => Ok(()),
        }
    }

    fn load_or_create_key(&self) -> anyhow::Result<PrivateKey> {
        // Another `ssh` may be doing the same: whoever is first made the key.
        for _ in 0..2 {
            if let Some(text) = read(&self.key)? {
                let mode = std::fs::metadata(&self.key)?.permissions().mode();
                if mode & 0o077 != 0 {
                    bail!(
                        "`{}` can be read by others: delete it, and log in again",
                        self.key.display()
                    );
                }
                return PrivateKey::from_pem(&text, None)
                    .with_context(|| format!("`{}` is no private key: delete it", self.key.display()));
            }
            self.create_key()?;
        }
        bail!("`{}` cannot be made", self.key.display())
    }

    /// Makes a key, unless there is one by now. The public part beside it is for people.
    fn create_key(&self) -> anyhow::Result<()> {
        let fail = || format!("cannot make `{}`", self.key.display());
        self.make_folder()?;
        let key = PrivateKey::generate_ed25519()?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).with_context(fail)?;
        file.write_all(key.to_openssh_pem("sallyport")?.as_bytes())
            .with_context(fail)?;
        file.as_file().sync_all().with_context(fail)?;
        match file.persist_noclobber(&self.key) {
            Ok(_) => self.write(
                &self.key.with_extension("pub"),
                &format!("{} sallyport\n", key.public_key()),
            ),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error).with_context(fail),
        }
    }

    fn make_folder(&self) -> anyhow::Result<()> {
        let private = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        private.with_context(|| format!("cannot make `{}`", self.folder.display()))
    }

    fn write(&self, path: &Path, text: &str) -> anyhow::Result<()> {
        self.make_folder()?;
        write_private(path, text.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))
    }
}

/// The folder of all gateways.
fn folder() -> anyhow::Result<PathBuf> {
    let credentials = Credentials::default_path()?;
    Ok(credentials.parent().unwrap_or(Path::new(".")).join("ssh"))
}

/// A name for an address, in which nothing means anything to a path or to `ssh`.
fn folder_name(api: &str) -> String {
    let (_, rest) = api.split_once("://").unwrap_or(("", api));
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' || c == '-' {
            c
        } else {
            '_'
        }
    };
    let name: String = rest.trim_end_matches('/').chars().map(plain).collect();
    // Never `.` or `..`, and nothing hidden.
    name.replace("..", "__")
        .trim_start_matches('.')
        .chars()
        .take(100)
        .collect()
}

/// The text of a file; `None` when there is none.
fn read(path: &Path) -> anyhow::Result<Option<Zeroizing<String>>> {
    let mut text = Zeroizing::new(String::new());
    let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn each_gateway_has_a_folder_and_none_leads_elsewhere() {
        for (api, name) in [
            ("https://gw.example:8432", "gw.example_8432"),
            ("https://gw.example:8432/", "gw.example_8432"),
            ("http://[::1]:8432/a/../b", "___1__8432_a____b"),
            ("https://../../x", "______x"),
        ] {
            assert_eq!(folder_name(api), name, "{api}");
        }
    }

    #[test]
    fn the_key_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let identity = SshIdentity::within(&dir.path().join("gw"));
        let first = identity.load_or_create_key().unwrap().public_key().clone();
        assert_eq!(identity.load_or_create_key().unwrap().public_key(), &first);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&identity.folder), mode(&identity.key)), (0o700, 0o600));
        let public = std::fs::read_to_string(identity.key.with_extension("pub")).unwrap();
        assert_eq!(public, format!("{first} sallyport\n"));
        identity.create_key().unwrap();
        assert_eq!(
            identity.load_or_create_key().unwrap().public_key(),
            &first,
            "never over another"
        );
        std::fs::set_permissions(&identity.key, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(
            identity
                .load_or_create_key()
                .unwrap_err()
                .to_string()
                .contains("read by others")
        );
    }
}
