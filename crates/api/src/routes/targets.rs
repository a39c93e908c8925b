//! What is known of targets.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::extract::Caller;
use crate::ports::NamesError;
use crate::problem::Problem;
use crate::state::Api;

/// The names at a target, a line of JSON for each.
pub(super) async fn names(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(target): Path<String>,
) -> Result<Response, Problem> {
    if !api.access.sees_everything(caller.principal()) {
        return Err(Problem::forbidden(
            "only auditors and administrators see the names at a target",
        ));
    }
    let names = api.targets.names(&target, &caller.principal().id).await;
    let names = names.map_err(|error| match error {
        NamesError::Unknown(_) | NamesError::None(_) => Problem::not_found(error.to_string()),
        NamesError::Failed(why) => {
            tracing::error!(error = %why, %target, "the names at a target could not be read");
            Problem::unavailable("the target could not be asked; the gateway's log says why")
        }
    })?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], names).into_response())
}
