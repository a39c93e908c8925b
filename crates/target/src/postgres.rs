//! What a target that speaks PostgreSQL has.

use std::sync::Arc;

use sallyport_credential::{Credentials, Need, Source};
use sallyport_listen::ClientTls;
use smol_str::SmolStr;

use crate::{Address, LeaseError, Patience, PostgresLease, Way};

/// A PostgreSQL server.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// The database at the target, when a client names none.
    pub database: String,
    /// Settings that clients may give at connect besides those that are always allowed; lower case.
    pub startup_settings: Vec<SmolStr>,
    /// Where what it says is masked.
    pub mask_at: MaskAt,
    /// Who logs in.
    pub login: Way<PostgresLogin>,
}

/// Where values are masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaskAt {
    /// In the gateway.
    #[default]
    Gateway,
    /// In the agent: what is masked never leaves the target's network.
    Agent,
}

/// How a PostgreSQL server is logged in to.
#[derive(Clone, Debug)]
pub struct PostgresLogin {
    /// Where it listens.
    pub address: Address,
    /// Whom to log in as, unless the credential says it.
    pub user: Option<String>,
    /// Where the password is, where one is needed.
    pub credential: Option<Source>,
    /// Whether and how TLS is spoken.
    pub tls: Tls,
    /// The ways to log in that are good enough.
    pub auth: Vec<AuthMethod>,
    /// Whether the login must be bound to the TLS channel.
    pub channel_binding: ChannelBinding,
    /// How long to wait.
    pub patience: Patience,
    /// Each session has a role of its own, which the user makes.
    pub ephemeral: Option<Ephemeral>,
}

/// A role of its own for each session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ephemeral {
    /// The roles that it can be granted.
    pub grantable: Vec<SmolStr>,
    /// The role that gets what it owns, when it ends; that is dropped if there is none.
    pub owner: Option<SmolStr>,
    /// What its name begins with.
    pub prefix: SmolStr,
}

/// The user that makes roles for sessions, for as long as that takes: it also ends them, after the session.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// What it makes.
    pub ephemeral: Ephemeral,
    target: SmolStr,
    login: PostgresLogin,
    credentials: Arc<Credentials>,
}

impl Administrator {
    /// Fetches its credential anew, to log in to a database.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn lease(&self, database: &str) -> Result<PostgresLease, LeaseError> {
        self.login.lease(&self.target, database, &self.credentials).await
    }

    /// The target.
    pub fn target(&self) -> &SmolStr {
        &self.target
    }
}

impl PostgresLogin {
    /// What is needed to reach the server, and nothing to log in with.
    pub(crate) fn route(&self, target: &SmolStr, database: &str) -> PostgresLease {
        PostgresLease {
            target: target.clone(),
            address: self.address.clone(),
            tls: self.tls.clone(),
            user: self.user.clone().unwrap_or_default(),
            secret: None,
            auth: self.auth.clone(),
            channel_binding: self.channel_binding,
            database: database.to_owned(),
            patience: self.patience,
            administrator: None,
            hold: None,
        }
    }

    /// Who makes the roles of sessions, if they have roles of their own.
    pub(crate) fn administrator(&self, target: &SmolStr, credentials: &Arc<Credentials>) -> Option<Administrator> {
        Some(Administrator {
            ephemeral: self.ephemeral.clone()?,
            target: target.clone(),
            login: self.clone(),
            credentials: Arc::clone(credentials),
        })
    }

    pub(crate) async fn lease(
        &self,
        target: &SmolStr,
        database: &str,
        credentials: &Arc<Credentials>,
    ) -> Result<PostgresLease, LeaseError> {
        let mut lease = self.route(target, database);
        lease.administrator = self.administrator(target, credentials).map(Box::new);
        if let Some(source) = &self.credential {
            let mut need = Need::password().at(self.address.host.as_str(), self.address.port);
            if let Some(user) = &self.user {
                need = need.as_user(user);
            }
            let (user, secret, hold) = credentials.lease(source, &need).await?.into_parts();
            lease.user = user.unwrap_or(lease.user);
            lease.secret = Some(secret);
            lease.hold = Some(hold);
        }
        if lease.user.is_empty() || lease.user.contains('\0') {
            let target = target.clone();
            return Err(LeaseError::NoUser { target });
        }
        Ok(lease)
    }
}

/// A way to log in to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// SCRAM-SHA-256, with channel binding over TLS: the target proves that it knows the password too.
    ScramSha256,
    /// MD5 challenge: weak, only where a target knows nothing better.
    Md5,
    /// The password in clear: only to a verified peer or on this machine.
    Password,
    /// No proof at all: the target lets the gateway in by its address or certificate.
    Trust,
}

impl AuthMethod {
    /// Its name in `targets.toml`, which is PostgreSQL's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScramSha256 => "scram-sha-256",
            Self::Md5 => "md5",
            Self::Password => "password",
            Self::Trust => "trust",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::ScramSha256, Self::Md5, Self::Password, Self::Trust]
            .into_iter()
            .find(|method| method.as_str() == name)
    }
}

/// Whether the login must be bound to the TLS channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// When the target offers it.
    #[default]
    Prefer,
    /// Always.
    Require,
    /// Never.
    Disable,
}

/// Whether and how TLS is spoken to a target.
#[derive(Clone, Debug)]
pub enum Tls {
    /// In clear.
    Disable,
    /// Always, or there is no connection.
    Require(ClientTls),
}
