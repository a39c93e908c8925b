//! Sessions, live and recorded, and their replay.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json as Reply;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::lines::{self, unreadable};
use crate::extract::{Caller, Id, MaybeJson, Params};
use crate::ports::{Act, Entry, RecordingFilter, Session, TranscriptOptions};
use crate::problem::Problem;
use crate::state::{Api, blocking};

/// The most sessions that one list returns.
const MAX_LIST: usize = 500;
/// The longest reason, in bytes.
const MAX_REASON_BYTES: usize = 4 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListParams {
    principal: Option<String>,
    target: Option<String>,
    before: Option<String>,
    limit: Option<usize>,
    /// Only those that go on.
    live: bool,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Result<Reply<Vec<Session>>, Problem> {
    let all = api.access.sees_everything(caller.principal());
    let own = caller.principal().id.to_string();
    if !all && params.principal.as_ref().is_some_and(|principal| *principal != own) {
        return Err(Problem::forbidden(
            "only auditors and administrators see the sessions of others",
        ));
    }
    let filter = RecordingFilter {
        principal: if all { params.principal } else { Some(own) },
        target: params.target,
        before: params.before,
        limit: params.limit.unwrap_or(100).min(MAX_LIST),
    };
    let mut sessions = api.sessions.list();
    sessions.retain(|session| {
        let differs = |wanted: &Option<String>, has: &str| wanted.as_deref().is_some_and(|w| w != has);
        // Identifiers grow with time.
        !differs(&filter.principal, &session.principal)
            && !differs(&filter.target, &session.target)
            && filter.before.as_ref().is_none_or(|before| session.id < *before)
    });
    if !params.live {
        let known: HashSet<String> = sessions.iter().map(|session| session.id.clone()).collect();
        let (recordings, filter) = (Arc::clone(&api.recordings), filter.clone());
        let recorded = blocking(move || recordings.list(&filter))
            .await?
            .map_err(|e| unreadable(&e))?;
        sessions.extend(recorded.into_iter().filter(|session| !known.contains(&session.id)));
    }
    sessions.retain(|session| api.access.sees_session(caller.principal(), session));
    sessions.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| b.id.cmp(&a.id)));
    sessions.truncate(filter.limit);
    Ok(Reply(sessions))
}

pub(super) async fn one(State(api): State<Arc<Api>>, caller: Caller, Id(id): Id) -> Result<Reply<Session>, Problem> {
    find(&api, &caller, id).await.map(Reply)
}

/// A session that the caller may see.
pub(super) async fn find(api: &Arc<Api>, caller: &Caller, id: String) -> Result<Session, Problem> {
    let missing = Problem::not_found(format!("there is no session `{id}` that you may see"));
    let session = match api.sessions.get(&id) {
        Some(session) => Some(session),
        None => {
            let recordings = Arc::clone(&api.recordings);
            blocking(move || recordings.get(&id))
                .await?
                .map_err(|e| unreadable(&e))?
        }
    };
    session
        .filter(|session| api.access.sees_session(caller.principal(), session))
        .ok_or(missing)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EndBody {
    /// Why; the client is told.
    reason: Option<String>,
}

pub(super) async fn end(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
    MaybeJson(EndBody { reason }): MaybeJson<EndBody>,
) -> Result<Reply<Session>, Problem> {
    if reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON_BYTES) {
        return Err(Problem::bad_request(format!(
            "a reason has at most {MAX_REASON_BYTES} bytes"
        )));
    }
    let session = find(&api, &caller, id).await?;
    if !api.access.may_end(caller.principal(), &session) {
        return Err(Problem::forbidden(
            "only administrators and those who moderate a session end the sessions of others",
        ));
    }
    let by = caller.principal().id.to_string();
    let act = Act::SessionEnded {
        session: session.id.clone(),
        reason: reason.clone(),
    };
    let over = || Problem::conflict("over", format!("the session `{}` is over already", session.id));
    if api.sessions.get(&session.id).is_none() {
        return Err(over());
    }
    api.record(Entry {
        act,
        actor: by.clone(),
        source: caller.source,
    })
    .await?;
    if !api.sessions.end(&session.id, &by, reason.as_deref()) {
        return Err(over());
    }
    Ok(Reply(session))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ReplayParams {
    /// Whether the rows of results are wanted too.
    rows: bool,
}

pub(super) async fn replay(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<ReplayParams>,
) -> Result<Response, Problem> {
    let session = find(&api, &caller, id).await?;
    if !api.access.may_replay(caller.principal(), &session) {
        return Err(Problem::forbidden(
            "only auditors and administrators replay sessions here",
        ));
    }
    let place = lines::place()?;
    let act = Act::Replayed {
        session: session.id.clone(),
        rows: params.rows,
    };
    let actor = caller.principal().id.to_string();
    api.record(Entry {
        act,
        actor,
        source: caller.source,
    })
    .await?;

    let recordings = Arc::clone(&api.recordings);
    let options = TranscriptOptions { rows: params.rows };
    lines::answer(place, move |line| {
        recordings.transcript(&session.id, options, &mut |said| match serde_json::to_vec(&said) {
            Ok(said) => line(&said),
            // A line that cannot be said ends the transcript, without its last line.
            Err(_) => ControlFlow::Break(()),
        })
    })
    .await
}
