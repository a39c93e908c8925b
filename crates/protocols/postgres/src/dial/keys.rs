//! SCRAM keys of logins that worked, so that the next session of the same target need not derive them again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac, rand};
use secrecy::{ExposeSecret, SecretString};
use smol_str::SmolStr;

use super::scram::{Keys, Salt};

/// More targets and users than this begin anew.
const MAX_ENTRIES: usize = 1024;

/// Keys by target and user. A changed password or salt is not found.
pub(crate) struct KeyCache {
    /// Fingerprints of passwords are made with a key that exists in this process only.
    fingerprint: Option<hmac::Key>,
    entries: Mutex<HashMap<(SmolStr, String), Entry>>,
}

struct Entry {
    password: hmac::Tag,
    salt: Salt,
    keys: Keys,
}

impl Default for KeyCache {
    fn default() -> Self {
        let mut key = [0; 32];
        // Without random bytes nothing is remembered.
        let fingerprint = rand::fill(&mut key)
            .is_ok()
            .then(|| hmac::Key::new(hmac::HMAC_SHA256, &key));
        Self {
            fingerprint,
            entries: Mutex::default(),
        }
    }
}

impl KeyCache {
    fn entries(&self) -> MutexGuard<'_, HashMap<(SmolStr, String), Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tag(&self, password: &SecretString) -> Option<hmac::Tag> {
        let key = self.fingerprint.as_ref()?;
        Some(hmac::sign(key, password.expose_secret().as_bytes()))
    }

    /// The keys of a login that worked before with the same password and salt.
    pub(super) fn get(&self, target: &SmolStr, user: &str, password: &SecretString, salt: &Salt) -> Option<Keys> {
        let tag = self.tag(password)?;
        let entries = self.entries();
        let entry = entries.get(&(target.clone(), user.to_owned()))?;
        let same = verify_slices_are_equal(entry.password.as_ref(), tag.as_ref()).is_ok();
        (same && entry.salt == *salt).then(|| entry.keys.clone())
    }

    /// Remembers the keys of a login that worked.
    pub(super) fn put(&self, target: &SmolStr, user: &str, password: &SecretString, salt: Salt, keys: Keys) {
        let Some(tag) = self.tag(password) else {
            return;
        };
        let mut entries = self.entries();
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert(
            (target.clone(), user.to_owned()),
            Entry {
                password: tag,
                salt,
                keys,
            },
        );
    }
}
