//! Who watches a session while it goes on, and how far its recording has got.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tokio::sync::Notify;

use crate::hold::Waiting;

/// People who may watch one session at the same time.
const MAX_WATCHERS: usize = 16;
/// Comings and goings that the session has not recorded yet; beyond it nobody else may come.
const MAX_UNRECORDED: usize = 256;

/// Somebody who watches a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watcher {
    /// The principal.
    pub id: String,
    /// The groups for which their presence counts: none for whoever the session is of (I5), and none for a machine.
    pub groups: Vec<String>,
}

/// Why somebody cannot watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("as many people watch this session as may")]
pub struct Crowded;

/// The audience of one session.
#[derive(Debug, Default)]
pub struct Audience {
    /// Bytes of the recording that are whole frames.
    written: AtomicU64,
    /// The recording is sealed and its root is in the journal, or neither will ever be.
    over: AtomicBool,
    /// Seats that are taken: without any, nobody need be told that the recording grew.
    followers: AtomicUsize,
    grown: Notify,
    changed: Notify,
    attendance: Mutex<Attendance>,
}

#[derive(Debug, Default)]
struct Attendance {
    /// Counts comings and goings.
    changes: u64,
    seats: Vec<(u64, Watcher)>,
    /// What the session's recording does not say yet.
    unrecorded: Vec<String>,
    /// The groups whose presence this session was asked for.
    moderators: BTreeSet<String>,
}

/// Somebody's place in the audience. They leave when it is dropped.
#[derive(Debug)]
pub struct Seat {
    audience: Arc<Audience>,
    number: u64,
}

impl Audience {
    /// Somebody watches from now on.
    ///
    /// # Errors
    /// When too many do.
    pub fn join(self: &Arc<Self>, watcher: Watcher) -> Result<Seat, Crowded> {
        let number = self.change(|attendance| {
            if attendance.seats.len() >= MAX_WATCHERS || attendance.unrecorded.len() >= MAX_UNRECORDED {
                return Err(Crowded);
            }
            attendance.unrecorded.push(notice(&watcher, "began"));
            attendance.seats.push((attendance.changes, watcher));
            Ok(attendance.changes)
        })?;
        self.followers.fetch_add(1, Ordering::SeqCst);
        Ok(Seat {
            audience: Arc::clone(self),
            number,
        })
    }

    /// The groups of which somebody watches whose presence counts.
    #[must_use]
    pub fn watched_by(&self) -> BTreeSet<String> {
        let attendance = self.attendance.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = attendance.seats.iter().flat_map(|(_, watcher)| &watcher.groups);
        groups.cloned().collect()
    }

    /// The same for the record of every command: costs a load while nobody watches.
    pub(crate) fn watched_by_any(&self) -> BTreeSet<String> {
        if self.followers.load(Ordering::SeqCst) == 0 {
            return BTreeSet::new();
        }
        self.watched_by()
    }

    /// Who of these groups watches.
    #[must_use]
    pub fn watchers_of(&self, groups: &BTreeSet<String>) -> Vec<String> {
        let attendance = self.attendance.lock().unwrap_or_else(PoisonError::into_inner);
        let seats = attendance.seats.iter();
        let counting = seats.filter(|(_, watcher)| watcher.groups.iter().any(|group| groups.contains(group)));
        counting.map(|(_, watcher)| watcher.id.clone()).collect()
    }

    /// The session needs somebody of these groups to watch it: their members may from now on.
    pub fn ask(&self, groups: impl IntoIterator<Item = String>) {
        let mut attendance = self.attendance.lock().unwrap_or_else(PoisonError::into_inner);
        attendance.moderators.extend(groups);
    }

    /// The groups whose members may watch this session because it needed one of them to.
    #[must_use]
    pub fn moderators(&self) -> Vec<String> {
        let attendance = self.attendance.lock().unwrap_or_else(PoisonError::into_inner);
        attendance.moderators.iter().cloned().collect()
    }

    /// Resolves when somebody of each of these groups watches.
    #[must_use]
    pub fn attended(self: &Arc<Self>, groups: BTreeSet<String>) -> Waiting<()> {
        let audience = Arc::clone(self);
        Box::pin(async move {
            loop {
                let changed = audience.changed.notified();
                if groups.is_subset(&audience.watched_by()) {
                    return;
                }
                changed.await;
            }
        })
    }

    /// How often somebody came or went.
    pub(crate) fn changes(&self) -> u64 {
        self.attendance.lock().unwrap_or_else(PoisonError::into_inner).changes
    }

    /// Resolves with the count when it is another than `seen`.
    pub(crate) fn next_change(self: &Arc<Self>, seen: u64) -> Waiting<u64> {
        let audience = Arc::clone(self);
        Box::pin(async move {
            loop {
                let changed = audience.changed.notified();
                let now = audience.changes();
                if now != seen {
                    return now;
                }
                changed.await;
            }
        })
    }

