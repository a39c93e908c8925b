//! Requests to cancel: whose they are, how many are taken, and how they reach the target.
//!
//! Anybody can send one without a login, and each that has the right key makes the gateway dial the target. So wrong
//! keys are counted by where they come from, a session's requests go one at a time, and all together a few. Nobody is
//! told anything: a wrong key, a session that is over and a session that never was look the same from outside.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sallyport_session::{Door, Interrupt};
use tokio::sync::Semaphore;

use crate::cancel_key::{CancelKey, NoRandomness};
use crate::dial::{Dialer, Errand, Upstream};
use crate::wire::startup::Version;

/// Requests that dial targets at the same time.
const MAX_DIALLING: usize = 64;
/// Requests of one session at the same time: one that is on its way, and one that waits and does for all that come
/// meanwhile.
const MAX_PER_SESSION: usize = 2;
/// Wrong keys that one source may show at once …
const WRONG_KEYS: u32 = 50;
/// … and how long it takes to forget one.
const FORGET_ONE: Duration = Duration::from_secs(1);
/// Sources whose wrong keys are counted. When there are more, those that are not counted are not heard.
const MAX_SOURCES: usize = 16_384;

/// Who can be cancelled, by the process number that the client was given.
#[derive(Debug)]
pub(crate) struct Cancels {
    sessions: Mutex<HashMap<i32, Cancellable>>,
    /// Compared with when nobody has the process number, so that it takes as long.
    decoy: Option<CancelKey>,
    wrong: Mutex<WrongKeys>,
    dialling: Semaphore,
}

#[derive(Debug, Clone)]
struct Cancellable {
    key: CancelKey,
    interrupt: Arc<Interrupt>,
    target: Option<(Door<Dialer>, CancelKey)>,
    places: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// A session's entry among those that can be cancelled; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    cancels: Arc<Cancels>,
    pid: i32,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.cancels.sessions().remove(&self.pid);
    }
}

impl Default for Cancels {
    fn default() -> Self {
        Self {
            sessions: Mutex::default(),
            decoy: CancelKey::generate(0, Version::V3_2).ok(),
            wrong: Mutex::default(),
            dialling: Semaphore::new(MAX_DIALLING),
        }
    }
}

impl Cancels {
    fn sessions(&self) -> MutexGuard<'_, HashMap<i32, Cancellable>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a session a key of the gateway's own making.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(crate) fn register(
        self: &Arc<Self>,
        version: Version,
        interrupt: &Arc<Interrupt>,
        door: Door<Dialer>,
        upstream: &Upstream,
    ) -> Result<(CancelKey, Registered), NoRandomness> {
        let target = upstream.backend_key.clone().map(|key| (door, key));
        self.add(version, interrupt, target)
    }

    fn add(
        self: &Arc<Self>,
        version: Version,
        interrupt: &Arc<Interrupt>,
        target: Option<(Door<Dialer>, CancelKey)>,
    ) -> Result<(CancelKey, Registered), NoRandomness> {
        let mut sessions = self.sessions();
        let pid = loop {
            let pid = rand::random_range(1..i32::MAX);
            if !sessions.contains_key(&pid) {
                break pid;
            }
        };
        let key = CancelKey::generate(pid, version)?;
        let cancellable = Cancellable {
            key: key.clone(),
            interrupt: Arc::clone(interrupt),
            target,
            places: Arc::new(Semaphore::new(MAX_PER_SESSION)),
            turn: Arc::new(Semaphore::new(1)),
        };
        sessions.insert(pid, cancellable);
        let cancels = Arc::clone(self);
        Ok((key, Registered { cancels, pid }))
    }

    /// Cancels what the session with `key` is doing, if there is one.
    ///
    /// # Cancel safety
    /// When dropped, the request may or may not have reached the target.
    pub(crate) async fn cancel(&self, key: &CancelKey, source: IpAddr) {
        let Some(session) = self.session(key, source, Instant::now()) else {
            return;
        };
        if session.interrupt.request() {
            return;
        }
        let Some((door, target_key)) = &session.target else {
            return;
        };
        // One that waits has not been sent, so what it will cancel includes what this one is for.
        let Ok(_place) = session.places.try_acquire() else {
            return;
        };
        let (Ok(_turn), Ok(_dialling)) = (session.turn.acquire().await, self.dialling.acquire().await) else {
            return;
        };
        if let Err(error) = door.run(Errand::Cancel(target_key.clone())).await {
            tracing::warn!(%error, "a cancel request did not reach its target");
        }
    }

    /// The session with this key.
    fn session(&self, key: &CancelKey, source: IpAddr, now: Instant) -> Option<Cancellable> {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if !wrong.hears(source, now) {
            tracing::debug!(%source, "a cancel request is not looked at, after too many with wrong keys");
            return None;
        }
        let sessions = self.sessions();
        let session = sessions.get(&key.pid());
        let known = session.map(|session| &session.key).or(self.decoy.as_ref())?;
        match session.filter(|_| known.matches(key)) {
            Some(session) => Some(session.clone()),
            None => {
                wrong.count(source, now);
                tracing::info!(%source, "a cancel request has a key that no session has");
                None
            }
        }
    }
}

