//! Why a provider's word does not count.

use crate::http::HttpError;
use crate::principal::NameError;

/// Why a login with a provider comes to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// The configuration makes no sense.
    #[error("the identity provider `{provider}`: {why}")]
    Config {
        /// Its name.
        provider: String,
        /// What is wrong.
        why: String,
    },
    /// It cannot be asked.
    #[error("the identity provider cannot be asked: {0}")]
    Unreachable(#[from] HttpError),
    /// What it says about itself makes no sense.
    #[error("the identity provider's {what} cannot be used: {why}")]
    Provider {
        /// Which document.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The ID token is not good.
    #[error("the ID token is not good: {0}")]
    Token(#[from] TokenFault),
}

/// What is wrong with an ID token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFault {
    /// Too long, or not three parts of base64 with JSON in them.
    #[error("it is malformed: {0}")]
    Malformed(&'static str),
    /// The header asks for what is never done.
    #[error("its header has `{0}`")]
    Header(&'static str),
    /// It is of another type.
    #[error("it is another kind of token")]
    Kind,
    /// The algorithm is not one of those configured.
    #[error("its algorithm `{0}` is not accepted")]
    Algorithm(String),
    /// No key, or more than one, fits.
    #[error("the provider has no key for it")]
    UnknownKey,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// Another issuer.
    #[error("it comes from another issuer")]
    Issuer,
    /// For somebody else, or for several without `azp`.
    #[error("it is meant for another client")]
    Audience,
    /// Not of this login.
    #[error("its nonce is not that of this login")]
    Nonce,
    /// Too old.
    #[error("it has expired")]
    Expired,
    /// From the future.
    #[error("it is not valid yet")]
    NotYet,
    /// The sign-in at the provider is older than allowed, or not strong enough.
    #[error("the sign-in at the provider is {0}")]
    SignIn(&'static str),
    /// A claim is missing or of the wrong form.
    #[error("its claim `{claim}` {why}")]
    Claim {
        /// Which.
        claim: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The name or a group cannot be used.
    #[error("{0}")]
    Name(#[from] NameError),
}
