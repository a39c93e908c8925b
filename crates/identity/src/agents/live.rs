//! The instances that are good now, in memory: what every connection of an agent is checked against.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use smol_str::SmolStr;
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

use crate::live::Revocation;

/// One instance.
#[derive(Debug)]
struct Live {
    name: SmolStr,
    expires: OffsetDateTime,
    revoked: watch::Sender<bool>,
}

/// All of them. An instance that is not here is not let in.
#[derive(Debug, Default)]
pub(super) struct LiveAgents(Mutex<HashMap<Uuid, Live>>);

impl LiveAgents {
    /// An instance is good until `expires`; it may have been before.
    pub(super) fn put(&self, instance: Uuid, name: &SmolStr, expires: OffsetDateTime) {
        let mut live = self.lock();
        let entry = live.entry(instance).or_insert_with(|| Live {
            name: name.clone(),
            expires,
            revoked: watch::channel(false).0,
        });
        entry.expires = entry.expires.max(expires);
    }

    /// Whether this instance has this name and is good at `now`; if so, what ends it.
    pub(super) fn watch(&self, instance: Uuid, name: &str, now: OffsetDateTime) -> Option<Revocation> {
        let live = self.lock();
        let found = live.get(&instance).filter(|l| l.name == name && l.expires > now)?;
        Some(Revocation::of(&found.revoked))
    }

    /// Ends one instance.
    pub(super) fn end(&self, instance: Uuid) {
        if let Some(gone) = self.lock().remove(&instance) {
            gone.revoked.send_replace(true);
        }
    }

    /// Ends all but these.
    pub(super) fn keep_only(&self, kept: &HashSet<Uuid>) {
        self.lock().retain(|instance, live| {
            let stays = kept.contains(instance);
            if !stays {
                live.revoked.send_replace(true);
            }
            stays
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Live>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_instance_is_good_under_its_name_until_its_end_or_its_revocation() {
        let live = LiveAgents::default();
        let now = OffsetDateTime::UNIX_EPOCH;
        let later = |s: i64| now + time::Duration::seconds(s);
        let [one, two, three] = [(); 3].map(|()| Uuid::now_v7());
        for instance in [one, two, three] {
            live.put(instance, &"a".into(), later(10));
        }
        assert!(live.watch(one, "a", later(9)).is_some());
        assert!(live.watch(one, "a", later(10)).is_none());
        assert!(live.watch(one, "b", now).is_none());
        assert!(live.watch(Uuid::now_v7(), "a", now).is_none());
        // A renewal is one of the same instance, whose connections go on; it never shortens its life.
        let watched = live.watch(one, "a", now).unwrap();
        live.put(one, &"a".into(), later(20));
        live.put(one, &"a".into(), later(5));
        assert!(live.watch(one, "a", later(19)).is_some() && !watched.is_revoked());
        let (second, third) = (live.watch(two, "a", now).unwrap(), live.watch(three, "a", now).unwrap());
        live.end(two);
        assert!(second.is_revoked() && !third.is_revoked());
        live.keep_only(&HashSet::from([three]));
        assert!(watched.is_revoked() && !third.is_revoked());
        drop(live);
        assert!(third.is_revoked());
    }
}
