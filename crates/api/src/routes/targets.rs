//! What is known of targets.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::extract::Caller;
use crate::ports::{Act, Entry, NamesError};
use crate::problem::Problem;
use crate::state::Api;

/// Targets that are asked for their names at the same time.
static ASKING: Semaphore = Semaphore::const_new(2);

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
    // Each holds a connection to a target and all of its names.
    let Ok(_place) = ASKING.try_acquire() else {
        return Err(Problem::unavailable("names are being read already; try again soon"));
    };
    api.record(Entry {
        act: Act::NamesRead { target: target.clone() },
        actor: caller.principal().id.to_string(),
        source: caller.source,
    })
    .await?;
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