/// The wrong keys of late, by the network that they came from.
#[derive(Debug, Default)]
struct WrongKeys {
    sources: HashMap<IpAddr, Tally>,
}

#[derive(Debug, Clone, Copy)]
struct Tally {
    count: u32,
    last: Instant,
}

impl Tally {
    /// What is left of it.
    fn at(self, now: Instant) -> u32 {
        let forgotten = now.saturating_duration_since(self.last).as_secs() / FORGET_ONE.as_secs();
        self.count.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

impl WrongKeys {
    /// Whether requests from there are looked at.
    fn hears(&mut self, source: IpAddr, now: Instant) -> bool {
        if let Some(tally) = self.sources.get(&network(source)) {
            return tally.at(now) < WRONG_KEYS;
        }
        if self.sources.len() >= MAX_SOURCES {
            self.sources.retain(|_, tally| tally.at(now) > 0);
        }
        self.sources.len() < MAX_SOURCES
    }

    fn count(&mut self, source: IpAddr, now: Instant) {
        let tally = self
            .sources
            .entry(network(source))
            .or_insert(Tally { count: 0, last: now });
        *tally = Tally {
            count: tally.at(now).saturating_add(1),
            last: now,
        };
    }
}

/// One customer of an IPv6 provider has 2^64 addresses: the first 64 bits count.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::{Duration, Instant};

    use super::*;
    use crate::wire::backend::BackendKeyData;

    fn from(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn forged(pid: i32, secret: &[u8]) -> CancelKey {
        BackendKeyData { pid, secret }.into()
    }

    /// pa-017, pa-018: forged, foreign, cut and outdated keys find nobody.
    #[test]
    fn only_the_key_of_an_open_session_finds_it() {
        let cancels = Arc::new(Cancels::default());
        let (here, now) = (from("192.0.2.1"), Instant::now());
        let interrupt = Arc::new(Interrupt::default());
        let (key, registered) = cancels.add(Version::V3_2, &interrupt, None).unwrap();
        let (other, _registered) = cancels.add(Version::V3_0, &interrupt, None).unwrap();
        let secret = key.to_message().secret.to_vec();
        assert!(cancels.session(&key, here, now).is_some());
        for wrong in [
            forged(key.pid(), other.to_message().secret),
            forged(other.pid(), &secret),
            forged(key.pid(), secret.get(..31).unwrap()),
            forged(key.pid(), &[]),
            forged(key.pid(), &[&secret[..], &[0]].concat()),
            forged(0, &secret),
        ] {
            assert!(cancels.session(&wrong, here, now).is_none(), "{wrong:?}");
        }
        drop(registered);
        assert!(cancels.session(&key, here, now).is_none(), "its session is over");
    }

    #[test]
    fn guessing_keys_soon_gets_no_hearing_from_there_for_a_while() {
        let cancels = Arc::new(Cancels::default());
        let (here, there, start) = (from("2001:db8::1"), from("2001:db8:0:1::1"), Instant::now());
        let (key, _registered) = cancels.add(Version::V3_0, &Arc::default(), None).unwrap();
        for _ in 0..WRONG_KEYS {
            assert!(cancels.session(&forged(key.pid(), b"oops"), here, start).is_none());
        }
        let neighbour = from("2001:db8::ffff");
        assert!(
            cancels.session(&key, here, start).is_none(),
            "not even with the right key"
        );
        assert!(
            cancels.session(&key, neighbour, start).is_none(),
            "nor from another address of the network"
        );
        assert!(cancels.session(&key, there, start).is_some(), "others are heard");
        assert!(
            cancels.session(&key, here, start + FORGET_ONE).is_some(),
            "it is forgotten in time"
        );
    }

    #[test]
    fn right_keys_cost_nothing() {
        let cancels = Arc::new(Cancels::default());
        let (key, _registered) = cancels.add(Version::V3_2, &Arc::default(), None).unwrap();
        let now = Instant::now();
        for _ in 0..10 * WRONG_KEYS {
            assert!(cancels.session(&key, from("192.0.2.1"), now).is_some());
        }
        assert!(cancels.wrong.lock().unwrap().sources.is_empty());
    }

    #[test]
    fn no_more_sources_are_counted_than_there_is_room_for() {
        let (mut wrong, start) = (WrongKeys::default(), Instant::now());
        for number in 0..u32::try_from(MAX_SOURCES).unwrap() {
            let source = IpAddr::V4(number.into());
            assert!(wrong.hears(source, start));
            wrong.count(source, start);
        }
        assert!(
            !wrong.hears(from("192.0.2.1"), start),
            "a source that cannot be counted is not heard"
        );
        assert!(wrong.hears(from("192.0.2.1"), start + Duration::from_secs(1)));
        assert!(wrong.sources.is_empty(), "what is forgotten takes no room");
    }
}
