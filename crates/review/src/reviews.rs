//! The acts: asking, approving, denying, withdrawing, using.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use sallyport_identity::Principal;
use sallyport_store::Store;
use sallyport_store::requests::{NewRequest, RequestFilter, RequestState, Requests, RequestsTx, Viewer, VoteRow};
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use crate::config::ReviewConfig;
use crate::desk::{Inner, act, find};
use crate::digest::CommandDigest;
use crate::error::ReviewError;
use crate::keeper;
use crate::needs::Tally;
use crate::pending::Pending;
use crate::request::{Detail, Grant, Held, Impact, Request};
use crate::rules::{Visibility, check_reason, checked_needs, eligible_groups, may_deny, open_at, same_needs, sees};
use crate::witness::{Act, ActKind, Witness};

/// Acts that a slow subscriber may be behind before it misses some.
const EVENT_BACKLOG: usize = 1024;

/// All requests of one gateway. Cheap to clone.
#[derive(Clone)]
pub struct Reviews {
    pub(crate) inner: Arc<Inner>,
}

/// Which requests are wanted.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// Only in these states; empty: in any.
    pub states: BTreeSet<RequestState>,
    /// Only those of this principal.
    pub principal: Option<String>,
    /// Only those for this target.
    pub target: Option<String>,
    /// Only those that are older than this request.
    pub before: Option<String>,
    /// At most so many; `None`: 100. Never more than 500.
    pub limit: Option<u32>,
}

impl Reviews {
    /// Takes up the requests in `store`. Those whose clients waited when the gateway ended are withdrawn; grants
    /// that were not used are still good.
    ///
    /// Must be called within a Tokio runtime that lives as long as the reviews: it runs their timers and webhooks.
    ///
    /// # Errors
    /// When the store cannot be used, or the withdrawals cannot be witnessed.
    pub async fn open(store: &Store, config: ReviewConfig, witness: Arc<dyn Witness>) -> Result<Self, ReviewError> {
        // Unbounded, but each order stands for a request, and those are bounded.
        let (orders, orders_in) = mpsc::unbounded_channel();
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let requests = Requests::new(store);
        let inner = Arc::new(Inner {
            requests,
            config,
            witness,
            waiters: Mutex::default(),
            events,
            orders,
        });
        inner.forget_dead_sessions().await?;
        keeper::start(&inner, orders_in);
        Ok(Self { inner })
    }

    /// Asks people about a held command. When the same command was asked about before, timed out and is still
    /// undecided, its request is taken up again instead of making another.
    ///
    /// # Errors
    /// When nobody could approve it, when there are too many requests, or when the request cannot be stored or
    /// witnessed. The command must then be refused.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no open request behind.
    pub async fn request(&self, held: Held) -> Result<Pending, ReviewError> {
        let needs = checked_needs(&held)?;
        let inner = &self.inner;
        let wait = held.wait.unwrap_or(inner.config.hold_timeout);
        let now_ms = inner.config.clock.now_ms();
        let mut tx = inner.requests.begin().await?;
        if let Some(row) = tx.unattended(held.digest.as_bytes(), now_ms).await?
            && row.principal == held.principal.id.as_str()
            && same_needs(&row.needs, &needs)
            && row.watch.len() == held.watch.len()
            && row.watch.iter().all(|group| held.watch.contains(group))
        {
            let pending = Pending::new(Arc::clone(inner), &row.id, &held.session, Instant::now() + wait);
            tx.attend(&row.id, Some(&held.session)).await?;
            let act = Act {
                session: held.session,
                ..act(ActKind::Resumed, &row, now_ms)
            };
            inner.commit(tx, act).await?;
            return Ok(pending);
        }
        let (of_principal, all) = tx.count_open(held.principal.id.as_str()).await?;
        if of_principal >= inner.config.max_open_per_principal {
            let principal = held.principal.id.to_string();
            return Err(ReviewError::TooManyOfYours {
                principal,
                limit: inner.config.max_open_per_principal,
            });
        }
        if all >= inner.config.max_open {
            return Err(ReviewError::TooMany {
                limit: inner.config.max_open,
            });
        }
        let new = insert(&mut tx, inner.new_request(&held, needs, wait, now_ms)).await?;
        let row = tx.get(&new.id).await?.ok_or(ReviewError::NoFreeId)?;
        // Made before the commit, so that giving up in the middle of it withdraws the request.
        let pending = Pending::new(Arc::clone(inner), &new.id, &held.session, Instant::now() + wait);
        inner.commit(tx, act(ActKind::Requested, &row, now_ms)).await?;
        Ok(pending)
    }

