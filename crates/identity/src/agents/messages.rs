//! What an agent and the gateway say to each other about joining, and what lists of agents show.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;
use time::OffsetDateTime;
use uuid::Uuid;

use super::errors::JoinError;
use crate::messages::Sealed;

/// The longest request to join, in bytes; nobody has shown yet who they are.
pub const MAX_JOIN_REQUEST_BYTES: usize = 256 << 10;

/// The longest part of a host's description, in bytes.
const MAX_HOST_BYTES: usize = 255;

/// Bytes that travel in JSON as base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// What an agent says of the machine that it runs on. It is shown, and believed by nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDescription {
    /// The host's name.
    pub hostname: String,
    /// Its operating system, such as `linux`.
    pub os: String,
    /// Its processor, such as `x86_64`.
    pub arch: String,
    /// The agent's version.
    pub version: String,
}

impl HostDescription {
    /// This machine.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let hostname = Some(hostname.trim()).filter(|name| !name.is_empty());
        Self {
            hostname: hostname.unwrap_or("unknown").to_owned(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether it is one line each, and short.
    ///
    /// # Errors
    /// Which part is empty, too long or has control characters.
    pub fn check(&self) -> Result<(), JoinError> {
        let parts = [
            ("hostname", &self.hostname),
            ("os", &self.os),
            ("arch", &self.arch),
            ("version", &self.version),
        ];
        let bad = |text: &String| text.is_empty() || text.len() > MAX_HOST_BYTES || text.chars().any(char::is_control);
        match parts.into_iter().find(|(_, text)| bad(text)) {
            Some((what, _)) => Err(JoinError::Host(what)),
            None => Ok(()),
        }
    }
}

/// By what an agent may join.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum JoinProof {
    /// A join token that an administrator made.
    Token {
        /// Its text.
        token: Sealed,
    },
    /// A Kubernetes service account's token, projected into the agent's pod.
    Kubernetes {
        /// The token.
        token: Sealed,
    },
    /// The identity document of an instance of Amazon EC2.
    Aws {
        /// What `…/instance-identity/rsa2048` gives: PKCS #7, in base64.
        document: Sealed,
    },
    /// The identity token of an instance of Google Compute Engine.
    Gcp {
        /// The token.
        token: Sealed,
    },
    /// The attested document of a virtual machine of Microsoft Azure.
    Azure {
        /// Its `signature`: PKCS #7, in base64.
        document: Sealed,
    },
    /// An X.509-SVID.
    SpiffeX509(SpiffeX509),
    /// A JWT-SVID.
    SpiffeJwt {
        /// The token.
        token: Sealed,
    },
}

/// An X.509-SVID, and that its owner wants this key to join.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpiffeX509 {
    /// The certificate and those between it and the bundle, in DER.
    pub chain: Vec<Bytes>,
    /// When the signature was made, in seconds since 1970.
    pub at: i64,
    /// Made with the certificate's key over the gateway's pin, the time, and the request for a certificate.
    pub signature: Bytes,
}

/// What an agent sends to join: at most [`MAX_JOIN_REQUEST_BYTES`] of JSON. Versions one apart work together, so a member that
/// is not known is left alone; a proof that is not known whole is refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The name that it wants, when rules would let it choose among several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<SmolStr>,
    /// Why it may.
    pub proof: JoinProof,
    /// The request for a certificate (PKCS #10, DER) for its key.
    pub csr: Bytes,
    /// Where it runs.
    pub host: HostDescription,
}

/// What an agent sends, over a connection that its certificate opened, for a new certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewRequest {
    /// The request for a certificate (PKCS #10, DER) for its new key.
    pub csr: Bytes,
}

/// The answer to both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinReply {
    /// The agent's name.
    pub name: SmolStr,
    /// Which of its instances it is.
    pub instance: Uuid,
    /// Its certificate, in DER.
    pub certificate: Bytes,
    /// The root of the authority, in DER.
    pub root: Bytes,
    /// When the certificate ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// One instance of an agent, in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentInfo {
    /// The agent's name.
    pub name: SmolStr,
    /// Which of its instances.
    pub instance: Uuid,
    /// Where it said that it runs.
    pub host: HostDescription,
    /// How it joined.
    pub method: String,
    /// What its proof said.
    pub proof: serde_json::Value,
    /// When it joined.
    #[serde(with = "time::serde::rfc3339")]
    pub joined: OffsetDateTime,
    /// When its last certificate was made.
    #[serde(with = "time::serde::rfc3339")]
    pub issued: OffsetDateTime,
    /// When its last certificate ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// When it was last connected, as far as that was written down.
    #[serde(with = "time::serde::rfc3339::option")]
    pub seen: Option<OffsetDateTime>,
}

/// A join token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTokenInfo {
    /// Its id.
    pub id: String,
    /// The agent that may join with it.
    pub agent: SmolStr,
    /// Who asked for it.
    pub issued_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub issued: OffsetDateTime,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// The answer to a request for a join token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssuedJoinTokenReply {
    /// The token. This is the only time that it can be seen.
    pub token: Sealed,
    /// What is known of it.
    #[serde(flatten)]
    pub info: JoinTokenInfo,
}
