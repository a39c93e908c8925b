//! Held commands: seeing and deciding them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json as Reply;
use axum::extract::State;
use sallyport_review::{ListFilter, Request, RequestState};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use crate::extract::{Caller, Id, MaybeJson, Params};
use crate::problem::Problem;
use crate::state::Api;

/// The longest wait that a caller can ask for, in seconds.
const MAX_WAIT_S: u64 = 60;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListParams {
    /// States, with commas between them.
    state: Option<String>,
    principal: Option<String>,
    target: Option<String>,
    /// Only one's own.
    mine: bool,
    before: Option<String>,
    limit: Option<u32>,
    /// Seconds to wait for the first one when there is none.
    wait: Option<u64>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Result<Reply<Vec<Request>>, Problem> {
    let deadline = deadline(params.wait);
    let filter = ListFilter {
        states: states(params.state.as_deref())?,
        principal: if params.mine {
            Some(caller.principal().id.to_string())
        } else {
            params.principal
        },
        target: params.target,
        before: params.before,
        limit: params.limit,
    };
    let visibility = api.access.visibility(caller.principal());
    // Subscribed before looking, so that what happens after the look is not missed.
    let mut acts = api.reviews.subscribe();
    loop {
        let requests = api.reviews.list(filter.clone(), visibility).await?;
        if !requests.is_empty() || !next(&mut acts, deadline).await {
            return Ok(Reply(requests));
        }
    }
}

fn states(words: Option<&str>) -> Result<BTreeSet<RequestState>, Problem> {
    let words = words
        .into_iter()
        .flat_map(|words| words.split(','))
        .filter(|word| !word.is_empty());
    words
        .map(|word| word.parse().map_err(|error| Problem::bad_request(format!("{error}"))))
        .collect()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OneParams {
    /// Seconds to wait for a change of its state.
    wait: Option<u64>,
}

pub(super) async fn one(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<OneParams>,
) -> Result<Reply<Request>, Problem> {
    let deadline = deadline(params.wait);
    let visibility = api.access.visibility(caller.principal());
    let mut acts = api.reviews.subscribe();
    let first = api.reviews.get(&id, visibility).await?;
    let (state, approvals) = (first.state, first.approvals.len());
    let mut request = first;
    // A request that is over changes no more.
    let unchanged = |r: &Request| r.state == state && r.approvals.len() == approvals && !r.state.is_over();
    while unchanged(&request) && next(&mut acts, deadline).await {
        request = api.reviews.get(&id, visibility).await?;
    }
    Ok(Reply(request))
}

fn deadline(wait_s: Option<u64>) -> Instant {
    Instant::now() + Duration::from_secs(wait_s.unwrap_or(0).min(MAX_WAIT_S))
}

/// Waits for the next act. False when the time is over.
async fn next<T: Clone>(acts: &mut tokio::sync::broadcast::Receiver<T>, deadline: Instant) -> bool {
    match timeout_at(deadline, acts.recv()).await {
        // Having missed some means that there were some.
        Ok(Ok(_) | Err(RecvError::Lagged(_))) => true,
        Ok(Err(RecvError::Closed)) | Err(_) => false,
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Decision {
    /// Why; kept with the request and in the journal.
    reason: Option<String>,
}

pub(super) async fn approve(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
    MaybeJson(decision): MaybeJson<Decision>,
) -> Result<Reply<Request>, Problem> {
    visible(&api, &caller, &id).await?;
    Ok(Reply(
        api.reviews
            .approve(&id, caller.principal(), decision.reason.as_deref())
            .await?,
    ))
}

pub(super) async fn deny(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
    MaybeJson(decision): MaybeJson<Decision>,
) -> Result<Reply<Request>, Problem> {
    visible(&api, &caller, &id).await?;
    Ok(Reply(
        api.reviews
            .deny(&id, caller.principal(), decision.reason.as_deref())
            .await?,
    ))
}

pub(super) async fn withdraw(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
    MaybeJson(decision): MaybeJson<Decision>,
) -> Result<Reply<Request>, Problem> {
    visible(&api, &caller, &id).await?;
    Ok(Reply(
        api.reviews
            .withdraw(&id, caller.principal(), decision.reason.as_deref())
            .await?,
    ))
}

/// Who may not see a request does not learn from an error that there is one.
async fn visible(api: &Api, caller: &Caller, id: &str) -> Result<(), Problem> {
    api.reviews.get(id, api.access.visibility(caller.principal())).await?;
    Ok(())
}
