//! Passwords as argon2id hashes, within bounds, and with the same work for names that do not exist.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::secret::{NoRandom, random_text};

/// The shortest password that can be set, in characters.
const MIN_PASSWORD_CHARS: usize = 8;
/// The longest password that is looked at, in bytes.
const MAX_PASSWORD_BYTES: usize = 1024;
/// Memory of a hash in KiB: from what OWASP asks for to what a guess may cost the gateway.
const MEMORY_KIB: std::ops::RangeInclusive<u32> = 19_456..=262_144;
/// Passes of a hash.
const PASSES: std::ops::RangeInclusive<u32> = 2..=10;
/// Lanes of a hash.
const LANES: std::ops::RangeInclusive<u32> = 1..=4;
/// Hashes that are computed at the same time; the rest queue.
const AT_ONCE: usize = 2;

/// Why a password or its hash cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Too short to be set.
    #[error("a password needs at least {MIN_PASSWORD_CHARS} characters")]
    TooShort,
    /// Longer than anybody types.
    #[error("a password has at most {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// Not an argon2id hash in the PHC string format.
    #[error("it is not an argon2id hash (`sallyport people passwd` makes one)")]
    NotArgon2id,
    /// The hash is weaker than is safe, or costs more than is sensible.
    #[error("its cost m={memory_kib},t={passes},p={lanes} is outside m=19456..262144, t=2..10, p=1..4")]
    Cost {
        /// KiB.
        memory_kib: u32,
        /// Passes over the memory.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// The system's source of random numbers failed.
    #[error("the system's source of random numbers failed")]
    NoRandom,
}

impl From<NoRandom> for PasswordError {
    fn from(_: NoRandom) -> Self {
        Self::NoRandom
    }
}

/// Hashes a new password (argon2id, m=19456 KiB, t=2, p=1). Takes tens of milliseconds.
///
/// # Errors
/// When the password is too short or too long.
pub fn hash_password(password: &SecretString) -> Result<SecretString, PasswordError> {
    let text = password.expose_secret();
    if text.chars().count() < MIN_PASSWORD_CHARS {
        return Err(PasswordError::TooShort);
    }
    if text.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::TooLong);
    }
    hash(text.as_bytes())
}

fn hash(password: &[u8]) -> Result<SecretString, PasswordError> {
    let salt = SaltString::from_b64(&random_text::<16>()?.replace('-', "+").replace('_', "/"))
        .map_err(|_| PasswordError::NoRandom)?;
    let hash = argon2id()
        .hash_password(password, &salt)
        .map_err(|_| PasswordError::TooLong)?;
    Ok(hash.to_string().into())
}

fn argon2id() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// Checks that `hash` is argon2id within the bounds.
pub(crate) fn check_hash(hash: &SecretString) -> Result<(), PasswordError> {
    let parsed = PasswordHash::new(hash.expose_secret()).map_err(|_| PasswordError::NotArgon2id)?;
    if parsed.algorithm.as_str() != "argon2id" || parsed.version != Some(0x13) || parsed.hash.is_none() {
        return Err(PasswordError::NotArgon2id);
    }
    let params = Params::try_from(&parsed).map_err(|_| PasswordError::NotArgon2id)?;
    let (memory_kib, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    if MEMORY_KIB.contains(&memory_kib) && PASSES.contains(&passes) && LANES.contains(&lanes) {
        Ok(())
    } else {
        Err(PasswordError::Cost {
            memory_kib,
            passes,
            lanes,
        })
    }
}

/// Checks passwords, few at a time.
#[derive(Debug)]
pub(crate) struct Verifier {
    turns: Arc<Semaphore>,
    /// Of a password that nobody knows: checked when a name does not exist, so that it takes as long.
    dummy: SecretString,
}

impl Verifier {
    pub(crate) fn new() -> Result<Self, PasswordError> {
        let dummy = hash(random_text::<32>()?.as_bytes())?;
        Ok(Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            dummy,
        })
    }

    /// Whether `password` belongs to `hash`; with no hash the answer is no, after the same work.
    pub(crate) async fn verify(&self, hash: Option<&SecretString>, password: &SecretString) -> bool {
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.dummy).clone();
        let password = password.clone();
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else {
            return false;
        };
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            matches(&hash, &password)
        });
        checked.await.unwrap_or(false) && known
    }
}

fn matches(hash: &SecretString, password: &SecretString) -> bool {
    let password = password.expose_secret();
    if password.len() > MAX_PASSWORD_BYTES {
        return false;
    }
    PasswordHash::new(hash.expose_secret())
        .is_ok_and(|hash| argon2id().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn the_right_password_only() {
        let verifier = Verifier::new().unwrap();
        let hash = hash_password(&"correct horse".into()).unwrap();
        assert!(verifier.verify(Some(&hash), &"correct horse".into()).await);
        assert!(!verifier.verify(Some(&hash), &"correct horsf".into()).await);
        assert!(!verifier.verify(Some(&hash), &"".into()).await);
        assert!(!verifier.verify(None, &"correct horse".into()).await);
    }

    #[test]
    fn weak_costly_and_foreign_hashes_are_refused() {
        let salted = |cost: &str| -> SecretString {
            format!("$argon2id$v=19${cost}$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc").into()
        };
        assert_eq!(check_hash(&salted("m=19456,t=2,p=1")), Ok(()));
        for cost in [
            "m=8,t=1,p=1",
            "m=19456,t=1,p=1",
            "m=4194304,t=2,p=1",
            "m=19456,t=4000,p=1",
            "m=19456,t=2,p=64",
        ] {
            assert!(
                matches!(check_hash(&salted(cost)), Err(PasswordError::Cost { .. })),
                "{cost}"
            );
        }
        for hash in [
            "",
            "hunter22",
            "$2b$12$abcdefghijklmnopqrstuv",
            "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ] {
            assert_eq!(check_hash(&hash.into()), Err(PasswordError::NotArgon2id), "{hash}");
        }
    }
}
