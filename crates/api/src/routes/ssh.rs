//! The gateway's SSH, as people use it: certificates, keys, and where it is.

use std::sync::Arc;

use axum::Json as Reply;
use axum::extract::State;
use axum::http::StatusCode;
use sallyport_identity::messages::{SshCertificateReply, SshCertificateRequest, SshInfo, SshKeyInfo, SshKeyRequest};
use time::OffsetDateTime;

use crate::extract::{Caller, Id, Json};
use crate::ports::{Act, Entry};
use crate::problem::Problem;
use crate::state::{Api, blocking};

pub(super) async fn describe(State(api): State<Arc<Api>>, caller: Caller) -> Result<Reply<SshInfo>, Problem> {
    let info = blocking(move || api.ssh.describe(caller.principal(), caller.source)).await?;
    info.map(Reply)
        .ok_or_else(|| Problem::not_found("this gateway has no SSH"))
}

pub(super) async fn certificate(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(request): Json<SshCertificateRequest>,
) -> Result<(StatusCode, Reply<SshCertificateReply>), Problem> {
    let now = OffsetDateTime::now_utc();
    let issued = api
        .identities
        .issue_ssh_certificate(&caller.credential, &request.public_key, now);
    let issued = issued.await?;
    let act = Act::SshCertificateIssued {
        token: issued.id.to_string(),
    };
    if let Err(problem) = api.record(entry(&caller, act)).await {
        api.identities.revoke(caller.principal(), &issued.id).await?;
        return Err(problem);
    }
    Ok((StatusCode::CREATED, Reply(issued)))
}

pub(super) async fn keys(State(api): State<Arc<Api>>, caller: Caller) -> Result<Reply<Vec<SshKeyInfo>>, Problem> {
    Ok(Reply(api.identities.list_ssh_keys(&caller.credential).await?))
}

pub(super) async fn add_key(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(request): Json<SshKeyRequest>,
) -> Result<(StatusCode, Reply<SshKeyInfo>), Problem> {
    let key = api.identities.add_ssh_key(&caller.credential, &request).await?;
    let act = Act::SshKeyAdded {
        fingerprint: key.fingerprint.clone(),
        name: request.name,
    };
    if let Err(problem) = api.record(entry(&caller, act)).await {
        api.identities.remove_ssh_key(&caller.credential, &key.id).await?;
        return Err(problem);
    }
    Ok((StatusCode::CREATED, Reply(key)))
}

pub(super) async fn remove_key(State(api): State<Arc<Api>>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    // Removing comes first: a full disk under the journal must not keep a stolen key alive.
    api.identities.remove_ssh_key(&caller.credential, &id).await?;
    api.record(entry(&caller, Act::SshKeyRemoved { key: id })).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn entry(caller: &Caller, act: Act) -> Entry {
    Entry {
        act,
        actor: caller.principal().id.to_string(),
        source: caller.source,
    }
}
