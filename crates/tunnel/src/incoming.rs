//! What has come and was not read yet.
//!
//! The HTTP/2 library keeps each frame of a stream as it came until somebody asks for it. A window's worth of frames of one
//! byte is hundreds of megabytes then, which the other side could make this one keep. So frames are taken as they come, by
//! whoever drives the connection, and small ones are joined.

use std::collections::VecDeque;
use std::future::Future;
use std::mem::take;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::{Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use h2::{Reason, RecvStream};
use http::HeaderMap;

/// A frame that is no smaller is kept as it came. It may be a part of a block of the library's, four times as large.
const LARGE: usize = 16 * 1024;
/// The trailer in which a flow says why it ends.
pub(crate) const WHY: &str = "sallyport-why";
/// The longest that is believed, in bytes.
const MAX_WHY: usize = 256;
/// Small frames are joined until they are this large.
const JOINED: usize = 64 * 1024;

/// The flows of one connection for which something came.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    flows: Mutex<Vec<Arc<Inbox>>>,
    driver: AtomicWaker,
    /// Whether the driver is about to look anyway.
    looks: AtomicBool,
}

/// What has come in one flow.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    arrivals: Arc<Arrivals>,
    /// Whether it is among the arrivals.
    arrived: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// There until the flow is dropped.
    stream: Option<RecvStream>,
    blocks: VecDeque<Bytes>,
    /// Small frames, after all blocks.
    joined: BytesMut,
    end: Option<End>,
    reader: Option<Waker>,
}

/// What comes after everything that has come.
#[derive(Clone, Debug)]
enum End {
    Ended,
    Said(String),
    Broke(Option<Reason>),
}

/// What is read next.
pub(crate) enum Read {
    /// Bytes; the room that they took is to be given back.
    Bytes(Bytes),
    /// The end.
    Ended,
    /// The end, and why.
    Said(String),
    /// The flow broke.
    Broke(Option<Reason>),
}

impl Arrivals {
    /// Drives a connection, and takes what comes.
    pub(crate) async fn drive<T>(&self, connection: impl Future<Output = T>) -> T {
        let mut connection = pin!(connection);
        std::future::poll_fn(|cx| {
            self.driver.register(cx.waker());
            self.looks.store(true, Ordering::SeqCst);
            let driven = connection.as_mut().poll(cx);
            self.looks.store(false, Ordering::SeqCst);
            self.take_in();
            driven
        })
        .await
    }

    /// Takes what has come.
    pub(crate) fn take_in(&self) {
        let arrived = take(&mut *self.flows.lock().unwrap_or_else(PoisonError::into_inner));
        for inbox in arrived {
            inbox.arrived.store(false, Ordering::SeqCst);
            inbox.fill();
        }
    }
}

impl Wake for Inbox {
    /// The connection calls it under its own lock: nothing here may ask the connection for anything.
    fn wake(self: Arc<Self>) {
        if self.arrived.swap(true, Ordering::SeqCst) {
            return;
        }
        let arrivals = Arc::clone(&self.arrivals);
        arrivals.flows.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        if !arrivals.looks.load(Ordering::SeqCst) {
            arrivals.driver.wake();
        }
    }
}

impl Inbox {
    pub(crate) fn new(stream: RecvStream, arrivals: &Arc<Arrivals>) -> Arc<Self> {
        let inbox = Arc::new(Self {
            state: Mutex::new(State {
                stream: Some(stream),
                blocks: VecDeque::new(),
                joined: BytesMut::new(),
                end: None,
                reader: None,
            }),
            arrivals: Arc::clone(arrivals),
            arrived: AtomicBool::new(false),
        });
        inbox.fill();
        inbox
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what has come, and asks to be told of more.
    pub(crate) fn fill(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut state = self.state();
        if state.fill(&mut Context::from_waker(&waker)) {
            let reader = state.reader.take();
            drop(state);
            if let Some(reader) = reader {
                reader.wake();
            }
        }
    }

    /// What is read next.
    pub(crate) fn poll_read(&self, cx: &Context<'_>) -> Poll<Read> {
        let mut state = self.state();
        if let Some(block) = state.blocks.pop_front() {
            return Poll::Ready(Read::Bytes(block));
        }
        if !state.joined.is_empty() {
            return Poll::Ready(Read::Bytes(take(&mut state.joined).freeze()));
        }
        match &state.end {
            Some(End::Ended) => Poll::Ready(Read::Ended),
            Some(End::Said(why)) => Poll::Ready(Read::Said(why.clone())),
            Some(End::Broke(reason)) => Poll::Ready(Read::Broke(*reason)),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The other side may send so much more.
    pub(crate) fn give_back(&self, length: usize) {
        if let Some(stream) = &mut self.state().stream {
            // It fails when more is given back than was taken.
            let _ = stream.flow_control().release_capacity(length);
        }
    }

    /// The stream, once the flow is dropped; nothing is kept any more.
    pub(crate) fn close(&self) -> Option<RecvStream> {
        let mut state = self.state();
        state.blocks.clear();
        state.joined = BytesMut::new();
        state.stream.take()
    }
}

impl State {
    /// True when there is something new to read.
    fn fill(&mut self, cx: &mut Context<'_>) -> bool {
        let mut new = false;
        while self.end.is_none() {
            let Some(stream) = &mut self.stream else { break };
            match stream.poll_data(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(bytes))) => self.keep(bytes),
                Poll::Ready(Some(Err(error))) => self.end = Some(End::Broke(error.reason())),
                Poll::Ready(None) => match stream.poll_trailers(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(trailers)) => self.end = Some(why(trailers.as_ref())),
                    Poll::Ready(Err(error)) => self.end = Some(End::Broke(error.reason())),
                },
            }
            new = true;
        }
        new
    }

    fn keep(&mut self, bytes: Bytes) {
        if bytes.len() < LARGE {
            self.joined.extend_from_slice(&bytes);
        }
        let full = bytes.len() >= LARGE || self.joined.len() >= JOINED;
        if full && !self.joined.is_empty() {
            self.blocks.push_back(take(&mut self.joined).freeze());
        }
        if bytes.len() >= LARGE {
            self.blocks.push_back(bytes);
        }
    }
}

/// What the other side says of why it ended the flow. It is shown to people.
fn why(trailers: Option<&HeaderMap>) -> End {
    let why = trailers.and_then(|trailers| trailers.get(WHY)?.to_str().ok());
    let plain = |why: &&str| !why.is_empty() && why.len() <= MAX_WHY && !why.contains(|c: char| c.is_control());
    why.filter(plain).map_or(End::Ended, |why| End::Said(why.to_owned()))
}
