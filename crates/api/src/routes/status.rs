//! How the gateway is.

use std::sync::Arc;

use axum::Json as Reply;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::extract::Caller;
use crate::problem::Problem;
use crate::state::{Api, blocking};

#[derive(Debug, Serialize)]
pub(super) struct HealthReply {
    status: &'static str,
    problems: Vec<String>,
    /// What takes nothing from the gateway's work as yet.
    warnings: Vec<String>,
}

pub(super) async fn health(State(api): State<Arc<Api>>) -> Result<(StatusCode, Reply<HealthReply>), Problem> {
    let (problems, warnings) = blocking(move || (api.health.problems(), api.health.warnings())).await?;
    let (code, status) = if problems.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "degraded")
    };
    let reply = HealthReply {
        status,
        problems,
        warnings,
    };
    Ok((code, Reply(reply)))
}

pub(super) async fn metrics(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    if !api.access.open_metrics {
        let (mut parts, _) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, &api).await?;
        if !api.access.sees_everything(caller.principal()) {
            return Err(Problem::forbidden("only auditors and administrators see the metrics"));
        }
    }
    let text = blocking(move || api.metrics.render()).await?;
    Ok((
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response())
}

pub(super) async fn openapi() -> Response {
    const DOCUMENT: &str = include_str!("../openapi.json");
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
