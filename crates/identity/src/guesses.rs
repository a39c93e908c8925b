//! How many passwords may be guessed: per name and source, and per source.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Failures before one has to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Free {
    /// Of one name from one source.
    pub(crate) per_name: u32,
    /// Of one source, over all names.
    pub(crate) per_source: u32,
}

/// For passwords.
pub(crate) const PASSWORDS: Free = Free {
    per_name: 5,
    per_source: 30,
};
/// For SSH keys. Nobody guesses a key, but clients offer all that they have, the right one last; what is bounded is
/// trying out which names there are.
pub(crate) const SSH_KEYS: Free = Free {
    per_name: 32,
    per_source: 256,
};
/// The longest wait, and how long failures are remembered.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// The most names and sources that are remembered.
const CAPACITY: usize = 65_536;

#[derive(Clone, Copy, Debug)]
struct Tally {
    attempts: u32,
    last: Instant,
}

/// The guesses of late. An attempt counts when it begins, so that many at once are no way round.
#[derive(Debug)]
pub(crate) struct Guesses {
    free: Free,
    by_name: HashMap<(String, IpAddr), Tally>,
    by_source: HashMap<IpAddr, Tally>,
}

impl Guesses {
    pub(crate) fn new(free: Free) -> Self {
        Self {
            free,
            by_name: HashMap::new(),
            by_source: HashMap::new(),
        }
    }

    /// Counts an attempt, or says how long to wait before the next.
    pub(crate) fn attempt(&mut self, user: &str, source: IpAddr, now: Instant) -> Result<(), Duration> {
        let source = network(source);
        let name = (user.to_owned(), source);
        wait(self.by_name.get(&name), self.free.per_name, now)?;
        wait(self.by_source.get(&source), self.free.per_source, now)?;
        count(&mut self.by_name, name, now)?;
        count(&mut self.by_source, source, now)
    }

    /// Forgets the failures of a name that logged in from this source. The source's own count goes down by one, so
    /// that owning one account buys no guesses at others.
    pub(crate) fn succeeded(&mut self, user: &str, source: IpAddr) {
        let source = network(source);
        self.by_name.remove(&(user.to_owned(), source));
        if let Some(tally) = self.by_source.get_mut(&source) {
            tally.attempts = tally.attempts.saturating_sub(1);
        }
    }
}

/// One customer of an IPv6 provider has 2^64 addresses: the first 64 bits count.
pub(crate) fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn wait(tally: Option<&Tally>, free: u32, now: Instant) -> Result<(), Duration> {
    let Some(tally) = tally else { return Ok(()) };
    let over = tally.attempts.saturating_sub(free);
    if tally.attempts < free {
        return Ok(());
    }
    let pause = Duration::from_secs(1_u64 << over.min(10)).min(MEMORY);
    let waited = now.saturating_duration_since(tally.last);
    if waited >= pause {
        Ok(())
    } else {
        Err(pause.saturating_sub(waited))
    }
}

fn count<K: Eq + Hash>(tallies: &mut HashMap<K, Tally>, key: K, now: Instant) -> Result<(), Duration> {
    if tallies.len() >= CAPACITY && !tallies.contains_key(&key) {
        tallies.retain(|_, tally| now.saturating_duration_since(tally.last) < MEMORY);
        if tallies.len() >= CAPACITY {
            return Err(Duration::from_secs(60));
        }
    }
    let tally = tallies.entry(key).or_insert(Tally { attempts: 0, last: now });
    if now.saturating_duration_since(tally.last) >= MEMORY {
        tally.attempts = 0;
    }
    tally.attempts = tally.attempts.saturating_add(1);
    tally.last = now;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn the_sixth_guess_waits_longer_and_longer_but_only_from_there() {
        let (mut guesses, start) = (Guesses::new(PASSWORDS), Instant::now());
        for _ in 0..PASSWORDS.per_name {
            guesses.attempt("alice", HERE, start).unwrap();
        }
        assert_eq!(guesses.attempt("alice", HERE, start), Err(Duration::from_secs(1)));
        guesses.attempt("alice", THERE, start).unwrap();
        guesses.attempt("bob", HERE, start).unwrap();
        let later = start + Duration::from_secs(1);
        guesses.attempt("alice", HERE, later).unwrap();
        assert_eq!(guesses.attempt("alice", HERE, later), Err(Duration::from_secs(2)));
    }

    #[test]
    fn trying_many_names_from_one_source_is_stopped_also_with_one_good_account() {
        let (mut guesses, now) = (Guesses::new(PASSWORDS), Instant::now());
        for n in 0..PASSWORDS.per_source {
            guesses.attempt(&format!("u{n}"), HERE, now).unwrap();
        }
        assert!(guesses.attempt("another", HERE, now).is_err());
        guesses.succeeded("u0", HERE);
        guesses.attempt("u0", HERE, now).unwrap();
        assert!(guesses.attempt("another", HERE, now).is_err());
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_source() {
        let (mut guesses, now) = (Guesses::new(PASSWORDS), Instant::now());
        for n in 0..u128::from(PASSWORDS.per_name) {
            let source = IpAddr::V6((0x2001_0db8_u128 << 96 | n).into());
            guesses.attempt("alice", source, now).unwrap();
        }
        let source = IpAddr::V6((0x2001_0db8_u128 << 96 | 0xffff).into());
        assert!(guesses.attempt("alice", source, now).is_err());
    }

    #[test]
    fn a_quarter_of_an_hour_forgets() {
        let (mut guesses, start) = (Guesses::new(PASSWORDS), Instant::now());
        for n in 0..20 {
            let _ = guesses.attempt("alice", HERE, start + MEMORY * n);
        }
        guesses.attempt("alice", HERE, start + MEMORY * 20).unwrap();
    }
}
