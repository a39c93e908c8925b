//! Tokens for targets.

use std::sync::Arc;

use axum::Json as Reply;
use axum::extract::State;
use axum::http::StatusCode;
use sallyport_identity::TokenId;
use sallyport_identity::messages::{TokenInfo, TokenReply, TokenRequest};
use serde::Deserialize;

use crate::extract::{Caller, Id, MaybeJson, Params};
use crate::ports::{Act, Entry};
use crate::problem::Problem;
use crate::state::Api;

pub(super) async fn issue(
    State(api): State<Arc<Api>>,
    caller: Caller,
    MaybeJson(request): MaybeJson<TokenRequest>,
) -> Result<(StatusCode, Reply<TokenReply>), Problem> {
    let issued = api.identities.issue_target_token(&caller.credential, &request).await?;
    let id = issued.info.id.clone();
    let act = Act::TokenIssued {
        token: id.to_string(),
        target: issued.info.target.clone(),
    };
    let entry = Entry {
        act,
        actor: caller.principal().id.to_string(),
        source: caller.source,
    };
    if let Err(problem) = api.record(entry).await {
        api.identities.revoke(caller.principal(), &id).await?;
        return Err(problem);
    }
    Ok((StatusCode::CREATED, Reply(issued.into())))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListParams {
    /// Everybody's, for administrators.
    all: bool,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Result<Reply<Vec<TokenInfo>>, Problem> {
    if params.all && !api.identities.is_admin(caller.principal()) {
        return Err(Problem::forbidden("only administrators see the tokens of others"));
    }
    let tokens = api.identities.list_tokens(caller.principal(), params.all).await;
    tokens.map(Reply).map_err(|error| {
        tracing::error!(%error, "tokens could not be listed");
        Problem::unavailable("tokens cannot be listed at the moment")
    })
}

pub(super) async fn revoke(State(api): State<Arc<Api>>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    let act = Act::TokenRevoked { token: id.clone() };
    let entry = Entry {
        act,
        actor: caller.principal().id.to_string(),
        source: caller.source,
    };
    // Revoking comes first: a full disk under the journal must not keep a stolen token alive.
    api.identities.revoke(caller.principal(), &TokenId(id.into())).await?;
    api.record(entry).await?;
    Ok(StatusCode::NO_CONTENT)
}
