//! Agents beside targets: who is connected, tokens to join with, revocation.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as Reply;
use axum::extract::State;
use axum::http::StatusCode;
use sallyport_identity::agents::{AdministerError, IssuedJoinTokenReply, JoinTokenInfo};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::extract::{Caller, Id, Json, MaybeJson};
use crate::ports::{Agent, Agents};
use crate::problem::Problem;
use crate::state::Api;

/// What a token to join with shall be.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenWanted {
    /// The name under which an agent may join.
    agent: String,
    /// Seconds for which it is good.
    #[serde(default)]
    ttl_s: Option<u64>,
}

/// How many were revoked.
#[derive(Debug, Serialize)]
pub(super) struct Revoked {
    instances: usize,
}

pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Reply<Vec<Agent>>, Problem> {
    if !api.access.sees_everything(caller.principal()) {
        return Err(Problem::forbidden("only administrators and auditors see agents"));
    }
    let list = agents(&api)?.list().await;
    list.map(Reply).map_err(|error| unreadable(&error))
}

pub(super) async fn issue(
    State(api): State<Arc<Api>>,
    caller: Caller,
    MaybeJson(wanted): MaybeJson<TokenWanted>,
) -> Result<(StatusCode, Reply<IssuedJoinTokenReply>), Problem> {
    let by = administrator(&api, &caller)?;
    let ttl = wanted.ttl_s.map(Duration::from_secs);
    let issued = agents(&api)?.registry().issue_join_token(&wanted.agent, ttl, by).await;
    let issued = issued.map_err(refused)?;
    Ok((StatusCode::CREATED, Reply(issued.into())))
}

/// The digest of the authority's certificate, by which an agent knows the gateway.
#[derive(Debug, Serialize)]
pub(super) struct Authority {
    pin: String,
}

pub(super) async fn authority(State(api): State<Arc<Api>>, _caller: Caller) -> Result<Reply<Authority>, Problem> {
    let pin = agents(&api)?.registry().authority().pin().to_string();
    Ok(Reply(Authority { pin }))
}

pub(super) async fn tokens(State(api): State<Arc<Api>>, caller: Caller) -> Result<Reply<Vec<JoinTokenInfo>>, Problem> {
    administrator(&api, &caller)?;
    let list = agents(&api)?.registry().list_join_tokens().await;
    list.map(Reply).map_err(|error| unreadable(&error))
}

pub(super) async fn revoke_token(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let by = administrator(&api, &caller)?;
    agents(&api)?
        .registry()
        .revoke_join_token(&id, by)
        .await
        .map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `{id}` is an instance, or the name of all of them.
pub(super) async fn revoke(State(api): State<Arc<Api>>, caller: Caller, Id(id): Id) -> Result<Reply<Revoked>, Problem> {
    let by = administrator(&api, &caller)?;
    let registry = agents(&api)?;
    let instances = match id.parse::<Uuid>() {
        Ok(instance) => registry.registry().revoke_instance(instance, by).await.map(|()| 1),
        Err(_) => registry.registry().revoke_name(&id, by).await,
    };
    Ok(Reply(Revoked {
        instances: instances.map_err(refused)?,
    }))
}

/// A machine whose proof has no end.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Machine {
    /// As the list of agents and the journal name it: `aws/ACCOUNT/INSTANCE`.
    machine: String,
}

/// It may join once more.
pub(super) async fn forget_machine(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(Machine { machine }): Json<Machine>,
) -> Result<Reply<Machine>, Problem> {
    let by = administrator(&api, &caller)?;
    let registry = agents(&api)?.registry();
    registry.forget_machine(&machine, by).await.map_err(refused)?;
    Ok(Reply(Machine { machine }))
}

fn agents(api: &Api) -> Result<&dyn Agents, Problem> {
    api.agents
        .as_deref()
        .ok_or_else(|| Problem::not_found("this gateway has no port for agents (`listen.agents`)"))
}

fn administrator<'c>(api: &Api, caller: &'c Caller) -> Result<&'c str, Problem> {
    if api.access.is_admin(caller.principal()) {
        Ok(&caller.principal().id)
    } else {
        Err(Problem::forbidden("only administrators decide who is an agent"))
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what else there is, or will be, is the gateway's own trouble"
)]
fn refused(error: AdministerError) -> Problem {
    match error {
        AdministerError::Unknown(what) => Problem::not_found(format!("there is no such {what}")),
        AdministerError::Name(_) | AdministerError::Lifetime { .. } | AdministerError::TooMany { .. } => {
            Problem::bad_request(error.to_string())
        }
        other => {
            tracing::error!(error = %other, "what was asked about agents could not be done");
            Problem::unavailable(other.to_string())
        }
    }
}

fn unreadable(error: &impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "agents could not be listed");
    Problem::unavailable("agents cannot be listed at the moment")
}
