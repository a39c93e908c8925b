//! What both sides say of themselves, over the connection's first flow, and what an agent answers to others. Fields that are not known are passed over, so
//! that versions one apart understand each other.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use smol_str::SmolStr;

/// What an agent says of itself when it has connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its version.
    pub version: String,
    /// The machine that it runs on.
    pub host: String,
    /// The targets that it knows how to log in to.
    pub targets: Vec<Announced>,
}

/// A target that an agent says it has. The gateway uses it if policy says the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Announced {
    /// Its name.
    pub name: SmolStr,
    /// The protocol that it speaks.
    pub protocol: SmolStr,
}

/// What an agent says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromAgent {
    /// At first, and again when anything of it changes.
    Hello(Hello),
    /// It asks for a new certificate.
    Renew {
        /// The request, as identities have it.
        request: Value,
    },
    /// It takes no more flows, and ends when the last one does.
    Draining,
    /// Something that a newer version says.
    #[serde(other)]
    Unknown,
}

/// What the gateway says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromGateway {
    /// At first: its version.
    Welcome {
        /// The version.
        version: String,
    },
    /// The new certificate.
    Renewed {
        /// The reply, as identities have it.
        reply: Value,
    },
    /// There is none.
    NotRenewed {
        /// Why.
        why: String,
    },
    /// Something that a newer version says.
    #[serde(other)]
    Unknown,
}

/// What came of what a flow is for, at its head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done; the flow goes on.
    Done,
    /// It is not, and another agent would hardly do better.
    Failed {
        /// Why, without secrets.
        why: String,
        /// Whether the client is told.
        #[serde(default)]
        told: bool,
    },
    /// It is not, but another agent may be able to.
    Unable {
        /// Why, without secrets.
        why: String,
    },
}

/// What comes of joining.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Joined<R> {
    /// The agent is one now; what it needs, as identities have it.
    Reply(R),
    /// It is not.
    Refused {
        /// Why.
        why: String,
    },
}
