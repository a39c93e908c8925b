//! Why somebody is not let in, or does not get what they ask for.

use std::time::Duration;

use sallyport_ssh_transport::keys::KeyError;
use sallyport_store::StoreError;

use crate::oidc::OidcError;
use crate::oidc::flow::FlowError;
use crate::people::{PasswordError, PeopleError};
use crate::principal::NameError;
use crate::secret::NoRandom;

/// Why a token or a certificate opens nothing. The message may be shown to who presented it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No such token, or its owner is gone. Which of them is not said.
    #[error("the token is not valid")]
    UnknownToken,
    /// It ended.
    #[error("the token has expired: get a new one with `sallyport token`")]
    Expired,
    /// It was revoked.
    #[error("the token was revoked: get a new one with `sallyport token`")]
    Revoked,
    /// Somebody else's token.
    #[error("the token does not belong to the user name that was given")]
    WrongUser,
    /// A token for another target.
    #[error("the token is for another target")]
    WrongTarget,
    /// No principal has this certificate.
    #[error("no principal has this client certificate")]
    UnknownCertificate,
    /// Somebody else's certificate.
    #[error("the client certificate does not belong to the user name that was given")]
    WrongCertificate,
    /// No SSH certificate of this gateway for this user. What is wrong is not said.
    #[error("the SSH certificate is not valid here")]
    UnknownSshCertificate,
    /// It ended.
    #[error("the SSH certificate has expired: get a new one with `sallyport ssh-certificate`")]
    SshCertificateExpired,
    /// It was revoked, or the login that it was made for ended.
    #[error("the SSH certificate was revoked: log in again with `sallyport login`")]
    SshCertificateRevoked,
    /// No such user, not a key of theirs, or no login of theirs of late. Which of them is not said.
    #[error("the SSH key is not known for the user name that was given")]
    UnknownSshKey,
    /// Too many attempts of late.
    #[error("too many attempts: try again in {} seconds", wait.as_secs().max(1))]
    TooMany {
        /// How long to wait.
        wait: Duration,
    },
    /// Nobody can tell, so the answer is no.
    #[error("this cannot be checked at the moment")]
    Unavailable(#[source] StoreError),
}

/// Why a login failed. The message may be shown to who tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// Name or password is wrong. Which of them is not said.
    #[error("the user name or the password is wrong")]
    WrongPassword,
    /// Too many guesses of late.
    #[error("too many attempts: try again in {} seconds", wait.as_secs().max(1))]
    TooMany {
        /// How long to wait.
        wait: Duration,
    },
    /// No provider has this name, or none was named and there are several.
    #[error("there is no identity provider called `{0}`")]
    UnknownProvider(String),
    /// The ID token is not good, or the provider cannot be asked.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// The provider cannot be asked, refused, or nobody logged in there in time.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// Nothing can be begun at the moment.
    #[error("too many people are logging in: try again in a minute")]
    Busy,
    /// The login could not be written down, so it did not happen.
    #[error("logging in is not possible at the moment")]
    Unwitnessed,
    /// Who logged in is not who they said they are.
    #[error("somebody else logged in than the user name that was given says")]
    WrongUser,
    /// The login was not begun here, took too long, or was used before.
    #[error("the login was not begun here, took too long or was used before: log in again")]
    Stale,
    /// The name belongs to another subject.
    #[error("the name `{0}` belongs to somebody else here")]
    NameTaken(String),
    /// The provider's name or groups cannot be used.
    #[error("what the identity provider says cannot be used: {0}")]
    Name(#[from] NameError),
    /// The store cannot be used.
    #[error("logging in is not possible at the moment")]
    Unavailable(#[from] StoreError),
    /// No token can be made.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

impl From<IssueError> for LoginError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Unavailable(error) => Self::Unavailable(error),
            IssueError::NoRandom(error) => Self::NoRandom(error),
            IssueError::Lifetime { .. } | IssueError::Label { .. } | IssueError::Ended => Self::Stale,
        }
    }
}

/// Why no token is issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// Longer than tokens may live here, or nothing.
    #[error("a token can live from 1 to {most_s} seconds, not {asked_s}")]
    Lifetime {
        /// What was asked for.
        asked_s: u64,
        /// The most that can be had.
        most_s: u64,
    },
    /// The name of the token or of the target cannot be used.
    #[error("a token's {what} has 1 to 128 characters without control characters")]
    Label {
        /// `name` or `target`.
        what: &'static str,
    },
    /// The login that asks has ended.
    #[error("the login has ended: log in again")]
    Ended,
    /// The store cannot be used.
    #[error("tokens cannot be issued at the moment")]
    Unavailable(#[from] StoreError),
    /// No token can be made.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// Why no SSH certificate is made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshCertificateError {
    /// The gateway has no SSH.
    #[error("this gateway has no SSH")]
    NoSsh,
    /// The key cannot be used.
    #[error("the SSH key cannot be used: {0}")]
    Key(#[from] KeyError),
    /// Nothing can be issued.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Why an SSH key is not registered or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshKeyError {
    /// The key cannot be used.
    #[error("the SSH key cannot be used: {0}")]
    Key(#[from] KeyError),
    /// Its name cannot be used.
    #[error("a key's name has 1 to 128 characters without control characters")]
    Name,
    /// It is registered.
    #[error("the key is registered already")]
    Known,
    /// There are as many as there can be.
    #[error("there are {most} keys already, which is the most: remove one first")]
    Full {
        /// How many there can be.
        most: u32,
    },
    /// There is none. It may be in the people file, which whoever operates the gateway keeps.
    #[error("there is no such registered key")]
    Unknown,
    /// The store cannot be used.
    #[error("keys cannot be kept at the moment")]
    Unavailable(#[from] StoreError),
}

/// Why nothing is revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// There is none, or it is not theirs. Which of them is not said.
    #[error("there is no such token")]
    Unknown,
    /// The store cannot be used. Nothing was revoked.
    #[error("tokens cannot be revoked at the moment")]
    Unavailable(#[from] StoreError),
}

/// Why identities cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The people file.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// A provider's configuration.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// A value of the configuration.
    #[error("the configuration's `identity.{key}`: {why}")]
    Config {
        /// Which value.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dummy hash cannot be made.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// No keys can be made.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}
