//! Keys that cancel: one towards the client, made here, and one towards the target, which never leaves.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, rand};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::wire::{backend::BackendKeyData, startup::Version};

/// The length of the secrets made here for clients of protocol 3.2, in bytes.
const LONG_SECRET: usize = 32;
/// The length that protocol 3.0 has, in bytes.
const SHORT_SECRET: usize = 4;

/// A process number and a secret. `Debug` does not show the secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct CancelKey {
    pid: i32,
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    secret: Zeroizing<Box<[u8]>>,
}

/// For an agent that is to cancel: a target's own key is told to nobody else.
fn write_secret<S: Serializer>(secret: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(secret)
}

fn read_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<Box<[u8]>>, D::Error> {
    Box::<[u8]>::deserialize(deserializer).map(Zeroizing::new)
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no random bytes for a cancel key")]
pub struct NoRandomness;

impl CancelKey {
    /// Makes a key for a client: as long as its protocol version allows.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn generate(pid: i32, version: Version) -> Result<Self, NoRandomness> {
        let len = if version >= Version::V3_2 {
            LONG_SECRET
        } else {
            SHORT_SECRET
        };
        let mut secret = Zeroizing::new(vec![0; len].into_boxed_slice());
        rand::fill(&mut secret).map_err(|_unspecified| NoRandomness)?;
        Ok(Self { pid, secret })
    }

    /// The process number, by which a key is looked up. No secret.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it is the same key. Takes the same time wherever the secrets differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.pid == other.pid && verify_slices_are_equal(&self.secret, &other.secret).is_ok()
    }

    /// The key as a message.
    pub fn to_message(&self) -> BackendKeyData<'_> {
        BackendKeyData {
            pid: self.pid,
            secret: &self.secret,
        }
    }
}

impl From<BackendKeyData<'_>> for CancelKey {
    fn from(message: BackendKeyData<'_>) -> Self {
        Self {
            pid: message.pid,
            secret: Zeroizing::new(message.secret.into()),
        }
    }
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelKey")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{BackendKeyData, CancelKey, Version};

    #[test]
    fn only_the_same_key_matches() {
        let key = CancelKey::generate(7, Version::V3_2).unwrap();
        assert!(key.matches(&key.clone()));
        assert!(!key.matches(&CancelKey::generate(7, Version::V3_2).unwrap()));
        let prefix = BackendKeyData {
            pid: 7,
            secret: key.to_message().secret.get(..4).unwrap(),
        };
        assert!(!key.matches(&prefix.into()));
        let moved = BackendKeyData {
            pid: 8,
            ..key.to_message()
        };
        assert!(!key.matches(&moved.into()));
        assert_eq!(key.to_message().secret.len(), 32);
        let short = CancelKey::generate(7, Version::V3_0).unwrap();
        assert_eq!(short.to_message().secret.len(), 4);
        assert!(!format!("{key:?}").contains("secret"));
    }
}
