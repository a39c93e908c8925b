//! The agents as the API shows them: who may be one, who is connected, and what each serves.

use std::collections::HashMap;
use std::sync::Arc;

use sallyport_api::ports::{Agent, Agents, Connected, Pending};
use sallyport_identity::agents::{self, AgentInfo};
use sallyport_session::House;
use sallyport_target::Catalogue;
use sallyport_tunnel::{AgentStatus, Announced, Fleet};
use uuid::Uuid;

/// Agents, and what is known of them.
pub(crate) struct ConnectedAgents {
    pub(crate) agents: Arc<agents::Agents>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) house: Arc<House>,
}

impl Agents for ConnectedAgents {
    fn list(&self) -> Pending<'_, Result<Vec<Agent>, String>> {
        Box::pin(async move {
            let known = self.agents.list().await.map_err(|error| error.to_string())?;
            let mut connected: HashMap<Uuid, AgentStatus> = self
                .fleet
                .list()
                .into_iter()
                .map(|status| (status.instance, status))
                .collect();
            let catalogue = self.house.targets.all(&self.house.policy);
            let described = known.into_iter().map(|info| {
                let status = connected.remove(&info.instance);
                describe(info, status, &catalogue)
            });
            let mut list: Vec<Agent> = described.collect();
            list.sort_by(|a, b| (&a.name, a.joined).cmp(&(&b.name, b.joined)));
            Ok(list)
        })
    }

    fn registry(&self) -> &agents::Agents {
        &self.agents
    }
}

fn describe(info: AgentInfo, status: Option<AgentStatus>, catalogue: &Catalogue) -> Agent {
    let name = info.name.clone();
    let (host, version) = match &status {
        Some(status) => (status.host.clone(), status.version.clone()),
        None => (info.host.hostname, info.host.version),
    };
    let connected = status.map(|status| {
        let assigned = |announced: &Announced| {
            let target = catalogue.get(&announced.name);
            target.is_some_and(|target| target.agent() == Some(&name) && announced.protocol == target.protocol())
        };
        let names = |targets: Vec<Announced>| targets.iter().map(|target| target.name.to_string()).collect();
        let (serves, unassigned): (Vec<_>, Vec<_>) = status.targets.into_iter().partition(assigned);
        Connected {
            since: status.since,
            address: status.address,
            serves: names(serves),
            unassigned: names(unassigned),
            connections: status.connections,
            draining: status.draining,
            flows: status.flows,
            latency_ms: status.latency_ms,
        }
    });
    Agent {
        name: info.name.to_string(),
        instance: info.instance.to_string(),
        host,
        version,
        method: info.method,
        proof: info.proof,
        joined: info.joined,
        expires: info.expires,
        seen: info.seen,
        connected,
    }
}
