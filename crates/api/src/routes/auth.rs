//! Logging in and out.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json as Reply;
use axum::extract::State;
use axum::http::StatusCode;
use sallyport_identity::messages::{AuthConfig, LoginReply, OidcLogin, PasswordLogin};
use sallyport_identity::{Kind, Login, LoginError};
use serde::Serialize;
use smol_str::SmolStr;
use time::OffsetDateTime;

use crate::extract::{Caller, Json, Source};
use crate::ports::{Act, Entry};
use crate::problem::Problem;
use crate::state::Api;

pub(super) async fn config(State(api): State<Arc<Api>>) -> Result<Reply<AuthConfig>, Problem> {
    api.identities.auth_config().map(Reply).map_err(|error| {
        tracing::error!(%error, "no login can be begun");
        Problem::internal()
    })
}

pub(super) async fn password(
    State(api): State<Arc<Api>>,
    Source(source): Source,
    Json(login): Json<PasswordLogin>,
) -> Result<Reply<LoginReply>, Problem> {
    let result = api.identities.login_password(&login, source).await;
    conclude(&api, result, "password", claimed(&login.user), source).await
}

pub(super) async fn oidc(
    State(api): State<Arc<Api>>,
    Source(source): Source,
    Json(login): Json<OidcLogin>,
) -> Result<Reply<LoginReply>, Problem> {
    let result = api.identities.login_oidc(&login).await;
    conclude(&api, result, "oidc", "unknown".to_owned(), source).await
}

/// Writes down how a login went. A login that cannot be written down is undone.
async fn conclude(
    api: &Arc<Api>,
    result: Result<Login, LoginError>,
    method: &'static str,
    claimed: String,
    source: IpAddr,
) -> Result<Reply<LoginReply>, Problem> {
    let login = match result {
        Ok(login) => login,
        // Guesses over the limit are not even checked, and would fill the journal.
        Err(error @ LoginError::TooMany { .. }) => return Err(error.into()),
        Err(error) => {
            let act = Act::LoginFailed {
                method,
                reason: error.to_string(),
            };
            api.record(Entry {
                act,
                actor: claimed,
                source,
            })
            .await?;
            return Err(error.into());
        }
    };
    let actor = login.principal.id.to_string();
    if let Err(problem) = api
        .record(Entry {
            act: Act::Login { method },
            actor,
            source,
        })
        .await
    {
        api.identities.revoke(&login.principal, &login.reply.id).await?;
        return Err(problem);
    }
    Ok(Reply(login.reply))
}

/// The name that somebody claimed, fit for the journal.
fn claimed(name: &str) -> String {
    name.chars().take(128).flat_map(char::escape_debug).collect()
}

pub(super) async fn logout(State(api): State<Arc<Api>>, caller: Caller) -> Result<StatusCode, Problem> {
    let actor = caller.principal().id.to_string();
    api.record(Entry {
        act: Act::Logout,
        actor,
        source: caller.source,
    })
    .await?;
    if let Some(token) = &caller.credential.token {
        api.identities.revoke(caller.principal(), token).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/me`: who one is.
#[derive(Debug, Serialize)]
pub(super) struct Me {
    user: SmolStr,
    kind: Kind,
    groups: Arc<[SmolStr]>,
    issuer: SmolStr,
    #[serde(with = "time::serde::rfc3339::option")]
    expires: Option<OffsetDateTime>,
}

pub(super) async fn me(caller: Caller) -> Reply<Me> {
    let principal = caller.principal();
    Reply(Me {
        user: principal.id.clone(),
        kind: principal.kind,
        groups: Arc::clone(&principal.groups),
        issuer: principal.issuer.clone(),
        expires: caller.credential.expires,
    })
}
