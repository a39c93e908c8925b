//! Watching a session that goes on: its transcript while it grows.

use std::convert::Infallible;
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State as With;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream;
use sallyport_identity::{Credential, Kind};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::{sleep, timeout};

use super::lines::{CHUNK_BYTES, CHUNKS, READER_PATIENCE, unreadable};
use super::sessions::find;
use crate::extract::{Caller, Id, Params};
use crate::ports::{Act, Entry, Session, TranscriptOptions, WatchError, Watcher, Watching};
use crate::problem::Problem;
use crate::state::{Api, blocking};

/// People who may watch at the same time, over all sessions.
static WATCHES: Semaphore = Semaphore::const_new(256);
/// While nothing happens, an empty line so often: whoever is not there any more is noticed.
const HEARTBEAT: Duration = Duration::from_secs(5);

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WatchParams {
    /// Whether the rows of results are wanted too.
    rows: bool,
    /// From where on.
    from: From,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum From {
    /// From the session's beginning.
    #[default]
    Start,
    /// From now on.
    Now,
}

pub(super) async fn watch(
    With(api): With<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<WatchParams>,
) -> Result<Response, Problem> {
    let session = find(&api, &caller, id).await?;
    if !api.access.may_watch(caller.principal(), &session) {
        return Err(Problem::forbidden(
            "only auditors, administrators, and members of the groups that a session is moderated by watch it",
        ));
    }
    let Ok(permit) = WATCHES.try_acquire() else {
        return Err(Problem::unavailable("too many people watch sessions; try again soon"));
    };
    let watcher = watcher(&api, &caller, &session).await?;
    if api.sessions.get(&session.id).is_none() {
        return Err(over(&session));
    }
    let act = Act::Watched {
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
    let (id, options) = (session.id.clone(), TranscriptOptions { rows: params.rows });
    let from_now = params.from == From::Now;
    let watching = blocking(move || api.sessions.watch(&id, watcher, options, from_now))
        .await?
        .map_err(|error| match error {
            WatchError::Over => over(&session),
            WatchError::Crowded => Problem::unavailable("as many people watch this session as may; try again soon"),
            WatchError::Unreadable(error) => unreadable(&error),
        })?;
    let (sender, receiver) = mpsc::channel(CHUNKS);
    tokio::spawn(run(watching, sender, caller.credential, permit));
    let lines = stream::unfold(receiver, async |mut receiver| {
        let chunk = receiver.recv().await;
        chunk.map(|chunk| (Ok::<_, Infallible>(chunk), receiver))
    });
    Ok((
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    )
        .into_response())
}

fn over(session: &Session) -> Problem {
    let words = format!("the session `{}` is over: see it with `sallyport replay`", session.id);
    Problem::conflict("over", words)
}

/// Who watches. Their presence counts for the groups that they are in, unless the session is of the same person, under
/// whatever identity (I5), or they are a machine.
async fn watcher(api: &Api, caller: &Caller, session: &Session) -> Result<Watcher, Problem> {
    let principal = caller.principal();
    let same = principal.id.eq_ignore_ascii_case(&session.principal)
        || principal.person.eq_ignore_ascii_case(&session.person)
        || api
            .identities
            .same_person(&principal.person, &session.person)
            .await
            .map_err(|error| {
                tracing::error!(%error, "it cannot be told who is the same person");
                Problem::unavailable("it cannot be told at the moment whose session this is")
            })?;
    let counts = principal.kind == Kind::User && !same;
    let groups = principal.groups.iter().filter(|_| counts);
    Ok(Watcher {
        id: principal.id.to_string(),
        groups: groups.map(ToString::to_string).collect(),
    })
}

/// Sends what happens until the session or the watching ends: the reader is gone or reads nothing, the login ended. The
/// session knows nothing of it: what is sent is read from its recording.
async fn run(
    mut watching: Box<dyn Watching>,
    chunks: mpsc::Sender<Bytes>,
    credential: Credential,
    permit: SemaphorePermit<'static>,
) {
    let ended = Box::pin(ended(credential));
    let sending = Box::pin(async {
        loop {
            let Ok((chunk, state, back)) = blocking(move || read(watching)).await else {
                return;
            };
            watching = back;
            if !chunk.is_empty() && !matches!(timeout(READER_PATIENCE, chunks.send(chunk)).await, Ok(Ok(()))) {
                return;
            }
            match state {
                State::More => {}
                State::Over => return,
                State::Waiting => {
                    if !wait(watching.more(), &chunks).await {
                        return;
                    }
                }
            }
        }
    });
    select(sending, ended).await;
    drop(permit);
}

/// What is to be done after some lines were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Read on.
    More,
    /// Wait for more to happen.
    Waiting,
    /// That was all.
    Over,
}

/// The lines that are there, or as many of them as are sent at once.
fn read(mut watching: Box<dyn Watching>) -> (Bytes, State, Box<dyn Watching>) {
    let mut buffer = Vec::new();
    let mut cut = false;
    let over = watching.lines(&mut |line| {
        if serde_json::to_writer(&mut buffer, &line).is_err() {
            cut = true;
            return ControlFlow::Break(());
        }
        buffer.push(b'\n');
        if buffer.len() < CHUNK_BYTES {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    let full = buffer.len() >= CHUNK_BYTES;
    let state = match over {
        true => State::Over,
        // A line that cannot be said ends the transcript, without its last line.
        false if cut => State::Over,
        false if full => State::More,
        false => State::Waiting,
    };
    (buffer.into(), state, watching)
}

/// Waits for more to happen. False when the reader is gone.
async fn wait(mut more: impl Future<Output = ()> + Unpin, chunks: &mpsc::Sender<Bytes>) -> bool {
    loop {
        let gone = Box::pin(chunks.closed());
        let beat = Box::pin(sleep(HEARTBEAT));
        match select(&mut more, select(gone, beat)).await {
            Either::Left(_) => return true,
            Either::Right((Either::Left(_), _)) => return false,
            Either::Right((Either::Right(_), _)) => {
                let sent = timeout(READER_PATIENCE, chunks.send(Bytes::from_static(b"\n"))).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return false;
                }
            }
        }
    }
}

/// Resolves when the login that somebody watches with has ended.
async fn ended(credential: Credential) {
    let expired = Box::pin(async move {
        match credential.expires {
            Some(at) => {
                let left = Duration::try_from(at - OffsetDateTime::now_utc()).unwrap_or_default();
                sleep(left).await;
            }
            None => std::future::pending().await,
        }
    });
    let revoked = Box::pin(async move { credential.revocation.revoked().await });
    select(expired, revoked).await;
}
