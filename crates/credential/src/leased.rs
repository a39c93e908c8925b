//! A credential that somebody uses.

use std::{convert::Infallible, fmt};

use secrecy::SecretString;
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    time::Instant,
};

use crate::Background;

/// A credential for one session.
///
/// If it was made for the session, it is renewed for as long as this (or its [`Hold`]) lives. Dropping it begins
/// to end it, in the background, with several tries. What is never told, because the process was killed or the store stayed
/// away, ends at the store when its time to live is over.
pub struct Leased {
    user: Option<String>,
    secret: SecretString,
    hold: Hold,
}

impl Leased {
    /// A credential that nobody has to end.
    pub(crate) fn fixed(user: Option<String>, secret: SecretString, expires: Option<Instant>) -> Self {
        Self {
            user,
            secret,
            hold: Hold(Held::Until(expires)),
        }
    }

    /// A credential that is renewed and ended by who has the other ends of these.
    pub(crate) fn kept(
        user: String,
        secret: SecretString,
        state: watch::Receiver<LeaseState>,
        alive: oneshot::Sender<Infallible>,
    ) -> Self {
        Self {
            user: Some(user),
            secret,
            hold: Hold(Held::Kept { state, _alive: alive }),
        }
    }

    /// Whom to log in as, if the source says it. It counts before the target's own `user`.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The secret.
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// When it ends, as far as is known now.
    pub fn expires(&self) -> Option<Instant> {
        self.hold.expires()
    }

    /// The user, the secret for the login, and what must be kept until the session has ended.
    pub fn into_parts(self) -> (Option<String>, SecretString, Hold) {
        (self.user, self.secret, self.hold)
    }
}

impl fmt::Debug for Leased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leased")
            .field("user", &self.user)
            .field("expires", &self.expires())
            .finish_non_exhaustive()
    }
}

/// Keeps a credential for as long as it lives.
#[must_use = "the credential ends when this is dropped"]
pub struct Hold(Held);

enum Held {
    Until(Option<Instant>),
    Kept {
        state: watch::Receiver<LeaseState>,
        _alive: oneshot::Sender<Infallible>,
    },
}

/// What is known of a lease that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseState {
    /// It is good until then, unless it is renewed.
    Until(Instant),
    /// It is good until it is dropped.
    Kept,
    /// It is over.
    Lost,
}

impl Hold {
    /// Keeps something that whoever calls has made for one session: `end` runs once this is dropped, in the background, on
    /// the runtime of the caller. Gives `None`, and nothing runs, where there is no runtime.
    pub fn of(background: &Background, end: impl Future<Output = ()> + Send + 'static) -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        let (alive, released) = oneshot::channel::<Infallible>();
        // Nobody but its maker ends it.
        let (state, watched) = watch::channel(LeaseState::Kept);
        background.spawn(&runtime, async move {
            // Nothing is ever sent: an error is the drop.
            let _ = released.await;
            drop(state);
            end.await;
        });
        Some(Self(Held::Kept {
            state: watched,
            _alive: alive,
        }))
    }

    /// When the credential ends, as far as is known now.
    pub fn expires(&self) -> Option<Instant> {
        match &self.0 {
            Held::Until(expires) => *expires,
            Held::Kept { state, .. } => match *state.borrow() {
                LeaseState::Until(at) => Some(at),
                LeaseState::Kept => None,
                LeaseState::Lost => Some(Instant::now()),
            },
        }
    }

    /// Whether the credential was made for one session, and ends with it.
    pub fn is_for_one_session(&self) -> bool {
        match &self.0 {
            Held::Until(_) => false,
            Held::Kept { .. } => true,
        }
    }

    /// Whether a credential that was kept is over although this lives.
    pub fn is_lost(&self) -> bool {
        match &self.0 {
            Held::Until(_) => false,
            Held::Kept { state, .. } => *state.borrow() == LeaseState::Lost || state.has_changed().is_err(),
        }
    }

    /// Waits until a credential that was kept is over although this lives: it could not be renewed, or its store ended it.
    /// Never returns for others, since they are needed at login only.
    ///
    /// # Cancel safety
    /// It may be dropped and called again.
    pub async fn lost(&mut self) {
        match &mut self.0 {
            Held::Until(_) => std::future::pending().await,
            Held::Kept { state, .. } => {
                // An error means that nobody keeps it any more, which is the same.
                let _ = state.wait_for(|state| *state == LeaseState::Lost).await;
            }
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("expires", &self.expires()).finish()
    }
}

/// The name of a user, which is no secret, out of the wrapping of what it came with.
pub(crate) fn user(text: impl std::borrow::Borrow<SecretString>) -> String {
    use secrecy::ExposeSecret;
    text.borrow().expose_secret().to_owned()
}