    /// What the recording is to say of comings and goings.
    pub(crate) fn take_unrecorded(&self) -> Vec<String> {
        let mut attendance = self.attendance.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut attendance.unrecorded)
    }

    /// The recording has so many bytes that are whole frames. Costs two loads and a store while nobody watches.
    pub(crate) fn advance(&self, written: u64) {
        if self.written.load(Ordering::Relaxed) == written {
            return;
        }
        // In one order with the seats' counting and looking: a follower either sees these bytes or is told of them.
        self.written.store(written, Ordering::SeqCst);
        if self.followers.load(Ordering::SeqCst) > 0 {
            self.grown.notify_waiters();
        }
    }

    /// Nothing more will be said of this session.
    pub(crate) fn close(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.grown.notify_waiters();
    }

    fn change<T>(&self, what: impl FnOnce(&mut Attendance) -> Result<T, Crowded>) -> Result<T, Crowded> {
        let mut attendance = self.attendance.lock().unwrap_or_else(PoisonError::into_inner);
        let done = what(&mut attendance)?;
        attendance.changes += 1;
        drop(attendance);
        self.changed.notify_waiters();
        Ok(done)
    }
}

impl Seat {
    /// How many bytes of the recording are whole frames; `None` once the session is over and the file is complete.
    #[must_use]
    pub fn written(&self) -> Option<u64> {
        let over = self.audience.over.load(Ordering::SeqCst);
        (!over).then(|| self.audience.written.load(Ordering::SeqCst))
    }

    /// Resolves when [`Seat::written`] says something else than `seen`.
    #[must_use]
    pub fn grown(&self, seen: Option<u64>) -> Waiting<()> {
        let audience = Arc::clone(&self.audience);
        Box::pin(async move {
            loop {
                let grown = audience.grown.notified();
                let over = audience.over.load(Ordering::SeqCst);
                if (!over).then(|| audience.written.load(Ordering::SeqCst)) != seen {
                    return;
                }
                grown.await;
            }
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.audience.followers.fetch_sub(1, Ordering::SeqCst);
        // Leaving is always possible.
        let _ = self.audience.change(|attendance| {
            if let Some(at) = attendance.seats.iter().position(|(number, _)| *number == self.number) {
                let (_, watcher) = attendance.seats.remove(at);
                attendance.unrecorded.push(notice(&watcher, "ended"));
            }
            Ok(())
        });
    }
}

/// What a recording says of somebody who watches.
fn notice(watcher: &Watcher, watching: &str) -> String {
    json!({ "watching": watching, "who": watcher.id, "groups": watcher.groups }).to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use futures_util::FutureExt;

    fn watcher(id: &str, groups: &[&str]) -> Watcher {
        Watcher {
            id: id.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    #[test]
    fn who_waits_for_a_group_is_told_when_all_of_them_are_there() {
        let audience = Arc::new(Audience::default());
        let both = BTreeSet::from(["dba".to_owned(), "operators".to_owned()]);
        let mut attended = audience.attended(both.clone());
        let mut change = audience.next_change(audience.changes());
        assert!(attended.as_mut().now_or_never().is_none());
        let dana = audience.join(watcher("dana", &["dba"])).unwrap();
        assert_eq!(change.as_mut().now_or_never(), Some(1));
        assert!(attended.as_mut().now_or_never().is_none());
        let oscar = audience.join(watcher("oscar", &["operators", "staff"])).unwrap();
        assert!(attended.as_mut().now_or_never().is_some());
        assert_eq!(audience.watchers_of(&both), ["dana", "oscar"]);
        drop(dana);
        assert!(audience.attended(both).now_or_never().is_none());
        assert_eq!(
            audience.watched_by(),
            ["operators".to_owned(), "staff".to_owned()].into()
        );
        drop(oscar);
        let notices = audience.take_unrecorded();
        let said = ["began", "began", "ended", "ended"];
        assert_eq!(notices.len(), said.len());
        for (notice, word) in notices.iter().zip(said) {
            assert!(notice.contains(word), "{notice}");
        }
    }

    #[test]
    fn a_crowd_is_bounded_however_often_it_comes_and_goes() {
        let audience = Arc::new(Audience::default());
        let seats: Vec<_> = (0..MAX_WATCHERS)
            .map(|_| audience.join(watcher("w", &[])).unwrap())
            .collect();
        assert_eq!(audience.join(watcher("w", &[])).unwrap_err(), Crowded);
        drop(seats);
        while audience.join(watcher("w", &[])).is_ok() {}
        assert!(audience.take_unrecorded().len() <= MAX_UNRECORDED + MAX_WATCHERS);
        assert!(audience.join(watcher("w", &[])).is_ok());
    }

    #[test]
    fn a_follower_sees_what_was_written_or_is_told_of_it() {
        let audience = Arc::new(Audience::default());
        audience.advance(10);
        let seat = audience.join(watcher("w", &[])).unwrap();
        assert_eq!(seat.written(), Some(10));
        let mut grown = seat.grown(seat.written());
        assert!(grown.as_mut().now_or_never().is_none());
        audience.advance(20);
        assert!(grown.as_mut().now_or_never().is_some());
        let mut over = seat.grown(Some(20));
        assert!(over.as_mut().now_or_never().is_none());
        audience.close();
        assert!(over.as_mut().now_or_never().is_some());
        assert_eq!(seat.written(), None);
    }
}
