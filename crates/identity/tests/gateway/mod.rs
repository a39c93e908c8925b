//! Identities on a throw-away store and people file.
#![allow(dead_code, reason = "each test file uses a part")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use sallyport_identity::messages::PasswordLogin;
use sallyport_identity::oidc::OidcConfig;
use sallyport_identity::people::PeopleEditor;
use sallyport_identity::{Credential, Identities, IdentityConfig, Kind};
use sallyport_store::Store;
use secrecy::SecretString;
use tempfile::TempDir;
use time::OffsetDateTime;

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Gateway {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) ids: Arc<Identities>,
    oidc: Vec<OidcConfig>,
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
        Self::open(folder, oidc).await
    }

    async fn open(folder: TempDir, oidc: Vec<OidcConfig>) -> Self {
        let store = Store::open(&folder.path().join("store.db")).await.unwrap();
        let people = Some(folder.path().join("people.toml"));
        let config = IdentityConfig {
            people,
            oidc: oidc.clone(),
            ..Default::default()
        };
        let ids = Arc::new(Identities::open(config, store.clone()).await.unwrap());
        Self {
            folder,
            store,
            ids,
            oidc,
        }
    }

    pub(crate) async fn restart(self) -> Self {
        let Self {
            folder,
            store,
            ids,
            oidc,
        } = self;
        drop(ids);
        store.close().await;
        Self::open(folder, oidc).await
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
