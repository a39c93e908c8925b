//! What is done about agents, in the journal.

use std::sync::Arc;

use sallyport_identity::agents::{AgentAct, AgentWitness};
use sallyport_ledger::{Entry, Journal, Receipt};
use serde_json::json;

/// Writes what is done about agents into the journal.
#[derive(Debug)]
pub(crate) struct ToJournal(pub(crate) Arc<Journal>);

impl AgentWitness for ToJournal {
    fn witness(&self, act: &AgentAct<'_>) -> Result<(), String> {
        let (kind, actor, details) = describe(act);
        let entry = Entry::now(kind, actor, details);
        self.0
            .record(&entry)
            .and_then(Receipt::wait)
            .map_err(|error| error.to_string())
    }
}

fn describe<'a>(act: &AgentAct<'a>) -> (&'static str, &'a str, serde_json::Value) {
    let time = |at: time::OffsetDateTime| at.unix_timestamp();
    match *act {
        AgentAct::TokenIssued { id, agent, by, expires } => (
            "agent.token.issue",
            by,
            json!({ "token": id, "agent": agent, "expires": time(expires) }),
        ),
        AgentAct::TokenRevoked { id, agent, by } => ("agent.token.revoke", by, json!({ "token": id, "agent": agent })),
        AgentAct::Joined {
            name,
            instance,
            method,
            proof,
            host,
            expires,
        } => (
            "agent.join",
            name,
            json!({
                "instance": instance, "method": method, "proof": proof, "host": host, "expires": time(expires),
            }),
        ),
        AgentAct::Renewed {
            name,
            instance,
            expires,
        } => (
            "agent.renew",
            name,
            json!({ "instance": instance, "expires": time(expires) }),
        ),
        AgentAct::Revoked {
            name,
            instances,
            tokens,
            by,
        } => (
            "agent.revoke",
            by,
            json!({ "agent": name, "instances": instances, "tokens": tokens }),
        ),
        AgentAct::MachineForgotten { machine, by } => ("agent.forget", by, json!({ "machine": machine })),
        _ => ("agent.act", "gateway", json!({ "act": format!("{act:?}") })),
    }
}
