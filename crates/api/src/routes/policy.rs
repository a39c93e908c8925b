//! The policy in force, those that were, and looking for a newer one.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as Reply;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::extract::{Caller, Id, Params};
use crate::ports::{Act, BundleFiles, BundleLoaded, BundlesError, Entry, PolicyStatus, WebhookProof};
use crate::problem::Problem;
use crate::state::{Api, blocking};

/// The largest message of a git host, in bytes. A larger one is refused; the next poll finds what it was about.
const MAX_WEBHOOK_BYTES: usize = 1024 * 1024;
/// How long a git host may take to send it.
const WEBHOOK_PATIENCE: Duration = Duration::from_secs(10);
/// Messages of git hosts that are read at the same time: anybody can send one that says it is signed.
static WEBHOOKS: Semaphore = Semaphore::const_new(4);
/// How many bundles a list has that says nothing of it, and at most.
const LISTED: usize = 100;
const MAX_LISTED: usize = 10_000;

/// The policy's error may quote its files, which are not everybody's to read; nor need everybody know where the repository is.
pub(super) async fn status(State(api): State<Arc<Api>>, caller: Caller) -> Result<Reply<PolicyStatus>, Problem> {
    let sees_all = api.access.sees_everything(caller.principal());
    let mut status = blocking(move || api.policy.status()).await?;
    if !sees_all {
        status.source.clear();
        status.branch = None;
    }
    if !sees_all && status.error.is_some() {
        status.error =
            Some("the newest version is not in force, or not known; auditors and administrators see why".to_owned());
        status.last_error = None;
    }
    Ok(Reply(status))
}

pub(super) async fn pull(State(api): State<Arc<Api>>, caller: Caller) -> Result<Reply<PolicyStatus>, Problem> {
    if !api.access.is_admin(caller.principal()) {
        return Err(Problem::forbidden(
            "only administrators make the gateway look for a newer policy",
        ));
    }
    let actor = caller.principal().id.to_string();
    let (act, source) = (Act::PolicyPulled, caller.source);
    api.record(Entry { act, actor, source }).await?;
    let pulled = api.policy.pull().await;
    pulled.map_err(|error| Problem::conflict("policy-not-taken", error.to_string()))?;
    blocking(move || api.policy.status()).await.map(Reply)
}

/// Says nothing about why a message is not taken: anybody can send one.
pub(super) async fn webhook(State(api): State<Arc<Api>>, request: Request) -> Result<StatusCode, Problem> {
    let (head, body) = request.into_parts();
    let unproven = || Problem::forbidden("the message does not prove that it comes from the git host");
    let proof = proof(&head.headers).filter(|proof| api.policy.awaits(*proof));
    let proof = proof.ok_or_else(unproven)?;
    let Ok(_one) = WEBHOOKS.try_acquire() else {
        return Err(Problem::unavailable("too many messages at once"));
    };
    let body = timeout(WEBHOOK_PATIENCE, axum::body::to_bytes(body, MAX_WEBHOOK_BYTES)).await;
    let body = body.ok().and_then(Result::ok);
    let body = body.ok_or_else(|| Problem::bad_request("the message is too large, or does not come to an end"))?;
    if api.policy.webhook(proof, &body) {
        Ok(StatusCode::ACCEPTED)
    } else {
        Err(unproven())
    }
}

/// The one thing by which a message shows where it comes from.
fn proof(headers: &HeaderMap) -> Option<WebhookProof<'_>> {
    let text = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none());
        value.and_then(|value| value.to_str().ok())
    };
    match (text("x-hub-signature-256"), text("x-gitlab-token")) {
        (Some(signature), None) => Some(WebhookProof::Signature(signature)),
        (None, Some(token)) => Some(WebhookProof::Token(token)),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListParams {
    limit: Option<usize>,
}

pub(super) async fn bundles(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Result<Reply<Vec<BundleLoaded>>, Problem> {
    may_read(&api, &caller)?;
    let limit = params.limit.unwrap_or(LISTED).min(MAX_LISTED);
    let bundles = blocking(move || api.policy.bundles(limit)).await?;
    bundles.map(Reply).map_err(refused)
}

pub(super) async fn bundle(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(prefix): Id,
) -> Result<Reply<BundleFiles>, Problem> {
    may_read(&api, &caller)?;
    let bundle = blocking(move || api.policy.bundle(&prefix)).await?;
    bundle.map(Reply).map_err(refused)
}

/// Rules say where the gates are and what opens them.
fn may_read(api: &Api, caller: &Caller) -> Result<(), Problem> {
    if api.access.sees_everything(caller.principal()) {
        Ok(())
    } else {
        Err(Problem::forbidden("only auditors and administrators read policies"))
    }
}

fn refused(error: BundlesError) -> Problem {
    match error {
        BundlesError::NotFound(detail) => Problem::not_found(detail),
        BundlesError::NoDigest(detail) => Problem::bad_request(detail),
        BundlesError::Unreadable(detail) => {
            tracing::error!(error = detail, "a policy that was in force cannot be shown");
            Problem::unavailable(detail)
        }
    }
}
