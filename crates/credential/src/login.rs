//! Logins at stores, shared by all who need one and kept no longer than they are good.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use crate::CredentialError;

/// No login is kept for longer, whatever its issuer says.
pub(crate) const MAX_LIFE: Duration = Duration::from_hours(24);
/// How long before its end a login is not used for anything new.
const MARGIN: Duration = Duration::from_mins(1);

/// Until when something is good, on a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expiry {
    /// Its end.
    pub(crate) at: Instant,
    margin: Duration,
}

impl Expiry {
    /// Good for this long from now.
    pub(crate) fn after(life: Duration) -> Self {
        let life = life.min(MAX_LIFE);
        Self {
            at: Instant::now() + life,
            margin: MARGIN.min(life / 4),
        }
    }

    /// Good until a time of the day. A clock that is ahead makes it short, one that is behind makes it a day at most; whoever
    /// refuses it then makes us log in again.
    pub(crate) fn until(unix_s: i64, now_unix_s: i64) -> Self {
        let life = unix_s.saturating_sub(now_unix_s);
        Self::after(Duration::from_secs(u64::try_from(life).unwrap_or(0)))
    }

    /// Good for long enough to be used for something new.
    pub(crate) fn fresh(&self) -> bool {
        Instant::now() + self.margin < self.at
    }
}

/// Something that ends.
pub(crate) trait Ends {
    /// Whether it may be used for something new.
    fn fresh(&self) -> bool;
}

/// The one login at a store.
pub(crate) struct Cached<T>(Mutex<Slot<T>>);

struct Slot<T> {
    login: Option<Arc<T>>,
    /// The last try, if it failed: who waited for it does not try again.
    failed: Option<(Instant, CredentialError)>,
}

impl<T: Ends> Cached<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Slot {
            login: None,
            failed: None,
        }))
    }

    /// The login that is kept, or a new one. Of many who come at once, one logs in and the others have what came of it.
    ///
    /// `refused` is a login that the store no longer takes.
    ///
    /// # Cancel safety
    /// If this is dropped while it logs in, the next who waits does it.
    pub(crate) async fn get(
        &self,
        refused: Option<&Arc<T>>,
        log_in: impl Future<Output = Result<T, CredentialError>>,
    ) -> Result<Arc<T>, CredentialError> {
        let came = Instant::now();
        let mut slot = self.0.lock().await;
        if let Some(login) = &slot.login
            && login.fresh()
            && !refused.is_some_and(|refused| Arc::ptr_eq(refused, login))
        {
            return Ok(Arc::clone(login));
        }
        if let Some((ended, error)) = &slot.failed
            && *ended >= came
        {
            return Err(error.clone());
        }
        slot.login = None;
        match log_in.await {
            Ok(login) => {
                let login = Arc::new(login);
                slot.login = Some(Arc::clone(&login));
                slot.failed = None;
                Ok(login)
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Short(Expiry);

    impl Ends for Short {
        fn fresh(&self) -> bool {
            self.0.fresh()
        }
    }

    fn failure() -> CredentialError {
        CredentialError::Setting("away".to_owned())
    }

    #[tokio::test]
    async fn a_crowd_shares_one_login_and_one_failure() {
        let tries = Arc::new(AtomicUsize::new(0));
        for good in [true, false] {
            tries.store(0, Ordering::SeqCst);
            let cached = Arc::new(Cached::new());
            // Nobody gets in before all have come.
            let gate = cached.0.lock().await;
            let crowd: Vec<_> = (0..50)
                .map(|_| {
                    let (cached, tries) = (Arc::clone(&cached), Arc::clone(&tries));
                    tokio::spawn(async move {
                        let log_in = async {
                            tries.fetch_add(1, Ordering::SeqCst);
                            if good {
                                Ok(Short(Expiry::after(Duration::from_secs(60))))
                            } else {
                                Err(failure())
                            }
                        };
                        cached.get(None, log_in).await.is_ok()
                    })
                })
                .collect();
            tokio::task::yield_now().await;
            drop(gate);
            for one in crowd {
                assert_eq!(one.await.ok(), Some(good));
            }
            assert_eq!(tries.load(Ordering::SeqCst), 1);
        }
    }

    #[tokio::test]
    async fn a_failure_is_not_kept_and_a_refused_login_is_replaced() {
        let cached = Cached::new();
        assert!(cached.get(None, async { Err::<Short, _>(failure()) }).await.is_err());
        let log_in = || async { Ok(Short(Expiry::after(Duration::from_secs(60)))) };
        let first = cached.get(None, log_in()).await.unwrap();
        let second = cached.get(Some(&first), log_in()).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        // Who was refused with the old one takes the new one.
        let third = cached.get(Some(&first), log_in()).await.unwrap();
        assert!(Arc::ptr_eq(&second, &third));
    }

    #[test]
    fn any_time_whatever_is_an_expiry() {
        for at in [i64::MIN, -1, 0, 1, i64::MAX] {
            for now in [i64::MIN, 0, i64::MAX] {
                let life = Expiry::until(at, now).at.saturating_duration_since(Instant::now());
                assert!(life <= MAX_LIFE);
            }
        }
        assert!(!Expiry::until(10, 20).fresh());
        assert!(!Expiry::after(Duration::ZERO).fresh());
        assert!(Expiry::after(Duration::MAX).fresh());
    }
}
