//! Logins by device code for clients that can show text and nothing else, such as an SSH client that was not given a
//! token: the gateway asks the provider, and the person goes to the provider's page with any browser.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sallyport_store::tokens::Scope;
use time::OffsetDateTime;
use tracing::info;

use crate::errors::LoginError;
use crate::guesses::network;
use crate::identities::{Credential, Identities};
use crate::oidc::flow::{DeviceCode, Flow, FlowError, Pending};
use crate::principal::check_id;
use crate::tokens::Wanted;

/// The most logins that wait at the same time.
const MAX_WAITING: usize = 256;
/// The most of them from one source.
const MAX_WAITING_PER_SOURCE: usize = 8;

/// A login by device code that somebody has yet to complete. Dropping it gives it up.
#[derive(Debug)]
pub struct DeviceLogin {
    identities: Arc<Identities>,
    /// Which of the providers.
    provider: usize,
    flow: Flow,
    pending: Pending,
    nonce: String,
    claimed: String,
    source: IpAddr,
    _seat: Seat,
}

impl Identities {
    /// Whether somebody can log in by device code: a provider offers it ([`crate::oidc::OidcConfig::device`]).
    #[must_use]
    pub fn offers_device_login(&self) -> bool {
        self.providers.iter().any(|provider| provider.offers_device())
    }

    /// Begins a login by device code at the first provider that offers it, for a client at `source` who says it is
    /// `claimed`. Attempts are limited as for passwords, whether there is such a user or not.
    ///
    /// # Errors
    /// When none offers it, too many wait already, or the provider cannot be asked. Fit to be shown to who tried.
    pub async fn begin_device_login(
        self: &Arc<Self>,
        claimed: &str,
        source: IpAddr,
    ) -> Result<DeviceLogin, LoginError> {
        let offers = |(_, provider): &(usize, &crate::oidc::Provider)| provider.offers_device();
        let found = self.providers.iter().enumerate().find(offers);
        let (index, provider) = found.ok_or(FlowError::NoDevice)?;
        check_id(claimed)?;
        self.guesses()
            .attempt(claimed, source, Instant::now())
            .map_err(|wait| LoginError::TooMany { wait })?;
        let seat = self.waiting.take(source).ok_or(LoginError::Busy)?;
        let nonce = self.nonces.issue(OffsetDateTime::now_utc())?;
        let flow = provider.flow(nonce.clone()).await?;
        let pending = flow.begin_device().await?;
        Ok(DeviceLogin {
            identities: Arc::clone(self),
            provider: index,
            flow,
            pending,
            nonce,
            claimed: claimed.to_owned(),
            source,
            _seat: seat,
        })
    }
}

impl DeviceLogin {
    /// What to show: the page, the code, and how long there is time.
    #[must_use]
    pub fn code(&self) -> &DeviceCode {
        &self.pending.code
    }

    /// Waits until somebody logged in with the code. It must be who the client said it is.
    ///
    /// The credential is a token for targets whose secret nobody has: it is listed and can be revoked as others.
    ///
    /// # Errors
    /// The reason, fit to be shown to who tried.
    ///
    /// # Cancel safety
    /// Dropping the future gives the login up.
    pub async fn finish(self) -> Result<Credential, LoginError> {
        let Self {
            identities,
            provider,
            flow,
            pending,
            nonce,
            claimed,
            source,
            _seat,
        } = self;
        let id_token = flow.finish_device(pending).await?;
        let provider = identities.providers.get(provider).ok_or(LoginError::Stale)?;
        let principal = identities.vouched(provider, &id_token, &nonce).await?;
        if principal.id != claimed {
            info!(%claimed, user = %principal.id, %source, "somebody else logged in by device code");
            return Err(LoginError::WrongUser);
        }
        let now = OffsetDateTime::now_utc();
        let wanted = Wanted {
            scope: Scope::Target,
            target: None,
            name: Some("device code"),
            parent: None,
            expires: now + Duration::from_secs(identities.config.token_ttl_s),
        };
        let issued = identities.issue(&principal, &wanted, now).await?;
        identities.remember(&principal, now).await?;
        identities.guesses().succeeded(&claimed, source);
        info!(user = %principal.id, issuer = %principal.issuer, token = %issued.info.id, "somebody logged in by device code");
        let credential = identities.by_own_token(&issued.token).await;
        credential.map_err(|_ended_meanwhile| LoginError::Stale)
    }
}

/// How many wait, by the network that they come from.
#[derive(Debug, Default)]
pub(crate) struct WaitingRoom(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place in the waiting room, free again when it is dropped.
#[derive(Debug)]
struct Seat {
    room: Arc<Mutex<HashMap<IpAddr, usize>>>,
    network: IpAddr,
}

impl WaitingRoom {
    fn take(&self, source: IpAddr) -> Option<Seat> {
        let network = network(source);
        let mut room = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there: usize = room.values().sum();
        let theirs = room.get(&network).copied().unwrap_or_default();
        if there >= MAX_WAITING || theirs >= MAX_WAITING_PER_SOURCE {
            return None;
        }
        room.insert(network, theirs.saturating_add(1));
        Some(Seat {
            room: Arc::clone(&self.0),
            network,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        match room.get_mut(&self.network) {
            Some(theirs) if *theirs > 1 => *theirs = theirs.saturating_sub(1),
            Some(_) | None => {
                room.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn one_source_cannot_take_all_places_and_those_left_are_free_again() {
        let room = WaitingRoom::default();
        let at = |n: u8| IpAddr::from([192, 0, 2, n]);
        let mut seats: Vec<Seat> = (0..MAX_WAITING_PER_SOURCE).map(|_| room.take(at(0)).unwrap()).collect();
        assert!(room.take(at(0)).is_none());
        for n in 1..32 {
            seats.extend((0..MAX_WAITING_PER_SOURCE).map(|_| room.take(at(n)).unwrap()));
        }
        assert_eq!(seats.len(), MAX_WAITING);
        assert!(room.take(at(200)).is_none());
        seats.remove(0);
        let again = room.take(at(0)).unwrap();
        assert!(room.take(at(0)).is_none());
        drop((again, seats));
        assert!(room.0.lock().unwrap().is_empty());
    }
}
