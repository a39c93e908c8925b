//! Who opened a session, to what, and under which policy.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// Longest text that a header keeps, in bytes. Longer ones are cut and their digest noted.
const MAX_TEXT_BYTES: usize = 1024;
/// Most groups that a header keeps.
const MAX_GROUPS: usize = 256;

/// The principal of a session, as identity established it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The principal's id.
    pub id: String,
    /// `user` or `machine`.
    pub kind: String,
    /// Groups at the time of connecting.
    pub groups: Vec<String>,
    /// Which person stands behind it; equal for all identities of one person.
    pub person: String,
}

/// The first thing in every recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionHeader {
    /// The session's id, a version 7 UUID; it names the file.
    pub id: Uuid,
    /// When the recording was opened.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// Who.
    pub principal: Caller,
    /// Name of the target.
    pub target: String,
    /// The target's database, host or namespace, where the protocol has one.
    pub database: Option<String>,
    /// Name of the protocol.
    pub protocol: String,
    /// The client's address and port.
    pub client_address: Option<String>,
    /// The task that the session was opened for.
    pub task: Option<String>,
    /// What the client says it is (`application_name`, a user agent …).
    pub client_tool: Option<String>,
    /// The name of the agents that log in to the target, unless the gateway itself does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Digest of the policy bundle at the start.
    pub policy_digest: String,
    /// Commit of the policy bundle at the start.
    pub policy_commit: Option<String>,
    /// Version of the gateway.
    pub gateway_version: String,
}

impl SessionHeader {
    /// The same header with every text that a peer may have chosen cut to a bound.
    pub(crate) fn bounded(&self) -> Self {
        let option = |text: &Option<String>| text.as_deref().map(bounded);
        Self {
            id: self.id,
            started: self.started,
            principal: Caller {
                id: bounded(&self.principal.id),
                kind: bounded(&self.principal.kind),
                groups: self
                    .principal
                    .groups
                    .iter()
                    .take(MAX_GROUPS)
                    .map(|group| bounded(group))
                    .collect(),
                person: bounded(&self.principal.person),
            },
            target: bounded(&self.target),
            database: option(&self.database),
            protocol: bounded(&self.protocol),
            client_address: option(&self.client_address),
            task: option(&self.task),
            client_tool: option(&self.client_tool),
            agent: option(&self.agent),
            policy_digest: bounded(&self.policy_digest),
            policy_commit: option(&self.policy_commit),
            gateway_version: bounded(&self.gateway_version),
        }
    }
}

/// `text`, or its beginning with the length and digest of the whole.
fn bounded(text: &str) -> String {
    if text.len() <= MAX_TEXT_BYTES {
        return text.to_owned();
    }
    let cut = text.floor_char_boundary(MAX_TEXT_BYTES);
    let start = text.get(..cut).unwrap_or_default();
    format!(
        "{start}… [{} bytes, blake3 {}]",
        text.len(),
        blake3::hash(text.as_bytes()).to_hex()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_kept_and_a_longer_one_is_cut_with_its_digest() {
        let fits = "é".repeat(MAX_TEXT_BYTES / 2);
        assert_eq!(bounded(&fits), fits);

        let long = "é\r\n\0".repeat(MAX_TEXT_BYTES);
        let kept = bounded(&long);
        assert!(kept.len() < MAX_TEXT_BYTES + 120, "{}", kept.len());
        assert!(kept.ends_with(&format!(
            "[{} bytes, blake3 {}]",
            long.len(),
            blake3::hash(long.as_bytes())
        )));
    }
}
