//! Sessions, live and recorded, and their replay.

use std::collections::HashSet;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::Json as Reply;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::extract::{Caller, Id, MaybeJson, Params};
use crate::ports::{Act, Entry, Line, RecordingFilter, Recordings, RecordingsError, Session, TranscriptOptions};
use crate::problem::Problem;
use crate::state::{Api, blocking};

/// The most sessions that one list returns.
const MAX_LIST: usize = 500;
/// How much of a transcript is sent at once, in bytes.
pub(super) const CHUNK_BYTES: usize = 32 * 1024;
/// How many chunks may wait for a slow reader.
pub(super) const CHUNKS: usize = 8;
/// How long a reader may take none of them.
pub(super) const READER_PATIENCE: Duration = Duration::from_secs(60);
/// Replays at the same time: each occupies a thread.
static REPLAYS: Semaphore = Semaphore::const_new(16);
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

pub(super) fn unreadable(error: &RecordingsError) -> Problem {
    tracing::error!(%error, "a recording cannot be read");
    Problem::unavailable("the recording cannot be read; the gateway's log says why")
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
    let Ok(permit) = REPLAYS.try_acquire() else {
        return Err(Problem::unavailable(
            "too many sessions are being replayed; try again soon",
        ));
    };
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

    let (sender, mut receiver) = mpsc::channel(CHUNKS);
    let recordings = Arc::clone(&api.recordings);
    let options = TranscriptOptions { rows: params.rows };
    let reading = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        send(&*recordings, &session.id, options, &sender)
    });
    // Nothing is answered before there is something to answer, so that a failure still has its status.
    let Some(first) = receiver.recv().await else {
        let error = match reading.await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => RecordingsError("the recording has no lines".to_owned()),
            Err(error) => RecordingsError(error.to_string()),
        };
        return Err(unreadable(&error));
    };
    let lines = stream::unfold((Some(first), receiver), async |(first, mut receiver)| {
        let chunk = match first {
            Some(first) => Some(first),
            None => receiver.recv().await,
        };
        chunk.map(|chunk| (Ok::<_, Infallible>(chunk), (None, receiver)))
    });
    Ok((
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    )
        .into_response())
}

/// Sends the lines of a transcript as JSON, until they or their reader end.
fn send(
    recordings: &dyn Recordings,
    id: &str,
    options: TranscriptOptions,
    chunks: &mpsc::Sender<Bytes>,
) -> Result<(), RecordingsError> {
    // A reader that stops reading must not keep the thread.
    let runtime = Handle::current();
    let pass = |chunk: Vec<u8>| {
        let sent = runtime.block_on(timeout(READER_PATIENCE, chunks.send(chunk.into())));
        matches!(sent, Ok(Ok(())))
    };
    let mut buffer = Vec::with_capacity(CHUNK_BYTES);
    let mut line = |line: Line| {
        if serde_json::to_writer(&mut buffer, &line).is_err() {
            // A line that cannot be said ends the transcript, without its last line.
            return ControlFlow::Break(());
        }
        buffer.push(b'\n');
        if buffer.len() < CHUNK_BYTES {
            return ControlFlow::Continue(());
        }
        if pass(std::mem::take(&mut buffer)) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    recordings.transcript(id, options, &mut line)?;
    if !buffer.is_empty() {
        // A reader that is gone needs no last chunk.
        pass(buffer);
    }
    Ok(())
}
