//! Tokens in use: the cache in front of the store, and how the sessions of a revoked token learn of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sallyport_store::tokens::Scope;
use smol_str::SmolStr;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::principal::Principal;
use crate::secret::{TokenHash, TokenId};

/// The most tokens that are kept in memory.
const CAPACITY: usize = 65_536;

/// Tells that what a session was opened with is good no more. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Revocation(watch::Receiver<bool>);

impl Revocation {
    /// What `sender` says, or that it is gone.
    pub(crate) fn of(sender: &watch::Sender<bool>) -> Self {
        Self(sender.subscribe())
    }

    /// Whether it is good no more.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits until it is good no more; also when the identities are gone, since then nobody could tell.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped; ask again.
    pub async fn revoked(&self) {
        let mut receiver = self.0.clone();
        // An error means that the sender is gone, which counts as revoked.
        let _gone = receiver.wait_for(|revoked| *revoked).await;
    }
}

/// One token that was read from the store and is good until it expires or is revoked.
#[derive(Debug)]
pub(crate) struct LiveToken {
    pub(crate) id: TokenId,
    pub(crate) scope: Scope,
    pub(crate) principal: Arc<Principal>,
    pub(crate) target: Option<SmolStr>,
    pub(crate) issued: OffsetDateTime,
    pub(crate) expires: OffsetDateTime,
    revoked: watch::Sender<bool>,
}

impl LiveToken {
    pub(crate) fn new(
        (id, scope): (TokenId, Scope),
        principal: Arc<Principal>,
        target: Option<SmolStr>,
        (issued, expires): (OffsetDateTime, OffsetDateTime),
    ) -> Self {
        Self {
            id,
            scope,
            principal,
            target,
            issued,
            expires,
            revoked: watch::channel(false).0,
        }
    }

    pub(crate) fn revocation(&self) -> Revocation {
        Revocation(self.revoked.subscribe())
    }

    fn is_watched(&self) -> bool {
        self.revoked.receiver_count() > 0
    }
}

/// What a session without a token was opened with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shown {
    /// A client certificate of this principal.
    Certificate(SmolStr),
    /// An SSH key of this principal, by the SHA-256 of its blob.
    SshKey(SmolStr, [u8; 32]),
}

impl Shown {
    /// Whose it is.
    pub(crate) fn principal(&self) -> &SmolStr {
        match self {
            Self::Certificate(principal) | Self::SshKey(principal, _) => principal,
        }
    }
}

/// The tokens in use.
#[derive(Debug, Default)]
pub(crate) struct LiveTokens {
    tokens: Mutex<HashMap<TokenHash, Arc<LiveToken>>>,
    /// Client certificates and keys have no token: their sessions watch these.
    watched: Mutex<HashMap<Shown, watch::Sender<bool>>>,
    /// INVARIANT: grows before a revocation takes tokens out of `tokens`, so that a reader of the store who started
    /// earlier notices and does not put a stale row in.
    generation: AtomicU64,
}

impl LiveTokens {
    /// The token with this hash, with a watch on it that no revocation can slip past.
    pub(crate) fn get(&self, hash: &TokenHash) -> Option<(Arc<LiveToken>, Revocation)> {
        let tokens = self.lock();
        tokens.get(hash).map(|token| (Arc::clone(token), token.revocation()))
    }

    /// To be asked before the store is read, and given to [`Self::insert`].
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Keeps a token that was read from the store. `None` when something was revoked since `generation`: read again.
    pub(crate) fn insert(
        &self,
        hash: TokenHash,
        token: LiveToken,
        generation: u64,
        now: OffsetDateTime,
    ) -> Option<(Arc<LiveToken>, Revocation)> {
        let mut tokens = self.lock();
        if self.generation() != generation {
            return None;
        }
        if tokens.len() >= CAPACITY {
            make_room(&mut tokens, now);
        }
        let token = Arc::clone(tokens.entry(hash).or_insert_with(|| Arc::new(token)));
        let revocation = token.revocation();
        Some((token, revocation))
    }

    /// A watch for a session that is opened with `shown`. Look (again) whether it is good after this was called: what
    /// ends it later ends the watch.
    pub(crate) fn watch(&self, shown: Shown) -> Revocation {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = watched.entry(shown).or_insert_with(|| watch::channel(false).0);
        Revocation(sender.subscribe())
    }

    /// Ends the sessions of the tokens for which `gone` holds, and forgets the tokens.
    /// The store must say that they are revoked already.
    pub(crate) fn end(&self, gone: impl Fn(&LiveToken) -> bool) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.lock().retain(|_, token| {
            let gone = gone(token);
            if gone {
                token.revoked.send_replace(true);
            }
            !gone
        });
    }

    /// Ends the sessions that were opened with what `gone` holds for.
    pub(crate) fn end_shown(&self, gone: impl Fn(&Shown) -> bool) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|shown, sender| {
            let gone = gone(shown);
            if gone {
                sender.send_replace(true);
            }
            !gone
        });
    }

    /// Forgets what expired and nobody watches.
    pub(crate) fn purge(&self, now: OffsetDateTime) {
        self.lock().retain(|_, token| token.expires > now || token.is_watched());
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, sender| sender.receiver_count() > 0);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenHash, Arc<LiveToken>>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token that sessions watch must stay, or they would not hear of its revocation; their number is bounded by the
/// limit of sessions.
fn make_room(tokens: &mut HashMap<TokenHash, Arc<LiveToken>>, now: OffsetDateTime) {
    tokens.retain(|_, token| token.expires > now || token.is_watched());
    if tokens.len() >= CAPACITY {
        tokens.retain(|_, token| token.is_watched());
    }
}
