//! Answers that come line by line, made by work that reads files.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::timeout;

use crate::ports::RecordingsError;
use crate::problem::Problem;

/// How much is sent at once, in bytes.
pub(super) const CHUNK_BYTES: usize = 32 * 1024;
/// How many chunks may wait for a slow reader.
pub(super) const CHUNKS: usize = 8;
/// How long a reader may take none of them.
pub(super) const READER_PATIENCE: Duration = Duration::from_secs(60);
/// Answers at the same time: each occupies a thread.
static READING: Semaphore = Semaphore::const_new(16);
/// Those that go through all recordings of a period.
static SCANNING: Semaphore = Semaphore::const_new(2);

/// A place among those who read a recording.
pub(super) fn place() -> Result<SemaphorePermit<'static>, Problem> {
    taken(&READING)
}

/// A place among those who read all recordings of a period.
pub(super) fn place_for_scan() -> Result<SemaphorePermit<'static>, Problem> {
    taken(&SCANNING)
}

fn taken(places: &'static Semaphore) -> Result<SemaphorePermit<'static>, Problem> {
    places
        .try_acquire()
        .map_err(|_| Problem::unavailable("too many recordings are being read; try again soon"))
}

pub(super) fn unreadable(error: &RecordingsError) -> Problem {
    tracing::error!(%error, "a recording cannot be read");
    Problem::unavailable("the recording cannot be read; the gateway's log says why")
}

/// Takes the lines of an answer, without their ends.
pub(super) type TakeLine<'a> = dyn FnMut(&[u8]) -> ControlFlow<()> + 'a;

/// The lines that `work` gives, as it gives them. Nothing is answered before there is something to answer, so that a failure
/// still has its status.
pub(super) async fn answer(
    place: SemaphorePermit<'static>,
    work: impl FnOnce(&mut TakeLine<'_>) -> Result<(), RecordingsError> + Send + 'static,
) -> Result<Response, Problem> {
    let (sender, mut receiver) = mpsc::channel(CHUNKS);
    let reading = tokio::task::spawn_blocking(move || {
        let _place = place;
        send(work, &sender)
    });
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

/// Sends lines until they or their reader end.
fn send(
    work: impl FnOnce(&mut TakeLine<'_>) -> Result<(), RecordingsError>,
    chunks: &mpsc::Sender<Bytes>,
) -> Result<(), RecordingsError> {
    // A reader that stops reading must not keep the thread.
    let runtime = Handle::current();
    let pass = |chunk: Vec<u8>| {
        let sent = runtime.block_on(timeout(READER_PATIENCE, chunks.send(chunk.into())));
        matches!(sent, Ok(Ok(())))
    };
    let mut buffer = Vec::with_capacity(CHUNK_BYTES);
    let mut line = |line: &[u8]| {
        buffer.extend_from_slice(line);
        buffer.push(b'\n');
        if buffer.len() < CHUNK_BYTES || pass(std::mem::take(&mut buffer)) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    work(&mut line)?;
    if !buffer.is_empty() {
        // A reader that is gone needs no last chunk.
        pass(buffer);
    }
    Ok(())
}
