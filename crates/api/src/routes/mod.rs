//! The routes, a file for each family.

mod agents;
mod auth;
mod history;
mod lines;
mod policy;
mod requests;
mod sessions;
mod ssh;
mod status;
mod targets;
mod tokens;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};

use crate::problem::Problem;
use crate::state::Api;

/// The largest body of a request, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long an answer may take to begin. Longer than the longest wait that a caller can ask for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// Every route: method and path, as in the OpenAPI document.
pub const ROUTES: &[(&str, &str)] = &[
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/v1/auth/config"),
    ("POST", "/v1/auth/password"),
    ("POST", "/v1/auth/oidc"),
    ("POST", "/v1/auth/logout"),
    ("GET", "/v1/me"),
    ("GET", "/v1/tokens"),
    ("POST", "/v1/tokens"),
    ("DELETE", "/v1/tokens/{id}"),
    ("GET", "/v1/ssh"),
    ("POST", "/v1/ssh/certificate"),
    ("GET", "/v1/ssh/keys"),
    ("POST", "/v1/ssh/keys"),
    ("DELETE", "/v1/ssh/keys/{id}"),
    ("GET", "/v1/requests"),
    ("GET", "/v1/requests/{id}"),
    ("POST", "/v1/requests/{id}/approve"),
    ("POST", "/v1/requests/{id}/deny"),
    ("POST", "/v1/requests/{id}/withdraw"),
    ("GET", "/v1/sessions"),
    ("GET", "/v1/sessions/{id}"),
    ("POST", "/v1/sessions/{id}/end"),
    ("GET", "/v1/sessions/{id}/replay"),
    ("GET", "/v1/sessions/{id}/watch"),
    ("GET", "/v1/history"),
    ("GET", "/v1/policy"),
    ("GET", "/v1/targets/{id}/names"),
    ("POST", "/v1/policy/pull"),
    ("POST", "/v1/policy/webhook"),
    ("GET", "/v1/policy/bundles"),
    ("GET", "/v1/policy/bundles/{id}"),
    ("GET", "/v1/agents"),
    ("POST", "/v1/agents/{id}/revoke"),
    ("POST", "/v1/agents/machines/forget"),
    ("GET", "/v1/agents/authority"),
    ("GET", "/v1/agents/tokens"),
    ("POST", "/v1/agents/tokens"),
    ("DELETE", "/v1/agents/tokens/{id}"),
];

/// The whole API. The server must put the other end's address into each request, as [`crate::serve`] does.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/healthz", get(status::health))
        .route("/metrics", get(status::metrics))
        .route("/v1/openapi.json", get(status::openapi))
        .route("/v1/history", get(history::read))
        .route("/v1/targets/{id}/names", get(targets::names))
        .route("/v1/policy", get(policy::status))
        .route("/v1/policy/pull", post(policy::pull))
        .route("/v1/policy/webhook", post(policy::webhook))
        .route("/v1/policy/bundles", get(policy::bundles))
        .route("/v1/policy/bundles/{id}", get(policy::bundle))
        .route("/v1/auth/config", get(auth::config))
        .route("/v1/auth/password", post(auth::password))
        .route("/v1/auth/oidc", post(auth::oidc))
        .route("/v1/auth/logout", post(auth::logout))
        .route("/v1/me", get(auth::me))
        .route("/v1/tokens", get(tokens::list).post(tokens::issue))
        .route("/v1/tokens/{id}", delete(tokens::revoke))
        .route("/v1/ssh", get(ssh::describe))
        .route("/v1/ssh/certificate", post(ssh::certificate))
        .route("/v1/ssh/keys", get(ssh::keys).post(ssh::add_key))
        .route("/v1/ssh/keys/{id}", delete(ssh::remove_key))
        .route("/v1/requests", get(requests::list))
        .route("/v1/requests/{id}", get(requests::one))
        .route("/v1/requests/{id}/approve", post(requests::approve))
        .route("/v1/requests/{id}/deny", post(requests::deny))
        .route("/v1/requests/{id}/withdraw", post(requests::withdraw))
        .route("/v1/sessions", get(sessions::list))
        .route("/v1/sessions/{id}", get(sessions::one))
        .route("/v1/sessions/{id}/end", post(sessions::end))
        .route("/v1/sessions/{id}/replay", get(sessions::replay))
        .route("/v1/sessions/{id}/watch", get(watch::watch))
        .route("/v1/agents", get(agents::list))
        .route("/v1/agents/{id}/revoke", post(agents::revoke))
        .route("/v1/agents/machines/forget", post(agents::forget_machine))
        .route("/v1/agents/authority", get(agents::authority))
        .route("/v1/agents/tokens", get(agents::tokens).post(agents::issue))
        .route("/v1/agents/tokens/{id}", delete(agents::revoke_token))
        .fallback(|| async { Problem::not_found("there is nothing here; see /v1/openapi.json") })
        .method_not_allowed_fallback(|| async {
            let detail = "this path does not take that method; see /v1/openapi.json";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(guard))
        .with_state(api)
}

/// Bounds the time until an answer begins, and keeps answers out of caches: they are for one reader.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("the gateway took too long").into_response(),
    };
    let status = response.status().as_u16().to_string();
    metrics::counter!("sallyport_api_responses_total", "status" => status).increment(1);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
