//! What one session needs to reach its target and log in there: one type for each protocol, so that nothing in it is
//! without meaning.

use sallyport_credential::{CredentialError, Hold};
use secrecy::SecretString;
use smol_str::SmolStr;

use crate::{Address, Administrator, AuthMethod, ChannelBinding, HostTrust, Patience, SshSecret, Tls};

/// What one session needs, whichever protocol its target speaks. `Debug` shows no secret.
#[derive(Debug)]
pub enum Lease {
    /// A PostgreSQL server.
    Postgres(PostgresLease),
    /// An SSH host.
    Ssh(SshLease),
}

/// What one session needs to reach a PostgreSQL server and log in there. `Debug` shows no secret.
#[derive(Debug)]
pub struct PostgresLease {
    /// The target's name.
    pub target: SmolStr,
    /// Where it listens.
    pub address: Address,
    /// Whether and how TLS is spoken.
    pub tls: Tls,
    /// Whom to log in as.
    pub user: String,
    /// The password, where one is needed.
    pub secret: Option<SecretString>,
    /// The ways to log in that are good enough. The target may choose among these only.
    pub auth: Vec<AuthMethod>,
    /// Whether the login must be bound to the TLS channel.
    pub channel_binding: ChannelBinding,
    /// The database at the target.
    pub database: String,
    /// How long to wait.
    pub patience: Patience,
    /// Each session has a role of its own, which the user that logs in makes.
    pub administrator: Option<Box<Administrator>>,
    /// Keeps the credential. The user may be there only as long as this.
    pub hold: Option<Hold>,
}

impl PostgresLease {
    /// Whether the target may choose this way to log in.
    pub fn allows(&self, method: AuthMethod) -> bool {
        self.auth.contains(&method)
    }

    /// Whether the user was made for one session: nobody will log in as it again.
    pub fn is_for_one_session(&self) -> bool {
        self.hold.as_ref().is_some_and(Hold::is_for_one_session)
    }
}

/// What one session needs to reach an SSH host and log in there. `Debug` shows no secret.
#[derive(Debug)]
pub struct SshLease {
    /// The target's name.
    pub target: SmolStr,
    /// Where it listens.
    pub address: Address,
    /// The account to log in to.
    pub user: String,
    /// How to log in.
    pub secret: SshSecret,
    /// What the host must show, or it is not spoken to.
    pub trust: HostTrust,
    /// How long to wait.
    pub patience: Patience,
}

/// Why there is no lease. Free of secrets.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The credential is not where it should be.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// An agent logs in, and not whoever was asked.
    #[error("only an agent `{agent}` can log in to `{target}`")]
    Elsewhere {
        /// The target.
        target: SmolStr,
        /// The agents' name.
        agent: SmolStr,
    },
    /// Nobody says whom to log in as.
    #[error("neither `user` nor the credential says whom to log in to `{target}` as")]
    NoUser {
        /// The target.
        target: SmolStr,
    },
    /// The credential is for another account than the one that was asked for.
    #[error("the credential of `{target}` is for another account than `{login}`")]
    OtherAccount {
        /// The target.
        target: SmolStr,
        /// What was asked for.
        login: String,
    },
    /// Nothing is ever done there beside sessions.
    #[error("nothing is done at `{target}` beside its sessions")]
    NothingBeside {
        /// The target.
        target: SmolStr,
    },
    /// The account is not among those that may be asked for.
    #[error("nobody can log in to `{target}` as `{login}`")]
    Login {
        /// The target.
        target: SmolStr,
        /// What was asked for.
        login: String,
    },
}

/// A lease is for a target of another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the target speaks another protocol")]
pub struct OtherProtocol;

impl TryFrom<Lease> for PostgresLease {
    type Error = OtherProtocol;

    fn try_from(lease: Lease) -> Result<Self, OtherProtocol> {
        match lease {
            Lease::Postgres(lease) => Ok(lease),
            Lease::Ssh(_) => Err(OtherProtocol),
        }
    }
}

impl TryFrom<Lease> for SshLease {
    type Error = OtherProtocol;

    fn try_from(lease: Lease) -> Result<Self, OtherProtocol> {
        match lease {
            Lease::Ssh(lease) => Ok(lease),
            Lease::Postgres(_) => Err(OtherProtocol),
        }
    }
}
