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
use crate::principal::{Principal, check_id};
use crate::tokens::{IssuedToken, Wanted};

/// The most logins that wait at the same time.
const MAX_WAITING: usize = 256;
/// The most of them from one source.
const MAX_WAITING_PER_SOURCE: usize = 8;

/// Writes down logins that do not come by way of the API.
pub trait Witness: Send + Sync + std::fmt::Debug {
    /// Writes down that `who`, at `source`, logged in by device code, or tried to and why it failed. It may write to a
    /// disk. What cannot be written down does not happen.
    ///
    /// # Errors
    /// When it could not be written.
    fn device_login(&self, who: &str, source: IpAddr, failed: Option<&str>) -> Result<(), String>;
}

/// A login by device code that somebody has yet to complete. Dropping it gives it up.
#[derive(Debug)]
pub struct DeviceLogin {
    identities: Arc<Identities>,
    witness: Arc<dyn Witness>,
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
    /// The same, with somebody who writes logins by device code down: without, there are none.
    #[must_use]
    pub fn with_witness(mut self, witness: Arc<dyn Witness>) -> Self {
        self.witness = Some(witness);
        self
    }

    /// Whether somebody can log in by device code: a provider offers it ([`crate::oidc::OidcConfig::device`]).
    #[must_use]
    pub fn offers_device_login(&self) -> bool {
        self.witness.is_some() && self.providers.iter().any(|provider| provider.offers_device())
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
        let witness = self.witness.clone().ok_or(FlowError::NoDevice)?;
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
            witness,
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
        let identities = Arc::clone(&self.identities);
        let (witness, claimed, source) = (Arc::clone(&self.witness), self.claimed.clone(), self.source);
        let (principal, issued) = match self.issue().await {
            Ok(issued) => issued,
            Err(error) => {
                written(witness, claimed, source, Some(error.to_string())).await?;
                return Err(error);
            }
        };
        if let Err(error) = written(witness, claimed.clone(), source, None).await {
            // One that ended meanwhile need not be ended.
            let _ended = identities.revoke(&principal, &issued.info.id).await;
            return Err(error);
        }
        identities.remember(&principal, OffsetDateTime::now_utc()).await?;
        identities.guesses().succeeded(&claimed, source);
        info!(user = %principal.id, issuer = %principal.issuer, token = %issued.info.id, "a login by device code");
        let credential = identities.by_own_token(&issued.token).await;
        credential.map_err(|_ended_meanwhile| LoginError::Stale)
    }

    /// Waits for the provider's word, and makes a token for whom it names.
    async fn issue(self) -> Result<(Principal, IssuedToken), LoginError> {
        let identities = &self.identities;
        let id_token = self.flow.finish_device(self.pending).await?;
        let provider = identities.providers.get(self.provider).ok_or(LoginError::Stale)?;
        let principal = identities.vouched(provider, &id_token, &self.nonce).await?;
        if principal.id != self.claimed {
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
        Ok((principal, issued))
    }
}

async fn written(
    witness: Arc<dyn Witness>,
    who: String,
    source: IpAddr,
    failed: Option<String>,
) -> Result<(), LoginError> {
    let write = move || witness.device_login(&who, source, failed.as_deref());
    let written = tokio::task::spawn_blocking(write).await.map_err(|e| e.to_string());
    written.and_then(|result| result).map_err(|error| {
        tracing::error!(%error, "a login could not be written down");
        LoginError::Unwitnessed
    })
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