    /// Adds what the command would touch to what reviewers see of an open request.
    ///
    /// # Errors
    /// When there is no such request, it is over, or the store cannot be used.
    pub async fn set_impact(&self, id: &str, impact: &Impact) -> Result<(), ReviewError> {
        let mut tx = self.inner.requests.begin().await?;
        let row = find(&mut tx, id).await?;
        if row.state != RequestState::Open {
            return Err(ReviewError::Over {
                id: row.id,
                state: row.state,
            });
        }
        let mut detail = Detail::read(&row)?;
        detail.impact = Some(impact.bounded());
        tx.set_detail(id, &detail.to_json()).await?;
        Ok(tx.commit().await?)
    }

    /// Approves request `id`. When that was the last approval missing, there is a grant from now on.
    ///
    /// # Errors
    /// When the request is not open, `reviewer` may not decide it (invariant I5 among the reasons), has approved
    /// already or is not needed any more, or the act cannot be stored or witnessed.
    pub async fn approve(&self, id: &str, reviewer: &Principal, reason: Option<&str>) -> Result<Request, ReviewError> {
        check_reason(reason)?;
        let inner = &self.inner;
        let now_ms = inner.config.clock.now_ms();
        let mut tx = inner.requests.begin().await?;
        let row = find(&mut tx, id).await?;
        let person = tx.resolve_person(&reviewer.person).await?;
        let groups = eligible_groups(&row, reviewer, &person)?;
        open_at(&row, now_ms)?;
        let before = Tally::of(&row);
        let (filled, missing) = (before.filled(), before.missing());
        let vote = VoteRow {
            person,
            reviewer: reviewer.id.to_string(),
            groups,
            reason: reason.map(str::to_owned),
            at_ms: now_ms,
        };
        let voted = row.votes.iter().any(|earlier| earlier.person == vote.person);
        if voted || !tx.vote(id, &vote).await? {
            return Err(ReviewError::AlreadyApproved {
                id: row.id,
                reviewer: vote.reviewer,
                missing,
            });
        }
        let row = find(&mut tx, id).await?;
        let tally = Tally::of(&row);
        if tally.filled() == filled {
            return Err(ReviewError::NotNeeded {
                id: row.id.clone(),
                reviewer: vote.reviewer,
                missing,
            });
        }
        let (by, reason) = (Some(vote.reviewer), vote.reason);
        let mut done = Act {
            by,
            reason,
            ..act(ActKind::Approved, &row, now_ms)
        };
        if tally.is_complete() {
            let ttl_ms = Detail::read(&row)?.grant_ttl_ms;
            tx.approve(id, now_ms.saturating_add(ttl_ms)).await?;
            done.kind = ActKind::Granted;
            done.groups = row.needs.iter().map(|need| need.group.clone()).collect();
        }
        inner.commit(tx, done).await?;
        inner.wake(id);
        self.reread(id).await
    }

    /// Denies request `id`, or takes back a grant that was not used yet.
    ///
    /// # Errors
    /// When the request is over, `reviewer` may not decide it, or the act cannot be stored or witnessed.
    pub async fn deny(&self, id: &str, reviewer: &Principal, reason: Option<&str>) -> Result<Request, ReviewError> {
        check_reason(reason)?;
        let mut tx = self.inner.requests.begin().await?;
        let row = find(&mut tx, id).await?;
        let person = tx.resolve_person(&reviewer.person).await?;
        may_deny(&row, reviewer, &person)?;
        self.inner
            .end(tx, &row, RequestState::Denied, Some(reviewer.id.as_str()), reason)
            .await?;
        self.reread(id).await
    }

    /// Ends request `id`, which waits for no approval but for its session to be watched: `watcher` does. The command may go on
    /// as long as they do.
    ///
    /// # Errors
    /// When the request is over or waits for approvals too, or the act cannot be stored or witnessed.
    pub async fn watched(&self, id: &str, watcher: &str) -> Result<(), ReviewError> {
        let mut tx = self.inner.requests.begin().await?;
        let row = find(&mut tx, id).await?;
        open_at(&row, self.inner.config.clock.now_ms())?;
        if let Some(missing) = (!row.needs.is_empty()).then(|| Tally::of(&row).missing()) {
            return Err(ReviewError::NotNeeded {
                id: row.id,
                reviewer: watcher.to_owned(),
                missing,
            });
        }
        let reason = Some("the session is watched");
        self.inner
            .end(tx, &row, RequestState::Used, Some(watcher), reason)
            .await
    }

