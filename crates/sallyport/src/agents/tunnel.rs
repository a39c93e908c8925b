//! One connection of an agent, from its first word to its end.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use futures_util::future::{Either, select};
use sallyport_identity::agents::{AgentIdentity, JoinReply, RenewRequest};
use sallyport_ledger::Entry;
use sallyport_tunnel::{Flow, FromAgent, FromGateway, Hello, KeepAlive, MAX_CONNECTIONS, Member, Seat, Tunnel, head};
use serde_json::json;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::door::{Inner, record};

/// How long an agent may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(15);
/// Each renewal is signed, and written down: they come one after the other.
const RENEW_AGAIN: Duration = Duration::from_millis(500);
/// The most targets that one agent can have.
const MAX_TARGETS: usize = 10_000;
/// The most of them that an entry of the journal names.
const MAX_NAMED: usize = 200;
/// The longest word that an agent says of itself, in bytes.
const MAX_WORD: usize = 256;
/// The most that is told of why what an agent says makes no sense, in characters: it may quote the agent.
const MAX_WHY: usize = 500;

/// Serves the tunnel of `identity` until it is over.
pub(super) async fn serve_tunnel<S>(
    door: &Inner,
    stream: S,
    identity: AgentIdentity,
    peer: SocketAddr,
) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let revocation = door.agents.revocation(&identity)?;
    let begun = Tunnel::begin(stream, KeepAlive::default(), &identity.name);
    let (tunnel, run) = timeout(PATIENCE, begun).await??;
    let mut running = tokio::spawn(run);
    let greeted = timeout(PATIENCE, greet(&tunnel)).await;
    let greeted = greeted.context("an agent did not say who it is in time").flatten();
    let (control, hello) = greeted.inspect_err(|_| tunnel.end("the agent does not say who it is"))?;
    let member = Member {
        name: identity.name.clone(),
        instance: identity.instance,
        address: peer,
    };
    let told = json!({
        "name": identity.name, "instance": identity.instance, "address": peer.to_string(),
        "host": hello.host, "version": hello.version,
        "target_count": hello.targets.len(),
        "targets": hello.targets.iter().take(MAX_NAMED).map(|target| &target.name).collect::<Vec<_>>(),
    });
    let Some(seat) = door.fleet.enrol(member, hello, tunnel.clone()) else {
        tunnel.end("the agent has too many connections");
        bail!(
            "the agent `{}` has {MAX_CONNECTIONS} connections already",
            identity.name
        );
    };
    record(&door.journal, Entry::now("agent.connect", identity.name.as_str(), told)).await;
    tracing::info!(agent = %identity.name, instance = %identity.instance, %peer, "an agent connected");
    seen(door, &identity).await;
    let why = {
        let listening = pin!(listen(door, control, &seat, identity.clone()));
        let revoked = pin!(revocation.revoked());
        match select(&mut running, select(revoked, listening)).await {
            Either::Left((why, _)) => why.unwrap_or_else(|_| "its task failed".to_owned()),
            Either::Right((end, running)) => {
                let why = match end {
                    Either::Left(_) => "the agent was revoked, or its certificate has ended".to_owned(),
                    Either::Right((error, _)) => {
                        let why = format!("the agent makes no sense: {error:#}");
                        why.chars().take(MAX_WHY).collect()
                    }
                };
                tunnel.end(&why);
                running.await.unwrap_or(why)
            }
        }
    };
    drop(seat);
    seen(door, &identity).await;
    let told = json!({ "name": identity.name, "instance": identity.instance, "address": peer.to_string(), "why": why });
    record(
        &door.journal,
        Entry::now("agent.disconnect", identity.name.as_str(), told),
    )
    .await;
    tracing::info!(agent = %identity.name, instance = %identity.instance, %peer, why, "an agent is no longer connected");
    Ok(())
}

/// Both sides say who they are.
async fn greet(tunnel: &Tunnel) -> anyhow::Result<(Flow, Hello)> {
    let mut control = tunnel.control().await?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    head::write(&mut control, &FromGateway::Welcome { version }).await?;
    loop {
        match head::read(&mut control).await? {
            FromAgent::Hello(hello) => return Ok((control, checked(hello)?)),
            FromAgent::Renew { .. } | FromAgent::Draining => bail!("it does not say what it has"),
            FromAgent::Unknown => {}
        }
    }
}

async fn seen(door: &Inner, identity: &AgentIdentity) {
    if let Err(error) = door.agents.touch(identity.instance, OffsetDateTime::now_utc()).await {
        tracing::warn!(%error, agent = %identity.name, "when an agent was seen could not be written down");
    }
}

/// Hears what the agent says of itself until it says nonsense; what it says when the connection ends is that.
async fn listen(door: &Inner, mut control: Flow, seat: &Seat, mut identity: AgentIdentity) -> anyhow::Error {
    let mut renewed = None;
    loop {
        let heard = match head::read(&mut control).await {
            Ok(heard) => heard,
            // Whoever ends the connection has the reason.
            Err(head::HeadError::Io(_)) => std::future::pending().await,
            Err(error) => return error.into(),
        };
        let answered = match heard {
            FromAgent::Hello(hello) => checked(hello).map(|hello| seat.renew(hello)),
            FromAgent::Draining => {
                seat.retire();
                // Its connection is over when the last flow is, and this is one.
                drop(control);
                return std::future::pending().await;
            }
            FromAgent::Unknown => Ok(()),
            FromAgent::Renew { request } => {
                let again = renewed.is_some_and(|at: Instant| at.elapsed() < RENEW_AGAIN);
                renewed = Some(Instant::now());
                let reply = match again {
                    false => renew(door, &mut identity, request).await,
                    true => Err(anyhow!("it was renewed a moment ago")),
                };
                let answer = reply.unwrap_or_else(|error| FromGateway::NotRenewed {
                    why: format!("{error:#}"),
                });
                head::write(&mut control, &answer)
                    .await
                    .context("no answer can be given")
            }
        };
        if let Err(error) = answered {
            return error;
        }
    }
}

async fn renew(door: &Inner, identity: &mut AgentIdentity, request: serde_json::Value) -> anyhow::Result<FromGateway> {
    let request: RenewRequest = serde_json::from_value(request)?;
    let joined = door.agents.renew(identity, &request.csr.0).await?;
    *identity = joined.identity.clone();
    let reply = serde_json::to_value(JoinReply::from(joined))?;
    Ok(FromGateway::Renewed { reply })
}

/// What an agent says of itself is shown to people, and kept.
fn checked(hello: Hello) -> anyhow::Result<Hello> {
    if hello.targets.len() > MAX_TARGETS {
        bail!("it has {} targets", hello.targets.len());
    }
    let names = hello.targets.iter().flat_map(|target| [&target.name, &target.protocol]);
    let words = names
        .map(|name| name.as_str())
        .chain([hello.version.as_str(), &hello.host]);
    for word in words {
        if word.is_empty() || word.len() > MAX_WORD || word.chars().any(char::is_control) {
            bail!("it says `{}` of itself", word.escape_debug());
        }
    }
    Ok(hello)
}
