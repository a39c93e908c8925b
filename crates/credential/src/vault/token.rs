//! Tokens of a Vault: renewed while somebody uses them, revoked when nobody does.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use super::{
    Api,
    login::{Auth, seconds},
};
use crate::login::{Ends, Expiry, MAX_LIFE};

/// Renewals are not nearer to each other.
const LEAST_WAIT: Duration = Duration::from_millis(500);

/// A token. Leases that were made with it end with it.
pub(crate) struct Token {
    text: SecretString,
    ours: Option<Ours>,
}

/// A token that a login of ours gave.
struct Ours {
    api: Arc<Api>,
    life: Duration,
    /// Absent when it never ends.
    expiry: Arc<Mutex<Option<Expiry>>>,
    keeper: Option<AbortHandle>,
    runtime: Option<Handle>,
}

impl Token {
    /// A token that somebody else made, and ends.
    pub(super) fn given(text: SecretString) -> Self {
        Self { text, ours: None }
    }

    /// A token that a login gave. It is renewed until it is dropped.
    pub(super) fn ours(api: &Arc<Api>, auth: Auth) -> Self {
        // Tokens are good for a month if nobody says otherwise; we keep none for so long, and measure by what we keep.
        let life = seconds(auth.lease_duration).min(MAX_LIFE);
        let ends = !life.is_zero();
        let expiry = Arc::new(Mutex::new(ends.then(|| Expiry::after(life))));
        let runtime = Handle::try_current().ok();
        let keeper = runtime.as_ref().filter(|_| ends && auth.renewable).map(|runtime| {
            let keep = keep(Arc::clone(api), auth.client_token.clone(), Arc::clone(&expiry), life);
            runtime.spawn(keep).abort_handle()
        });
        Self {
            text: auth.client_token,
            ours: Some(Ours {
                api: Arc::clone(api),
                life,
                expiry,
                keeper,
                runtime,
            }),
        }
    }

    pub(super) fn text(&self) -> &SecretString {
        &self.text
    }

    /// Whether another could be had by logging in again.
    pub(super) fn is_ours(&self) -> bool {
        self.ours.is_some()
    }

    /// Whether so much is left of its life that a lease may be made with it.
    pub(super) fn outlasts_a_lease(&self) -> bool {
        let Some(ours) = &self.ours else {
            return true;
        };
        let expiry = *ours.expiry.lock().unwrap_or_else(PoisonError::into_inner);
        expiry.is_none_or(|expiry| expiry.at.saturating_duration_since(Instant::now()) >= ours.life / 2)
    }
}

impl Ends for Token {
    fn fresh(&self) -> bool {
        let Some(ours) = &self.ours else {
            return true;
        };
        let expiry = *ours.expiry.lock().unwrap_or_else(PoisonError::into_inner);
        expiry.is_none_or(|expiry| expiry.fresh())
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let Some(ours) = self.ours.take() else {
            return;
        };
        if let Some(keeper) = ours.keeper {
            keeper.abort();
        }
        let Some(runtime) = ours.runtime else {
            return;
        };
        let (api, text) = (ours.api, self.text.clone());
        let background = api.background.clone();
        background.spawn(&runtime, async move {
            // One try: it ends by itself soon, and no lease depends on it any more.
            let path = "auth/token/revoke-self";
            let _ = api
                .call(Some(&text), Method::POST, path, None, "the end of a login")
                .await;
        });
    }
}

#[derive(Deserialize)]
struct Renewed {
    auth: Auth,
}

/// Renews a token when a third of its life is over, until it cannot be.
async fn keep(api: Arc<Api>, text: SecretString, expiry: Arc<Mutex<Option<Expiry>>>, life: Duration) {
    let body = json!({ "increment": life.as_secs() });
    loop {
        let Some(until) = *expiry.lock().unwrap_or_else(PoisonError::into_inner) else {
            return;
        };
        let left = until.at.saturating_duration_since(Instant::now());
        if left < LEAST_WAIT {
            return;
        }
        sleep_until(Instant::now() + (left / 3).max(LEAST_WAIT)).await;
        let path = "auth/token/renew-self";
        let answer = api
            .call(Some(&text), Method::POST, path, Some(&body), "the renewal of a login")
            .await;
        let Ok(answer) = answer else {
            continue;
        };
        if answer.status.as_u16() == 403 {
            tracing::warn!("a Vault no longer takes the token of our login");
            *expiry.lock().unwrap_or_else(PoisonError::into_inner) = Some(Expiry::after(Duration::ZERO));
            return;
        }
        if let Ok(answer) = answer.good(super::advice)
            && let Ok(Renewed { auth }) = answer.json()
        {
            let renewed = Expiry::after(seconds(auth.lease_duration));
            *expiry.lock().unwrap_or_else(PoisonError::into_inner) = Some(renewed);
        }
    }
}
