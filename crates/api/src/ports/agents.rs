//! The agents beside targets.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// One agent beside targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// The name that it joined under.
    pub name: String,
    /// Which one of that name.
    pub instance: String,
    /// The machine that it says it runs on.
    pub host: String,
    /// Its version.
    pub version: String,
    /// How it joined.
    pub method: String,
    /// What it proved then, beyond the token.
    pub proof: serde_json::Value,
    /// When it joined.
    #[serde(with = "time::serde::rfc3339")]
    pub joined: OffsetDateTime,
    /// When its certificate ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// When it was last connected, as far as that was written down.
    #[serde(with = "time::serde::rfc3339::option")]
    pub seen: Option<OffsetDateTime>,
    /// What is known while it is connected.
    pub connected: Option<Connected>,
}

/// An agent that is connected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connected {
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// From where.
    pub address: String,
    /// The targets that it serves: it has them, and policy gives them to its name.
    pub serves: Vec<String>,
    /// The targets that it says it has, and policy does not give to its name.
    pub unassigned: Vec<String>,
    /// Its connections.
    pub connections: usize,
    /// It is about to stop: no session begins there.
    pub draining: bool,
    /// Flows that are open.
    pub flows: usize,
    /// The round trip, in milliseconds.
    pub latency_ms: Option<f64>,
}

/// A future of a port.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The agents beside targets.
pub trait Agents: Send + Sync {
    /// Those that are good, connected or not.
    ///
    /// # Errors
    /// When they cannot be read.
    fn list(&self) -> Pending<'_, Result<Vec<Agent>, String>>;

    /// Who may be one.
    fn registry(&self) -> &sallyport_identity::agents::Agents;
}
