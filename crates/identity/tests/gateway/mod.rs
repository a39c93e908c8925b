//! Identities on a throw-away store and people file.
#![allow(dead_code, reason = "each test file uses a part")]

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sallyport_identity::messages::PasswordLogin;
use sallyport_identity::oidc::OidcConfig;
use sallyport_identity::people::PeopleEditor;
use sallyport_identity::{Credential, Identities, IdentityConfig, Kind, SshAuthorities, Witness};
use sallyport_ssh_transport::keys::PrivateKey;
use sallyport_store::Store;
use secrecy::SecretString;
use tempfile::TempDir;
use time::OffsetDateTime;

pub(crate) const PASSWORD: &str = "correct horse";

/// What was written down: who, and why it failed.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) logins: Mutex<Vec<(String, Option<String>)>>,
    pub(crate) full: AtomicBool,
}

impl Witness for Written {
    fn device_login(&self, who: &str, _: IpAddr, failed: Option<&str>) -> Result<(), String> {
        if self.full.load(Ordering::SeqCst) {
            return Err("no space left".to_owned());
        }
        let entry = (who.to_owned(), failed.map(ToOwned::to_owned));
        self.logins.lock().unwrap().push(entry);
        Ok(())
    }
}

pub(crate) struct Gateway {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) ids: Arc<Identities>,
    pub(crate) written: Arc<Written>,
    oidc: Vec<OidcConfig>,
    settings: IdentityConfig,
}

/// Those of a state directory, made by OpenSSH when they are asked for first.
fn authorities(folder: &TempDir) -> SshAuthorities {
    let [people, hosts] = ["people_ca", "hosts_ca"].map(|name| {
        let file = folder.path().join(name);
        if !file.exists() {
            ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-f", file.to_str().unwrap()]);
        }
        PrivateKey::from_pem(&std::fs::read_to_string(file).unwrap(), None).unwrap()
    });
    SshAuthorities::new(people, hosts).unwrap()
}

/// Runs OpenSSH's `ssh-keygen` and returns what it prints.
pub(crate) fn ssh_keygen(arguments: &[&str]) -> String {
    let output = Command::new("ssh-keygen").args(arguments).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

impl Gateway {
    /// alice (developers), dana (dba) and root (admins), all with [`PASSWORD`].
    pub(crate) async fn start() -> Self {
        Self::with(Vec::new()).await
    }

    pub(crate) async fn with(oidc: Vec<OidcConfig>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut people = PeopleEditor::open(&folder.path().join("people.toml")).unwrap();
        let since = OffsetDateTime::now_utc() - time::Duration::HOUR;
        for (id, group) in [("alice", "developers"), ("dana", "dba"), ("root", "admins")] {
            people
                .add(id, Kind::User, &[group.to_owned()], Some(&PASSWORD.into()), since)
                .unwrap();
        }
        people.save().unwrap();
        Self::open(folder, oidc, IdentityConfig::default()).await
    }

    async fn open(folder: TempDir, oidc: Vec<OidcConfig>, settings: IdentityConfig) -> Self {
        let store = Store::open(&folder.path().join("store.db")).await.unwrap();
        let people = Some(folder.path().join("people.toml"));
        let config = IdentityConfig {
            people,
            oidc: oidc.clone(),
            ..settings.clone()
        };
        let ids = Identities::open(config, store.clone()).await.unwrap();
        let written = Arc::new(Written::default());
        let ids = ids.with_ssh(authorities(&folder)).with_witness(written.clone());
        let ids = Arc::new(ids);
        Self {
            folder,
            store,
            ids,
            written,
            oidc,
            settings,
        }
    }

    pub(crate) async fn restart(self) -> Self {
        let Self {
            folder,
            store,
            ids,
            written: _,
            oidc,
            settings,
        } = self;
        drop(ids);
        store.close().await;
        Self::open(folder, oidc, settings).await
    }

    /// The same, started again with other settings.
    pub(crate) async fn restart_with(mut self, change: impl FnOnce(&mut IdentityConfig)) -> Self {
        change(&mut self.settings);
        self.restart().await
    }

    /// The same, started again with other providers.
    pub(crate) async fn restart_with_providers(mut self, oidc: Vec<OidcConfig>) -> Self {
        self.oidc = oidc;
        self.restart().await
    }

    /// A key pair made by OpenSSH: its file, and its public line.
    pub(crate) fn key_pair(&self, name: &str, options: &[&str]) -> (String, String) {
        let file = self.folder.path().join(name).to_str().unwrap().to_owned();
        ssh_keygen(&[&["-q", "-N", "", "-C", name, "-f", &file], options].concat());
        let line = std::fs::read_to_string(format!("{file}.pub")).unwrap();
        (file, line)
    }

    pub(crate) async fn login_token(&self, user: &str) -> SecretString {
        let password = SecretString::from(PASSWORD).into();
        let login = PasswordLogin {
            user: user.to_owned(),
            password,
        };
        let login = self
            .ids
            .login_password(&login, IpAddr::V4(Ipv4Addr::LOCALHOST))
            .await
            .unwrap();
        login.reply.token.0
    }

    pub(crate) async fn login(&self, user: &str) -> Credential {
        self.ids.by_api_token(&self.login_token(user).await).await.unwrap()
    }

    pub(crate) fn edit(&self, change: impl FnOnce(&mut PeopleEditor)) {
        let mut people = PeopleEditor::open(&self.folder.path().join("people.toml")).unwrap();
        change(&mut people);
        people.save().unwrap();
    }
}
