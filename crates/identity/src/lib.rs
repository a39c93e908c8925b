//! Who is there: tokens, client certificates, the people file and OpenID Connect become a [`Principal`].
//!
//! [`Identities`] is what the gateway asks. A connection to a target shows a token ([`Identities::by_token`]) or a
//! client certificate ([`Identities::by_certificate`]); a call of the API shows the token of a login
//! ([`Identities::by_api_token`]); a login shows a password or a provider's ID token. What each of them gives is a
//! [`Credential`], whose [`Revocation`] ends what was opened with it.

pub mod agents;
pub mod client;
mod config;
pub mod credentials;
mod device;
mod errors;
mod files;
mod guesses;
mod http;
mod identities;
mod live;
mod login;
pub mod messages;
pub mod oidc;
pub mod people;
mod principal;
mod secret;
mod ssh;
mod tokens;

pub use config::IdentityConfig;
pub use device::{DeviceLogin, Witness};
pub use errors::{IdentityError, IssueError, LoginError, Refusal, RevokeError, SshCertificateError, SshKeyError};
pub use http::HttpError;
pub use identities::{Credential, Identities};
pub use live::Revocation;
pub use login::Login;
pub use principal::{Kind, LOCAL_ISSUER, MAX_GROUPS, NameError, Principal, check_id, checked_groups};
pub use secret::{API_PREFIX, TARGET_PREFIX, TokenId};
pub use ssh::{HostLogins, SshAuthorities};
pub use tokens::IssuedToken;
