//! Memory for long messages, of which all sessions together have so much.
//!
//! A message that must be kept whole is waited for only once there is room for it and for the copies that are made on
//! its way. A session that gets none in time ends, rather than that all of them go down with the gateway.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use crate::hold::Waiting;
use crate::refusal::{Reason, Refusal};

/// Shorter messages need no room of their own: every session has as much.
pub(crate) const SHORT: usize = 1 << 20;
/// How often a message is in memory at once on its way, at most.
const COPIES: usize = 4;
/// Room is given in pieces of so many bytes.
const PIECE: usize = 64 * 1024;
/// How long a session waits for room.
const PATIENCE: Duration = Duration::from_secs(15);

/// The room of all sessions.
#[derive(Debug, Clone)]
pub struct Rooms {
    pieces: Arc<Semaphore>,
    all: u32,
    patience: Duration,
}

/// What is asked for and comes later.
struct Asked {
    pieces: u32,
    given: Waiting<Option<OwnedSemaphorePermit>>,
    patience: Pin<Box<Sleep>>,
}

/// The room of one session.
pub(crate) struct Room {
    rooms: Rooms,
    held: Option<OwnedSemaphorePermit>,
    asked: Option<Asked>,
}

impl Rooms {
    /// So many bytes for all sessions together.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let all = u32::try_from(bytes / PIECE).unwrap_or(u32::MAX).max(1);
        Self {
            pieces: Arc::new(Semaphore::new(usize::try_from(all).unwrap_or(Semaphore::MAX_PERMITS))),
            all,
            patience: PATIENCE,
        }
    }

    /// A session's room, which is none yet.
    pub(crate) fn room(&self) -> Room {
        Room {
            rooms: self.clone(),
            held: None,
            asked: None,
        }
    }

    fn ask(&self, pieces: u32) -> Asked {
        let semaphore = Arc::clone(&self.pieces);
        Asked {
            pieces,
            given: Box::pin(async move { semaphore.acquire_many_owned(pieces).await.ok() }),
            patience: Box::pin(tokio::time::sleep(self.patience)),
        }
    }
}

impl Room {
    /// Ready when there is room for a message of `bytes`.
    ///
    /// # Errors
    /// When there was none for too long.
    pub(crate) fn poll_for(&mut self, bytes: usize, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        let pieces = u32::try_from(bytes.saturating_mul(COPIES).div_ceil(PIECE)).unwrap_or(u32::MAX);
        let wanted = pieces.min(self.rooms.all);
        let have = self
            .held
            .as_ref()
            .map_or(0, |held| u32::try_from(held.num_permits()).unwrap_or(0));
        if have >= wanted {
            return Poll::Ready(Ok(()));
        }
        let asked = self.asked.get_or_insert_with(|| self.rooms.ask(wanted - have));
        match asked.given.as_mut().poll(cx) {
            Poll::Ready(Some(given)) => {
                let enough = have + asked.pieces >= wanted;
                self.asked = None;
                match &mut self.held {
                    Some(held) => held.merge(given),
                    None => self.held = Some(given),
                }
                if enough {
                    Poll::Ready(Ok(()))
                } else {
                    self.poll_for(bytes, cx)
                }
            }
            Poll::Ready(None) => Poll::Ready(Err(no_room())),
            Poll::Pending if asked.patience.as_mut().poll(cx).is_ready() => Poll::Ready(Err(no_room())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether there is any, or some is asked for.
    pub(crate) fn is_taken(&self) -> bool {
        self.held.is_some() || self.asked.is_some()
    }

    /// The long messages are gone, and their memory.
    pub(crate) fn give_back(&mut self) {
        self.held = None;
        self.asked = None;
    }
}

fn no_room() -> Refusal {
    let message = "the gateway has no room for a message of this length: other sessions have it";
    Refusal {
        ends: true,
        ..Refusal::new(Reason::TooMuch, message).with_hint("try again later; `limits.long_messages_mib` is the setting")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::future::poll_fn;

    use super::*;

    async fn get(room: &mut Room, bytes: usize) -> Result<(), Refusal> {
        poll_fn(|cx| room.poll_for(bytes, cx)).await
    }

    #[tokio::test]
    async fn what_one_session_has_another_waits_for() {
        let rooms = Rooms::new(8 << 20);
        let (mut first, mut second) = (rooms.room(), rooms.room());
        get(&mut first, 2 << 20).await.unwrap();
        // as much again is there already
        get(&mut first, 1 << 20).await.unwrap();
        let waiting = tokio::spawn(async move {
            get(&mut second, 1 << 20).await.unwrap();
            second
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        first.give_back();
        let second = waiting.await.unwrap();
        assert!(second.is_taken() && !first.is_taken());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever_and_nobody_asks_for_more_than_there_is() {
        let rooms = Rooms {
            patience: Duration::ZERO,
            ..Rooms::new(8 << 20)
        };
        let (mut first, mut second) = (rooms.room(), rooms.room());
        get(&mut first, usize::MAX).await.unwrap();
        let Err(refusal) = get(&mut second, 2 << 20).await else {
            panic!("there is no room")
        };
        assert!(refusal.ends && refusal.reason == Reason::TooMuch);
    }
}