    /// Withdraws request `id` or the unused grant that it became: the person who asked does not want it any more.
    ///
    /// # Errors
    /// When `asker` did not ask for it, it is over, or the act cannot be stored or witnessed.
    pub async fn withdraw(&self, id: &str, asker: &Principal, reason: Option<&str>) -> Result<Request, ReviewError> {
        check_reason(reason)?;
        let mut tx = self.inner.requests.begin().await?;
        let row = find(&mut tx, id).await?;
        if row.principal != asker.id.as_str() {
            return Err(ReviewError::NotYours(row.id));
        }
        self.inner
            .end(tx, &row, RequestState::Withdrawn, Some(asker.id.as_str()), reason)
            .await?;
        self.reread(id).await
    }

    /// Uses up a grant for exactly this command, if there is one that no other client waits for. After a hold timed
    /// out and was approved later, running the same command again passes by this, once.
    ///
    /// # Errors
    /// When the store cannot be used or the use cannot be witnessed; the grant is then still there.
    pub async fn take_grant(
        &self,
        digest: &CommandDigest,
        principal: &str,
        target: &str,
        task: Option<&str>,
        policy_digest: &str,
    ) -> Result<Option<Grant>, ReviewError> {
        let now_ms = self.inner.config.clock.now_ms();
        let mut tx = self.inner.requests.begin().await?;
        let Some(row) = tx.unused_grant(digest.as_bytes(), now_ms).await? else {
            return Ok(None);
        };
        // The digest binds all of these; comparing them again costs nothing and does not rely on it.
        let same = row.principal == principal
            && row.target == target
            && row.task.as_deref() == task
            && row.policy_digest == policy_digest;
        if !same {
            return Ok(None);
        }
        self.inner.take(tx, &row, now_ms).await
    }

    /// Request `id`, if `visibility` shows it.
    ///
    /// # Errors
    /// When there is no such request to be seen, or the store cannot be used.
    pub async fn get(&self, id: &str, visibility: Visibility<'_>) -> Result<Request, ReviewError> {
        let row = self.inner.requests.get(id).await?.filter(|row| sees(visibility, row));
        row.as_ref()
            .map_or_else(|| Err(ReviewError::NotFound(id.to_owned())), Request::read)
    }

    /// The requests that `filter` wants and `visibility` shows, newest first. Long ones come abridged; see
    /// [`Self::get`] for the whole.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn list(&self, filter: ListFilter, visibility: Visibility<'_>) -> Result<Vec<Request>, ReviewError> {
        let viewer = match visibility {
            Visibility::All => None,
            Visibility::For(principal) => Some(Viewer {
                principal: principal.id.to_string(),
                person: principal.person.to_string(),
                groups: principal.groups.iter().map(ToString::to_string).collect(),
            }),
        };
        let ListFilter {
            states,
            principal,
            target,
            before,
            limit,
        } = filter;
        let limit = limit.unwrap_or(100);
        let rows = self
            .inner
            .requests
            .list(&RequestFilter {
                states,
                principal,
                target,
                viewer,
                before,
                limit,
            })
            .await?;
        rows.iter().map(Request::read).collect()
    }

    /// Every act from now on. A subscriber that falls far behind misses some.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Act>> {
        self.inner.subscribe()
    }

    /// Expires what is due. The reviews do this by themselves when the time comes; a test need not wait for it.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn sweep(&self) -> Result<(), ReviewError> {
        self.inner.sweep().await
    }

    async fn reread(&self, id: &str) -> Result<Request, ReviewError> {
        self.get(id, Visibility::All).await
    }
}

impl std::fmt::Debug for Reviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reviews")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

/// Stores `new` under an identifier that is free.
async fn insert(tx: &mut RequestsTx, mut new: NewRequest) -> Result<NewRequest, ReviewError> {
    for _ in 0..16 {
        new.id = random_id()?;
        if tx.insert(&new).await? {
            return Ok(new);
        }
    }
    Err(ReviewError::NoFreeId)
}

/// `req_` and six characters that are easily told apart.
fn random_id() -> Result<String, ReviewError> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0; 6];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| ReviewError::NoFreeId)?;
    let letters = bytes
        .iter()
        .filter_map(|b| ALPHABET.get(usize::from(b % 32)))
        .map(|b| char::from(*b));
    Ok(format!("req_{}", letters.collect::<String>()))
}
