//! The bodies of the API's identity routes, shared by the gateway and the command line.

use std::net::SocketAddr;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;
use time::OffsetDateTime;

use crate::principal::Kind;
use crate::secret::TokenId;

/// A secret that must travel in a body. It prints as nothing.
#[derive(Clone, Debug)]
pub struct Sealed(pub SecretString);

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|s| Self(s.into()))
    }
}

impl From<SecretString> for Sealed {
    fn from(secret: SecretString) -> Self {
        Self(secret)
    }
}

/// `GET /v1/auth/config`: how one can log in here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuthConfig {
    /// Whether people of the people file can log in with a password.
    pub password: bool,
    /// The OpenID providers.
    pub providers: Vec<ProviderInfo>,
    /// A fresh one-time value of this gateway, to be sent to the provider as the login's `nonce`.
    pub nonce: String,
}

/// One OpenID provider, as far as a login needs to know it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProviderInfo {
    /// Its name in the gateway's configuration.
    pub name: String,
    /// Its issuer URL.
    pub issuer: String,
    /// The client that Sallyport is registered as: a public client, with PKCE.
    pub client_id: String,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// Hosts, beside the issuer's, that its discovery document may name.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Whether logging in by device code is allowed.
    pub device: bool,
    /// `acr` values to ask for, best first.
    #[serde(default)]
    pub acr: Vec<String>,
    /// How old the sign-in at the provider may be, in seconds.
    #[serde(default)]
    pub max_age_s: Option<u64>,
}

/// `POST /v1/auth/password`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordLogin {
    /// The principal's name.
    pub user: String,
    /// The password.
    pub password: Sealed,
}

/// `POST /v1/auth/oidc`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcLogin {
    /// The provider's name in [`AuthConfig`]; may be left out when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The ID token as the provider gave it.
    pub id_token: Sealed,
    /// The one-time value from [`AuthConfig`].
    pub nonce: String,
}

/// The answer to a login.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoginReply {
    /// The session's token for the API (`Authorization: Bearer …`).
    pub token: Sealed,
    /// Its name.
    pub id: TokenId,
    /// Who one is now.
    pub user: SmolStr,
    /// In which groups.
    pub groups: Vec<SmolStr>,
    /// When the session ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// `POST /v1/tokens`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The one target it shall open; all that policy allows when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// A name to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long it shall live, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
}

/// The answer to a request for a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenReply {
    /// The token: the password to give to a client such as psql.
    pub token: Sealed,
    /// What is known of it.
    #[serde(flatten)]
    pub info: TokenInfo,
}

/// One token, without its secret: the items of `GET /v1/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Its name for `DELETE /v1/tokens/{id}`.
    pub id: TokenId,
    /// What it opens.
    pub scope: TokenScope,
    /// Whose it is; also the user name to connect with.
    pub user: SmolStr,
    /// User or machine.
    pub kind: Kind,
    /// The one target it opens, if it is scoped.
    pub target: Option<String>,
    /// What its owner called it.
    pub name: Option<String>,
    /// When it was issued.
    #[serde(with = "time::serde::rfc3339")]
    pub issued: OffsetDateTime,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenScope {
    /// Connections to targets.
    Target,
    /// Sallyport's own API.
    Api,
    /// Both.
    All,
}

/// `POST /v1/ssh/certificate`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshCertificateRequest {
    /// The key to make a certificate for, as in a `.pub` file. Its private part stays where it is.
    pub public_key: String,
}

/// The answer: a certificate for the gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SshCertificateReply {
    /// The certificate, as in a `-cert.pub` file.
    pub certificate: String,
    /// Its name for `DELETE /v1/tokens/{id}`: it is listed and revoked as tokens are.
    pub id: TokenId,
    /// Whom it is for; also the user name to connect with.
    pub user: SmolStr,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// `POST /v1/ssh/keys`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshKeyRequest {
    /// The key, as in a `.pub` file.
    pub public_key: String,
    /// What to call it.
    pub name: String,
}

/// One SSH key: the items of `GET /v1/ssh/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshKeyInfo {
    /// Its name for `DELETE /v1/ssh/keys/{id}`: the SHA-256 of its blob in hexadecimal.
    pub id: String,
    /// Its fingerprint as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// Its type, such as `ssh-ed25519`.
    #[serde(rename = "type")]
    pub key_type: String,
    /// What its owner calls it; none for one of the people file.
    pub name: Option<String>,
    /// When it was registered; none for one of the people file, which only who operates the gateway changes.
    #[serde(with = "time::serde::rfc3339::option")]
    pub added: Option<OffsetDateTime>,
}

/// `GET /v1/ssh`: how whoever asks reaches hosts by way of this gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshInfo {
    /// Who asks; the user name to connect with begins with it.
    pub user: SmolStr,
    /// The address at which the gateway's SSH listens.
    pub listen: SocketAddr,
    /// The gateway's host keys, as in a `.pub` file.
    pub host_keys: Vec<String>,
    /// The authority with whose certificates the gateway logs in to hosts: for their `TrustedUserCAKeys`.
    pub authority: String,
    /// The hosts that policy would let whoever asks connect to now, or after a review.
    pub targets: Vec<SshTarget>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshTarget {
    /// The target's name.
    pub name: String,
    /// The accounts there, the one that is meant when none is named first.
    pub logins: Vec<String>,
}
