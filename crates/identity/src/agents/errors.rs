//! Why an agent is not let in, or cannot be set up. Messages may be shown to who asked.

use std::path::PathBuf;

use sallyport_store::StoreError;

use crate::oidc::TokenFault;
use crate::principal::NameError;
use crate::secret::NoRandom;

/// Why there is no authority for agents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// Its file cannot be read or made, or makes no sense.
    #[error("the authority for agents, `{}`: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Certificate(String),
    /// A value of the configuration.
    #[error("the configuration's `agents.{key}`: {why}")]
    Config {
        /// Which value.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No keys can be made.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}

impl From<rustls::Error> for AuthorityError {
    fn from(error: rustls::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}

/// What is wrong with a request for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFault {
    /// It cannot be read.
    #[error("it cannot be read")]
    Malformed,
    /// Not a key that agents have.
    #[error("its key is neither ECDSA P-256 nor Ed25519")]
    Key,
    /// It was not signed with the key that it is for.
    #[error("its signature is wrong")]
    Signature,
}

/// Why nobody joins, or gets a new certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The request for a certificate.
    #[error("the request for a certificate is not good: {0}")]
    Request(#[from] RequestFault),
    /// The description of the host.
    #[error("the description of the host is not good: its {0} is empty, too long or has control characters")]
    Host(&'static str),
    /// The proof.
    #[error("{0}")]
    Proof(#[from] ProofFault),
    /// There are as many instances as there can be.
    #[error("there are as many instances of agents as there can be: revoke those that are gone")]
    Full,
    /// The instance was revoked, or its certificate has ended.
    #[error("the agent's certificate was revoked or is not known: join again")]
    Revoked,
    /// It could not be written down, so it did not happen.
    #[error("joining is not possible at the moment")]
    Unwitnessed,
    /// The store cannot be used.
    #[error("joining is not possible at the moment")]
    Unavailable(#[from] StoreError),
    /// No certificate can be made.
    #[error("joining is not possible at the moment")]
    Authority(#[from] AuthorityError),
}

/// What is wrong with a proof.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofFault {
    /// Not a join token, or none of this gateway.
    #[error("the join token is not known here")]
    UnknownToken,
    /// A join token of another gateway.
    #[error("the join token is of another gateway")]
    OtherAuthority,
    /// It ended.
    #[error("the join token has expired: make a new one")]
    Expired,
    /// It was used. If not by this agent, then by somebody who should not have it.
    #[error("the join token was used already: if that was not you, revoke the agent that joined with it")]
    Used,
    /// It was revoked.
    #[error("the join token was revoked")]
    Revoked,
    /// The proof was used before.
    #[error("the proof was used before")]
    Spent,
    /// Nothing lets it join.
    #[error("no rule lets this proof join")]
    NoRule,
    /// Rules would let it join as several agents.
    #[error("the proof would do for several agents: say which")]
    Ambiguous,
    /// A token of a platform.
    #[error("the token is not good: {0}")]
    Token(#[from] TokenFault),
    /// Not a document that can be read.
    #[error("the proof cannot be read")]
    Malformed,
    /// Nobody who may vouch signed it.
    #[error("the proof was not signed by who may vouch for it")]
    Signature,
    /// It was made for another key.
    #[error("the proof was made for another key")]
    OtherKey,
    /// What it says is not in order.
    #[error("the proof {0}")]
    Said(&'static str),
    /// The rule does not name it.
    #[error("the rule does not name its {0}")]
    NotListed(&'static str),
    /// The gateway's own keys cannot be read.
    #[error("the gateway cannot check the proof at the moment")]
    Keys,
}

/// Why a certificate does not say who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentifyError {
    /// None was shown.
    #[error("no client certificate was shown")]
    NoCertificate,
    /// It is not one for an agent.
    #[error("the client certificate is not an agent's: {0}")]
    NotAnAgent(&'static str),
    /// It ended.
    #[error("the agent's certificate has expired: join again")]
    Expired,
    /// The instance was revoked, or the gateway does not know it.
    #[error("the agent's certificate was revoked or is not known: join again")]
    Revoked,
}

/// Why an administrator's wish was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdministerError {
    /// The name cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Longer than join tokens may live, or nothing.
    #[error("a join token can live from 1 to {most_s} seconds, not {asked_s}")]
    Lifetime {
        /// What was asked for.
        asked_s: u64,
        /// The most that can be had.
        most_s: u64,
    },
    /// There are as many join tokens as there can be.
    #[error("there are {most} join tokens that nobody used: revoke some, or wait until they end")]
    TooMany {
        /// How many there can be.
        most: u32,
    },
    /// There is no such thing.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// It could not be written down, so it did not happen.
    #[error("it could not be written down and was not done: {0}")]
    Unwitnessed(String),
    /// It was done, but could not be written down.
    #[error("it was done, but could not be written down: {0}")]
    DoneUnwitnessed(String),
    /// The store cannot be used.
    #[error("agents cannot be changed at the moment")]
    Unavailable(#[from] StoreError),
    /// No token can be made.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// Why an agent has no certificate that it can use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolmentError {
    /// Its file or folder.
    #[error("`{}`: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Not a pin.
    #[error("a pin is `sha256:` and 64 hexadecimal digits")]
    Pin,
    /// What the gateway answered.
    #[error("the gateway's answer cannot be used: {0}")]
    Reply(&'static str),
    /// A key, a request or a TLS configuration cannot be made.
    #[error("{0}")]
    Crypto(String),
}

impl From<rcgen::Error> for EnrolmentError {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}

impl From<rustls::Error> for EnrolmentError {
    fn from(error: rustls::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}
