//! The agents that are connected, and which of them serves a flow.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::control::{Announced, Answer, Hello};
use crate::flow::Flow;
use crate::head::{self, HeadError};
use crate::tunnel::{OpenError, Tunnel};

/// How long an agent may take over what a flow is for: reaching a target and logging in.
const PATIENCE: Duration = Duration::from_secs(180);
/// The most connections of one instance: more than any keeps, also while it replaces lost ones.
pub const MAX_CONNECTIONS: usize = 64;
/// The longest reason that is taken of an agent, in characters.
const MAX_WORDS: usize = 500;

/// No agent served a flow.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unserved {
    /// None that has the target is connected, or all that are have no room.
    #[error("{0}")]
    Nobody(String),
    /// One tried and failed.
    #[error("{0}")]
    Failed(String),
    /// The same, for a reason that the client is told.
    #[error("{0}")]
    Told(String),
}

/// Who an agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name that it joined under.
    pub name: SmolStr,
    /// Which one of that name.
    pub instance: Uuid,
    /// Where it connects from.
    pub address: SocketAddr,
}

/// What is known of an agent that is connected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// The name that it joined under.
    pub name: SmolStr,
    /// Which one of that name.
    pub instance: Uuid,
    /// The machine that it says it runs on.
    pub host: String,
    /// Its version.
    pub version: String,
    /// Where it connects from.
    pub address: String,
    /// Since when it is connected.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// The targets that it says it has.
    pub targets: Vec<Announced>,
    /// Its connections, those among them that take no more flows included.
    pub connections: usize,
    /// None of them takes more flows.
    pub draining: bool,
    /// Flows that are open.
    pub flows: usize,
    /// The round trip, in milliseconds.
    pub latency_ms: Option<f64>,
}

/// Connected agents, by instance.
#[derive(Debug, Default)]
pub struct Fleet {
    agents: Mutex<HashMap<Uuid, Agent>>,
}

#[derive(Debug)]
struct Agent {
    member: Member,
    hello: Hello,
    since: OffsetDateTime,
    tunnels: HashMap<u64, Connection>,
    next: u64,
}

#[derive(Debug)]
struct Connection {
    tunnel: Tunnel,
    /// It takes no more flows.
    retired: bool,
}

/// A connection among those of the fleet. It leaves when this is dropped.
#[derive(Debug)]
pub struct Seat {
    fleet: Arc<Fleet>,
    instance: Uuid,
    number: u64,
}

impl Seat {
    /// The agent says something else of itself.
    pub fn renew(&self, hello: Hello) {
        if let Some(agent) = self.fleet.agents().get_mut(&self.instance) {
            agent.hello = hello;
        }
    }

    /// The connection takes no more flows. It counts until it is over.
    pub fn retire(&self) {
        let mut agents = self.fleet.agents();
        let agent = agents.get_mut(&self.instance);
        if let Some(connection) = agent.and_then(|agent| agent.tunnels.get_mut(&self.number)) {
            connection.retired = true;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut agents = self.fleet.agents();
        if let Some(agent) = agents.get_mut(&self.instance) {
            agent.tunnels.remove(&self.number);
            if agent.tunnels.is_empty() {
                agents.remove(&self.instance);
            }
        }
    }
}

impl Fleet {
    fn agents(&self) -> MutexGuard<'_, HashMap<Uuid, Agent>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up a connection of an agent, unless it has [`MAX_CONNECTIONS`]. The newest word of an agent counts for all
    /// its connections.
    pub fn enrol(self: &Arc<Self>, member: Member, hello: Hello, tunnel: Tunnel) -> Option<Seat> {
        let mut agents = self.agents();
        let instance = member.instance;
        let agent = agents.entry(instance).or_insert_with(|| Agent {
            member: member.clone(),
            hello: hello.clone(),
            since: OffsetDateTime::now_utc(),
            tunnels: HashMap::new(),
            next: 0,
        });
        if agent.tunnels.len() >= MAX_CONNECTIONS {
            return None;
        }
        agent.member = member;
        agent.hello = hello;
        let number = agent.next;
        agent.next += 1;
        let retired = false;
        agent.tunnels.insert(number, Connection { tunnel, retired });
        Some(Seat {
            fleet: Arc::clone(self),
            instance,
            number,
        })
    }

    /// Opens a flow for `opening` at an agent called `name` that has `target`, which speaks its protocol: at `prefer` if
    /// that one is there, else where there is least to do. One that is lost before it answered, or cannot, is not the last that is asked.
    ///
    /// # Errors
    /// When no agent is there, or what the flow is for failed.
    pub async fn open(
        &self,
        name: &str,
        target: &Announced,
        opening: &[u8],
        prefer: Option<Uuid>,
    ) -> Result<(Flow, Member, String), Unserved> {
        let mut asked = Vec::new();
        let mut last = None;
        while let Some((member, host, tunnel)) = self.choose(name, target, prefer, &asked) {
            asked.push(member.instance);
            match ask(&tunnel, opening).await {
                Ok((flow, Answer::Done)) => return Ok((flow, member, host)),
                Ok((_, Answer::Failed { why, told })) => {
                    return Err(match told {
                        true => Unserved::Told(plain(&why)),
                        false => Unserved::Failed(plain(&why)),
                    });
                }
                Ok((_, Answer::Unable { why })) => last = Some(Unserved::Failed(plain(&why))),
                Err(why) => last = Some(Unserved::Nobody(why)),
            }
        }
        Err(last.unwrap_or_else(|| {
            Unserved::Nobody(format!("no agent `{name}` that has it is connected, or none has room"))
        }))
    }

    fn choose(
        &self,
        name: &str,
        target: &Announced,
        prefer: Option<Uuid>,
        asked: &[Uuid],
    ) -> Option<(Member, String, Tunnel)> {
        let agents = self.agents();
        let serves = |agent: &&Agent| {
            agent.member.name == name && agent.hello.targets.contains(target) && !asked.contains(&agent.member.instance)
        };
        let least = |agent: &Agent| {
            let usable = |connection: &&Connection| !connection.retired && !connection.tunnel.is_full();
            let open = agent.tunnels.values().filter(usable).map(|usable| &usable.tunnel);
            open.min_by_key(|tunnel| tunnel.flows()).cloned()
        };
        let candidates = agents.values().filter(serves);
        let (_, _, agent, tunnel) = candidates
            .filter_map(|agent| {
                let tunnel = least(agent)?;
                Some((Some(agent.member.instance) != prefer, agent.flows(), agent, tunnel))
            })
            .min_by_key(|(other, flows, ..)| (*other, *flows))?;
        Some((agent.member.clone(), agent.hello.host.clone(), tunnel))
    }

    /// Who is connected, by name.
    #[must_use]
    pub fn list(&self) -> Vec<AgentStatus> {
        let mut list: Vec<AgentStatus> = self.agents().values().map(Agent::status).collect();
        list.sort_by(|a, b| (&a.name, a.since, a.instance).cmp(&(&b.name, b.since, b.instance)));
        list
    }
}

impl Agent {
    /// Flows that are open at targets: each connection that takes more has one for the talk with the agent.
    fn flows(&self) -> usize {
        let of = |connection: &Connection| {
            connection
                .tunnel
                .flows()
                .saturating_sub(usize::from(!connection.retired))
        };
        self.tunnels.values().map(of).sum()
    }

    fn status(&self) -> AgentStatus {
        let tunnels = self.tunnels.values().map(|connection| &connection.tunnel);
        let latency = tunnels.filter_map(Tunnel::latency).min();
        AgentStatus {
            name: self.member.name.clone(),
            instance: self.member.instance,
            host: self.hello.host.clone(),
            version: self.hello.version.clone(),
            address: self.member.address.to_string(),
            since: self.since,
            targets: self.hello.targets.clone(),
            connections: self.tunnels.len(),
            draining: self.tunnels.values().all(|connection| connection.retired),
            flows: self.flows(),
            latency_ms: latency.map(|latency| latency.as_secs_f64() * 1000.0),
        }
    }
}

/// An agent's words, for people and for logs: one line that has an end.
fn plain(words: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    words.chars().take(MAX_WORDS).map(plain).collect()
}

/// Opens a flow and waits for what comes of it. The error says why there is no answer.
async fn ask(tunnel: &Tunnel, opening: &[u8]) -> Result<(Flow, Answer), String> {
    let mut flow = tunnel.open().await.map_err(|error: OpenError| error.to_string())?;
    let exchange = async {
        head::write_raw(&mut flow, opening).await?;
        head::read::<Answer>(&mut flow).await
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await;
    match answer {
        Ok(Ok(answer)) => Ok((flow, answer)),
        Ok(Err(HeadError::Io(error))) => Err(match error.get_ref() {
            Some(why) => why.to_string(),
            None => "the agent gave up".to_owned(),
        }),
        // What it said is nobody's to read.
        Ok(Err(HeadError::Nonsense(_) | HeadError::TooLong(_))) => Err("the agent's answer makes no sense".to_owned()),
        Err(_elapsed) => Err(format!("the agent took longer than {} s", PATIENCE.as_secs())),
    }
}
